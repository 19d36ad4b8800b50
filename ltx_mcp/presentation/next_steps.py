"""What came of a job, what it costs, and what its caller should do now. These sentences stand in both halves of an
answer, because many hosts show their model only one of them.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.domain.price import from_micro, price_text
from ltx_mcp.domain.quoting import one_line
from ltx_mcp.presentation.suggestions import goes_on

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs


def waiting_text(job: Job, now: datetime) -> str:
    """What failed on a live job, and when it is tried again; empty where nothing failed."""
    if not job.trouble:
        return ""
    when = f"at {job.run_after.astimezone(UTC):%H:%M:%S} UTC" if job.run_after > now else "soon"
    return f"{one_line(job.trouble).rstrip('.')}; tried again {when}"


@dataclass(frozen=True)
class JobContext:
    """How a job stands besides its row: `line` jobs before it, the `hindrance` that keeps everybody from it, what those
    said who did not take it, how its film `goes_on`, with prices, and whether answers `show_frames`."""

    is_preview: bool = False
    line: int = 0
    hindrance: str = ""
    refusals: tuple[str, ...] = ()
    goes_on: str = ""
    show_frames: bool = True


async def context_of(jobs: "Jobs", job: Job, *, show_frames: bool = True) -> JobContext:
    """How a job stands now."""
    is_preview = jobs.catalog.facts(job.offer.provider).is_preview
    before, refusals = await jobs.queue_ahead(job), await jobs.refusals(job)
    return JobContext(is_preview, before, jobs.blocked_reason(job), refusals, goes_on(job, jobs.catalog), show_frames)


def next_step(job: Job, standing: JobContext, *, fresh: bool = True, now: datetime | None = None) -> str:
    """What the caller should do now, in a sentence, after those that say why."""
    if job.state is State.SUCCEEDED:
        step = _succeeded(job, standing)
    elif job.state is State.UNKNOWN:
        step = f"Do not order it again: it may have been taken and charged. {_settling(job)}"
    elif job.state is State.FAILED:
        hint = job.error.hint if job.error else ""
        again = " A retry needs a new request_key." if job.request_key else ""
        money = "" if _is_wish(job) else f"It {money_text(job)}. "
        step = f"{money}{hint or 'Change the request and order again.'}{again}"
    elif job.state is State.CANCELLED:
        step = "Nothing more happens; order again if it is wanted after all."
    elif standing.hindrance:
        step = f"Nobody works on it: {standing.hindrance} With that set, it goes on by itself; do not order it again."
    elif job.blocked_by:
        step = f"It begins when {job.blocked_by} is done; follow with check_job, or list_jobs with wait_seconds."
    else:
        waits = waiting_text(job, now or datetime.now(UTC))
        waits = f"It waits by itself: {waits}. " if waits else ""
        step = f"{_place(job, standing)}{waits}Call check_job with this job_id until it ends; do not order it again."
    if _is_wish(job):
        step = f"{_cancel_text(job)} {step}"
    if standing.refusals and job.state is not State.FAILED:
        step = f"{' '.join(standing.refusals)} So it went on to {job.offer.provider}. {step}"
    if fresh:
        return step
    return f"This request already had this job; for another take give a new request_key. {step}"


def money_text(job: Job) -> str:
    """What is charged for it, or may be: `is charged (0.24 USD)`."""
    if job.bill is ChargeState.RELEASED or not job.held_micro + job.cost_micro:
        return "costs nothing"
    if job.bill is ChargeState.HELD:
        return f"may still be charged ({job.price})"
    if job.charged_micro is not None:
        return f"is charged ({price_text(from_micro(job.charged_micro))})"
    return f"{'may have been' if job.state is State.FAILED else 'is'} charged ({job.price})"


def _is_wish(job: Job) -> bool:
    return job.cancel_requested or job.cancel is not None


def _cancel_text(job: Job) -> str:
    """What came of the wish to cancel it, and of the money."""
    provider, money = job.offer.provider, money_text(job)
    if job.cancel is CancelOutcome.NEVER_SENT:
        return f"It was not sent yet and {money}."
    if job.cancel is CancelOutcome.STOPPED:
        return f"{provider} stopped it; it {money}."
    tried = f"{provider} {'cannot stop it' if job.cancel is CancelOutcome.NOT_POSSIBLE else 'was asked to stop'}"
    return f"{tried}; it {money}{', and a film that comes is kept' if job.live else ''}."


def _succeeded(job: Job, standing: JobContext) -> str:
    preview = "Say it is a preview drawn on this machine, not LTX. " if standing.is_preview else ""
    look = "Judge it by its frames (check_job) before you show video_url" if standing.show_frames else "Show video_url"
    return f"{preview}{look}; {standing.goes_on or f'video={job.id} or image={job.id}#last continues it'}."


def _settling(job: Job) -> str:
    if job.provider_ref:
        return "check_job asks the provider again."
    return (
        f"A person who looks at {job.offer.provider}'s dashboard can settle it at a terminal: is the order there, by "
        f"ltx-mcp jobs adopt; if not, by ltx-mcp jobs resolve {job.id} not-charged."
    )


def _place(job: Job, standing: JobContext) -> str:
    """How many are before it, here or at its provider."""
    if standing.line:
        return f"{standing.line} must end before it begins. "
    if job.state is not State.RUNNING or job.queue_position is None:
        return ""
    before, provider = job.queue_position, job.offer.provider
    return f"{before} before it in line at {provider}. " if before else f"It is next in line at {provider}. "
