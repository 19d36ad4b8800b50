"""Submitting: the one order. It is sent once; recording its answer is repeated until it succeeds."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Unpack

import anyio

from ltx_mcp.domain.errors import ErrorCode, JobError, ProviderError
from ltx_mcp.domain.job import ChargeState, Job, JobChanges, State, charge_after
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.quoting import one_line
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.jobs.store.transitions import DO_NOT_REPEAT
from ltx_mcp.providers.base import SubmittedOrder

logger = logging.getLogger(__name__)

ENDS_THE_JOB = frozenset({ErrorCode.CONTENT_REFUSED, ErrorCode.REJECTED})
"""Refusals after which no other provider is tried."""
TRIES = 2
"""How often an offer that is rejected for now is tried again before the next one."""
TRIES_OF_LAST, TRIES_OF_FULL = 10, 60
"""The last offer is tried more often, and most often when the provider says to retry soon, as with a full queue."""
FIRST_WAIT_S, MAX_WAIT_S = 2.0, 60.0

Write = Callable[[], Awaitable[Job]]


class SubmitStep:
    """Sends the order of a job once, even if this process is stopped meanwhile."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._store = context.store
        self._waits: set[anyio.CancelScope] = set()

    async def step(self, job: Job, work: WorkInProgress) -> Job:
        """Send the order once, and record its answer."""
        if work.unwritten is not None:
            return await self._record_answer(work, work.unwritten)
        uris, work.uris = work.uris, None
        if uris is None:  # the transition was written, but its success never reached us: nothing was sent
            again = JobError(ErrorCode.UNAVAILABLE, "prepared again")
            return await self._store.run_in_thread(self._store.requeue, job, again, self._context.now(), timedelta())
        work.unwritten = partial(self.answer, job, State.UNKNOWN, "unknown", error=no_answer(job))
        with anyio.CancelScope(shield=True):  # an answer that came must be recorded, even if we are stopped
            with anyio.CancelScope() as wait:
                self._waits.add(wait)
                work.unwritten = await self._submit(job, work, uris)
            self._waits.discard(wait)
            job = await self._record_answer(work, work.unwritten)
        return job

    def give_up(self) -> None:
        """Stop waiting for answers: orders without one are recorded as unknown."""
        for wait in self._waits:
            wait.cancel()

    async def answer(self, job: Job, to: State, what: str, **changes: Unpack[JobChanges]) -> Job:
        """The transition that the answer to the order makes, however late it comes."""
        try:
            answered = await self._store.run_in_thread(
                self._store.record_submission, job, to, self._context.now(), what, **changes
            )
        except LostClaimError:
            await self._log_lost_order(job, changes.get("provider_ref"))
            raise
        self._context.watch_price(job, changes)
        return answered

    async def _log_lost_order(self, job: Job, remote: Mapping[str, Any] | None) -> None:
        """Log an order that was accepted but no longer has a job to track it: a person should know."""
        latest = await self._store.run_in_thread(self._store.get, job.id)
        if remote is None or latest is None or latest.provider_ref == remote:
            return
        logger.warning(
            "%s: %s took the order, but somebody had settled the job: %s",
            job.id,
            job.offer.provider,
            one_line(str(remote), 1_000),
        )

    async def _record_answer(self, work: WorkInProgress, write: Write) -> Job:
        job = await write()
        work.unwritten = None
        return job

    async def _submit(self, job: Job, work: WorkInProgress, uris: Mapping[str, str]) -> Write:
        try:
            answer = await self._context.ordering_adapter(job).submit(job.offer, uris)
        except ProviderError as error:
            return self._failed_submission(job, error)
        if isinstance(answer, SubmittedOrder):
            accepted: JobChanges = {"provider_ref": answer.remote, "adjustments": answer.adjustments}
            charged_micro = None if answer.charged_usd is None else to_micro(answer.charged_usd)
            accepted |= {"charged_micro": charged_micro, "status_message": ""}
            return partial(self.answer, job, State.RUNNING, "accepted", **accepted)
        work.deferred = answer
        return partial(self.answer, job, State.RUNNING, "started", status_message="")

    def _failed_submission(self, job: Job, error: ProviderError) -> Write:
        problem = JobError.of(error)
        if error.accepted == "unknown":
            unknown = replace(problem, code=ErrorCode.OUTCOME_UNKNOWN, hint=DO_NOT_REPEAT)
            return partial(self.answer, job, State.UNKNOWN, "unknown", error=unknown)
        if error.accepted == "no" and error.code not in ENDS_THE_JOB:
            return self._rejected(job, error)
        free = error.accepted == "no" or self._context.spec(job).failure_is_free
        bill = charge_after(State.FAILED, error.code, accepted=not free, failure_is_free=free)
        return partial(self.answer, job, State.FAILED, "failed", error=problem, bill=bill)

    def _rejected(self, job: Job, error: ProviderError) -> Write:
        """After a definite rejection: the same offer again if it was only too soon, else the next one."""
        problem, now = JobError.of(error), self._context.now()
        is_last = job.offer_index + 1 == len(job.offers)
        asked_s = error.retry_after_s or FIRST_WAIT_S * 2**job.tries
        soon = asked_s <= MAX_WAIT_S
        most = TRIES if not is_last else TRIES_OF_FULL if soon else TRIES_OF_LAST
        patient = job.tries < most and (is_last or soon)
        if error.code is not ErrorCode.RATE_LIMITED or not patient:
            return partial(self._late_rejection, job, problem, partial(self._context.fail_over, job, problem, now))
        least_s = 0.0 if job.tries < TRIES_OF_LAST else MAX_WAIT_S
        wait_s = max(least_s, min(asked_s, 10 * MAX_WAIT_S)) + self._context.chance()
        said = replace(problem, message=f"{job.offer.provider} asks to wait {wait_s:.0f} s")
        later = partial(self._store.run_in_thread, self._store.requeue, job, said, now, timedelta(seconds=wait_s))
        return partial(self._late_rejection, job, problem, later)

    async def _late_rejection(self, job: Job, problem: JobError, write: Write) -> Job:
        """`write`, unless the job was given up meanwhile: then the rejection ends it and releases its price."""
        try:
            return await write()
        except LostClaimError:
            return await self.answer(job, State.FAILED, "failed", error=problem, bill=ChargeState.RELEASED)


def no_answer(job: Job) -> JobError:
    """The error of an order that was sent and never answered."""
    message = f"The order to {job.offer.provider} broke half-way; it may have been taken and charged."
    return JobError(ErrorCode.OUTCOME_UNKNOWN, message, DO_NOT_REPEAT)
