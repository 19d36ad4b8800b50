"""Which live jobs nobody works on: decided from who is alive, on both databases."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from filelock import FileLock
from sqlalchemy import update

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.jobs import runner
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.service import Jobs
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import ActiveJob
from ltx_mcp.jobs.store.schema import workers
from ltx_mcp.jobs.workers import heartbeat, liveness
from ltx_mcp.jobs.workers.heartbeat import HeartbeatLiveness
from ltx_mcp.jobs.workers.liveness import FileLockLiveness
from ltx_mcp.jobs.workers.ownerless import alive_workers, find_ownerless
from tests.conftest import Clock
from tests.databases import PostgresServer
from tests.patience import HANG_S

LONG_AGO = timedelta(minutes=5)
LONG_PAST = datetime(2020, 1, 1, tzinfo=UTC)


def live(clock: Clock, holder: str = "", provider: str = "fal", due: timedelta = timedelta()) -> ActiveJob:
    return ActiveJob("job_a", holder, 1, provider, clock() - due, False)


def at_fal(provider: str, account: str) -> bool:
    return (provider, account) == ("fal", "")


@pytest.mark.parametrize(
    ("holder", "alive", "due", "is_ownerless"),
    [
        ("w_dead", set(), timedelta(), True),
        ("w_dead", {"w_b"}, timedelta(), True),
        ("w_b", {"w_b"}, LONG_AGO, False),
        ("", set(), timedelta(), True),
        ("", {"w_b"}, timedelta(), False),
        ("", {"w_b"}, LONG_AGO, True),
    ],
)
def test_a_job_has_an_owner_while_one_is_alive_who_has_it_or_will_soon(
    clock: Clock, holder: str, alive: set[str], due: timedelta, is_ownerless: bool
) -> None:
    found = find_ownerless([live(clock, holder, due=due)], alive, at_fal, (), clock())
    assert (found.able, found.lacking) == (("job_a",) if is_ownerless else (), {})


def test_what_lacks_a_key_here_is_told_apart(clock: Clock) -> None:
    found = find_ownerless([live(clock, "w_dead", "ltx")], (), at_fal, (), clock())
    assert (found.able, found.lacking) == ((), {"job_a": ("ltx", "")})


def test_what_waits_for_a_free_place_has_its_owner(clock: Clock) -> None:
    jobs = [live(clock, "w_b", "local"), live(clock, "", "local", LONG_AGO)]
    assert find_ownerless(jobs, {"w_b"}, lambda provider, account: True, {"local"}, clock()).able == ()


def test_those_who_work_are_known_until_they_end(database: Database, home: Path) -> None:
    liveness = HeartbeatLiveness(database) if database.kind.shared else FileLockLiveness(home)
    liveness.begin()
    assert alive_workers(database, home) == {liveness.worker}
    liveness.end()
    assert alive_workers(database, home) == set()


def test_a_worker_begins_though_somebody_looks_at_the_file_of_its_first_name(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["w_looked_at", "w_left_alone"]
    monkeypatch.setattr(liveness, "new_worker", iter(names).__next__)
    path = home / "workers" / "w_looked_at.lock"
    path.parent.mkdir(parents=True)
    worker = FileLockLiveness(home)
    with FileLock(path, timeout=0):
        worker.begin()
    assert worker.worker == "w_left_alone"
    worker.end()


@pytest.mark.anyio
async def test_a_process_that_has_nothing_to_do_is_known_to_others_all_the_while(
    home: Path, postgres: PostgresServer, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "IDLE_POLL_S", 10 * HANG_S)
    monkeypatch.setattr(heartbeat, "IDLE_S", 0.02)
    monkeypatch.setattr(heartbeat, "BEAT_S", 0.0)
    url = postgres.new_database()
    jobs = await Jobs.open(JobsConfig(home, catalog, None, (), database_url=url))
    with closing(Database.open(home, url)) as other:
        async with anyio.create_task_group() as group:
            await jobs.start(group)
            for _ in range(5):  # it also beats when it starts
                with other.write() as connection:
                    connection.execute(update(workers).values(beat_at=LONG_PAST))
                with anyio.fail_after(HANG_S):
                    while not alive_workers(other, home):
                        await anyio.sleep(0.01)
            await jobs.stop()
            group.cancel_scope.cancel()
