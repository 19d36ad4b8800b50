"""Rules about a job that need no database: whether a key still fits, what is sure when a holder is gone."""

import secrets
import string
from collections.abc import Mapping
from typing import Any

from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import TRANSITIONS, ChargeState, Job, State
from ltx_mcp.domain.plan import PREVIEW_PROVIDER
from ltx_mcp.domain.price import from_micro, to_text
from ltx_mcp.domain.quoting import quote, shorten

ALPHABET = string.ascii_letters + string.digits
NOT_FOR_HISTORY = frozenset({"result_url", "lease_owner", "prompt"})
MAX_ID_CHARS = 80
ROUNDING_MICRO = 10_000
"""A charge that differs from its quote by less than a cent is only rounded."""


def new_job_id() -> str:
    """Unguessable, and never mistaken for a file or a URL."""
    return "job_" + "".join(secrets.choice(ALPHABET) for _ in range(20))


def is_job_id(text: str) -> bool:
    """Whether it may name a job at all: databases need not be asked about anything else."""
    return len(text) <= MAX_ID_CHARS and text.isascii() and text.isprintable()


def checked_id(job_id: str) -> str:
    """The same. Raises CallerError(job_not_found) for what names no job."""
    if not is_job_id(job_id):
        raise _no_job(job_id)
    return job_id


def found_or_refused(job: Job | None, job_id: str) -> Job:
    """The job that was asked for. Raises CallerError(job_not_found)."""
    if job is None:
        raise _no_job(job_id)
    return job


def _no_job(job_id: str) -> CallerError:
    return CallerError(
        ErrorCode.JOB_NOT_FOUND, f"There is no job {shorten(job_id)}.", "list_jobs shows the jobs there are."
    )


def removed_video(role: str, job_id: str) -> CallerError:
    """Why a job that succeeded has nothing to be made from."""
    return CallerError(
        ErrorCode.INPUT_FAILED,
        f"{role}: the film of {job_id} is not on this machine any more.",
        f"A person can bring it back while its address lives: ltx-mcp jobs fetch {job_id}.",
    )


def machine_of(worker: str) -> str:
    """What the names of all workers of one machine begin with."""
    return worker.rpartition("_")[0]


def same_or_refused(job: Job, normal: dict[str, str], *, is_preview: bool) -> Job:
    """The job of a key when the request is still the same one; `is_preview`: only a preview can come of it now. Raises
    CallerError naming what differs."""
    different = sorted(
        name
        for name in normal.keys() | job.canonical_request.keys()
        if normal.get(name, "") != job.canonical_request.get(name, "")
    )
    if not different and job.offer.provider == PREVIEW_PROVIDER and not is_preview:
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            f"request_key {quote(job.request_key)} already names {job.id}, a preview drawn when no provider was set "
            "up; now one is, and this would be a video of it.",
            "Use a new request_key for that video.",
        )
    if not different:
        return job
    named = ", ".join(f"{name} ({_cut(job.canonical_request.get(name, ''))} before)" for name in different)
    raise CallerError(
        ErrorCode.INVALID_REQUEST,
        f"request_key {quote(job.request_key)} already names {job.id}, a request with other values: {named}.",
        "Use a new request_key for another video, or repeat the request unchanged.",
    )


def _cut(value: str) -> str:
    return quote(value, 40) if value else "none"


def handed_back(job: Job, repeatable: bool, died: bool) -> dict[str, Any]:
    """What is sure about a job whose holder is gone."""
    attempts = {"attempts": job.attempts + 1} if died else {}
    if job.state is State.QUEUED or job.provider_ref is not None or job.result_url:
        return attempts
    if job.state is State.SAVING and not repeatable:  # the whole film is on this disk
        return attempts
    if repeatable:
        return attempts | {"state": State.QUEUED, "progress": None, "submitted_by": ""}
    problem = JobError(
        ErrorCode.OUTCOME_UNKNOWN,
        "The process that placed this order ended before the answer came; it may have been taken and charged.",
        "Do not order it again before looking at the provider's dashboard.",
    )
    return attempts | {"state": State.UNKNOWN, "error": problem}


def for_history(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What of a move's changes a reader of the history wants; URLs and records stay in the row."""
    kept = {name: value for name, value in detail.items() if isinstance(value, str | int | float | bool)}
    if isinstance(problem := detail.get("error"), JobError):
        kept |= {"error": str(problem.code), "message": problem.message}
    return {name: value for name, value in kept.items() if name not in NOT_FOR_HISTORY and value != ""}


class IllegalTransitionError(Exception):
    """A fault of ours: a job was to be moved to where it cannot go."""


def check_transition(job: Job, to: State, *starts: State) -> None:
    """Raises IllegalTransitionError where no job goes so, or only jobs that are in one of `starts` may."""
    if to not in TRANSITIONS[job.state] or (starts and job.state not in starts):
        raise IllegalTransitionError(f"{job.id}: {job.state} -> {to}")


def price_drift(job: Job, changes: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a change of `job` tells of a price that is not as quoted; None where it tells nothing new."""
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
    """Whether nothing more happens to it."""
    return not job.live


async def cancel_is_decided(job: Job) -> bool:
    """Whether it is known what came of the wish to cancel it."""
    return not job.live or job.cancel is not None


async def nobody(job: Job) -> None:
    """Nobody listens."""
