"""How a job is shown to a person: what was made, and all that is known of it."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import spoken
from ltx_mcp.domain.job import Job
from ltx_mcp.domain.offer import CAPTION
from ltx_mcp.domain.price import to_text
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.presentation.next_steps import JobContext
from ltx_mcp.presentation.result_models import AdjustmentView, JobView, Links, to_view
from ltx_mcp.presentation.result_text import changes_text, says

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

PREVIEW = "A preview drawn on this machine, not LTX."


async def standing_of(jobs: "Jobs", job: Job) -> JobContext:
    """How a job stands besides its row, as a tool would tell it."""
    is_preview = jobs.market.facts(job.offer.provider).is_preview
    return JobContext(is_preview, await jobs.queue_ahead(job), jobs.blocked_reason(job))


def view_of(jobs: "Jobs", job: Job) -> JobView:
    """A job as a person at this machine sees it."""
    is_preview = jobs.market.facts(job.offer.provider).is_preview
    return to_view(
        job, Links(jobs.film, near=jobs.near), JobContext(is_preview, 0, jobs.blocked_reason(job)), datetime.now(UTC)
    )


def print_made(view: JobView, *, says_place: bool = True) -> None:
    """The film's path alone on stdout, where a program can take it; on stderr what was not told when it was ordered.
    For a person one short block instead, which says what can be done next."""
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.output.ended import draw_made, next_steps

        made = next_steps(view, read_edge()[1]) if view.state == "succeeded" else ()
        draw_made(view, facts_of(view), made or ways_to_settle(view))
        return
    new = [change for change in view.adjustments if change.by != "server"]
    for line in facts_of(view.model_copy(update={"adjustments": new})):
        print(line, file=sys.stderr)
    for words, command in ways_to_settle(view):
        print(f"{words}: {command}", file=sys.stderr)
    if says_place and (place := view.file or view.video_url):
        print(place)


def print_job(view: JobView, asked: Sequence[str] = ()) -> None:
    """All that is known; `asked` are sentences of what was asked for."""
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.output.ended import draw_job

        draw_job(view, [*asked, *facts_of(view)], ways_to_settle(view))
        return
    print(f"{view.job_id} {view.state}")
    print(f"{view.operation} at {view.provider} ({view.model}), {view.price()}")
    for line in (*asked, *facts_of(view)):
        print(line)
    for words, command in ways_to_settle(view):
        print(f"{words}: {command}")
    if place := view.file or view.video_url:
        print(place)


def ways_to_settle(view: JobView) -> list[tuple[str, str]]:
    """What a person may say of an order whose outcome is unknown, after a look at the provider's dashboard."""
    if view.state != "unknown":
        return []
    job_id, provider = view.job_id, view.provider
    return [
        (f"if {provider}'s dashboard shows the order", f"ltx-mcp jobs adopt {provider} REMOTE_ID --job {job_id}"),
        ("if it does not", f"ltx-mcp jobs resolve {job_id} not-charged"),
        ("if it was charged and its film is lost", f"ltx-mcp jobs resolve {job_id} charged"),
    ]


def facts_of(view: JobView) -> list[str]:
    """How far it is, what it was made from, what came of it: a sentence each."""
    lines = []
    if view.progress is not None and view.finished_at is None:
        lines.append(f"{view.progress:.0f} %")
    if view.sources:
        lines.append(f"Made from {', '.join(view.sources)}.")
    if view.width:
        sound = "with sound" if view.has_audio else "silent"
        lines.append(f"{view.duration:g} s, {view.width}x{view.height}, {view.fps:g} fps, {sound}")
    if view.charged_usd is not None and view.charged_usd != view.cost_usd:
        lines.append(f"Charged {to_text(view.charged_usd)} USD, by the provider's own figure.")
    lines += [_change(each) for each in view.adjustments]
    if view.is_preview:
        lines.append(PREVIEW)
    if view.error:
        lines.append(f"{view.error.code}: {' '.join(filter(None, (view.error.message, view.error.hint)))}")
    said = [says(view.provider, view.error.provider_detail)] if view.error and view.error.provider_detail else []
    return [spoken(line) for line in lines] + said


def _change(change: AdjustmentView) -> str:
    if change.field == CAPTION:
        return changes_text([change])
    return f"Changed: {change.field} {change.asked} -> {change.got} (by {change.by})."


def print_history(rows: Sequence[tuple[str, str, str]]) -> None:
    """When, what and how, a line for each thing that happened."""
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.output.ended import draw_history

        draw_history(rows)
        return
    for at, what, detail in rows:
        print(f"{at}  {what:<14}  {detail}".rstrip())
