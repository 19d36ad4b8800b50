"""The short text beside the structure of each answer, and what is said while a call waits."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.fit import THE_LONGEST
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.offer import CAPTION, Offer
from ltx_mcp.domain.plan import LOCAL
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import cite, one_line
from ltx_mcp.domain.request import MEDIA_ROLES, supposed_s
from ltx_mcp.domain.words import clock, ordinal
from ltx_mcp.server.views import Change, Estimate, JobRef, JobView, Refused, Row, Standing
from ltx_mcp.server.waiting import waiting_text


def stage_text(job: Job, standing: Standing, now: datetime) -> str:
    """What happens to a live job now: "at fal: 3rd in line, 0:42". The time is that since it was placed."""
    provider = "this machine" if standing.is_preview else job.offer.provider
    percent, waiting = f"{job.progress:.0f} %" if job.progress else "", waiting_text(job, now)
    if job.waits_for:
        what = f"waiting for {job.waits_for}"
    elif job.state is State.QUEUED and standing.line:
        what = f"{ordinal(standing.line + 1)} in line here for {provider}"
    elif job.state is State.QUEUED:
        what = ", ".join(filter(None, (f"preparing the order for {provider}", waiting or one_line(job.note))))
    elif job.state is State.SUBMITTING:
        what = f"sending the order to {provider}"
    elif job.state is State.RUNNING and standing.is_preview:
        what = ", ".join(filter(None, ("drawing on this machine", percent)))
    elif job.state is State.RUNNING:
        what = f"at {provider}: " + ", ".join(filter(None, (waiting or one_line(job.note) or "taken", percent)))
    else:
        what = ": ".join(filter(None, ("saving the film", waiting)))
    return f"{what}, {clock(max(0.0, (now - job.created_at).total_seconds()))}"


def order_text(offer: Offer) -> str:
    """What is ordered, of whom and at what price: `6 s, 1080p, 16:9, with sound at fal (ltx-2.3-fast), 0.24 USD`."""
    sound = "with sound" if offer.generate_audio else "silent"
    film = f"{_length_text(offer)}, {offer.resolution}, {offer.aspect_ratio}, {sound}"
    return f"{film} at {offer.provider} ({offer.model}), {offer.price}"


def _length_text(offer: Offer) -> str:
    seconds = f"{offer.duration:f} s"
    if offer.automatic:
        return f"{seconds} at most"
    if offer.operation == "extend":
        return f"{seconds} more with {offer.billed - offer.duration:f} s of context"
    if offer.operation == "retake":
        return f"{seconds} from {offer.start_time or 0:f} s on of {offer.length:f} s"
    return seconds


def says(provider: str, words: str | None) -> str:
    """What a provider itself says, marked as its words."""
    return f"{provider} says: {cite(words)}" if words else ""


def ref_text(ref: JobRef) -> str:
    """A job in short, and what to do next."""
    first = f"{ref.job_id} {ref.state} at {ref.provider} ({ref.model}), {ref.price()}."
    trouble = trouble_text(ref)
    return "\n".join(filter(None, (first, ref.video_url, trouble, changes_text(ref.adjustments), ref.next)))


def trouble_text(about: JobRef | JobView) -> str:
    """What went wrong, on one line, and what the provider says of it."""
    error = about.error
    return " ".join(filter(None, (error.message, says(about.provider, error.provider_detail)))) if error else ""


def cancel_text(ref: JobRef) -> str:
    """What came of the wish, and of the money."""
    money = {
        "never_sent": "It was not sent yet and costs nothing.",
        "stopped": f"{ref.provider} stopped it; it costs nothing.",
        "asked": f"{ref.provider} was asked to stop; it may still be charged, and a film that comes is kept.",
        "not_possible": f"{ref.provider} cannot stop it; it may still be charged, and a film that comes is kept.",
    }
    word = f" ({ref.cancel})" if ref.cancel else ""
    return " ".join(filter(None, (f"{ref.job_id} {ref.state}{word}.", money.get(ref.cancel or "", ""), ref.next)))


def job_text(view: JobView, stage: str) -> str:
    """How a job stands: `stage` while it lives, then the film's figures or what went wrong, and what to do next."""
    first = f"{view.job_id} {view.state}" + (f" ({stage})" if stage else "")
    if view.width:
        sound = "with sound" if view.has_audio else "silent"
        first += f": {view.duration:g} s, {view.width}x{view.height}, {view.fps:g} fps, {sound}"
    lines = [f"{first}."]
    if view.charged_usd is not None and view.charged_usd != view.cost_usd:
        lines.append(f"Charged {to_text(view.charged_usd)} USD; quoted {to_text(view.cost_usd)}.")
    trouble = f"{view.error.code}: {trouble_text(view)}" if view.error else ""
    return "\n".join(filter(None, (*lines, view.video_url or trouble, changes_text(view.adjustments), view.next)))


def row_text(row: Row) -> str:
    """A job in a list, on one line, and which jobs it was made from."""
    made_from = f" from {', '.join(row.sources)}" if row.sources else ""
    return f"{row.job_id} {row.state} {row.provider}{made_from}: {' '.join(row.prompt.split())}"


def changes_text(changes: list[Change]) -> str:
    """What is not as asked; empty when all is."""
    found = [f"{each.field} {each.asked} is {each.got}" for each in changes if _is_found(each)]
    told = [_change_text(each) for each in changes if each.field != CAPTION and not _is_found(each)]
    captions = [_caption_text(each) for each in changes if each.field == CAPTION]
    sentences = (f"Read: {', '.join(found)}." if found else "", f"Changed: {', '.join(told)}." if told else "")
    return " ".join(filter(None, (*sentences, *captions)))


def _is_found(change: Change) -> bool:
    """Whether it says which file a relative path was taken to mean."""
    return change.by == "server" and change.field in MEDIA_ROLES and Path(change.got).is_absolute()


def _caption_text(change: Change) -> str:
    count = next((word for word in change.got.split() if word.isdecimal()), "some")
    letters = f"{count} character{'' if count == '1' else 's'}"
    return f"The caption leaves out {letters} (no font here); the prompt itself was used whole."


def _change_text(change: Change) -> str:
    if change.by != "provider":
        return f"{change.field} {change.asked} -> {change.got}"
    return f"{cite(change.field)} {cite(change.asked)} -> {cite(change.got)} (by the provider, in its words)"


_WHOLE = {"audio_to_video": "the whole sound", "retake": "the whole video, not only the section"}


def billed_text(offer: Offer) -> str:
    """Which seconds an order is paid for, and of what; empty where they are those that were asked for."""
    if offer.automatic:
        return f"{offer.duration:f} s at most: booked by the length that comes"
    if offer.operation == "extend":
        return f"{offer.billed:f} s: {offer.duration:f} new, {offer.billed - offer.duration:f} of context"
    return f"{offer.billed:f} s: {_WHOLE[offer.operation]}" if offer.operation in _WHOLE else ""


def estimate_text(estimate: Estimate, offers: Sequence[Offer] = (), count: int = 1) -> str:
    """The first quotes, each with the seconds it is for, or why nobody offers it, and what is left of a budget."""
    billed = {(offer.provider, offer.model): billed_text(offer) for offer in offers}
    lines = [
        f"{quote.provider} {quote.model}: {quote.price()} each"
        + (f"; {quote.price(count)} in all" if count > 1 else "")
        + (f"; {quote.credits} credits each" if quote.credits else "")
        + (f"; for {seconds}." if (seconds := billed.get((quote.provider, quote.model))) else ".")
        + (" A preview drawn on this machine, not LTX." if quote.provider == LOCAL else "")
        + (f" Not now: {quote.why_not}" if quote.why_not else "")
        for quote in estimate.quotes[:3]
    ]
    doubts = [each for quote in estimate.quotes for each in quote.adjustments if each.got.endswith(THE_LONGEST)]
    lines += [f"{told}." for told in dict.fromkeys(map(_change_text, doubts))]
    found = [each for quote in estimate.quotes for each in quote.adjustments if _is_found(each)]
    lines += [told for told in dict.fromkeys(changes_text([each]) for each in found)]
    quoted = {quote.provider for quote in estimate.quotes}
    others = ", ".join(dict.fromkeys(each.provider for each in estimate.refused if each.provider not in quoted))
    budget = estimate.budget
    last = [f"Not offered by {others}; refused says why."] if lines and others else []
    if budget.left_usd is not None:
        last.append(f"Today's budget: {to_text(budget.left_usd)} of {to_text(budget.limit_usd or 0.0)} USD left.")
    lines = lines or [_refused_text(each) for each in estimate.refused[:3]] or ["Nobody offers this."]
    return "\n".join([*lines, *([" ".join(last)] if last else [])])


def supposed_text(arguments: EstimateCost) -> str:
    """Which medium was priced where none was given; empty where one was, or none is needed."""
    seconds, what = supposed_s(arguments), "audio" if arguments.operation == "audio_to_video" else "video"
    return "" if seconds is None else f"As for a {what} of {seconds:g} s; give {what} for the price of yours."


def _refused_text(refused: Refused) -> str:
    return f"{refused.provider} {refused.model}: {refused.reason}"
