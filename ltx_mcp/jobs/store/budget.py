"""What may still be ordered, inside the caller's transaction: the live jobs of a caller, the budget of a UTC day, and
the next offer that fits after a definite rejection."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, literal_column, select

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import ceiling
from ltx_mcp.domain.price import from_micro, to_text
from ltx_mcp.jobs.store.schema import IS_LIVE, jobs


def check_live(connection: Connection, caller: str, most: int) -> None:
    """Raises CallerError(rate_limited) when `caller` has `most` live jobs or more.

    Blocked jobs count; jobs whose outcome is unknown do not, because they have ended.
    """
    query = select(jobs.c.state, func.count()).where(jobs.c.caller == caller, literal_column(IS_LIVE))
    counts = {state: number for state, number in connection.execute(query.group_by(jobs.c.state))}
    total = sum(counts.values())
    if total >= most:
        shares = ", ".join(f"{number} {state}" for state, number in sorted(counts.items(), key=lambda each: -each[1]))
        found = "1 job is" if total == 1 else f"{total} jobs are"
        raise CallerError(
            ErrorCode.RATE_LIMITED,
            f"{found} under way ({shares}), and {most} of one caller may be at a time; nothing was ordered.",
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

    def check(self, offer: Offer) -> None:
        """Raises CallerError(over_budget), saying what is left, when `offer` does not fit."""
        if self.left is not None and not offer.fits(from_micro(self.left)):
            raise CallerError(
                ErrorCode.OVER_BUDGET,
                f"This costs {offer.price}; {to_text(from_micro(self.left))} USD are left of today's "
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
