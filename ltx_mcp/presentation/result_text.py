"""The short text beside the structure of each result, and the progress messages while a call waits."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.job import TERMINAL_STATES, Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.offer import CAPTION, Offer
from ltx_mcp.domain.plan import refusal_texts
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import cite, clock, one_line, ordinal
from ltx_mcp.domain.request import MEDIA_ROLES, PREVIEW_PROVIDER, assumed_s
from ltx_mcp.domain.takes import takes_price
from ltx_mcp.presentation.next_steps import JobContext, retry_text
from ltx_mcp.presentation.result_models import (
    AdjustmentView,
    BudgetView,
    Estimate,
    JobList,
    JobRef,
    JobSummary,
    JobView,
    Quote,
    TakeRef,
)
from ltx_mcp.presentation.set_results import SetView, TakeView

QUOTE_LINES = 3
"""The first quotes have a line of their own; all others share one."""


def status_text(job: Job, context: JobContext, now: datetime) -> str:
    """What happens to an active job now: "at fal: 3rd in line, 0:42". The time is that since it was placed."""
    is_here = context.is_preview or job.operation == "join"
    provider = "this machine" if is_here else job.offer.provider
    percent, waiting = f"{job.progress:.0f} %" if job.progress else "", retry_text(job, now)
    if job.blocked_by:
        what = f"waiting for {job.blocked_by}"
    elif job.state is State.QUEUED and context.queue_ahead:
        what = f"{ordinal(context.queue_ahead + 1)} in line here for {provider}"
    elif job.state is State.QUEUED and job.operation == "join":
        what = "reading the videos to join"
    elif job.state is State.QUEUED:
        what = ", ".join(filter(None, (f"preparing the order for {provider}", waiting or one_line(job.status_message))))
    elif job.state is State.SUBMITTING:
        what = f"sending the order to {provider}"
    elif job.state is State.RUNNING and is_here:
        work = "joining" if job.operation == "join" else "drawing"
        what = ", ".join(filter(None, (f"{work} on this machine", percent)))
    elif job.state is State.RUNNING:
        what = f"at {provider}: " + ", ".join(
            filter(None, (waiting or one_line(job.status_message) or "taken", percent))
        )
    else:
        what = ": ".join(filter(None, ("saving the film", waiting)))
    return f"{what}, {clock(max(0.0, (now - job.created_at).total_seconds()))}"


def order_text(offer: Offer, takes: int = 1) -> str:
    """What is ordered, where and at what price: `6 s, 1080p, 16:9, with sound at fal (ltx-2.3-fast), 0.24 USD`; of
    several takes the price of each and of all."""
    audio = "with sound" if offer.generate_audio else "silent"
    video = f"{_length_text(offer)}, {offer.resolution}, {offer.aspect_ratio}, {audio}"
    return f"{video} at {offer.provider} ({offer.model}), {takes_price(offer, takes)}"


def _length_text(offer: Offer) -> str:
    seconds = f"{offer.duration:f} s"
    if offer.auto_duration:
        return f"{seconds} at most"
    if offer.operation == "extend":
        return f"{seconds} more with {offer.billed - offer.duration:f} s of context"
    if offer.operation == "retake":
        return f"{seconds} from {offer.start_time or 0:f} s on of {offer.length:f} s"
    return seconds


def says(provider: str, text: str | None) -> str:
    """A provider's text, marked as such."""
    return f"{provider} says: {cite(text)}" if text else ""


def ref_text(ref: JobRef) -> str:
    """A job in short, and what to do next."""
    of = f" for {len(ref.takes)} takes" if ref.takes else ""
    first = f"{ref.job_id} {ref.state} at {ref.provider} ({ref.model}), {ref.price()}{of}."
    about = map(take_text, ref.takes) if ref.takes else (ref.video_url, error_text(ref))
    return "\n".join(filter(None, (first, *about, changes_text(ref.adjustments), ref.next)))


def take_text(take: TakeRef) -> str:
    """One take of a set, on one line."""
    about = take.video_url or take.error
    return f"take {take.take} {take.state}" + (f": {about}" if about else ".")


def error_text(about: JobRef | JobView | TakeView) -> str:
    """An error's code and what is known of it; empty if there is none."""
    return f"{about.error.code}: {failure_text(about)}" if about.error else ""


def failure_text(about: JobRef | JobView | TakeView) -> str:
    """An error's message in one line, and the provider's own text."""
    error = about.error
    return " ".join(filter(None, (error.message, says(about.provider, error.provider_detail)))) if error else ""


def cancel_text(ref: JobRef) -> str:
    """The outcome of a request to cancel; `next` has what is charged."""
    outcome = f" ({ref.cancel})" if ref.cancel else ""
    first = f"{ref.job_id} {ref.state}{outcome}. {ref.next}"
    return "\n".join((first, *map(take_text, ref.takes or ())))


def job_text(view: JobView, status: str) -> str:
    """All that is known of a job: `status` while it is active, then the video's figures or the error, the order, where
    the video is, and what to do next."""
    name = f"{view.job_id} ({view.take})" if view.take else view.job_id
    first = f"{name} {view.state}" + (f" ({status})" if status else "")
    if view.width:
        audio = "with sound" if view.has_audio else "silent"
        size = f"{view.width}x{view.height}, {view.fps:g} fps, {audio}, {view.size_bytes} bytes"
        first += f": {view.duration:g} s, {size}"
    lines = (f"{first}.", error_text(view), _order_line(view), _place_line(view), changes_text(view.adjustments))
    return "\n".join(filter(None, (*lines, view.next)))


def set_text(view: SetView, statuses: Sequence[str]) -> str:
    """All that is known of a set: a line for each take, with its status while it is active; the order, and what to do
    next."""
    ended = [take for take in view.takes if take.state in TERMINAL_STATES]
    made = [take for take in view.takes if take.state == "succeeded"]
    is_live = len(ended) < len(view.takes)
    count = f"{len(ended if is_live else made)} of {len(view.takes)} takes {'ended' if is_live else 'succeeded'}"
    takes = (_take_line(take, status) for take, status in zip(view.takes, statuses, strict=True))
    lines = (f"{view.job_id} {view.state}: {count}.", *takes, _set_order_line(view), changes_text(view.adjustments))
    return "\n".join(filter(None, (*lines, view.next)))


def _take_line(take: TakeView, status: str) -> str:
    state = f"take {take.take} {take.state}" + (f" ({status})" if status else "")
    figures = f"{take.duration:g} s, {take.width}x{take.height}, {take.fps:g} fps" if take.width else ""
    about = ": ".join(filter(None, (state, figures, error_text(take), take.video_url)))
    return about if take.video_url else f"{about.removesuffix('.')}."


def _set_order_line(view: SetView) -> str:
    """What was ordered, where, from what, at what price for all takes, and when."""
    made_from = f" from {', '.join(view.sources)}" if view.sources else ""
    charged = "" if view.charged_usd is None else f", charged {to_text(view.charged_usd)} USD"
    ended = f" to {view.finished_at}" if view.finished_at else ""
    price = f"{view.price()} for {len(view.takes)} takes{charged}"
    return f"{view.operation}{made_from} at {view.provider} ({view.model}), {price}, {view.created_at}{ended}."


def ended_text(before: JobSet | None, job_set: JobSet) -> str:
    """The takes of a set that have ended since it was as `before`: `take 2 of 3 succeeded`."""
    known = {take.id for take in before.takes if not take.live} if before else set()
    ended = [take for take in job_set.takes if not take.live and take.id not in known]
    return ", ".join(f"take {take.take} of {len(job_set.takes)} {take.state}" for take in ended)


def _order_line(view: JobView) -> str:
    """What was ordered, where, from what, at what price, and when."""
    made_from = f" from {', '.join(view.sources)}" if view.sources else ""
    price = f"{to_text(view.cost_usd)} USD charged" if view.charged_usd == view.cost_usd else view.price()
    if view.charged_usd is not None and view.charged_usd != view.cost_usd:
        price = f"charged {to_text(view.charged_usd)} USD, quoted {to_text(view.cost_usd)}"
    ended = f" to {view.finished_at}" if view.finished_at else ""
    return f"{view.operation}{made_from} at {view.provider} ({view.model}), {price}, {view.created_at}{ended}."


def _place_line(view: JobView) -> str:
    """Where the video is, and until when; its path if the URL does not show it."""
    url = view.video_url or ""
    until = f"until {view.video_url_expires_at}" if url and view.video_url_expires_at else ""
    path = f"file {view.file}" if view.file and view.file not in url else ""
    more = "; ".join(filter(None, (until, path)))
    return f"{url} ({more})" if url and more else url or more


def row_text(row: JobSummary) -> str:
    """A job of a list, on one line."""
    made_from = f" from {', '.join(row.sources)}" if row.sources else ""
    order = f"{row.operation}{made_from} at {row.provider}, {row.price()}, {row.created_at}"
    take = f" ({row.take})" if row.take else ""
    return f"{row.job_id}{take} {row.state}: {order}: {' '.join(row.prompt.split())}"


def list_text(listed: JobList) -> str:
    """A page, and how the next one is reached."""
    more = f"More: list_jobs with cursor={listed.next_cursor}" if listed.next_cursor else ""
    return "\n".join(filter(None, (*map(row_text, listed.jobs), more))) or "No jobs."


def changes_text(changes: list[AdjustmentView]) -> str:
    """What differs from the request; empty if nothing does."""
    found = [f"{change.field} {change.asked} is {change.got}" for change in changes if _is_found(change)]
    changed = [_change_text(change) for change in changes if change.field != CAPTION and not _is_found(change)]
    captions = [_caption_text(change) for change in changes if change.field == CAPTION]
    sentences = (
        f"Read: {', '.join(found)}." if found else "",
        f"Changed: {', '.join(changed)}." if changed else "",
    )
    return " ".join(filter(None, (*sentences, *captions)))


def _is_found(change: AdjustmentView) -> bool:
    """Whether it reports the file that a relative path meant."""
    return change.by == "server" and change.field in (*MEDIA_ROLES, "videos") and Path(change.got).is_absolute()


def _caption_text(change: AdjustmentView) -> str:
    count = next((part for part in change.got.split() if part.isdecimal()), "some")
    letters = f"{count} character{'' if count == '1' else 's'}"
    return f"The caption leaves out {letters} (no font here); the prompt itself was used whole."


_SIZE = re.compile(r"[0-9]{1,5}x[0-9]{1,5}")


def _change_text(change: AdjustmentView) -> str:
    if change.by != "provider":
        return f"{change.field} {change.asked} -> {change.got}"
    if change.field == "resolution" and _SIZE.fullmatch(change.asked) and _SIZE.fullmatch(change.got):
        return f"resolution {change.asked} -> {change.got} (by the provider)"
    return f"{cite(change.field)} {cite(change.asked)} -> {cite(change.got)} (by the provider, in its words)"


def estimate_text(estimate: Estimate, count: int = 1) -> str:
    """The quotes, why others do not offer it, and what is left of the budget."""
    lines = [_quote_text(quote, count) for quote in estimate.quotes]
    if len(lines) > QUOTE_LINES:
        lines = [*lines[: QUOTE_LINES - 1], " ".join(lines[QUOTE_LINES - 1 :])]
    lines += _quotes_changes(estimate.quotes)
    reasons = refusal_texts((row.provider, row.model, row.reason) for row in estimate.refused)
    lines += [" ".join((_others_text(estimate), *reasons)).strip()] if lines and reasons else reasons
    text = "\n".join(filter(None, (*(lines or ["Nobody offers this."]), _budget_text(estimate.budget))))
    return f"{text} {estimate.next}" if estimate.next else text


def _quotes_changes(quotes: Sequence[Quote]) -> list[str]:
    """What is not as asked, each once, after the offers it is about where that is not all of them."""
    about: dict[str, list[str]] = {}
    for quote in quotes:
        for change in quote.adjustments or ():
            about.setdefault(changes_text([change]), []).append(f"{quote.provider} {quote.model}")
    return [text if len(of) == len(quotes) else f"{', '.join(of)}: {text}" for text, of in about.items()]


def _others_text(estimate: Estimate) -> str:
    """The providers that offer no model at all."""
    quoted = {quote.provider for quote in estimate.quotes}
    others = ", ".join(dict.fromkeys(row.provider for row in estimate.refused if row.provider not in quoted))
    return f"Not offered by {others}." if others else ""


def _budget_text(budget: BudgetView) -> str:
    if budget.left_usd is None:
        return ""
    left = f"{to_text(budget.left_usd)} of {to_text(budget.limit_usd or 0.0)} USD left"
    return f"Today's budget: {left}. Spent {to_text(budget.spent_usd)}, reserved {to_text(budget.reserved_usd)}."


def _quote_text(quote: Quote, count: int) -> str:
    """One line, with why the quote cannot be ordered now."""
    parts = (
        f"{quote.provider} {quote.model}: {quote.price()} each",
        f"{quote.price(count)} in all" if count > 1 else "",
        f"{quote.credits} credits each" if quote.credits else "",
        f"for {quote.billed}" if quote.billed else "",
    )
    preview = " A preview drawn on this machine, not LTX." if quote.provider == PREVIEW_PROVIDER else ""
    return "; ".join(filter(None, parts)) + "." + preview + (f" Not now: {quote.why_not}" if quote.why_not else "")


def assumed_text(arguments: EstimateCost) -> str:
    """Which input was assumed; empty if none was."""
    seconds = assumed_s(arguments)
    what, like = ("audio", "a sound") if arguments.operation == "audio_to_video" else ("video", "a video")
    return "" if seconds is None else f"As for {like} of {seconds:g} s; give {what} for the price of yours."
