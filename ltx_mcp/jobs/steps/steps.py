"""The steps of a job's life: prepare, order, follow, save. A step ends in exactly one move, or hands the job back.

Only these call adapters. Whether a step may be repeated is the state's business: everything in `queued`, `running`
and `saving` may, the order itself never.
"""

from dataclasses import replace

from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError, SetupError
from ltx_mcp.domain.job import Job, State, charge_after
from ltx_mcp.jobs.steps.context import StepContext, WorkInProgress
from ltx_mcp.jobs.steps.prepare import PrepareStep
from ltx_mcp.jobs.steps.save import SaveStep
from ltx_mcp.jobs.steps.submit import SubmitStep, no_answer
from ltx_mcp.jobs.steps.track import TrackStep


class Steps:
    """The steps over one set of context."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._submit_step = SubmitStep(context)
        self._steps = {
            State.QUEUED: PrepareStep(context).step,
            State.SUBMITTING: self._submit_step.step,
            State.RUNNING: TrackStep(context, self._submit_step).step,
            State.SAVING: SaveStep(context).step,
        }

    @property
    def able(self) -> frozenset[str]:
        """The providers that can be served from here."""
        return frozenset(self._context.adapters)

    def wake(self, job_id: str) -> None:
        """Something about this job changed: if it rests here, it should look."""
        self._context.wake_signals.wake(job_id)

    def give_up(self) -> None:
        """Wait for no provider's answer to an order any more."""
        self._submit_step.give_up()

    async def take(self, job: Job, work: WorkInProgress) -> Job:
        """The next step; `work` is what the steps of one claim hand on. Raises LostClaimError when the job is no longer
        ours, LtxError when the step failed."""
        return await self._steps[job.state](job, work)

    async def fail(self, job: Job, error: LtxError) -> Job:
        """End the job with this error, its money by the rules; an order that broke half-way is unknown, not failed."""
        spec = self._context.specs[job.offer.provider]
        if job.state is State.SUBMITTING and not spec.repeatable:
            problem = replace(JobError.of(error), code=ErrorCode.OUTCOME_UNKNOWN)
            return await self._submit_step.answer(job, State.UNKNOWN, "unknown", error=problem)
        if job.state is State.RUNNING and _leaves_open(job, error):
            problem = replace(no_answer(job), provider_detail=error.message)
            return await self._context.transition(job, State.UNKNOWN, error=problem)
        accepted = job.state in (State.RUNNING, State.SAVING)
        free = spec.failure_is_free and (job.state is not State.SAVING or spec.repeatable)  # the film was made
        bill = charge_after(State.FAILED, error.code, accepted=accepted, failure_is_free=free)
        if error.code is ErrorCode.STORAGE_FAILED and not isinstance(error, SetupError):
            error = self._context.files.failed(error)  # a child knows what went wrong, not which setting moves it
        return await self._context.transition(job, State.FAILED, error=JobError.of(error), bill=bill)


def _leaves_open(job: Job, error: LtxError) -> bool:
    """Whether a running order may still come to its end at the provider, whatever went wrong here."""
    broke_off = isinstance(error, ProviderError) and error.accepted == "unknown"
    return broke_off or (error.code is ErrorCode.INTERNAL_ERROR and job.provider_ref is not None)
