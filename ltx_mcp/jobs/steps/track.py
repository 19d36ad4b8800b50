"""Running: an accepted order is tracked to its end, by stream or by polling; a deferred video is written here."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any, cast

import anyio

from ltx_mcp.domain.catalog import PollInterval
from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError
from ltx_mcp.domain.job import NOT_ASKED, NOT_STOPPED, CancelOutcome, ChargeState, Job, JobChanges, State, charge_after
from ltx_mcp.domain.offer import Adjustment
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.quoting import cite, ordinal
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.steps.submit import SubmitStep, no_answer
from ltx_mcp.jobs.store.rounds import ASK_NOW
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.providers.base import DeferredVideo, PollResult, Provider, SupportsCancel, SupportsPoll, SupportsStream

logger = logging.getLogger(__name__)

HEARTBEAT_S = 0.5
POLLS_PER_HEARTBEAT = 5
MAX_STREAMS = 64
STREAM_TRIES = 2
FRESH_S = 120.0
"""A provider may not know an order that is younger than this."""
MAX_RETRY_S = 300.0
MAX_NOTE = 80
MAX_LATE_FAILURES = 3
"""How many polls may fail after the deadline before an order is given up."""


class TrackStep:
    """One poll, one stream or one deferred video at a time; a failed poll is never a failed job."""

    def __init__(self, context: StepContext, submit_step: SubmitStep) -> None:
        self._context = context
        self._store = context.store
        self._submit_step = submit_step
        self._streams = 0

    async def step(self, job: Job, work: WorkInProgress) -> Job:
        """Track one job for a while: to its end, or until it should be polled again."""
        deferred, work.deferred = work.deferred, None
        if deferred is not None:
            return await self._write_deferred(job, deferred)
        if job.provider_ref is None:
            return await self._lost(job)
        adapter = self._context.adapter(job)
        is_tried = _is_to_be_stopped(job)
        if is_tried:
            job = await self._pass_on_cancel(job, adapter)
        may_stream = not _is_to_be_stopped(job) and not _has_news(job) and self._may_stream(job, work, adapter)
        if job.state is State.RUNNING and may_stream:
            job = await self._stream(job, work, cast(SupportsStream, adapter))
        # a cancel request that came during the stream is passed on first; after one that failed there is no stream
        if job.state is State.RUNNING and (is_tried or not _is_to_be_stopped(job)):
            job = await self._poll(job, work, cast(SupportsPoll, adapter))
        return job

    async def _lost(self, job: Job) -> Job:
        """A deferred video that was lost while the store was unavailable."""
        if self._context.spec(job).repeatable:
            return await self._context.transition(job, State.QUEUED, "again", progress=None, lease_owner="")
        return await self._context.transition(job, State.UNKNOWN, error=no_answer(job))

    async def _pass_on_cancel(self, job: Job, adapter: Provider) -> Job:
        if not isinstance(adapter, SupportsCancel):
            return await self._context.update(job, cancel=CancelOutcome.NOT_POSSIBLE)
        assert job.provider_ref is not None
        try:
            said = await adapter.cancel(job.provider_ref)
        except ProviderError as error:
            logger.info("%s: %s", job.id, error)
            rest_s = self._context.spec(job).poll.first_s
            return await self._context.wait(job, f"{NOT_STOPPED}{error.message}", rest_s)
        if said is CancelOutcome.STOPPED:
            return await self._context.stopped(job)
        return await self._context.update(job, cancel=said)

    # -- the stream ---------------------------------------------------------------------------------------------

    def _may_stream(self, job: Job, work: WorkInProgress, adapter: Provider) -> bool:
        is_free = self._streams < MAX_STREAMS and work.broken_streams < STREAM_TRIES
        return isinstance(adapter, SupportsStream) and is_free and self._left_s(job) > 0

    def _left_s(self, job: Job) -> float:
        return self._context.spec(job).give_up_after_s - self._context.age_s(job)

    async def _stream(self, job: Job, work: WorkInProgress, adapter: SupportsStream) -> Job:
        """Follow the provider's stream until it ends, breaks, runs out of time or somebody wakes the job."""
        assert job.provider_ref is not None
        self._streams += 1
        state = _StreamState(job)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._until_woken, job, group.cancel_scope)
                await self._listen(state, work, adapter.stream_status(job.provider_ref))
                group.cancel_scope.cancel()
        finally:
            self._streams -= 1
        if state.failure is not None:
            raise state.failure
        return state.job if state.job.state is not State.RUNNING else await self._context.reloaded(state.job)

    async def _until_woken(self, job: Job, scope: anyio.CancelScope) -> None:
        await self._context.wake_signals.sleep_until_woken(job.id, self._left_s(job))
        scope.cancel()

    async def _listen(self, state: "_StreamState", work: WorkInProgress, stream: AsyncIterator[PollResult]) -> None:
        try:
            async with aclosing(cast(Any, stream)) as events:
                async for seen in events:
                    with anyio.CancelScope(shield=True):  # an event that came is recorded, even if we are woken
                        state.job = await self._apply(state.job, seen)
                    if state.job.state is not State.RUNNING:
                        return
            work.broken_streams += 1  # it ended before the order did
        except ProviderError as error:
            logger.info("%s: %s", state.job.id, error)
            work.broken_streams += 1
        except (LtxError, LostClaimError) as error:
            state.failure = error

    # -- polling ------------------------------------------------------------------------------------------------

    async def _poll(self, job: Job, work: WorkInProgress, adapter: SupportsPoll) -> Job:
        """Poll once, then sleep as the provider's TOML says. After the deadline the order is given up, but not before a
        poll that started after it: this machine may have slept, and its network may not be back."""
        if _has_news(job):  # before the question: what is said from here on is another reason to ask
            job = await self._context.update(job, run_after=self._context.now())
        assert job.provider_ref is not None
        interval_s, late, answered = self._poll_interval_s(job, work), self._left_s(job) <= 0, False
        try:
            job = await self._apply(job, await adapter.poll(job.provider_ref))
            answered = True
        except ProviderError as error:
            if error.code is ErrorCode.EXPIRED and self._context.age_s(job) > FRESH_S:
                return await self._failed(job, JobError.of(error), free=False)
            logger.info("%s: %s", job.id, error)
            interval_s = max(interval_s, min(error.retry_after_s or 0, MAX_RETRY_S))
            again_at = self._context.now() + timedelta(seconds=self._sleep_s(job, interval_s))
            changes: JobChanges = {"status_message": f"{NOT_ASKED}{error.message}", "run_after": again_at}
            if error.code is ErrorCode.BAD_REPLY:
                changes["error"] = JobError.of(error)
            job = await self._context.update(job, **changes)
            work.late_failures += late
        if job.state is not State.RUNNING:
            return job
        if late and (answered or work.late_failures >= MAX_LATE_FAILURES):
            return await self._context.transition(job, State.UNKNOWN, error=_overdue(job))
        await self._context.wake_signals.sleep_until_woken(job.id, self._sleep_s(job, interval_s))
        return await self._context.reloaded(job)

    def _sleep_s(self, job: Job, interval_s: float) -> float:
        left_s = self._left_s(job)
        return interval_s if left_s <= 0 else min(interval_s, left_s + 0.1)

    def _poll_interval_s(self, job: Job, work: WorkInProgress) -> float:
        poll: PollInterval = self._context.spec(job).poll
        slow_s = min(poll.most_s, poll.first_s * poll.factor ** min(work.polls, 50))
        work.polls += 1
        return slow_s * (1 + poll.jitter * self._context.chance())

    async def _apply(self, job: Job, seen: PollResult) -> Job:
        """Apply the result of a poll or an event to the job."""
        charged_usd = seen.charged_usd
        if charged_usd is None and seen.units is not None:
            charged_usd = await self._context.charged(job, seen.units)
        charged: JobChanges = {} if charged_usd is None else {"charged_micro": to_micro(charged_usd)}
        if seen.status == "done":
            news = tuple(each for each in seen.adjustments if each not in job.adjustments)
            found: JobChanges = {
                "adjustments": job.adjustments + news,
                "status_message": "",
                "error": None,
                "result_url": seen.result_url and self._context.video_address(job, seen.result_url),
                "result_url_expires_at": self._context.expiry(job, seen),
            }
            return await self._context.transition(job, State.SAVING, **(charged | found))
        if seen.status == "cancelled":
            return await self._context.transition(
                job, State.CANCELLED, bill=ChargeState.RELEASED, cancel=CancelOutcome.STOPPED, error=None
            )
        if seen.status == "failed":
            problem = seen.problem or JobError(ErrorCode.UNAVAILABLE, "The provider could not make it.")
            return await self._failed(job, problem, charged, free=seen.charged_usd == 0)
        return await self._context.update(
            job,
            progress=seen.progress,
            queue_position=seen.queue_position,
            status_message=cite(seen.note, MAX_NOTE) or _status_text(seen),
            error=None,
        )

    async def _failed(self, job: Job, problem: JobError, charged: JobChanges | None = None, *, free: bool) -> Job:
        free = free or self._context.spec(job).failure_is_free
        if free and job.charged_micro is not None:
            charged = {"charged_micro": 0}  # the price announced with the order is charged only for a video
        bill = charge_after(State.FAILED, problem.code, accepted=True, failure_is_free=free)
        ended: JobChanges = {"error": problem, "bill": bill}
        return await self._context.transition(job, State.FAILED, **((charged or {}) | ended))

    # -- a deferred video ----------------------------------------------------------------------------------------

    async def _write_deferred(self, job: Job, deferred: DeferredVideo) -> Job:
        """Have a deferred video written here, reporting progress, until it is complete, unwanted or no longer ours."""
        part = self._context.files.part(job)
        run = _DeferredRun(job, stops_on_cancel=self._context.spec(job).repeatable)
        failure: LtxError | None = None
        adjustments: tuple[Adjustment, ...] = ()
        is_complete = False
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._report_progress, run, group.cancel_scope)
                try:
                    adjustments = await deferred.write(part, run.report)
                    is_complete = True
                except LtxError as error:
                    failure = error
                except OSError as error:
                    failure = self._context.files.failed(error)
                group.cancel_scope.cancel()
            if failure is not None:
                raise failure
            if run.lost:
                raise LostClaimError
            if not is_complete:
                return await self._context.stopped(job)
            return await self._start_saving(run, adjustments)
        finally:
            if not is_complete:
                self._context.files.drop_parts(job)

    async def _start_saving(self, run: "_DeferredRun", adjustments: tuple[Adjustment, ...]) -> Job:
        """To `saving`, after taking the job back if it was lost."""

        async def move() -> Job:
            found = run.job.adjustments + adjustments
            return await self._context.transition(run.job, State.SAVING, adjustments=found, progress=100.0)

        try:
            return await move()
        except LostClaimError:
            if not await self._take_back(run):
                raise
            return await move()

    async def _take_back(self, run: "_DeferredRun") -> bool:
        """Whether a paid job is ours again that others gave up because we were silent for too long: until somebody has
        settled it, its video can only come from here."""
        if run.stops_on_cancel:
            return False
        try:
            run.job = await self._submit_step.answer(run.job, State.RUNNING, "started")
        except LostClaimError:
            return False
        return True

    async def _report_progress(self, run: "_DeferredRun", scope: anyio.CancelScope) -> None:
        """Record the progress regularly, and read from the row whether the video is still wanted."""
        ticks = count(1)
        while not (run.lost or (run.job.cancel_requested and run.stops_on_cancel)):
            await self._context.sleep(HEARTBEAT_S / POLLS_PER_HEARTBEAT)
            try:
                if next(ticks) % POLLS_PER_HEARTBEAT == 0 or await self._store.should_stop(run.job):
                    run.job = await self._context.update(run.job, progress=round(run.done * 100, 1))
                    run.job = await self._context.reloaded(run.job)
                    if run.job.cancel_requested and not run.stops_on_cancel:
                        # paid when it was sent: stopping would only lose the video
                        run.job = await self._context.update(run.job, cancel=CancelOutcome.NOT_POSSIBLE)
            except LostClaimError:
                with suppress(LtxError):
                    run.lost = not await self._take_back(run)
            except LtxError as error:
                logger.warning("%s: %s", run.job.id, error)  # the video is worth more than its progress
        scope.cancel()


def _is_to_be_stopped(job: Job) -> bool:
    """Whether cancellation was requested and not yet passed on to the provider."""
    return job.cancel_requested and job.cancel is None


def _has_news(job: Job) -> bool:
    """Whether the provider has said by itself that there is something to ask."""
    return job.run_after == ASK_NOW


@dataclass
class _StreamState:
    """The job during a stream, and the error on our side."""

    job: Job
    failure: LtxError | LostClaimError | None = None


@dataclass
class _DeferredRun:
    """A deferred video while it is written: its progress, and what the row says; a request to cancel ends it if
    `stops_on_cancel`."""

    job: Job
    stops_on_cancel: bool
    done: float = 0.0
    lost: bool = False

    def report(self, done: float) -> None:
        self.done = done


def _status_text(seen: PollResult) -> str:
    """The status when the provider gives no text."""
    if seen.status == "waiting" and seen.queue_position is not None:
        return f"{ordinal(seen.queue_position + 1)} in line"
    return "waiting in line" if seen.status == "waiting" else "rendering"


def _overdue(job: Job) -> JobError:
    return replace(
        no_answer(job),
        message=f"{job.offer.provider} took the order but has not finished it in time; it may still come.",
        hint="check_job asks the provider again each time; do not order it again.",
        provider_detail=job.error.provider_detail if job.error else "",
    )
