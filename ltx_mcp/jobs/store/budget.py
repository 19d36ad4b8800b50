"""What may still be ordered, inside the caller's transaction: the live jobs of a caller, the budget of a UTC day, the
places at a provider, and the next offer that fits after a definite rejection."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, literal_column, or_, select

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ACTIVE_STATES, IN_FLIGHT_STATES, ChargeState, Job, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import ceiling
from ltx_mcp.domain.price import from_micro, to_micro, to_text
from ltx_mcp.domain.takes import takes_price
from ltx_mcp.jobs.store.schema import IS_LIVE, jobs
from ltx_mcp.jobs.store.transitions import machine_of


def check_live(connection: Connection, caller: str, most: int, added: int = 1) -> None:
    """Raises CallerError(rate_limited) when with so many `added` ones `caller` would have more than `most` live jobs.

    Blocked jobs count; jobs whose outcome is unknown do not, because they have ended.
    """
    query = select(jobs.c.state, func.count()).where(jobs.c.caller == caller, literal_column(IS_LIVE))
    counts = {state: number for state, number in connection.execute(query.group_by(jobs.c.state))}
    total = sum(counts.values())
    if total + added > most:
        each = ", ".join(f"{number} {state}" for state, number in sorted(counts.items(), key=lambda each: -each[1]))
        shares = f" ({each})" if each else ""
        found = "no job is" if total == 0 else "1 job is" if total == 1 else f"{total} jobs are"
        more = "" if added == 1 else f" these would be {added} more,"
        raise CallerError(
            ErrorCode.RATE_LIMITED,
            f"{found} under way{shares},{more} and {most} of one caller may be at a time; nothing was ordered.",
            "Wait until some have ended, which list_jobs shows, or end with cancel_job what is not wanted; the "
            "operator may raise LTX_MCP_MAX_LIVE_JOBS.",
        )


@dataclass(frozen=True)
class Budget:
    """The budget of one UTC day in micro-dollars; `limit` None: no limit."""

    limit: int | None
    booked: int
    held: int

    @property
    def left(self) -> int | None:
        """What may still be ordered on that day."""
        return None if self.limit is None else max(0, self.limit - self.booked - self.held)

    def check(self, offer: Offer, takes: int = 1) -> None:
        """Raises CallerError(over_budget), saying what is left, when `offer` does not fit so many times."""
        if self.left is not None and to_micro(offer.at_most_usd) * takes > self.left:
            raise CallerError(
                ErrorCode.OVER_BUDGET,
                f"This costs {takes_price(offer, takes)}; {to_text(from_micro(self.left))} USD are left of today's "
                f"budget of {to_text(from_micro(self.limit or 0))} USD.",
                "Ask for less, wait until 00:00 UTC, or let the operator raise LTX_MCP_BUDGET_USD_PER_DAY.",
            )


def read_budget(connection: Connection, day: str, limit: int | None) -> Budget:
    """The budget of `day`: the provider's own charge if known, else what is held for the job."""
    amount = func.coalesce(jobs.c.charged_micro, jobs.c.held_micro)
    query = select(jobs.c.bill, func.sum(amount)).where(jobs.c.day == day).group_by(jobs.c.bill)
    sums = {bill: int(total) for bill, total in connection.execute(query)}
    return Budget(limit, sums.get(ChargeState.BOOKED, 0), sums.get(ChargeState.HELD, 0))


@dataclass(frozen=True)
class LeftOut:
    """An offer that is not tried, with the sentence that says why."""

    offer: Offer
    message: str


def next_that_fits(
    job: Job, offers: Sequence[Offer], code: ErrorCode, check_budget: Callable[[Offer], None]
) -> tuple[int | None, list[LeftOut]]:
    """The index of the next offer to try, or None. `offers` are the job's own at their newest prices: one that has
    risen is compared again with what the job may cost. `check_budget` raises CallerError."""
    left_out: list[LeftOut] = []
    for index in _later(job, code):
        offer = offers[index]
        try:
            if offer != job.offers[index]:
                _check_most(job, offer)
            check_budget(offer)
            return index, left_out
        except CallerError as error:
            left_out.append(LeftOut(offer, f"{offer.provider} ({offer.model}) was left out. {error.message}"))
    return None, left_out


def _later(job: Job, code: ErrorCode) -> list[int]:
    """The later offers; not those of the same provider if it refused the account."""
    account = code in (ErrorCode.KEY_REJECTED, ErrorCode.OUT_OF_CREDIT)
    later = range(job.offer_index + 1, len(job.offers))
    return [index for index in later if not account or job.offers[index].provider != job.offer.provider]


def _check_most(job: Job, offer: Offer) -> None:
    most = ceiling(job.offers) if job.most_micro is None else from_micro(job.most_micro)
    if not offer.fits(most):
        raise CallerError(
            ErrorCode.OVER_BUDGET,
            f"By its newest price it costs {offer.price}, more than the {to_text(most)} USD that this job may cost.",
        )


def is_under_way() -> Any:
    """Ordered, or about to be."""
    return or_(jobs.c.state.in_(IN_FLIGHT_STATES), and_(jobs.c.state == State.QUEUED, jobs.c.lease_owner != ""))


def count_under_way(connection: Connection, provider: str, worker: str) -> int:
    """How many orders of this provider are under way; with `worker`, how many jobs run on its machine."""
    busy = and_(jobs.c.state.in_(ACTIVE_STATES), jobs.c.lease_owner != "") if worker else is_under_way()
    owners = connection.execute(select(jobs.c.lease_owner).where(jobs.c.provider == provider, busy)).scalars().all()
    return sum(not worker or machine_of(owner) == machine_of(worker) for owner in owners)
