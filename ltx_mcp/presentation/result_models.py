"""What callers see of a job: the typed results of the tools. A field that is None is not known, and is not sent."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ltx_mcp.domain.job import Job
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.domain.plan import Plan
from ltx_mcp.domain.price import from_micro, price_text, to_text, to_wire
from ltx_mcp.domain.quoting import MAX_PROVIDER_CHARS, MAX_SHOWN_CHARS, one_line, shorten
from ltx_mcp.domain.request import to_decimal
from ltx_mcp.presentation.links import Links, links_of
from ltx_mcp.presentation.next_steps import JobContext, context_of, next_step

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs
    from ltx_mcp.jobs.store.budget import Budget, Budgets

MAX_PATH_CHARS = 4096
MAX_DETAIL = MAX_PROVIDER_CHARS + 100
"""With the request id that follows the provider's words."""
_PAGE = re.compile(r"((?:[a-z0-9-]+\.)+[a-z]{2,})/")
StateWord = Literal["queued", "submitting", "running", "saving", "succeeded", "failed", "cancelled", "unknown"]
CancelWord = Literal["never_sent", "stopped", "asked", "not_possible"]


class ResultModel(BaseModel):
    """Sent without the fields that are not known."""

    model_config = ConfigDict(frozen=True)

    def to_wire(self) -> dict[str, Any]:
        """As JSON: no nulls."""
        return self.model_dump(mode="json", exclude_none=True)


class Priced(ResultModel):
    """A result with a price, and with what may be charged if that is more."""

    if TYPE_CHECKING:
        cost_usd: float
        at_most_usd: float | None

    @property
    def max_usd(self) -> float:
        """What may be charged for one video; prices are compared by this."""
        return self.cost_usd if self.at_most_usd is None else self.at_most_usd

    def price(self, count: int = 1) -> str:
        """The price of `count` videos, for a person."""
        return price_text(to_decimal(self.cost_usd) * count, to_decimal(self.max_usd) * count)


class AdjustmentView(ResultModel):
    """Something that is not as asked."""

    field: str
    asked: str
    got: str
    by: str


class ErrorView(ResultModel):
    """Why a job ended without a film, or why its outcome is not known."""

    code: str
    message: str
    hint: str | None = None
    provider_detail: str | None = None


class TakeRef(ResultModel):
    """One take of a set in short."""

    take: int
    job_id: str
    state: str
    cost_usd: float
    video_url: str | None = None
    error: str | None = None


class JobRef(Priced):
    """A job in short, or a set."""

    job_id: str
    state: StateWord
    provider: str
    model: str
    is_preview: Annotated[bool, Field(description="Drawn here, not by LTX")]
    cost_usd: Annotated[float, Field(description="Quoted")]
    at_most_usd: Annotated[float | None, Field(description="May be charged")] = None
    video_url: Annotated[str | None, Field(description="Absent until it is done")] = None
    adjustments: Annotated[list[AdjustmentView], Field(description="What is not as asked")] = []
    cancel: Annotated[CancelWord | None, Field(description="What a wish to cancel came to")] = None
    error: ErrorView | None = None
    takes: Annotated[list[TakeRef] | None, Field(description="Of a set: its versions; set_…/2 names take 2")] = None
    next: Annotated[str, Field(description="What to do now")]


class JobView(Priced):
    """A job with all that is known of it."""

    job_id: str
    take: str | None = None
    state: StateWord
    operation: str
    provider: str
    model: str
    is_preview: bool
    sources: list[str] = []
    video_url: str | None = None
    video_url_expires_at: str | None = None
    file: str | None = None
    duration: float | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    has_audio: bool | None = None
    size_bytes: int | None = None
    cost_usd: float
    at_most_usd: float | None = None
    charged_usd: float | None = None
    adjustments: list[AdjustmentView] = []
    cancel: CancelWord | None = None
    queue_position: int | None = None
    progress: float | None = None
    error: ErrorView | None = None
    created_at: str
    finished_at: str | None = None
    next: str


class JobSummary(Priced):
    """A job in a list."""

    job_id: str
    take: Annotated[str | None, Field(description="Its name in its set: set_…/2")] = None
    state: str
    operation: str
    provider: str
    cost_usd: float
    at_most_usd: float | None = None
    prompt: str
    sources: Annotated[list[str], Field(description="Jobs it was made from")] = []
    created_at: str


class JobList(ResultModel):
    """One page, newest first."""

    jobs: list[JobSummary]
    next_cursor: Annotated[str | None, Field(description="Absent on the last page")] = None
    next: str | None = None


class Quote(Priced):
    """What one provider would take."""

    provider: str
    model: str
    cost_usd: Annotated[float, Field(description="One video")]
    at_most_usd: Annotated[float | None, Field(description="May be charged for it")] = None
    total_usd: Annotated[float, Field(description="All count")]
    credits: int | None = None
    billed: Annotated[str | None, Field(description="Seconds charged, if not those asked")] = None
    usable: Annotated[bool, Field(description="Can be ordered now")]
    why_not: str | None = None
    adjustments: list[AdjustmentView] | None = None
    as_of: str
    source: str


class RefusedOffer(ResultModel):
    """What one provider does not offer."""

    provider: str
    model: str
    reason: str


class BudgetView(ResultModel):
    """Today's budget, UTC."""

    limit_usd: float | None = None
    spent_usd: float
    reserved_usd: float
    left_usd: float | None = None


class Estimate(ResultModel):
    """Prices side by side."""

    quotes: list[Quote]
    refused: list[RefusedOffer]
    budget: BudgetView
    next: str | None = None


def to_time(at: datetime | None) -> str | None:
    """ISO 8601 with Z, to the millisecond."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def to_changes(adjustments: tuple[Adjustment, ...]) -> list[AdjustmentView]:
    """Adjustments as callers see them."""
    return [
        AdjustmentView(
            field=one_line(change.field),
            asked=one_line(change.asked),
            # ours may be a path, which must be complete
            got=shorten(change.got, MAX_PATH_CHARS) if change.by == "server" else one_line(change.got),
            by=change.by,
        )
        for change in adjustments
    ]


async def view_of(jobs: "Jobs", job: Job, links: Links | None = None, *, show_frames: bool = True) -> JobView:
    """All that is known of a job now, for the server and the terminal alike."""
    context = await context_of(jobs, job, show_frames=show_frames)
    return to_view(job, links or links_of(jobs), context, datetime.now(UTC))


def to_ref(job: Job, links: Links, context: JobContext, now: datetime, *, fresh: bool = True) -> JobRef:
    """The short form; `fresh`: the job was placed by this call."""
    step = next_step(job, context, fresh=fresh, now=now)
    return JobRef(**job_fields(job), is_preview=context.is_preview, video_url=links.video_url(job, now), next=step)


def to_view(job: Job, links: Links, context: JobContext, now: datetime) -> JobView:
    """All that is known of a job."""
    link = links.video(job, now)
    signed = {"video_url_expires_at": to_time(link.expires_at)} if link and link.expires_at else {}
    return JobView(
        **job_fields(job) | signed,
        **(vars(job.film) if job.film else {}),
        is_preview=context.is_preview,
        video_url=link.url if link else None,
        file=links.file(job),
        queue_position=(context.queue_ahead or job.queue_position) if job.live else None,
        next=next_step(job, context, now=now),
    )


def to_summary(job: Job) -> JobSummary:
    """One line of a list."""
    prompt = job.prompt if len(job.prompt) <= MAX_SHOWN_CHARS else f"{job.prompt[: MAX_SHOWN_CHARS - 1]}…"
    return JobSummary(**job_fields(job), prompt=prompt)


def job_fields(job: Job) -> dict[str, Any]:
    """What the row says, by field; each model takes the fields it has."""
    return {
        "job_id": job.id,
        "take": job.take_name or None,
        "state": job.state.value,
        "operation": job.operation,
        "provider": job.offer.provider,
        "model": job.offer.model,
        "sources": list(job.sources),
        "video_url_expires_at": to_time(job.result_url_expires_at),
        "cost_usd": to_wire(job.cost_usd),
        "at_most_usd": None if job.at_most_usd is None else to_wire(job.at_most_usd),
        "charged_usd": None if job.charged_micro is None else to_wire(from_micro(job.charged_micro)),
        "adjustments": to_changes(job.all_adjustments),
        "cancel": job.cancel.value if job.cancel else "asked" if job.cancel_requested else None,
        "progress": job.progress,
        "error": _error(job),
        "created_at": to_time(job.created_at),
        "finished_at": to_time(job.finished_at),
    }


NO_PICTURE = "No picture: LTX_MCP_FRAMES is off."


def without_frames(view: JobView) -> JobView:
    """The same, saying why the frames that were asked for are not sent."""
    return view.model_copy(update={"next": f"{NO_PICTURE} {view.next}"}) if view.width else view


def to_estimate(plan: Plan, count: int, budgets: "Budgets", assumed: str = "") -> Estimate:
    """Usable quotes first, cheapest first; `assumed` says which input was assumed."""
    left = None if budgets.left is None else from_micro(budgets.left)
    over = "The day's budget does not reach."
    usable = [_quote(offer, count, "" if offer.fits(left) else over) for offer in plan.offers]
    others = [_quote(offer, count, unavailable_reason) for offer, unavailable_reason in plan.unusable]
    return Estimate(
        quotes=sorted(usable + others, key=lambda quote: (not quote.usable, quote.max_usd)),
        refused=[RefusedOffer(provider=row.provider, model=row.model, reason=row.reason) for row in plan.refused],
        budget=to_budget_view(budgets.shown),
        next=" ".join(filter(None, (whose_budget(budgets), assumed))) or None,
    )


def whose_budget(budgets: "Budgets") -> str:
    """Whose budget is shown, where its caller has a team with one, and what is left of the other."""
    own, team = budgets.own, budgets.team
    if team is None or team.left is None:
        return ""
    of_team = f"team {team.scope.partition(':')[2]}"
    if budgets.shown is own:
        return f"The budget is your own; {_left_text(team)} of {of_team}."
    more = f"; {_left_text(own)} of your own" if own and own.left is not None else ""
    return f"The budget is that of {of_team}{more}."


def _left_text(budget: "Budget") -> str:
    left, limit = (to_text(from_micro(micro or 0)) for micro in (budget.left, budget.limit))
    return f"{left} of {limit} USD are left today"


def to_budget_view(budget: "Budget") -> BudgetView:
    """A day's budget as callers see it."""
    return BudgetView(
        limit_usd=None if budget.limit is None else to_wire(from_micro(budget.limit)),
        spent_usd=to_wire(from_micro(budget.booked)),
        reserved_usd=to_wire(from_micro(budget.held)),
        left_usd=None if budget.left is None else to_wire(from_micro(budget.left)),
    )


def _quote(offer: Offer, count: int, unavailable_reason: str) -> Quote:
    return Quote(
        provider=offer.provider,
        model=offer.model,
        cost_usd=to_wire(offer.cost_usd),
        at_most_usd=to_wire(offer.at_most_usd) if offer.at_most_usd > offer.cost_usd or offer.auto_duration else None,
        total_usd=to_wire(offer.cost_usd * count),
        credits=offer.credits,
        billed=offer.paid_for or None,
        usable=not unavailable_reason,
        why_not=unavailable_reason or None,
        adjustments=to_changes(offer.adjustments) or None,
        as_of=offer.as_of,
        source=_site_of(offer.source),
    )


def _site_of(source: str) -> str:
    """The site of the page that a price was read on; ltx://models has all of it."""
    page = _PAGE.match(source)
    return page[1] if page else source


def _error(job: Job) -> ErrorView | None:
    if job.error is None:
        return None
    error = job.error
    return ErrorView(
        code=error.code.value,
        message=error.message,
        hint=error.hint or None,
        provider_detail=one_line(error.provider_detail, MAX_DETAIL) or None,
    )
