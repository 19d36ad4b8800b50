"""How many jobs of one caller may be under way: which count, who still gets an answer, and what counting costs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text

from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.store.budget import check_live
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.schema import jobs
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock
from tests.jobs.test_store import ordered

New = Callable[..., NewJob]
MAX = 3


@pytest.fixture
def limited(database: Database) -> Store:
    return Store(database, limits_of=lambda caller: CallerLimits(max_live_jobs=MAX))


def filled(store: Store, new_job: New, clock: Clock, caller: str = "local") -> list[Job]:
    """As many live jobs as a caller may have."""
    return [store.place(new_job(caller, prompt=f"p{n}"), clock()).job for n in range(MAX)]


def refused(store: Store, new: NewJob, clock: Clock) -> str:
    with pytest.raises(CallerError) as caught:
        store.place(new, clock())
    assert caught.value.code is ErrorCode.RATE_LIMITED
    return str(caught.value)


def test_one_more_is_refused_with_how_many_are_live_and_what_to_do(limited: Store, new_job: New, clock: Clock) -> None:
    filled(limited, new_job, clock)
    ordered(limited, new_job(prompt="p0"), clock)
    told = refused(limited, new_job(prompt="one more"), clock)
    assert told.startswith("3 jobs are under way (2 queued, 1 submitting), and 3 of one caller may be at a time;")
    for word in ("list_jobs", "cancel_job", "LTX_MCP_MAX_LIVE_JOBS", "Wait"):
        assert word in told


def test_repeats_of_live_requests_still_get_their_jobs(limited: Store, new_job: New, clock: Clock) -> None:
    keyed = limited.place(new_job(request_key="k"), clock()).job
    first, second = (limited.place(new_job(prompt=f"p{n}"), clock()).job for n in range(2))
    refused(limited, new_job(prompt="one more"), clock)
    refused(limited, new_job(request_key="another"), clock)
    assert limited.place(new_job(request_key="k"), clock()).job.id == keyed.id
    assert limited.place(new_job(prompt="p0"), clock()).job.id == first.id
    found = limited.check(new_job(prompt="p1"), clock())
    assert found is not None
    assert found.id == second.id


def test_each_caller_has_their_own_places(limited: Store, new_job: New, clock: Clock) -> None:
    filled(limited, new_job, clock, "one")
    filled(limited, new_job, clock, "two")
    refused(limited, new_job("one", prompt="one more"), clock)


@pytest.mark.parametrize("end", [State.FAILED, State.CANCELLED, State.UNKNOWN])
def test_an_end_also_an_unknown_one_makes_a_place_free(limited: Store, new_job: New, clock: Clock, end: State) -> None:
    filled(limited, new_job, clock)
    job = ordered(limited, new_job(prompt="p0"), clock)
    refused(limited, new_job(prompt="one more"), clock)
    if end is State.UNKNOWN:
        limited.record_submission(job, end, clock(), "unknown", error=JobError(ErrorCode.OUTCOME_UNKNOWN, "no answer"))
    else:
        limited.transition(job, end, clock())
    limited.place(new_job(prompt="one more"), clock())
    refused(limited, new_job(prompt="and one more"), clock)


def test_jobs_that_wait_for_another_count(limited: Store, new_job: New, clock: Clock) -> None:
    shot = limited.place(new_job(), clock()).job
    for n in range(MAX - 1):
        chained = replace(
            new_job(prompt=f"shot {n}"), inputs=(Input(role="image", job_id=shot.id, frame_position="last"),)
        )
        assert limited.place(chained, clock()).job.blocked_by == shot.id
    refused(limited, new_job(prompt="one more"), clock)


def test_without_a_limit_nobody_is_refused(store: Store, new_job: New, clock: Clock) -> None:
    for n in range(120):
        store.place(new_job(prompt=f"p{n}"), clock())


def test_only_live_rows_are_read_however_many_have_ended(
    database: Database, limited: Store, new_job: New, clock: Clock
) -> None:
    job = ordered(limited, new_job(), clock)
    limited.transition(job, State.FAILED, clock())
    with database.write() as connection:
        (found,) = connection.execute(select(jobs)).mappings()
        row = {column.key: found[column] for column in jobs.columns}
        many = [{**row, "id": f"job_{n}", "created_at": clock() - timedelta(days=n)} for n in range(5000)]
        connection.execute(insert(jobs), many)
    filled(limited, new_job, clock)
    if database.kind.shared:
        with database.write() as connection:
            connection.execute(text("ANALYZE jobs"))
    assert "jobs_live" in plan_of(database)
    refused(limited, new_job(prompt="one more"), clock)


def plan_of(database: Database) -> str:
    """How the database looks for the live jobs of a caller, as `check_live` asks for them."""
    asked: list[tuple[str, Any]] = []

    def listen(connection: Any, cursor: Any, statement: str, values: Any, context: Any, many: bool) -> None:
        if "count" in statement:
            asked.append((statement, values))

    engine = database._engine
    event.listen(engine, "before_cursor_execute", listen)
    with database.read() as connection:
        check_live(connection, "local", 10**6)
    event.remove(engine, "before_cursor_execute", listen)
    ((statement, values),) = asked
    explain = "EXPLAIN" if database.kind.shared else "EXPLAIN QUERY PLAN"
    with database.read() as connection:
        return str(connection.exec_driver_sql(f"{explain} {statement}", values).all())
