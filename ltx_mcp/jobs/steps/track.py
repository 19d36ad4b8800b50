"""Running: an accepted order is followed to its end, by the provider's stream or by asking; held work is waited for."""

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
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.providers.base import DeferredVideo, PollResult, Provider, SupportsCancel, SupportsPoll, SupportsStream

logger = logging.getLogger(__name__)

PULSE_S = 0.5
LOOKS_A_PULSE = 5
MAX_STREAMS = 64
STREAM_TRIES = 2
FRESH_S = 120.0
"""A provider that does not know an order this young may only be slow to learn of it."""
MAX_RETRY_S = 300.0
MAX_NOTE = 80
LATE_LOOKS = 3
"""How many looks may fail after the deadline before an order is given up."""


class TrackStep:
    """One look, one stream or one held work at a time; a failed look is never a failed job."""

    def __init__(self, tools: StepContext, ordering: SubmitStep) -> None:
        self._tools = tools
        self._store = tools.store
        self._ordering = ordering
        self._streams = 0

    async def step(self, job: Job, work: WorkInProgress) -> Job:
        """Follow one job for a while: to its end, or to the next time it should be asked after."""
        deferred, work.deferred = work.deferred, None
        if deferred is not None:
            return await self._hold(job, deferred)
        if job.provider_ref is None:
            return await self._lost(job)
        adapter = self._tools.adapters[job.offer.provider]
        is_tried = _is_to_be_stopped(job)
        if is_tried:
            job = await self._pass_on_cancel(job, adapter)
        if job.state is State.RUNNING and not _is_to_be_stopped(job) and self._may_stream(job, work, adapter):
            job = await self._stream(job, work, cast(SupportsStream, adapter))
        # a wish that came during the stream is passed on first; one that could not be passed on waits for no stream
        if job.state is State.RUNNING and (is_tried or not _is_to_be_stopped(job)):
            job = await self._ask(job, work, cast(SupportsPoll, adapter))
        return job

    async def _lost(self, job: Job) -> Job:
        """Work we held and lost, with the store out of reach in between."""
        if self._tools.facts[job.offer.provider].repeatable:
            return await self._tools.transition(job, State.QUEUED, "again", progress=None, lease_owner="")
        return await self._tools.transition(job, State.UNKNOWN, error=no_answer(job))

    async def _pass_on_cancel(self, job: Job, adapter: Provider) -> Job:
        if not isinstance(adapter, SupportsCancel):
            return await self._tools.update(job, cancel=CancelOutcome.NOT_POSSIBLE)
        assert job.provider_ref is not None
        try:
            said = await adapter.cancel(job.provider_ref)
        except ProviderError as error:
            logger.info("%s: %s", job.id, error)
            rest_s = self._tools.facts[job.offer.provider].poll.first_s
            return await self._tools.wait(job, f"{NOT_STOPPED}{error.message}", rest_s)
        if said is CancelOutcome.STOPPED:
            return await self._tools.transition(job, State.CANCELLED, cancel=said, bill=ChargeState.RELEASED)
        return await self._tools.update(job, cancel=said)

    # -- the stream ---------------------------------------------------------------------------------------------

    def _may_stream(self, job: Job, work: WorkInProgress, adapter: Provider) -> bool:
        is_free = self._streams < MAX_STREAMS and work.broken_streams < STREAM_TRIES
        return isinstance(adapter, SupportsStream) and is_free and self._left_s(job) > 0

    def _left_s(self, job: Job) -> float:
        return self._tools.facts[job.offer.provider].give_up_after_s - self._tools.age_s(job)

    async def _stream(self, job: Job, work: WorkInProgress, adapter: SupportsStream) -> Job:
        """Follow the provider's own telling until it ends, breaks, runs out of time, or the job is wished cancelled."""
        assert job.provider_ref is not None
        self._streams += 1
        told = _Telling(job)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._until_rung, job, group.cancel_scope)
                await self._listen(told, work, adapter.stream_status(job.provider_ref))
                group.cancel_scope.cancel()
        finally:
            self._streams -= 1
        if told.failure is not None:
            raise told.failure
        return told.job if told.job.state is not State.RUNNING else await self._tools.reloaded(told.job)

    async def _until_rung(self, job: Job, scope: anyio.CancelScope) -> None:
        await self._tools.bells.sleep_until_woken(job.id, self._left_s(job))
        scope.cancel()

    async def _listen(self, told: "_Telling", work: WorkInProgress, stream: AsyncIterator[PollResult]) -> None:
        try:
            async with aclosing(cast(Any, stream)) as events:
                async for seen in events:
                    with anyio.CancelScope(shield=True):  # what was told is written down, whoever rings
                        told.job = await self._take_in(told.job, seen)
                    if told.job.state is not State.RUNNING:
                        return
            work.broken_streams += 1  # it ended before the order did
        except ProviderError as error:
            logger.info("%s: %s", told.job.id, error)
            work.broken_streams += 1
        except (LtxError, LostClaimError) as error:
            told.failure = error

    # -- asking -------------------------------------------------------------------------------------------------

    async def _ask(self, job: Job, work: WorkInProgress, adapter: SupportsPoll) -> Job:
        """Look once, then rest at the provider's pace. After the deadline it is given up, but not before a look that
        began after it: this machine may have slept, and its network may still do."""
        assert job.provider_ref is not None
        pace_s, late, answered = self._pace_s(job, work), self._left_s(job) <= 0, False
        try:
            job = await self._take_in(job, await adapter.poll(job.provider_ref))
            answered = True
        except ProviderError as error:
            if error.code is ErrorCode.EXPIRED and self._tools.age_s(job) > FRESH_S:
                return await self._failed(job, JobError.of(error), free=False)
            logger.info("%s: %s", job.id, error)
            pace_s = max(pace_s, min(error.retry_after_s or 0, MAX_RETRY_S))
            again_at = self._tools.now() + timedelta(seconds=self._rest_s(job, pace_s))
            told: JobChanges = {"status_message": f"{NOT_ASKED}{error.message}", "run_after": again_at}
            if error.code is ErrorCode.BAD_REPLY:
                told["error"] = JobError.of(error)
            job = await self._tools.update(job, **told)
            work.late_failures += late
        if job.state is not State.RUNNING:
            return job
        if late and (answered or work.late_failures >= LATE_LOOKS):
            return await self._tools.transition(job, State.UNKNOWN, error=_overdue(job))
        await self._tools.bells.sleep_until_woken(job.id, self._rest_s(job, pace_s))
        return await self._tools.reloaded(job)

    def _rest_s(self, job: Job, pace_s: float) -> float:
        left_s = self._left_s(job)
        return pace_s if left_s <= 0 else min(pace_s, left_s + 0.1)

    def _pace_s(self, job: Job, work: WorkInProgress) -> float:
        pace: PollInterval = self._tools.facts[job.offer.provider].poll
        slow_s = min(pace.most_s, pace.first_s * pace.factor ** min(work.polls, 50))
        work.polls += 1
        return slow_s * (1 + pace.jitter * self._tools.chance())

    async def _take_in(self, job: Job, seen: PollResult) -> Job:
        """What a look or an event means for the job."""
        charged_usd = seen.charged_usd
        if charged_usd is None and seen.units is not None:
            charged_usd = await self._tools.charged(job, seen.units)
        charged: JobChanges = {} if charged_usd is None else {"charged_micro": to_micro(charged_usd)}
        if seen.status == "done":
            news = tuple(each for each in seen.adjustments if each not in job.adjustments)
            found: JobChanges = {
                "adjustments": job.adjustments + news,
                "status_message": "",
                "error": None,
                "result_url": seen.result_url and self._tools.film_address(job, seen.result_url),
                "result_url_expires_at": self._tools.expiry(job, seen),
            }
            return await self._tools.transition(job, State.SAVING, **(charged | found))
        if seen.status == "cancelled":
            return await self._tools.transition(
                job, State.CANCELLED, bill=ChargeState.RELEASED, cancel=CancelOutcome.STOPPED, error=None
            )
        if seen.status == "failed":
            problem = seen.problem or JobError(ErrorCode.UNAVAILABLE, "The provider could not make it.")
            return await self._failed(job, problem, charged, free=seen.charged_usd == 0)
        return await self._tools.update(
            job,
            progress=seen.progress,
            queue_position=seen.queue_position,
            status_message=cite(seen.note, MAX_NOTE) or _status_text(seen),
            error=None,
        )

    async def _failed(self, job: Job, problem: JobError, charged: JobChanges | None = None, *, free: bool) -> Job:
        free = free or self._tools.facts[job.offer.provider].failure_is_free
        if free and job.charged_micro is not None:
            charged = {"charged_micro": 0}  # what was announced with the order is charged for a film only
        bill = charge_after(State.FAILED, problem.code, accepted=True, failure_is_free=free)
        ended: JobChanges = {"error": problem, "bill": bill}
        return await self._tools.transition(job, State.FAILED, **((charged or {}) | ended))

    # -- held work ----------------------------------------------------------------------------------------------

    async def _hold(self, job: Job, held: DeferredVideo) -> Job:
        """Have the film written here, telling its progress, until it is whole, unwanted, or no longer ours."""
        part = self._tools.files.part(job)
        pulse = _Pulse(job, stops=self._tools.facts[job.offer.provider].repeatable)
        failure: LtxError | None = None
        adjustments: tuple[Adjustment, ...] = ()
        whole = False
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._tell, pulse, group.cancel_scope)
                try:
                    adjustments = await held.write(part, pulse.tell)
                    whole = True
                except LtxError as error:
                    failure = error
                except OSError as error:
                    failure = self._tools.files.failed(error)
                group.cancel_scope.cancel()
            if failure is not None:
                raise failure
            if pulse.lost:
                raise LostClaimError
            if not whole:
                return await self._tools.transition(
                    job, State.CANCELLED, cancel=CancelOutcome.STOPPED, bill=ChargeState.RELEASED
                )
            return await self._is_here(pulse, adjustments)
        finally:
            if not whole:
                self._tools.files.drop_parts(job)

    async def _is_here(self, pulse: "_Pulse", adjustments: tuple[Adjustment, ...]) -> Job:
        for left in (1, 0):
            all_told = pulse.job.adjustments + adjustments
            try:
                return await self._tools.transition(pulse.job, State.SAVING, adjustments=all_told, progress=100.0)
            except LostClaimError:
                if not left or not await self._take_back(pulse):
                    raise
        raise AssertionError("unreachable")

    async def _take_back(self, pulse: "_Pulse") -> bool:
        """Whether paid work is ours again that others gave up, because we were silent for so long; while nobody has
        settled it, its film can only come from here."""
        if pulse.stops:
            return False
        try:
            pulse.job = await self._ordering.answer(pulse.job, State.RUNNING, "started")
        except LostClaimError:
            return False
        return True

    async def _tell(self, pulse: "_Pulse", scope: anyio.CancelScope) -> None:
        """Write the progress down now and then, and learn from the row whether the film is still wanted."""
        beats = count(1)
        while not (pulse.lost or (pulse.job.cancel_requested and pulse.stops)):
            await self._tools.sleep(PULSE_S / LOOKS_A_PULSE)
            try:
                if next(beats) % LOOKS_A_PULSE == 0 or await self._store.should_stop(pulse.job):
                    pulse.job = await self._tools.update(pulse.job, progress=round(pulse.done * 100, 1))
                    pulse.job = await self._tools.reloaded(pulse.job)
                    if pulse.job.cancel_requested and not pulse.stops:
                        # paid for the moment it was sent: stopping would only lose the film
                        pulse.job = await self._tools.update(pulse.job, cancel=CancelOutcome.NOT_POSSIBLE)
            except LostClaimError:
                with suppress(LtxError):
                    pulse.lost = not await self._take_back(pulse)
            except LtxError as error:
                logger.warning("%s: %s", pulse.job.id, error)  # the film is worth more than its progress
        scope.cancel()


def _is_to_be_stopped(job: Job) -> bool:
    """Whether somebody wishes so, and the provider was not told yet."""
    return job.cancel_requested and job.cancel is None


@dataclass
class _Telling:
    """How a job stands while a stream tells of it, and what our side failed at."""

    job: Job
    failure: LtxError | LostClaimError | None = None


@dataclass
class _Pulse:
    """What held work tells while it runs, and what its row tells back; `stops`: a wish to cancel ends it."""

    job: Job
    stops: bool
    done: float = 0.0
    lost: bool = False

    def tell(self, done: float) -> None:
        self.done = done


def _status_text(seen: PollResult) -> str:
    """What a person reads while the provider tells nothing more."""
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
