"""Rules about jobs that need no database: whether a key still fits, what is certain after a worker has ended."""

import secrets
import string
from collections.abc import Mapping
from typing import Any, TypeVar

from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import TRANSITIONS, ChargeState, Job, State
from ltx_mcp.domain.job_set import JobSet, jobs_of
from ltx_mcp.domain.price import from_micro, to_text
from ltx_mcp.domain.quoting import quote, shorten
from ltx_mcp.domain.request import PREVIEW_PROVIDER

Found = TypeVar("Found", Job, JobSet)
ALPHABET = string.ascii_letters + string.digits
NOT_FOR_HISTORY = frozenset({"result_url", "lease_owner", "prompt"})
MAX_ID_CHARS = 80
DO_NOT_REPEAT = "Do not order it again before looking at the provider's dashboard."
ROUNDING_MICRO = 10_000
"""A charge that differs from its quote by less than a cent is only rounded."""


def new_job_id() -> str:
    """An unguessable id, never mistaken for a file or a URL."""
    return _new_id("job_")


def new_set_id() -> str:
    """The same for a set."""
    return _new_id("set_")


def _new_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(20))


def is_job_id(text: str) -> bool:
    """Whether this may be a job id: the database need not be asked about anything else."""
    return len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable()


def no_such_job(name: str) -> CallerError:
    """The error for a name that names no job, or another caller's."""
    return CallerError(
        ErrorCode.JOB_NOT_FOUND, f"There is no job {shorten(name)}.", "list_jobs shows the jobs there are."
    )


def removed_video(role: str, job_id: str) -> CallerError:
    """The error for a source job whose video is no longer here."""
    return CallerError(
        ErrorCode.INPUT_FAILED,
        f"{role}: the film of {job_id} is not on this machine any more.",
        f"A person can bring it back while its address lives: ltx-mcp jobs fetch {job_id}.",
    )


def removed(request_key: str, name: str) -> CallerError:
    """The error for a request_key whose job or set was removed, long after its end."""
    return CallerError(
        ErrorCode.EXPIRED,
        f"request_key {quote(request_key)} named {name}, which ended long ago and is not kept any more; nothing was "
        "ordered.",
        "Use a new request_key for another video.",
    )


def machine_of(worker: str) -> str:
    """The prefix of the names of all workers of one machine."""
    return worker.rpartition("_")[0]


def same_or_refused(found: Found, normal: dict[str, str], *, is_preview: bool) -> Found:
    """The job or set of a request key if the request is still the same; `is_preview`: it can only be a preview now.
    Raises CallerError naming what differs."""
    before = found.canonical_request
    different = sorted(name for name in normal.keys() | before.keys() if normal.get(name, "") != before.get(name, ""))
    is_drawn = any(job.offer.provider == PREVIEW_PROVIDER for job in jobs_of(found))
    if not different and is_drawn and not is_preview:
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            f"request_key {quote(found.request_key)} already names {found.id}, a preview drawn when no provider was "
            "set up; now one is, and this would be a video of it.",
            "Use a new request_key for that video.",
        )
    if not different:
        return found
    named = ", ".join(f"{name} ({_cut(before.get(name, _LEFT_OUT.get(name, '')))} before)" for name in different)
    raise CallerError(
        ErrorCode.INVALID_REQUEST,
        f"request_key {quote(found.request_key)} already names {found.id}, a request with other values: {named}.",
        "Use a new request_key for another video, or repeat the request unchanged.",
    )


_LEFT_OUT = {"takes": "1"}
"""What an argument is that the canonical form leaves out."""


def _cut(value: str) -> str:
    return quote(value, 40) if value else "none"


def state_after_release(state: State, is_followable: bool, repeatable: bool) -> State:
    """Where a job whose worker has ended goes to, by what is certain about it. `is_followable`: the provider's name of
    its order, or the address of its video, is known."""
    if state is State.QUEUED or is_followable:
        return state
    if state is State.SAVING and not repeatable:  # the complete video is on this disk
        return state
    return State.QUEUED if repeatable else State.UNKNOWN


def release_changes(to: State) -> dict[str, Any]:
    """What changes in a job that goes to this state because its worker has ended."""
    if to is State.QUEUED:
        return {"state": to, "progress": None, "submitted_by": ""}
    problem = JobError(
        ErrorCode.OUTCOME_UNKNOWN,
        "The process that placed this order ended before the answer came; it may have been taken and charged.",
        DO_NOT_REPEAT,
    )
    return {"state": to, "error": problem}


def for_history(detail: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that belong in the history; URLs and records stay in the row."""
    kept = {name: value for name, value in detail.items() if isinstance(value, str | int | float | bool)}
    if isinstance(problem := detail.get("error"), JobError):
        kept |= {"error": str(problem.code), "message": problem.message}
    return {name: value for name, value in kept.items() if name not in NOT_FOR_HISTORY and value != ""}


class IllegalTransitionError(Exception):
    """A bug: a job must not go to this state."""


def check_transition(job: Job, to: State, *starts: State) -> None:
    """Raises IllegalTransitionError unless TRANSITIONS allow it and the job is in one of `starts`, if given."""
    if to not in TRANSITIONS[job.state] or (starts and job.state not in starts):
        raise IllegalTransitionError(f"{job.id}: {job.state} -> {to}")


def price_drift(job: Job, changes: Mapping[str, Any]) -> dict[str, Any] | None:
    """How the new charge differs from the quote; None if there is no new charge or no difference."""
    charged = changes.get("charged_micro")
    if charged is None or charged == job.charged_micro or changes.get("bill") is ChargeState.RELEASED:
        return None
    if abs(charged - job.cost_micro) < ROUNDING_MICRO:
        return None
    return {
        "provider": job.offer.provider,
        "model": job.offer.model,
        "quoted_usd": to_text(from_micro(job.cost_micro)),
        "charged_usd": to_text(from_micro(charged)),
        "as_of": job.offer.as_of,
    }


async def has_ended(job: Job) -> bool:
    """Whether the job has ended."""
    return not job.live


async def cancel_is_decided(job: Job) -> bool:
    """Whether the outcome of a request to cancel is known."""
    return not job.live or job.cancel is not None
