"""What the caller of a set should do now: which take to go on with, and what must not be ordered again."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.price import from_micro, to_text
from ltx_mcp.presentation.next_steps import (
    JobContext,
    cancel_outcome_text,
    is_cancelled,
    money_text,
    next_step,
    retry_text,
)

FOLLOW = "Call check_job with this job_id until all takes have ended; do not order them again."

Take = tuple[Job, JobContext]


def next_step_of_set(job_set: JobSet, contexts: Sequence[JobContext], now: datetime, *, fresh: bool = True) -> str:
    """What the caller should do now, after the sentences that say why; `fresh`: the set was placed by this call."""
    takes = list(zip(job_set.takes, contexts, strict=True))
    sentences = _on_their_way(takes, now) if job_set.live else _ended(takes, job_set)
    again = () if fresh else ("This request already had this set; for other takes give a new request_key.",)
    return " ".join((*again, *sentences))


def set_money_text(job_set: JobSet) -> str:
    """What was charged for a set, and what still may be: `0.24 USD is charged, 0.36 USD may still be`."""
    booked = _sum(job_set, ChargeState.BOOKED)
    held = _sum(job_set, ChargeState.HELD)
    parts = (
        f"{to_text(booked)} USD is charged" if booked else "",
        f"{to_text(held)} USD may still be{'' if booked else ' charged'}" if held else "",
    )
    return ", ".join(filter(None, parts)) or "nothing is charged"


def _sum(job_set: JobSet, bill: ChargeState) -> Decimal:
    amounts = [
        from_micro(max(take.cost_micro, take.held_micro) if take.charged_micro is None else take.charged_micro)
        for take in job_set.takes
        if take.bill is bill
    ]
    return sum(amounts, Decimal())


def _on_their_way(takes: Sequence[Take], now: datetime) -> list[str]:
    live = [(job, context) for job, context in takes if job.live]
    unknown = [(job.take, next_step(job, context)) for job, context in takes if job.state is State.UNKNOWN]
    reasons = [(job.take, _reasons(job, context, now)) for job, context in live]
    first, context = live[0]
    if context.blocked_reason:
        follow = (
            f"Nobody works on it: {context.blocked_reason} With that set, it goes on by itself; do not order it again."
        )
    elif first.blocked_by:
        follow = (
            f"The takes begin when {first.blocked_by} is done; follow with check_job, or list_jobs with wait_seconds."
        )
    else:
        follow = FOLLOW
    return [*_by_take(unknown, len(takes)), *_by_take(reasons, len(takes)), follow]


def _reasons(job: Job, context: JobContext, now: datetime) -> str:
    """Why a take goes on as it does."""
    refused = f"{' '.join(context.refusals)} So it went on to {job.offer.provider}." if context.refusals else ""
    retry = retry_text(job, now)
    waits = f"It waits by itself: {retry}." if retry else ""
    return " ".join(filter(None, (cancel_outcome_text(job) if is_cancelled(job) else "", refused, waits)))


def _ended(takes: Sequence[Take], job_set: JobSet) -> list[str]:
    made = [(job, context) for job, context in takes if job.state is State.SUCCEEDED]
    if not made:
        again = " A retry needs a new request_key." if job_set.request_key and job_set.state is State.FAILED else ""
        return [*_by_take([(job.take, f"{next_step(job, context)}{again}") for job, context in takes], len(takes))]
    rest = [
        (job.take, next_step(job, context) if job.state is State.UNKNOWN else f"it {job.state} and {money_text(job)}.")
        for job, context in takes
        if job.state is not State.SUCCEEDED
    ]
    return [_choice(made), *_by_take(rest, len(takes)), f"In all, {set_money_text(job_set)}."]


def _choice(made: Sequence[Take]) -> str:
    """How one of the takes is chosen: it is gone on with."""
    (job, context), others = made[0], [job.take_name for job, _ in made[1:]]
    preview = "Say they are previews drawn on this machine, not LTX. " if context.is_preview else ""
    look = (
        "Judge the takes by their picture (check_job), a numbered row each, before you show one"
        if context.show_frames
        else "Show their videos"
    )
    options = context.continuation or f"video={job.take_name} or image={job.take_name}#last continues it"
    likewise = f"; {', '.join(others)} likewise" if others else ""
    return f"{preview}{look}. To choose take {job.take}: {options}{likewise}. Those not chosen need nothing."


def _by_take(said: Sequence[tuple[int, str]], count: int) -> list[str]:
    """Each sentence once, after the takes it is about; none are named where it is about all."""
    takes: dict[str, list[int]] = {}
    for take, sentence in said:
        if sentence:
            takes.setdefault(sentence, []).append(take)
    return [sentence if len(of) == count else f"{take_words(of)}: {sentence}" for sentence, of in takes.items()]


def take_words(numbers: Sequence[int]) -> str:
    """`Take 2`, `Takes 1 and 3`."""
    *first, last = map(str, numbers)
    return f"Takes {', '.join(first)} and {last}" if first else f"Take {last}"
