"""What became of a job, what it costs, and what its caller should do now. These sentences are part of both text and
structure of a result, because many hosts show their model only one of them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.domain.price import from_micro, price_text
from ltx_mcp.domain.quoting import one_line
from ltx_mcp.presentation.suggestions import continuation_text

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs


def retry_text(job: Job, now: datetime) -> str:
    """What failed on an active job, and when it is tried again; empty if nothing failed."""
    if not job.retry_reason:
        return ""
    when = f"at {job.run_after.astimezone(UTC):%H:%M:%S} UTC" if job.run_after > now else "soon"
    return f"{one_line(job.retry_reason).rstrip('.')}; tried again {when}"


@dataclass(frozen=True)
class JobContext:
    """What is known of a job besides its row. `queue_ahead`: how many jobs must end first; `blocked_reason`: why no
    worker can take it; `refusals`: those of earlier providers; `continuation`: how its video is continued."""

    is_preview: bool = False
    queue_ahead: int = 0
    blocked_reason: str = ""
    refusals: tuple[str, ...] = ()
    continuation: str = ""
    show_frames: bool = True


async def context_of(jobs: "Jobs", job: Job, *, show_frames: bool = True) -> JobContext:
    """The context of a job now."""
    return JobContext(
        is_preview=job.offer.is_preview,
        queue_ahead=await jobs.queue_ahead(job),
        blocked_reason=jobs.blocked_reason(job),
        refusals=await jobs.refusals(job),
        continuation=continuation_text(job, jobs.catalog_of(job.caller)),
        show_frames=show_frames,
    )


def next_step(job: Job, context: JobContext, *, fresh: bool = True, now: datetime | None = None) -> str:
    """What the caller should do now, after the sentences that say why; `fresh`: the job was placed by this call."""
    if job.state is State.SUCCEEDED:
        step = _succeeded(job, context)
    elif job.state is State.UNKNOWN:
        step = f"Do not order it again: it may have been taken and charged. {recovery_text(job)}"
    elif job.state is State.FAILED:
        hint = job.error.hint if job.error else ""
        again = " A retry needs a new request_key." if job.request_key else ""
        money = "" if is_cancelled(job) else f"It {money_text(job)}. "
        step = f"{money}{hint or 'Change the request and order again.'}{again}"
    elif job.state is State.CANCELLED:
        step = "Nothing more happens; order again if it is wanted after all."
    elif context.blocked_reason:
        step = (
            f"Nobody works on it: {context.blocked_reason} With that set, it goes on by itself; do not order it again."
        )
    elif job.blocked_by:
        step = f"It begins when {job.blocked_by} is done; follow with check_job, or list_jobs with wait_seconds."
    else:
        step = "Call check_job with this job_id until it ends; do not order it again."
        if retry := retry_text(job, now or datetime.now(UTC)):
            step = f"It waits by itself: {retry}. {step}"
        step = f"{_queue_text(job, context)}{step}"
    if is_cancelled(job):
        step = f"{cancel_outcome_text(job)} {step}"
    if context.refusals and job.state is not State.FAILED:
        step = f"{' '.join(context.refusals)} So it went on to {job.offer.provider}. {step}"
    if fresh:
        return step
    return f"This request already had this job; for another take give a new request_key. {step}"


def money_text(job: Job) -> str:
    """What is or may be charged for a job: `is charged (0.24 USD)`."""
    if job.bill is ChargeState.RELEASED or not job.held_micro + job.cost_micro:
        return "costs nothing"
    if job.bill is ChargeState.HELD:
        return f"may still be charged ({job.price})"
    if job.charged_micro is not None:
        return f"is charged ({price_text(from_micro(job.charged_micro))})"
    return f"{'may have been' if job.state is State.FAILED else 'is'} charged ({job.price})"


def is_cancelled(job: Job) -> bool:
    """Whether somebody wished to cancel it."""
    return job.cancel_requested or job.cancel is not None


def cancel_outcome_text(job: Job) -> str:
    """The outcome of the request to cancel, and what is charged."""
    provider, money = job.offer.provider, money_text(job)
    if job.cancel is CancelOutcome.NEVER_SENT:
        return f"It was not sent yet and {money}."
    if job.cancel is CancelOutcome.STOPPED:
        return f"{provider} stopped it; it {money}."
    tried = f"{provider} {'cannot stop it' if job.cancel is CancelOutcome.NOT_POSSIBLE else 'was asked to stop'}"
    return f"{tried}; it {money}{', and a film that comes is kept' if job.live else ''}."


def _succeeded(job: Job, context: JobContext) -> str:
    name = job.take_name or job.id
    look = "Judge it by its frames (check_job) before you show video_url" if context.show_frames else "Show video_url"
    if job.operation == "join":
        preview = "Say that it has previews drawn on this machine, which are not LTX. " if context.is_preview else ""
        again = "to change a shot, order only that again, and join_videos with its job in the old one's place"
        return f"{preview}{look}; {again}; reframe_video(video={name}) gives it another shape."
    preview = "Say it is a preview drawn on this machine, not LTX. " if context.is_preview else ""
    return f"{preview}{look}; {context.continuation or f'video={name} or image={name}#last continues it'}."


def recovery_text(job: Job) -> str:
    if job.provider_ref:
        return "check_job asks the provider again."
    return (
        f"A person who looks at {job.offer.provider}'s dashboard can settle it at a terminal: is the order there, by "
        f"ltx-mcp jobs adopt; if not, by ltx-mcp jobs resolve {job.id} not-charged."
    )


def _queue_text(job: Job, context: JobContext) -> str:
    """How many orders are ahead of a job, here or at its provider."""
    if context.queue_ahead:
        return f"{context.queue_ahead} must end before it begins. "
    if job.state is not State.RUNNING or job.queue_position is None:
        return ""
    queue_ahead, provider = job.queue_position, job.offer.provider
    return f"{queue_ahead} before it in line at {provider}. " if queue_ahead else f"It is next in line at {provider}. "
