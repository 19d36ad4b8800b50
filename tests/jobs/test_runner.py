"""A fault of ours, or a database that goes away, while a provider works: the loop tries again, nothing is ordered
twice, and what is paid is not given up over it.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs import runner
from ltx_mcp.jobs.runner import Runner
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.errors import DatabaseUnavailableError
from ltx_mcp.jobs.store.rows import LostClaimError, NewJob, PlacedJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.workers.heartbeat import HeartbeatLiveness
from ltx_mcp.jobs.workers.liveness import FileLockLiveness, Liveness
from ltx_mcp.providers.base import DeferredVideo, PollResult, SubmittedOrder
from tests.jobs.test_steps import DONE, Bench, Scripted, bench, film
from tests.jobs.test_store import New, priced
from tests.patience import HANG_S

__all__ = ["bench", "film"]

pytestmark = pytest.mark.anyio


class Broken(Scripted):
    """An adapter with a bug: its looks raise what no adapter may, until `looks` has a good one."""

    async def poll(self, remote: Mapping[str, Any]) -> PollResult:
        look = self.looks.pop(0) if self.looks else OverflowError("too large")
        if isinstance(look, Exception):
            raise look
        assert isinstance(look, PollResult)
        return look


class Counted(Steps):
    """The real steps; `taken` has each with the state that it began in."""

    def __init__(self, tools: StepContext) -> None:
        super().__init__(tools)
        self.taken: list[tuple[str, State]] = []

    async def take(self, job: Job, work: WorkInProgress) -> Job:
        self.taken.append((job.id, job.state))
        return await super().take(job, work)


@pytest.fixture
async def liveness(database: Database, home: Path) -> AsyncIterator[Liveness]:
    made: Liveness = HeartbeatLiveness(database) if database.kind.shared else FileLockLiveness(home)
    made.begin()
    yield made
    made.end()


async def ended(bench: Bench, liveness: Liveness, job_id: str) -> Job:
    """Let the loop work until the job has ended."""
    loop = Runner(bench.store, bench.steps, liveness, {}, frozenset(), bench.clock, lambda job: None)
    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            group.start_soon(loop.run)
            job = await _until_ended(bench, job_id)
            await loop.stop()
    return job


async def _until_ended(bench: Bench, job_id: str) -> Job:
    seen: dict[str, int] = {}
    while True:
        if seen != (now := await bench.store.revisions([job_id])):
            seen, job = now, bench.store.get(job_id)
            if job is not None and not job.live:
                return job
        await anyio.sleep(0.01)


@pytest.mark.parametrize("breaks", [3, 99])
async def test_a_bug_in_a_look_does_not_cost_the_film(
    bench: Bench, liveness: Liveness, new_job: New, monkeypatch: pytest.MonkeyPatch, breaks: int
) -> None:
    monkeypatch.setattr(runner, "RETRY_S", 0.001)
    provider = Broken(answers=[SubmittedOrder({"id": "r1"})], looks=[OverflowError("too large")] * breaks + [DONE])
    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": provider}))
    placed = bench.store.place(priced(new_job(), "0.30"), bench.clock()).job
    job = await ended(bench, liveness, placed.id)
    if breaks == 3:
        assert (job.state, job.bill) == (State.SUCCEEDED, ChargeState.BOOKED)
    else:
        assert (job.state, job.bill) == (State.UNKNOWN, ChargeState.HELD)
        assert bench.store.recheck("local", job.id, bench.clock()) is not None
    assert len(provider.orders) == 1


class Forgetful(Store):
    """A store on a wire that breaks right after a commit: what was done is not told, once for `method`, and the `then`
    next calls find nobody there."""

    method = ""
    then = 0
    has_broken = False
    _down = 0

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        inner = database.run_in_thread

        async def run_in_thread(work: Any, *args: Any, **kwargs: Any) -> Any:
            name = getattr(work, "__name__", "")
            if self._down:
                self._down -= 1
                raise DatabaseUnavailableError(ErrorCode.STORAGE_FAILED, "nobody there")
            result = await inner(work, *args, **kwargs)
            if name == self.method and not self.has_broken and result is not None:
                self.has_broken = True
                self._down = self.then
                raise DatabaseUnavailableError(ErrorCode.STORAGE_FAILED, "the connection broke")
            return result

        self.run_in_thread = run_in_thread


@pytest.mark.parametrize("then", [0, 1, 3])
@pytest.mark.parametrize("method", ["claim", "transition", "record_submission", "live"])
async def test_a_commit_that_was_not_told_costs_neither_the_job_nor_a_second_order(
    bench: Bench,
    database: Database,
    liveness: Liveness,
    new_job: New,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    then: int,
) -> None:
    monkeypatch.setattr(runner, "RETRY_S", 0.01)
    placed = bench.store.place(priced(new_job(), "0.30"), bench.clock()).job
    store = Forgetful(database)
    store.method, store.then = method, then
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE] * 5
    bench.steps = Steps(replace(bench.steps._context, store=store))
    bench.store = store
    job = await ended(bench, liveness, placed.id)
    assert (job.state, len(bench.provider.orders), store.has_broken) == (State.SUCCEEDED, 1, True)


async def test_a_move_to_submitting_whose_success_was_not_told_leaves_nothing_to_send(
    bench: Bench, database: Database, new_job: New
) -> None:
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.QUEUED)
    store = Forgetful(database)
    store.method, work = "transition", WorkInProgress()
    steps = Steps(replace(bench.steps._context, store=store))
    with pytest.raises(DatabaseUnavailableError):
        await steps.take(job, work)
    assert work.uris is None


@dataclass
class Slow(Scripted):
    """A provider that answers some orders at once, and thinks about the next until it is told to `go_on`."""

    at_once: int = 1
    thinks: anyio.Event = field(default_factory=anyio.Event)
    go_on: anyio.Event = field(default_factory=anyio.Event)

    async def submit(self, offer: Offer, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
        if len(self.orders) >= self.at_once:
            self.thinks.set()
            await self.go_on.wait()
        return await super().submit(offer, uris)


async def test_a_job_claimed_again_before_its_last_carrying_ended_is_carried_once(
    bench: Bench, liveness: Liveness, new_job: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next offer's order is out when the one that was refused is done with: nobody else may settle it."""
    empty = ProviderError(ErrorCode.OUT_OF_CREDIT, "no credit", provider="fal", accepted="no")
    provider = Slow(answers=[empty, SubmittedOrder({"id": "r1"})], looks=[DONE])
    steps = bench.steps = Steps(replace(bench.steps._context, adapters={"fal": provider, "fal1": provider}))
    take = steps.take

    async def takes_long_to_return(job: Job, work: WorkInProgress) -> Job:
        moved = await take(job, work)
        if moved.offer_index != job.offer_index:
            await provider.thinks.wait()
        return moved

    monkeypatch.setattr(steps, "take", takes_long_to_return)
    placed = bench.store.place(priced(new_job(), "0.30", "0.40"), bench.clock()).job
    loop = Runner(bench.store, steps, liveness, {}, frozenset(), bench.clock, lambda job: None)
    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            group.start_soon(loop.run)
            await provider.thinks.wait()
            for _ in range(20):  # the loop looks around while the order is out
                loop.wake()
                await anyio.sleep(0.02)
            said_meanwhile = [event.what for event in bench.store.history(placed.id)]
            provider.go_on.set()
            job = await _until_ended(bench, placed.id)
            await loop.stop()
    assert "unknown" not in said_meanwhile
    assert (job.state, job.bill, len(provider.orders)) == (State.SUCCEEDED, ChargeState.BOOKED, 2)


async def test_what_an_earlier_claim_of_this_process_prepared_is_not_sent_by_a_later_one(
    bench: Bench, liveness: Liveness, new_job: New
) -> None:
    """The store fails in the middle of a step; meanwhile the job is released, and this same process claims it anew."""
    bench.store.place(priced(new_job(), "0.30"), bench.clock())
    loop = Runner(bench.store, bench.steps, liveness, {}, frozenset(), bench.clock, lambda job: None)
    first = bench.store.claim(liveness.worker, {}, bench.clock())
    assert first is not None
    bench.store.release_claims(liveness.worker, frozenset(), bench.clock(), died=False)
    again = bench.store.claim(liveness.worker, {}, bench.clock())
    assert again is not None
    with pytest.raises(LostClaimError):
        await loop._latest(first)
    assert await loop._latest(again) == again


class Away(Store):
    """A store that cannot be reached while `is_away`; `missed` tells which of its methods were called then."""

    is_away = False

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.missed: dict[str, anyio.Event] = defaultdict(anyio.Event)
        inner = database.run_in_thread

        async def run_in_thread(work: Any, *args: Any, **kwargs: Any) -> Any:
            if self.is_away:
                self.missed[getattr(work, "func", work).__name__].set()
                raise DatabaseUnavailableError(ErrorCode.STORAGE_FAILED, "nobody there")
            return await inner(work, *args, **kwargs)

        self.run_in_thread = run_in_thread


@pytest.mark.parametrize("has_come", [True, False])
async def test_a_process_that_is_told_to_end_while_the_database_is_away_still_writes_an_orders_answer(
    bench: Bench,
    database: Database,
    liveness: Liveness,
    new_job: New,
    monkeypatch: pytest.MonkeyPatch,
    has_come: bool,
) -> None:
    """The answer has come when it is told to end, or is still on its way."""
    monkeypatch.setattr(runner, "RETRY_S", 0.01)
    monkeypatch.setattr(runner, "STOP_S", 0.01)
    placed = bench.store.place(priced(new_job(), "0.30"), bench.clock()).job
    store, provider = Away(database), Slow(answers=[SubmittedOrder({"id": "r1"})], at_once=0)
    steps = Steps(replace(bench.steps._context, store=store, adapters={"fal": provider}))
    loop = Runner(store, steps, liveness, {}, frozenset(), bench.clock, lambda job: None)
    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            group.start_soon(loop.run)
            await provider.thinks.wait()
            store.is_away = True
            if has_come:
                provider.go_on.set()
                await store.missed["record_submission"].wait()
            group.start_soon(loop.stop)
            while not loop._is_stopping:
                await anyio.sleep(0)
            if not has_come:
                await store.missed["release_claims"].wait()
                provider.go_on.set()
                await store.missed["record_submission"].wait()
            store.is_away = False
    job = bench.store.get(placed.id)
    assert job is not None
    assert (job.state, job.provider_ref, len(provider.orders)) == (State.RUNNING, {"id": "r1"}, 1)


async def test_a_loop_that_is_told_to_stop_before_it_began_does_not_begin(bench: Bench, liveness: Liveness) -> None:
    loop = Runner(bench.store, bench.steps, liveness, {}, frozenset(), bench.clock, lambda job: None)
    await loop.stop()
    with anyio.fail_after(HANG_S):
        await loop.run()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_kept_of_a_worker_that_died(bench: Bench, home: Path, new_job: New) -> None:
    placed = bench.store.place(priced(new_job(), "0.30"), bench.clock()).job
    dead, living = FileLockLiveness(home), FileLockLiveness(home)
    dead.begin()
    assert bench.store.claim(dead.worker, {}, bench.clock()) is not None
    assert dead._lock is not None
    dead._lock.release()  # as the kernel does for one that was killed
    left = home / "workers" / f"{dead.worker}.lock"
    assert left.exists()
    living.begin()
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await ended(bench, living, placed.id)
    living.end()
    assert (job.state, job.attempts) == (State.SUCCEEDED, 1)
    assert not left.exists()


async def test_a_job_is_held_from_its_first_moment_where_that_takes_nobodys_turn(
    bench: Bench, liveness: Liveness, new_job: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.store, "claim", lambda *_: None)
    steps = Counted(replace(bench.steps._context, adapters={"fal": bench.provider, "local": bench.provider}))
    loop = Runner(bench.store, steps, liveness, {"local": 1}, frozenset(), bench.clock, lambda job: None)
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]

    def placed(new: NewJob) -> Job:
        found = loop.place(new, bench.clock())
        assert isinstance(found, PlacedJob)
        return found.job

    early = placed(priced(new_job(prompt="before the loop runs"), "0.30"))
    async with anyio.create_task_group() as group:
        group.start_soon(loop.run)
        await anyio.wait_all_tasks_blocked()
        in_turn = placed(new_job(provider="local"))
        chained = replace(
            priced(new_job(prompt="next"), "0.30"),
            inputs=(Input(role="image", job_id=early.id, frame_position="last"),),
        )
        waiting = placed(chained)
        ours = placed(priced(new_job(), "0.30"))
        assert (ours.lease_owner, ours.fencing_token) == (liveness.worker, 1)
        steps.taken.clear()
        loop.begin(ours)
        loop.begin(ours)
        with anyio.fail_after(HANG_S):
            job = await _until_ended(bench, ours.id)
        await loop.stop()
    late = placed(priced(new_job(prompt="after it was told to stop"), "0.30"))

    assert [each.lease_owner for each in (early, in_turn, waiting, late)] == [""] * 4
    assert waiting.blocked_by == early.id
    assert steps.taken.count((ours.id, State.QUEUED)) == 1
    assert (job.state, len(bench.provider.orders)) == (State.SUCCEEDED, 1)
