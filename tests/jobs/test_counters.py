"""What the database counts of each day's money: by all its triggers, from what was there, and in an order without
deadlocks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, delete, text, update

from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.jobs.cancellation import Cancellation
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.retention import Retention
from ltx_mcp.jobs.store import migrations
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import jobs
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock, on_postgres
from tests.examples import examples
from tests.jobs.counting import counters, recount
from tests.jobs.test_first_version import ROWS
from tests.jobs.test_processes import wait_for
from tests.jobs.test_store import New, ordered, priced
from tests.patience import HANG_S

FORM_BEFORE = 6
IDS = ("job_a", "job_b", "job_c")

money = st.fixed_dictionaries(
    {},
    optional={
        "day": st.sampled_from(["2026-11-21", "2026-11-22"]),
        "caller": st.sampled_from(["local", "token|a", "token|a/b"]),
        "team": st.sampled_from([None, "", "red", "blue"]),
        "bill": st.sampled_from([str(bill) for bill in ChargeState]),
        "held_micro": st.sampled_from([0, 1, 240_000, 2**40]),
        "charged_micro": st.sampled_from([None, 0, 240_000, 360_001]),
    },
)
moves = st.lists(st.tuples(st.sampled_from(IDS), st.one_of(st.none(), money)), min_size=1, max_size=4)
"""What one transaction does to each job: it is removed, placed, or changed."""


def template(**changed: Any) -> dict[str, Any]:
    """A row as version 0.1.0 wrote it, with these values."""
    row = dict(ROWS["jobs"][0]) | {"request_key": None, "fingerprint": "f", "cancel_wanted": False}
    return row | changed


def insert_row(connection: Connection, row: dict[str, Any]) -> None:
    names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({values})"), row)


def check_counters(database: Database) -> None:
    with database.read() as connection:
        assert counters(connection) == recount(connection)


# -- every move -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fuzzed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One database for many histories, which begin where the last one ended."""
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgres" else ""
    database = Database.open(tmp_path_factory.mktemp("fuzzed"), url)
    yield database
    database.close()


@pytest.mark.parametrize("fuzzed", ["sqlite", "postgres"], indirect=True)
@examples("COUNTER_EXAMPLES", fast=25, every=200)
@given(transactions=st.lists(moves, min_size=1, max_size=6))
def test_counters_equal_a_recount_whatever_is_done_to_the_rows(
    fuzzed: Database, transactions: list[list[tuple[str, dict[str, Any] | None]]]
) -> None:
    for transaction in transactions:
        with fuzzed.write(durable=False) as connection:
            for job_id, change in transaction:
                if change is None:
                    connection.execute(delete(jobs).where(jobs.c.id == job_id))
                elif not connection.execute(update(jobs).where(jobs.c.id == job_id).values(progress=1.0)).rowcount:
                    insert_row(connection, template(id=job_id, **change))
                elif change:
                    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**change))
        check_counters(fuzzed)


def test_a_job_of_a_team_counts_for_the_day_its_caller_and_the_team(
    database: Database, new_job: New, clock: Clock
) -> None:
    Store(database).place(replace(priced(new_job("token|a"), "0.30"), team="red"), clock())
    Store(database).place(priced(new_job("token|b"), "0.10"), clock())
    with database.read() as connection:
        assert counters(connection) == {
            ("2026-11-21", "", "held"): 400_000,
            ("2026-11-21", "caller:token|a", "held"): 300_000,
            ("2026-11-21", "team:red", "held"): 300_000,
            ("2026-11-21", "caller:token|b", "held"): 100_000,
        }


def test_what_costs_nothing_is_not_counted(database: Database, new_job: New, clock: Clock) -> None:
    Store(database).place(new_job(), clock())
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM spent")).scalar() == 0


def test_what_retention_removes_is_taken_away_and_leaves_no_empty_counters(
    database: Database, home: Path, new_job: New, clock: Clock
) -> None:
    store = Store(database)
    for day in range(3):
        job = ordered(store, priced(new_job(prompt=f"p{day}", request_key="" if day else "k"), "0.30"), clock)
        job = store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
        job = store.transition(job, State.SAVING, clock())
        store.transition(job, State.SUCCEEDED, clock(), bill=ChargeState.BOOKED)
        clock.turn(days=1)
    clock.turn(days=30)
    Retention(database, FileStore(home), 30).clear(clock())
    check_counters(database)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM spent WHERE micro <> 0")).scalar_one() == 0
        assert (
            connection.execute(text("SELECT count(*) FROM spent WHERE micro = 0 AND day > '2026-11-21'")).scalar() == 0
        )


# -- what was there before --------------------------------------------------------------------------------------


def test_a_database_of_the_form_before_is_counted_when_it_is_migrated(
    home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as then:
        then.setattr(migrations, "STEPS", migrations.STEPS[:FORM_BEFORE])
        database = Database.open(home, database_url)
    days, bills, callers = ("2026-11-21", "2026-11-22"), ("held", "booked", "released"), ("local", "other")
    rows = [
        (day, bill, caller, charged) for day in days for bill in bills for caller in callers for charged in (None, 7)
    ]
    with database.write() as connection:
        for n, (day, bill, caller, charged) in enumerate(rows):
            more = {"id": f"job_{n}", "day": day, "bill": bill, "caller": caller, "charged_micro": charged}
            insert_row(connection, template(**more, held_micro=2**n))
    database.close()
    database = Database.open(home, database_url)
    check_counters(database)
    store = Store(database)
    first, second = (store.budget(Clock().time.replace(day=day)) for day in (21, 22))
    assert (first.held, first.booked) == (2**0 + 2**2 + 14, 2**4 + 2**6 + 14)
    assert (second.held, second.booked) == (2**12 + 2**14 + 14, 2**16 + 2**18 + 14)
    assert store.budgets(Clock().time, "other").own is None
    database.close()


# -- locks ------------------------------------------------------------------------------------------------------


def in_time(work: Callable[[], Any]) -> Any:
    """What comes of it, unless it waits for whoever calls this."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result(HANG_S)


def waiting(database: Database) -> int:
    """How many wait for a lock in PostgreSQL."""
    here = "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    query = text(f"SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND pid IN ({here})")
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


@on_postgres
def test_a_move_of_a_job_lets_others_count_until_it_is_committed(
    database: Database, new_job: New, clock: Clock
) -> None:
    store = Store(database)
    store.place(priced(new_job(), "0.30"), clock())
    with database.write() as connection:
        connection.execute(update(jobs).values(bill="booked"))
        in_time(lambda: store.place(priced(new_job(prompt="another"), "0.30"), clock()))
        assert store.budget(clock()).held == 600_000
    assert (store.budget(clock()).held, store.budget(clock()).booked) == (300_000, 300_000)


@on_postgres
def test_two_that_count_two_days_in_one_transaction_do_not_wait_for_each_other_for_ever(
    database: Database, new_job: New, clock: Clock
) -> None:
    store, made = Store(database), {}
    for day in range(2):
        for caller in ("a", "b"):
            made[caller, day] = store.place(priced(new_job(caller, prompt=f"p{day}"), "0.30"), clock()).job.id
        clock.turn(days=1)
    cancelling = Cancellation(database, lambda job_id: None, never, clock)

    def cancel(caller: str, *days: int) -> int:
        return len(cancelling.request(caller, [made[caller, day] for day in days]))

    with ThreadPoolExecutor(2) as pool:
        with database.write() as connection:
            connection.execute(text("SELECT micro FROM spent WHERE day = '2026-11-22' AND scope = '' FOR UPDATE"))
            asked = [pool.submit(cancel, "b", 1, 0)]
            wait_for(lambda: waiting(database) == 1, HANG_S)
            asked.append(pool.submit(cancel, "a", 0, 1))
            wait_for(lambda: waiting(database) == 2, HANG_S)
        assert [each.result(HANG_S) for each in asked] == [2, 2]
    check_counters(database)


async def never(revisions: dict[str, int]) -> None:
    """Nobody waits for a change here."""
