"""Clearing up what ended long ago: only where it was asked for, and never what still matters."""

import os
import threading
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from sqlalchemy.exc import IntegrityError

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.files import CONVERTED, FileStore
from ltx_mcp.jobs.retention import Retention
from ltx_mcp.jobs.service import Jobs
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob, insert_job
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.upload_cache import UploadCache
from tests.conftest import Clock
from tests.jobs.test_store import New, ordered, priced
from tests.patience import HANG_S

DAYS = 30


@pytest.fixture
def files(home: Path) -> FileStore:
    """The home's folders."""
    return FileStore(home)


@pytest.fixture
def retention(database: Database, files: FileStore) -> Retention:
    """What ended thirty days ago is removed."""
    return Retention(database, files, DAYS)


def finished(store: Store, files: FileStore, new_job: New, clock: Clock, **arguments: str) -> str:
    """A succeeded job with files like those of a film."""
    job = ordered(store, priced(new_job(**arguments), "0.30"), clock)
    job = store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    job = store.transition(
        store.transition(job, State.SAVING, clock()), State.SUCCEEDED, clock(), bill=ChargeState.BOOKED
    )
    files.part(job)
    for path in films_of(files, job.id):
        path.write_bytes(b"film")
    return job.id


def films_of(files: FileStore, job_id: str) -> list[Path]:
    return [files.video(job_id), files.sheet(job_id), files.video(job_id).with_suffix(".json")]


def test_a_job_its_history_and_its_film_go_when_their_time_is_over(
    store: Store, files: FileStore, retention: Retention, new_job: New, clock: Clock
) -> None:
    job_id = finished(store, files, new_job, clock)
    clock.turn(days=DAYS - 1)
    assert retention.clear(clock()) == 0
    assert store.get(job_id) is not None
    clock.turn(days=2)
    assert retention.clear(clock()) == 1
    assert (store.get(job_id), store.history(job_id)) == (None, [])
    assert not any(path.exists() for path in films_of(files, job_id))


def test_a_request_key_never_orders_again_even_when_nothing_else_is_left_of_its_job(
    store: Store, database: Database, files: FileStore, retention: Retention, new_job: New, clock: Clock
) -> None:
    job_id = finished(store, files, new_job, clock, request_key="shot-1")
    clock.turn(days=DAYS + 1)
    assert (retention.clear(clock()), retention.clear(clock())) == (1, 0)
    assert store.get(job_id) is None
    with pytest.raises(CallerError, match=f"named {job_id}, which ended long ago") as caught:
        store.place(priced(new_job(request_key="shot-1"), "0.30"), clock())
    assert caught.value.code is ErrorCode.EXPIRED
    assert store.place(priced(new_job(request_key="shot-1", caller="another"), "0.30"), clock()).fresh
    check_that_an_older_program_cannot_order_it(database, new_job(request_key="shot-1"), clock)


def check_that_an_older_program_cannot_order_it(database: Database, new: NewJob, clock: Clock) -> None:
    with pytest.raises(IntegrityError, match="was removed"), database.write() as connection:
        insert_job(connection, new, clock(), "placed")


def finished_set(store: Store, new_job: New, clock: Clock, key: str = "") -> JobSet:
    """A set of two whose takes failed."""
    placed = store.place_set(priced(new_job(request_key=key, takes=2), "0.30"), clock()).job_set
    for _ in placed.takes:
        job = store.claim("w_a", {}, clock())
        assert job is not None
        store.transition(job, State.FAILED, clock(), bill=ChargeState.RELEASED)
    return placed


def test_a_set_goes_with_the_last_of_its_takes(store: Store, retention: Retention, new_job: New, clock: Clock) -> None:
    job_set = finished_set(store, new_job, clock)
    clock.turn(days=DAYS + 1)
    assert retention.clear(clock()) == 2
    assert store.find(job_set.id) is store.find(f"{job_set.id}/1") is None


def test_the_key_of_a_set_never_orders_again_when_the_set_is_gone(
    store: Store, retention: Retention, new_job: New, clock: Clock
) -> None:
    job_set = finished_set(store, new_job, clock, "shot-1")
    clock.turn(days=DAYS + 1)
    assert (retention.clear(clock()), retention.clear(clock())) == (2, 0)
    assert store.find(job_set.id) is None
    with pytest.raises(CallerError, match=f"named {job_set.id}, which ended long ago"):
        store.place_set(priced(new_job(request_key="shot-1", takes=2), "0.30"), clock())


def test_a_job_whose_money_is_not_settled_stays(
    store: Store, files: FileStore, retention: Retention, new_job: New, clock: Clock
) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.release_claims(job.lease_owner, frozenset(), clock(), died=True)
    clock.turn(days=DAYS + 1)
    assert retention.clear(clock()) == 0
    left = store.get(job.id)
    assert left is not None
    assert (left.state, left.bill) == (State.UNKNOWN, ChargeState.HELD)


def test_a_shot_that_a_live_job_is_made_from_stays(
    store: Store, files: FileStore, retention: Retention, new_job: New, clock: Clock
) -> None:
    shot = finished(store, files, new_job, clock)
    clock.turn(days=DAYS + 1)
    chained = replace(new_job(prompt="next"), inputs=(Input(role="image", job_id=shot, frame_position="last"),))
    store.place(chained, clock())
    assert retention.clear(clock()) == 0
    assert files.video(shot).exists()


def test_inputs_go_when_no_job_uses_them_any_more(
    store: Store, files: FileStore, retention: Retention, new_job: New, clock: Clock
) -> None:
    used, unused = (Input(role="image", sha256=name * 64, format="png") for name in "ab")
    converted = Input(role="image", sha256=f"{'a' * 64}{CONVERTED}", format="jpeg")
    new = Input(role="image", sha256="c" * 64, format="png")
    files.staging_dir()
    for given in (used, unused, converted, new):
        files.input(given).write_bytes(b"picture")
        os.utime(files.input(given), (clock().timestamp(),) * 2)
    store.place(replace(new_job(), inputs=(used,)), clock())
    clock.turn(days=DAYS + 1)
    os.utime(files.input(new), (clock().timestamp(),) * 2)
    retention.clear(clock())
    assert [files.input(each).exists() for each in (used, converted, unused, new)] == [True, True, False, True]


def test_uploads_that_expired_are_forgotten(database: Database, retention: Retention, clock: Clock) -> None:
    uploads, photo = UploadCache(database), Input(role="image", sha256="abc", format="png")
    uploads.keep("fal", "account", photo, "https://x/1", clock(), clock())
    clock.turn(days=1)
    retention.clear(clock())
    clock.turn(days=-2)
    assert uploads.find("fal", "account", photo, clock()) == ""


@pytest.mark.anyio
async def test_the_setting_clears_the_home_while_jobs_are_open_and_lets_them_close(
    home: Path, catalog: Catalog, new_job: New, clock: Clock
) -> None:
    database = Database.open(home)
    job_id = finished(Store(database), FileStore(home), new_job, clock)
    clock.turn(days=DAYS + 1)
    looked = anyio.Event()

    async def sleep(seconds: float) -> None:
        looked.set()
        await anyio.sleep_forever()

    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            jobs = await Jobs.open(JobsConfig(home, catalog, None, (), keep_days=DAYS), clock, sleep)
            await jobs.start(group)
            await looked.wait()
            await jobs.stop()
    assert Store(database).get(job_id) is None
    database.close()


@pytest.mark.anyio
async def test_who_closes_does_not_wait_until_all_is_cleared(
    store: Store, database: Database, home: Path, new_job: New, clock: Clock
) -> None:
    begun, may_go_on = threading.Event(), threading.Event()
    removed: list[str] = []

    class SlowFiles(FileStore):
        def remove_video(self, job_id: str) -> None:
            removed.append(job_id)
            begun.set()
            may_go_on.wait(HANG_S)

    for number in range(3):
        finished(store, FileStore(home), new_job, clock, prompt=f"pond {number}")
    clock.turn(days=DAYS + 1)
    async with anyio.create_task_group() as group:
        group.start_soon(Retention(database, SlowFiles(home), DAYS).run, clock, anyio.sleep)
        assert await anyio.to_thread.run_sync(begun.wait, HANG_S)
        group.cancel_scope.cancel()
        may_go_on.set()
    assert len(removed) == 1
