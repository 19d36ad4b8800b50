"""What callers see of a set: its typed results, built from its takes."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.price import to_wire
from ltx_mcp.presentation.links import Links, links_of
from ltx_mcp.presentation.next_steps import JobContext, context_of
from ltx_mcp.presentation.result_models import (
    NO_PICTURE,
    AdjustmentView,
    CancelWord,
    ErrorView,
    JobRef,
    Priced,
    ResultModel,
    StateWord,
    TakeRef,
    job_fields,
    to_changes,
    to_time,
)
from ltx_mcp.presentation.set_steps import next_step_of_set

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs


class TakeView(ResultModel):
    """One take with all that is known of it; `name` names it wherever a job may be named."""

    take: int
    name: str
    job_id: str
    state: StateWord
    provider: str
    cost_usd: float
    charged_usd: float | None = None
    video_url: str | None = None
    file: str | None = None
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    progress: float | None = None
    cancel: CancelWord | None = None
    error: ErrorView | None = None


class SetView(Priced):
    """A set with all that is known of it; prices are those of all takes."""

    job_id: str
    state: StateWord
    operation: str
    provider: str
    model: str
    is_preview: bool
    sources: list[str]
    cost_usd: float
    at_most_usd: float | None = None
    charged_usd: float | None = None
    adjustments: list[AdjustmentView]
    takes: list[TakeView]
    created_at: str
    finished_at: str | None = None
    next: str


async def contexts_of(jobs: "Jobs", job_set: JobSet, *, show_frames: bool = True) -> list[JobContext]:
    """The context of each take now."""
    return [await context_of(jobs, take, show_frames=show_frames) for take in job_set.takes]


async def set_view_of(
    jobs: "Jobs", job_set: JobSet, links: Links | None = None, *, show_frames: bool = True
) -> SetView:
    """All that is known of a set now, for the server and the terminal alike."""
    contexts = await contexts_of(jobs, job_set, show_frames=show_frames)
    return to_set_view(job_set, links or links_of(jobs), contexts, datetime.now(UTC))


def to_set_ref(
    job_set: JobSet, links: Links, contexts: Sequence[JobContext], now: datetime, *, fresh: bool = True
) -> JobRef:
    """The short form; `fresh`: the set was placed by this call."""
    return JobRef(
        **_set_fields(job_set, contexts),
        cancel=_cancel(job_set),
        error=_error(job_set),
        takes=[_take_ref(take, links, now) for take in job_set.takes],
        next=next_step_of_set(job_set, contexts, now, fresh=fresh),
    )


def to_set_view(job_set: JobSet, links: Links, contexts: Sequence[JobContext], now: datetime) -> SetView:
    """All that is known of a set."""
    return SetView(
        **_set_fields(job_set, contexts),
        operation=job_set.takes[0].operation,
        sources=list(job_set.sources),
        charged_usd=None if job_set.charged_usd is None else to_wire(job_set.charged_usd),
        takes=[_take_view(take, links, now) for take in job_set.takes],
        created_at=to_time(job_set.created_at) or "",
        finished_at=to_time(job_set.finished_at),
        next=next_step_of_set(job_set, contexts, now),
    )


def set_without_frames(view: SetView) -> SetView:
    """The same, saying why the picture that was asked for is not sent."""
    has_video = any(take.width for take in view.takes)
    return view.model_copy(update={"next": f"{NO_PICTURE} {view.next}"}) if has_video else view


def _set_fields(job_set: JobSet, contexts: Sequence[JobContext]) -> dict[str, Any]:
    offer = job_set.takes[0].offer
    changes = dict.fromkeys(change for take in job_set.takes for change in take.all_adjustments)
    return {
        "job_id": job_set.id,
        "state": job_set.state.value,
        "provider": offer.provider,
        "model": offer.model,
        "is_preview": any(context.is_preview for context in contexts),
        "cost_usd": to_wire(job_set.cost_usd),
        "at_most_usd": None if job_set.at_most_usd is None else to_wire(job_set.at_most_usd),
        "adjustments": to_changes(tuple(changes)),
    }


def _take_ref(take: Job, links: Links, now: datetime) -> TakeRef:
    fields = job_fields(take)
    return TakeRef(
        **fields | {"take": take.take, "error": _error_text(fields["error"])}, video_url=links.video_url(take, now)
    )


def _take_view(take: Job, links: Links, now: datetime) -> TakeView:
    return TakeView(
        **job_fields(take) | {"take": take.take},
        **(vars(take.film) if take.film else {}),
        name=take.take_name,
        video_url=links.video_url(take, now),
        file=links.file(take),
    )


def _error_text(error: ErrorView | None) -> str | None:
    return None if error is None else f"{error.code}: {error.message}"


def _error(job_set: JobSet) -> ErrorView | None:
    """The first error, where no take has or may get a video."""
    if job_set.state not in (State.FAILED, State.CANCELLED, State.UNKNOWN):
        return None
    errors = [job_fields(take)["error"] for take in job_set.takes if take.state is job_set.state]
    return next(filter(None, errors), None)


_LEAST_FIRST: tuple[CancelWord, ...] = ("not_possible", "asked", "stopped", "never_sent")


def _cancel(job_set: JobSet) -> CancelWord | None:
    """What a wish to cancel came to, of the take that it came to least for."""
    found = {job_fields(take)["cancel"] for take in job_set.takes}
    return next((word for word in _LEAST_FIRST if word in found), None)
