"""A job: its states and their transitions, and the record of its row.

Money is not part of the state: `bill` says whether the price is held, booked or released.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypedDict

from ltx_mcp.domain.errors import ErrorCode, JobError
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.domain.price import from_micro, price_text
from ltx_mcp.domain.request import Input, kind_of


class State(StrEnum):
    """The state of a job."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    RUNNING = "running"
    SAVING = "saving"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class ChargeState(StrEnum):
    """What became of the price."""

    HELD = "held"
    BOOKED = "booked"
    RELEASED = "released"


class CancelOutcome(StrEnum):
    """The outcome of a request to cancel."""

    NEVER_SENT = "never_sent"
    STOPPED = "stopped"
    ASKED = "asked"
    NOT_POSSIBLE = "not_possible"


ACTIVE_STATES = frozenset({State.QUEUED, State.SUBMITTING, State.RUNNING, State.SAVING})
TERMINAL_STATES = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.UNKNOWN})
IN_FLIGHT_STATES = frozenset({State.SUBMITTING, State.RUNNING})
"""States in which a provider, or the renderer of this machine, may be working."""

TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.QUEUED, State.SUBMITTING, State.FAILED, State.CANCELLED}),
    # back to queued only after a definite rejection, or for previews, which can be repeated
    State.SUBMITTING: frozenset({State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED, State.UNKNOWN}),
    State.RUNNING: frozenset({State.QUEUED, State.SAVING, State.FAILED, State.CANCELLED, State.UNKNOWN}),
    State.SAVING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED}),
    # a late response or a poll after the deadline may resolve an unknown outcome; a person may have it ordered again
    State.UNKNOWN: frozenset({State.QUEUED, State.RUNNING, State.SAVING, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


def charge_after(state: State, error: ErrorCode | None, *, accepted: bool, failure_is_free: bool) -> ChargeState:
    """What becomes of a held price when a job enters `state`; `accepted`: the provider had accepted the order."""
    if state is State.SUCCEEDED or error is ErrorCode.EXPIRED:
        return ChargeState.BOOKED
    if state is State.FAILED:
        return ChargeState.BOOKED if accepted and not failure_is_free else ChargeState.RELEASED
    if state is State.CANCELLED:
        return ChargeState.RELEASED
    return ChargeState.HELD


@dataclass(frozen=True)
class Job:
    """One row of the store. `fencing_token` grows with each claim, `revision` with each change. `attempts` counts the
    owners that died, `tries` how often the current offer was rejected temporarily; `most_micro` limits the price of all
    its offers. `set_id` and `take` are set where it is one of several takes. Its price counts for `team`; it is
    charged to the `account` of that team, empty: to the operator's. `traceparent` names the span of the call that
    placed it, as W3C Trace Context has it."""

    id: str
    caller: str
    request_key: str
    canonical_request: dict[str, str]
    operation: str
    prompt: str
    state: State
    bill: ChargeState
    offers: tuple[Offer, ...]
    offer_index: int
    inputs: tuple[Input, ...]
    cost_micro: int
    held_micro: int
    charged_micro: int | None
    blocked_by: str
    lease_owner: str
    submitted_by: str
    fencing_token: int
    revision: int
    attempts: int
    tries: int
    provider_ref: dict[str, Any] | None
    progress: float | None
    queue_position: int | None
    status_message: str
    result_url: str
    result_url_expires_at: datetime | None
    film: VideoInfo | None
    adjustments: tuple[Adjustment, ...]
    error: JobError | None
    cancel_requested: bool
    cancel: CancelOutcome | None
    run_after: datetime
    created_at: datetime
    ordered_at: datetime | None
    finished_at: datetime | None
    most_micro: int | None = None
    set_id: str = ""
    take: int = 0
    team: str = ""
    account: str = ""
    traceparent: str = ""

    @property
    def take_name(self) -> str:
        """Its name within its set, `set_…/2`; empty for a job of its own."""
        return f"{self.set_id}/{self.take}" if self.set_id else ""

    @property
    def offer(self) -> Offer:
        """The current offer, or the last one."""
        return self.offers[self.offer_index]

    @property
    def cost_usd(self) -> Decimal:
        """As quoted."""
        return from_micro(self.cost_micro)

    @property
    def at_most_usd(self) -> Decimal | None:
        """What may be charged, if that is more than the quote and the charge is not known yet."""
        is_open = self.charged_micro is None and self.bill is not ChargeState.RELEASED
        is_more = self.held_micro > self.cost_micro or (self.offer.auto_duration and self.live)
        return from_micro(self.held_micro) if is_open and is_more else None

    @property
    def price(self) -> str:
        """Its price for a person: `0.24 USD, at most 0.36`."""
        return price_text(self.cost_usd, self.at_most_usd)

    @property
    def live(self) -> bool:
        """Whether the job is in one of the active states."""
        return self.state in ACTIVE_STATES

    @property
    def retry_reason(self) -> str:
        """What failed on an active job and is tried again at `run_after`; empty if nothing failed."""
        turned_away = self.state is State.QUEUED and self.tries > 0 and not self.lease_owner
        is_failure = self.live and (turned_away or self.status_message.startswith(RETRY_NOTES[self.state]))
        return self.status_message if is_failure else ""

    @property
    def sources(self) -> tuple[str, ...]:
        """The jobs this one is made from."""
        return tuple(dict.fromkeys(given.job_id for given in self.inputs if given.job_id))

    @property
    def all_adjustments(self) -> tuple[Adjustment, ...]:
        """What we changed before the order, then what the result differs in."""
        return self.offer.adjustments + self.adjustments


NOT_SENT = "could not be sent to the provider yet: "
NOT_ASKED, NOT_STOPPED = "could not be asked: ", "could not be asked to stop yet: "
NOT_FETCHED, NOT_KEPT = "the film could not be fetched yet: ", "it waits: "
RETRY_NOTES = {
    State.QUEUED: (NOT_SENT,),
    State.SUBMITTING: (),
    State.RUNNING: (NOT_ASKED, NOT_STOPPED),
    State.SAVING: (NOT_FETCHED, NOT_KEPT),
}
"""How status messages about a failure begin, by state; any other status message reports progress."""


class JobChanges(TypedDict, total=False):
    """What a transition may change in a job's row."""

    state: State
    bill: ChargeState
    provider: str
    offers: tuple[Offer, ...]
    offer_index: int
    inputs: tuple[Input, ...]
    cost_micro: int
    held_micro: int
    charged_micro: int | None
    blocked_by: str
    lease_owner: str
    submitted_by: str
    attempts: int
    tries: int
    provider_ref: Mapping[str, Any] | None
    progress: float | None
    queue_position: int | None
    status_message: str
    result_url: str
    result_url_expires_at: datetime | None
    film: VideoInfo | None
    adjustments: tuple[Adjustment, ...]
    error: JobError | None
    cancel_requested: bool
    cancel: CancelOutcome | None
    run_after: datetime
    ordered_at: datetime | None
    finished_at: datetime | None
    account: str


@dataclass(frozen=True)
class Event:
    """One entry of a job's history."""

    at: datetime
    what: str
    detail: dict[str, Any]


def input_of(job: Job, role: str, frame_position: str = "") -> Input:
    """A job's video as input of another job: one frame, all of it, or its audio. While there is no video yet, the
    figures are those that were ordered."""
    video, offer, kind = job.film, job.offer, kind_of(role)
    width, height = (video.width, video.height) if video else (offer.width, offer.height)
    if kind == "image":
        return Input(role, job_id=job.id, frame_position=frame_position, width=width, height=height)
    return Input(
        role,
        job_id=job.id,
        width=width if kind == "video" else 0,
        height=height if kind == "video" else 0,
        duration=video.duration if video else float(offer.length),
        fps=video.fps if video else float(offer.fps),
        frames=video.frames if video else round(offer.length * offer.fps),
        has_audio=video.has_audio if video else offer.generate_audio,
        is_preview=kind == "video" and offer.is_preview,
    )


def continues(job: Job, before: Job) -> bool:
    """Whether a job's video begins with the last frame of the other's."""
    frames = [given for given in job.inputs if given.role == "image" and given.job_id == before.id]
    return any(given.frame_position == "last" for given in frames)
