"""The loop: claims due jobs, runs each of them step by step, and releases them when it is stopped.

Without a live job it only polls once a minute, or as often as others have to know that it is alive.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

import anyio
from anyio.abc import TaskGroup

from ltx_mcp import telemetry
from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.domain.job import Job, State
from ltx_mcp.jobs.steps.context import WorkInProgress
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.jobs.store.errors import DatabaseUnavailableError, is_disk_failure
from ltx_mcp.jobs.store.rounds import Round
from ltx_mcp.jobs.store.rows import LostClaimError, NewJob, PlacedJob, PlacedSet
from ltx_mcp.jobs.store.same import Repeat
from ltx_mcp.jobs.store.store import ASKED_AT_A_TIME, Store
from ltx_mcp.jobs.workers.liveness import Liveness
from ltx_mcp.log_context import LogContext, set_log_context

logger = logging.getLogger(__name__)

IDLE_POLL_S = 60.0
TICK_S = 0.25
RETRY_S, MAX_RETRY_S, MAX_OUTAGE_S = 1.0, 60.0, 8.0
MAX_BREAKS = 8
STOP_S, LAST_ANSWER_S = 1.5, 20.0

HandOver = Callable[[], Awaitable[None]]
"""Starts another process that continues the work."""


@dataclass(eq=False)
class Runner:
    """Runs jobs in one process. `slots` is how many jobs of a provider may run at a time; `on_step` is called after
    each step, so that callers in this process need not wait for the next poll."""

    store: Store
    steps: Steps
    liveness: Liveness
    slots: Mapping[str, int]
    repeatable: frozenset[str]
    now: Callable[[], datetime]
    on_step: Callable[[Job], None]
    _wake: anyio.Event = field(default_factory=anyio.Event, init=False)
    _running_claims: set[tuple[str, int]] = field(default_factory=set, init=False)
    _ask_due_at: float = field(default=0.0, init=False)
    _running: anyio.CancelScope | None = field(default=None, init=False)
    _group: TaskGroup | None = field(default=None, init=False)
    _is_stopping: bool = field(default=False, init=False)
    _ends_at: float = field(default=0.0, init=False)
    _stopped: anyio.Event = field(default_factory=anyio.Event, init=False)

    def wake(self) -> None:
        """Tick now: a job was placed or changed."""
        self._wake.set()

    def place(self, new: NewJob, now: datetime, repeat: Repeat = Repeat.RETRY) -> PlacedJob | PlacedSet:
        """Place a job or a set, already claimed for this process where that takes nobody's turn; `begin` then runs
        each job. Blocking; raises CallerError or SetupError."""
        provider = new.offers[0].provider
        is_able = self.steps.can_serve(provider, new.accounts.get(provider, ""))
        is_ours = self._group is not None and is_able and provider not in self.slots
        place = self.store.place if new.takes == 1 else self.store.place_set
        if not is_ours or self._is_stopping:
            return place(new, now, repeat)
        self.liveness.beat()  # without a live job the last one is some time ago
        return place(new, now, repeat, self.liveness.worker)

    def begin(self, job: Job) -> None:
        """Run what `place` has claimed for this process; for anything else, tick now."""
        if self._group is None or self._is_stopping or job.lease_owner != self.liveness.worker:
            self.wake()
            return
        self._start_job(job)
        self._group.start_soon(self._wake_soon)

    async def _wake_soon(self) -> None:
        """Make the loop tick while jobs run here, but let the order go first."""
        await anyio.sleep(TICK_S)
        self.wake()

    async def run(self, *, until_idle: bool = False) -> None:
        """Work until `stop`; with `until_idle`, until no live job is left that can be served from here."""
        if self._is_stopping:  # stopped before it started
            return
        try:
            with anyio.CancelScope() as self._running:
                async with anyio.create_task_group() as self._group:
                    while (pause := await self._tick()) < IDLE_POLL_S or not until_idle:
                        await self._sleep(min(pause, self.liveness.idle_s))
        finally:
            self._group = None
            self._stopped.set()

    async def _sleep(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._wake.wait()
        self._wake = anyio.Event()

    async def stop(self, hand_over: HandOver | None = None) -> int:
        """Stop the loop and release the claimed jobs. Returns how many live jobs are left to others.

        `hand_over` is called when there are any: after STOP_S at the latest, even while an order still waits for its
        answer, because whoever stops this process may not wait for it. It is also called while the database is
        unavailable: the next process that reaches it takes the jobs over.
        """
        try:
            return await self._stop(hand_over)
        except DatabaseUnavailableError as error:
            _log("nothing could be handed back", error)
            if hand_over and self.liveness.worker:
                await hand_over()
            return 0

    async def _stop(self, hand_over: HandOver | None) -> int:
        self._is_stopping = True
        if self._running is not None:
            self._ends_at = anyio.current_time() + STOP_S + LAST_ANSWER_S
            self._running.cancel()
            await self._end_work(hand_over)
        if self.liveness.worker:
            await self._release(self.liveness.worker, died=False)
        live = await self.store.run_in_thread(self.store.live)
        left = sum(self.steps.can_serve(each.provider, each.account) for each in live)
        if left and hand_over:
            await hand_over()
        await self.store.run_in_thread(self.liveness.end)
        return left

    async def _end_work(self, hand_over: HandOver | None) -> None:
        if await self._stopped_within(STOP_S):
            return
        try:
            await self._release(self.liveness.worker, died=False, but=(State.SUBMITTING,))
        except DatabaseUnavailableError as error:
            _log("nothing could be handed back yet", error)  # an order that is on its way is waited for all the same
        if hand_over:
            await hand_over()
        if not await self._stopped_within(LAST_ANSWER_S):
            self.steps.give_up()
            await self._stopped.wait()

    async def _release(self, worker: str, *, died: bool, but: Sequence[State] = ()) -> None:
        release = partial(self.store.release_claims, worker, self.repeatable, self.now(), died=died, but=but)
        await self.store.run_in_thread(release)

    async def _stopped_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._stopped.wait()
        return self._stopped.is_set()

    async def _tick(self) -> float:
        """Claim everything that is due and can be served from here; returns how long to sleep."""
        try:
            await self.store.run_in_thread(self.liveness.beat)
            seen = await self._read_round()
            if seen.has_due(self.now()):
                while job := await self._claim():
                    self._start_job(job)
                seen = await self._read_round()
            return await self._pause(seen)
        except LtxError as error:
            # a full disk or a locked file must not end the loop: the jobs are still there
            _log("nothing could be taken up", error)
            return RETRY_S

    async def _claim(self) -> Job | None:
        return await self.store.run_in_thread(
            self.store.claim, self.liveness.worker, self.slots, self.now(), self.steps.able, self.repeatable
        )

    async def _read_round(self) -> Round:
        """What this round has to act on; what is to be asked about again is due before that."""
        if anyio.current_time() >= self._ask_due_at and await self._recheck_due() < ASKED_AT_A_TIME:
            self._ask_due_at = anyio.current_time() + IDLE_POLL_S
        return await self.store.run_in_thread(self.store.read_round, self.liveness.worker, self.steps.able)

    async def _pause(self, seen: Round) -> float:
        """Start what is claimed but does not run, and release orphans; returns how long to sleep."""
        able = self.steps.able
        await self._recover_orphans(seen.owners)
        if not any([self.steps.can_serve(*account) for account in seen.accounts]):
            return IDLE_POLL_S
        for job_id in seen.to_wake:
            self.steps.wake(job_id)
        if seen.mine != len(self._running_claims):
            await self._start_claimed()
        if self.steps.able != able:  # a team's account is new here
            return TICK_S
        due = seen.next_at - self.now() if seen.next_at else timedelta(seconds=1)
        return max(TICK_S, min(due.total_seconds(), 1.0))

    async def _recheck_due(self) -> int:
        return await self.store.run_in_thread(self.store.recheck_due, self.now())

    async def _start_claimed(self) -> None:
        """Start what was claimed or kept by a transaction whose success never reached us."""
        claims = await self.store.run_in_thread(self.store.claims_of, self.liveness.worker)
        for job_id, _ in claims - self._running_claims:
            if job := await self.store.run_in_thread(self.store.get, job_id):
                self._start_job(job)

    async def _recover_orphans(self, owners: Iterable[str]) -> None:
        """Release what dead workers had claimed."""
        for worker in owners:
            if await self.store.run_in_thread(self.liveness.is_dead, worker):
                await self._release(worker, died=True)
                await self.store.run_in_thread(self.liveness.forget, worker)
                self.wake()

    def _start_job(self, job: Job) -> None:
        """Run a claim once; a job may be claimed again while the task of its previous claim is still ending."""
        claim = (job.id, job.fencing_token)
        if self._group is not None and job.lease_owner == self.liveness.worker and claim not in self._running_claims:
            self._running_claims.add(claim)
            self._group.start_soon(self._run_in_trace, job)

    async def _run_in_trace(self, job: Job) -> None:
        with telemetry.in_trace(job.traceparent):
            await self._run_job(job)

    async def _run_job(self, job: Job) -> None:
        """Run steps until the job ends, is released or is taken away."""
        claim, work, tries = (job.id, job.fencing_token), WorkInProgress(), 0
        set_log_context(LogContext(job=job.id, caller=job.caller))
        try:
            while job.live and job.lease_owner == self.liveness.worker:
                try:
                    job = await self._step(job, work)
                    self.on_step(job)
                    tries = 0
                except LtxError as error:
                    # the store is unavailable: the job stays ours, and nothing is decided until it is back
                    _log(f"{job.id} could not be moved", error)
                    pause_s = min(MAX_OUTAGE_S, RETRY_S * 2**tries)
                    await anyio.sleep(max(pause_s, min(MAX_RETRY_S, RETRY_S * 2**work.breaks)))
                    tries = min(tries + 1, MAX_BREAKS)
                    with suppress(LtxError):
                        job = await self._latest(job)
            if not job.live:
                logger.info("%s %s%s", job.id, job.state, f": {job.error.code}" if job.error else "")
        except LostClaimError:
            logger.info("%s is not ours any more", job.id)
        except anyio.get_cancelled_exc_class():
            await self._write_answer(job, work)
            raise
        except Exception:
            logger.exception("%s: its error could not be written down", job.id)
        finally:
            self._running_claims.discard(claim)
            self.wake()

    async def _write_answer(self, job: Job, work: WorkInProgress) -> None:
        """This process is about to end, and may alone know what an order was answered: write it down, even if the
        database has to come back first."""
        with anyio.CancelScope(deadline=self._ends_at, shield=True):
            while work.unwritten is not None:
                try:
                    await work.unwritten()
                except LtxError as error:
                    _log(f"{job.id} could not be moved", error)
                    await anyio.sleep(RETRY_S)
                    continue
                except LostClaimError:
                    logger.info("%s is not ours any more", job.id)
                work.unwritten = None

    async def _step(self, job: Job, work: WorkInProgress) -> Job:
        try:
            return await self.steps.take(job, work)
        except LtxError as error:
            is_unavailable = isinstance(error, DatabaseUnavailableError)
            if is_unavailable or (error.code is ErrorCode.STORAGE_FAILED and self._is_paid(job)):
                raise
            return await self._fail(job, error)
        except LostClaimError:
            raise
        except Exception as error:
            logger.exception("%s: a step broke", job.id)
            work.breaks += 1
            broken = LtxError(ErrorCode.INTERNAL_ERROR, "Something broke in ltx-mcp while working on this job.")
            if self._is_paid(job) and work.breaks < MAX_BREAKS:
                raise broken from error  # a fault of ours must not cost what is paid: it may pass
            return await self._fail(job, broken)

    def _is_paid(self, job: Job) -> bool:
        """Whether the provider may be making, or has made, a video that a failure here must not lose."""
        is_here = job.state is State.SAVING and job.offer.provider not in self.repeatable
        return job.state is State.SUBMITTING or job.provider_ref is not None or bool(job.result_url) or is_here

    async def _fail(self, job: Job, error: LtxError) -> Job:
        return await self.steps.fail(await self._latest(job), error)

    async def _latest(self, job: Job) -> Job:
        """The job as its row is now: it may have moved before the step broke. Raises LostClaimError when it is no
        longer ours, or ours by a later claim, which another run of `_run_job` carries."""
        latest = await self.store.run_in_thread(self.store.get, job.id)
        ours = (job.fencing_token, job.lease_owner, True)
        if latest is None or (latest.fencing_token, latest.lease_owner, latest.live) != ours:
            raise LostClaimError
        return latest


def _log(what: str, error: LtxError) -> None:
    """One line for the operator. An unavailable database logs that itself, not once for each job. A full disk is logged
    once a minute for all jobs, whatever figures the message has."""
    away = isinstance(error, DatabaseUnavailableError) and bool(error.where)
    trouble = {"trouble": str(error.code)} if is_disk_failure(error) else None
    logger.log(logging.INFO if away else logging.ERROR, "%s: %s", what, error, extra=trouble)
