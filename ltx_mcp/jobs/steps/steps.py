"""The steps of a job: prepare, submit, track, save. A step ends in exactly one transition, or releases the job.

Only these call adapters. Everything in `queued`, `running` and `saving` may be repeated, the order itself never.
"""

import time
from dataclasses import replace

from ltx_mcp import telemetry
from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError, SetupError
from ltx_mcp.domain.job import Job, State, charge_after
from ltx_mcp.jobs.spans import PREPARE, SAVE, SUBMIT, TRACK, facts_of
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.steps.prepare import PrepareStep
from ltx_mcp.jobs.steps.save import SaveStep
from ltx_mcp.jobs.steps.submit import SubmitStep, no_answer
from ltx_mcp.jobs.steps.track import TrackStep
from ltx_mcp.jobs.store.rows import Account

SPANS = {State.QUEUED: PREPARE, State.SUBMITTING: SUBMIT, State.SAVING: SAVE}
MAX_TRACK_S = 600
"""A span of tracking is told when it is over, and this often while it goes on."""


class Steps:
    """The step of each state."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._teams: set[Account] = set()
        self._submit_step = SubmitStep(context)
        self._steps = {
            State.QUEUED: PrepareStep(context).step,
            State.SUBMITTING: self._submit_step.step,
            State.RUNNING: TrackStep(context, self._submit_step).step,
            State.SAVING: SaveStep(context).step,
        }

    @property
    def able(self) -> frozenset[Account]:
        """The accounts that can be served from here: the operator's, and those of teams that were asked about."""
        return frozenset((provider, "") for provider in self._context.adapters) | self._teams

    def can_serve(self, provider: str, account: str) -> bool:
        """Whether orders of this account can be served from here."""
        if self._context.find_adapter(provider, account) is None:
            return False
        if account:
            self._teams.add((provider, account))
        return True

    def wake(self, job_id: str) -> None:
        """Something about this job changed: end its sleep, if it sleeps here."""
        self._context.wake_signals.wake(job_id)

    def give_up(self) -> None:
        """Stop waiting for answers to orders."""
        self._submit_step.give_up()

    async def take(self, job: Job, work: WorkInProgress) -> Job:
        """Run the next step; `work` is shared by the steps of one claim. Raises LostClaimError when the job is no
        longer ours, LtxError when the step failed."""
        if job.state is State.RUNNING:
            return await self._track(job, work)
        with telemetry.span(SPANS[job.state], facts_of(job)) as facts:
            moved = await self._steps[job.state](job, work)
            facts |= facts_of(moved)
            return moved

    async def _track(self, job: Job, work: WorkInProgress) -> Job:
        """Track in one span for all looks at the job. It is not open meanwhile: a film may take hours, and a span that
        is open when its process is killed is lost, with all that hangs on it."""
        work.tracking_since_ns = work.tracking_since_ns or time.time_ns()
        facts, is_over = facts_of(job), True
        try:
            moved = await self._steps[State.RUNNING](job, work)
            facts, is_over = facts_of(moved), moved.state is not State.RUNNING
            return moved
        except Exception as error:
            facts["error"] = telemetry.code_of(error)
            raise
        finally:
            if is_over or time.time_ns() - work.tracking_since_ns > MAX_TRACK_S * 1_000_000_000:
                telemetry.span_since(TRACK, work.tracking_since_ns, facts)
                work.tracking_since_ns = 0

    async def fail(self, job: Job, error: LtxError) -> Job:
        """End the job with this error and settle its price; an order that broke half-way is unknown, not failed."""
        spec = self._context.spec(job)
        if job.state is State.SUBMITTING and not spec.repeatable:
            problem = replace(JobError.of(error), code=ErrorCode.OUTCOME_UNKNOWN)
            return await self._submit_step.answer(job, State.UNKNOWN, "unknown", error=problem)
        if job.state is State.RUNNING and _leaves_open(job, error):
            problem = replace(no_answer(job), provider_detail=error.message)
            return await self._context.transition(job, State.UNKNOWN, error=problem)
        accepted = job.state in (State.RUNNING, State.SAVING)
        free = spec.failure_is_free and (job.state is not State.SAVING or spec.repeatable)  # the video was made
        bill = charge_after(State.FAILED, error.code, accepted=accepted, failure_is_free=free)
        if error.code is ErrorCode.STORAGE_FAILED and not isinstance(error, SetupError):
            error = self._context.files.failed(
                error
            )  # the media process knows what failed, but not which setting helps
        return await self._context.transition(job, State.FAILED, error=JobError.of(error), bill=bill)


def _leaves_open(job: Job, error: LtxError) -> bool:
    """Whether the provider may still finish a running order, despite this error."""
    broke_off = isinstance(error, ProviderError) and error.accepted == "unknown"
    return broke_off or (error.code is ErrorCode.INTERNAL_ERROR and job.provider_ref is not None)
