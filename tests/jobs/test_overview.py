"""What an operator sees of a whole service: every figure of a database that was filled, on either kind of it, and while
somebody writes."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, insert

from ltx_mcp.domain.errors import ErrorCode, JobError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.price import to_micro
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.overview import EndCount, LiveCount, Overview, OverviewReader, SlowJob, UnknownCount, WebhookState
from ltx_mcp.jobs.store.budget import Budget
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import deliveries, webhooks
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.workers.heartbeat import HeartbeatLiveness
from ltx_mcp.jobs.workers.liveness import FileLockLiveness
from tests.conftest import Clock
from tests.jobs.test_store import New, priced

LIMITS = {
    "token|anna": CallerLimits(team="films", budget_usd=Decimal(1), team_budget_usd=Decimal(50)),
    "token|ben": CallerLimits(team="films", budget_usd=Decimal("0.40"), team_budget_usd=Decimal(50)),
}


def limits_of(caller: str) -> CallerLimits:
    return LIMITS.get(caller, CallerLimits())


Read = Callable[[], Overview]


@pytest.fixture
def reader(database: Database, home: Path, clock: Clock) -> OverviewReader:
    return OverviewReader(database, home, to_micro(Decimal(100)), limits_of, clock)


class Made:
    """Places jobs and leads each to where it shall be."""

    def __init__(self, store: Store, new_job: New, clock: Clock) -> None:
        self._store, self._new_job, self._clock = store, new_job, clock
        self._count = 0

    def job(self, caller: str = "local", provider: str = "fal", usd: str = "0.30", to: State = State.QUEUED) -> Job:
        self._count += 1
        new = priced(self._new_job(prompt=f"pond {self._count}", caller=caller), usd, provider=provider)
        job = self._store.place(replace(new, team=limits_of(caller).team), self._clock(), lease_owner="w_a").job
        return self._led(job, to)

    def _led(self, job: Job, to: State) -> Job:
        now = self._clock
        if to is State.QUEUED:
            return job
        job = self._store.transition(job, State.SUBMITTING, now(), submitted_by="w_a", ordered_at=now())
        if to is State.SUBMITTING:
            return job
        if to is State.UNKNOWN:
            return self._store.transition(job, State.UNKNOWN, now())
        if to is State.FAILED:
            problem = JobError(ErrorCode.REJECTED, "No.")
            return self._store.transition(job, to, now(), error=problem, bill=ChargeState.RELEASED)
        job = self._store.record_submission(job, State.RUNNING, now(), "accepted", provider_ref={"id": "r"})
        if to is State.RUNNING:
            return job
        job = self._store.transition(job, State.SAVING, now())
        return self._store.transition(job, State.SUCCEEDED, now(), bill=ChargeState.BOOKED)


@pytest.fixture
def made(store: Store, new_job: New, clock: Clock) -> Made:
    return Made(store, new_job, clock)


def test_the_figures_are_those_of_the_jobs(reader: OverviewReader, made: Made, clock: Clock) -> None:
    old = made.job("token|anna", to=State.RUNNING)
    lost = made.job("token|anna", to=State.UNKNOWN)
    clock.turn(minutes=20)
    made.job("token|ben", to=State.SUCCEEDED)
    for _ in range(2):
        made.job(to=State.FAILED)
    clock.turn(minutes=5)
    new = made.job("token|carl", provider="ltx", usd="2")
    seen = reader.read_now()
    assert seen.live == (LiveCount("fal", "running", 1), LiveCount("ltx", "queued", 1))
    assert seen.slowest == tuple(
        SlowJob(job.id, job.caller, job.offer.provider, str(job.state), job.created_at) for job in (old, new)
    )
    assert seen.unknown == (UnknownCount("fal", 1, lost.finished_at),)
    assert seen.total == Budget(to_micro(Decimal(100)), 300_000, 2_600_000)
    assert seen.nearest == (
        Budget(400_000, 300_000, 0, "caller:token|ben"),
        Budget(1_000_000, 0, 600_000, "caller:token|anna"),
        Budget(50_000_000, 300_000, 600_000, "team:films"),
    )
    minute = clock() - timedelta(minutes=5)
    assert seen.ends == (EndCount(minute, "failed", "rejected", 2), EndCount(minute, "succeeded", "", 1))
    assert seen.webhooks == ()


def test_an_end_is_counted_for_an_hour_and_once_however_often_it_is_looked_at(
    reader: OverviewReader, made: Made, clock: Clock
) -> None:
    counts = []
    for _ in range(70):
        made.job(to=State.SUCCEEDED)
        reader.read_now()
        seen = reader.read_now()
        counts.append(sum(end.jobs for end in seen.ends))
        clock.turn(minutes=1)
    assert counts == [*range(1, 61), *[60] * 10]


def test_what_is_read_again_is_not_the_whole_hour(
    reader: OverviewReader, database: Database, made: Made, clock: Clock
) -> None:
    made.job(to=State.SUCCEEDED)
    clock.turn(minutes=30)
    made.job(to=State.SUCCEEDED)
    reader.read_now()
    asked: list[int] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "finished_at / 60000000" in statement:
            asked.append(parameters["finished_at_1"] if isinstance(parameters, dict) else parameters[-1])

    event.listen(database._engine, "before_cursor_execute", note)
    assert sum(end.jobs for end in reader.read_now().ends) == 2
    event.remove(database._engine, "before_cursor_execute", note)
    assert asked == [round((clock() - timedelta(minutes=2)).timestamp() * 1_000_000)]


def test_replicas_are_the_processes_that_are_alive(reader: OverviewReader, database: Database, home: Path) -> None:
    def begun() -> HeartbeatLiveness | FileLockLiveness:
        liveness = HeartbeatLiveness(database) if database.kind.shared else FileLockLiveness(home)
        liveness.begin()
        return liveness

    first, _second = begun(), begun()
    assert reader.read_now().replicas == 2
    first.end()
    assert reader.read_now().replicas == 1


def test_a_webhook_shows_what_waits_and_since_when_and_that_it_is_disabled(
    reader: OverviewReader, database: Database, clock: Clock
) -> None:
    now = clock()
    rows = [
        {
            "webhook": "shop",
            "job_id": f"job_{number}",
            "state": "succeeded",
            "caller": "local",
            "ended_at": now - timedelta(minutes=number),
            "next_at": now,
            "tries": 1,
            "outcome": "" if number else "delivered",
            "answer": "",
        }
        for number in range(4)
    ]
    with database.write() as connection:
        connection.execute(insert(webhooks), [{"name": name, "url_sha256": "", "disabled_at": None} for name in "ab"])
        connection.execute(insert(webhooks), {"name": "shop", "url_sha256": "", "disabled_at": now})
        connection.execute(insert(deliveries), rows)
    assert reader.read_now().webhooks == (
        WebhookState("a", 0, None, None),
        WebhookState("b", 0, None, None),
        WebhookState("shop", 3, now - timedelta(minutes=3), now),
    )


def test_looking_holds_up_nobody_and_waits_for_nobody(
    reader: OverviewReader, database: Database, made: Made, clock: Clock
) -> None:
    job = made.job(to=State.RUNNING)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'saving'")
        assert [each.state for each in reader.read_now().live] == ["running"]
    assert [(each.state, each.jobs) for each in reader.read_now().live] == [("saving", 1)]
    assert job.live
