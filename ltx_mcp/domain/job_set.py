"""A set: several takes of one request, ordered together. Each take is a job like any other, with its own order, price
and end; the set is what the request and its key name.
"""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from ltx_mcp.domain.argument_types import MAX_SEED
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import from_micro, price_text
from ltx_mcp.domain.request import PREVIEW_PROVIDER

_NAME = re.compile(r"(set_[A-Za-z0-9]{1,64})(?:/([0-9]{1,4}))?", re.ASCII)
_STATES = (
    *(State.QUEUED, State.SUBMITTING, State.RUNNING, State.SAVING),
    *(State.SUCCEEDED, State.UNKNOWN, State.FAILED, State.CANCELLED),
)
"""The state of a set is the first of these that any of its takes is in."""


@dataclass(frozen=True)
class JobSet:
    """The takes of one request, in the order of their numbers; there is at least one."""

    id: str
    caller: str
    request_key: str
    canonical_request: dict[str, str]
    created_at: datetime
    takes: tuple[Job, ...]

    @property
    def live(self) -> bool:
        """Whether any take is in one of the active states."""
        return any(take.live for take in self.takes)

    @property
    def state(self) -> State:
        """While any take is live, that of the one least advanced; then the best end that one came to."""
        return min((take.state for take in self.takes), key=_STATES.index)

    @property
    def cost_usd(self) -> Decimal:
        """All of them, as quoted."""
        return sum((take.cost_usd for take in self.takes), Decimal())

    @property
    def at_most_usd(self) -> Decimal | None:
        """What may be charged for all of them, if that is more than the quote and a charge is not known yet."""
        if all(take.at_most_usd is None for take in self.takes):
            return None
        most = sum((_may_be_charged(take) for take in self.takes), Decimal())
        return most if most > self.cost_usd else None

    @property
    def charged_usd(self) -> Decimal | None:
        """The providers' own figures so far; None if there is none yet."""
        charged = [take.charged_micro for take in self.takes if take.charged_micro is not None]
        return from_micro(sum(charged)) if charged else None

    @property
    def price(self) -> str:
        """The price of all for a person: `0.72 USD, at most 1.08`."""
        return price_text(self.cost_usd, self.at_most_usd)

    @property
    def sources(self) -> tuple[str, ...]:
        """The jobs they are made from."""
        return tuple(dict.fromkeys(source for take in self.takes for source in take.sources))

    @property
    def finished_at(self) -> datetime | None:
        """When the last take ended; None while one is live."""
        ends = [take.finished_at for take in self.takes if take.finished_at is not None]
        return None if self.live or not ends else max(ends)

    def take(self, number: int) -> Job:
        """One take. Raises CallerError(job_not_found) that names those there are."""
        for job in self.takes:
            if job.take == number:
                return job
        raise CallerError(
            ErrorCode.JOB_NOT_FOUND,
            f"{self.id} has {_counted(len(self.takes))}, and {number} is none of them.",
            f"Name one of these: {self.names}.",
        )

    @property
    def names(self) -> str:
        """The names of the takes, for a sentence."""
        return ", ".join(take.take_name for take in self.takes)


def jobs_of(followed: Job | JobSet) -> tuple[Job, ...]:
    """A job alone, or the takes of a set."""
    return followed.takes if isinstance(followed, JobSet) else (followed,)


def read_name(name: str) -> tuple[str, int] | None:
    """The id of a set, and the number of the take or 0 for all of it: of `set_…/2` or `set_…`. None for anything else,
    such as the id of a job."""
    found = _NAME.fullmatch(name)
    return (found[1], int(found[2] or 0)) if found else None


def one_take_needed(job_set: JobSet, argument: str = "") -> CallerError:
    """The error where only one job can be meant and a complete set was named."""
    made = [take.take_name for take in job_set.takes if take.state is State.SUCCEEDED]
    has_video = f" There is a video of {', '.join(made)}." if made else ""
    return CallerError(
        ErrorCode.INVALID_REQUEST,
        f"{argument and f'{argument}: '}{job_set.id} is a set of {_counted(len(job_set.takes))}.{has_video}",
        f"Name one of them: {job_set.names}.",
    )


def as_take(offer: Offer, take: int) -> Offer:
    """The offer of this take of a set: a seed goes up by one with each. Previews without one get it too, because
    the same preview again would be the same picture; providers draw another seed by themselves."""
    if offer.seed is None and offer.provider != PREVIEW_PROVIDER:
        return offer
    return replace(offer, seed=((offer.seed or 0) + take - 1) % (MAX_SEED + 1))


def _may_be_charged(take: Job) -> Decimal:
    if take.bill is ChargeState.RELEASED:
        return Decimal()
    return from_micro(take.held_micro if take.charged_micro is None else take.charged_micro)


def _counted(takes: int) -> str:
    return "1 take" if takes == 1 else f"{takes} takes"
