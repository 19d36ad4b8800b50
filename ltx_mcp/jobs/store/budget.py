"""What may still be ordered, inside the caller's transaction: the live jobs of a caller and those of the last minute,
the budgets of a UTC day, and the next offer that fits after a definite rejection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from operator import itemgetter

from sqlalchemy import Connection, func, literal_column, select

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import ceiling
from ltx_mcp.domain.price import from_micro, to_micro, to_text
from ltx_mcp.domain.takes import takes_price
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.jobs.store.schema import IS_LIVE, jobs, spent

TOTAL = ""
"""The scope of all callers together."""
MINUTE = timedelta(minutes=1)
NOT_TOLD = "today's budget of this service does not reach"


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
        own = "" if caller == LOCAL else ", or max_live_jobs of this caller"
        found = "no job is" if total == 0 else "1 job is" if total == 1 else f"{total} jobs are"
        more = "" if added == 1 else f" these would be {added} more,"
        raise CallerError(
            ErrorCode.RATE_LIMITED,
            f"{found} under way{shares},{more} and {most} of one caller may be at a time; nothing was ordered.",
            "Wait until some have ended, which list_jobs shows, or end with cancel_job what is not wanted; the "
            f"operator may raise LTX_MCP_MAX_LIVE_JOBS{own}.",
        )


def check_rate(connection: Connection, caller: str, most: int, now: datetime, added: int = 1) -> None:
    """Raises CallerError(rate_limited), saying how long to wait, when with so many `added` ones `caller` would have
    placed more than `most` jobs within a minute. All that were placed count, however they ended."""
    recent = (jobs.c.caller == caller, jobs.c.created_at > now - MINUTE)
    placed = connection.execute(select(func.count()).where(*recent)).scalar_one()
    if placed + added <= most:
        return
    found = "1 job was" if placed == 1 else f"{placed} jobs were"
    more = "" if added == 1 else f" these would be {added} more,"
    hint = f"Order at most {most} at a time."
    if added <= most:
        last_too_many = select(jobs.c.created_at).where(*recent).order_by(jobs.c.created_at)
        at = connection.execute(last_too_many.offset(placed + added - most - 1).limit(1)).scalar_one()
        hint = f"Order it again in {ceil((at + MINUTE - now).total_seconds())} s."
    raise CallerError(
        ErrorCode.RATE_LIMITED,
        f"{found} ordered within the last minute,{more} and {most} of one caller may be; nothing was ordered.",
        hint,
    )


@dataclass(frozen=True)
class Budget:
    """What one scope may spend on one UTC day, in micro-dollars; `limit` None: no limit. Without `is_told` it is
    not said what is left of it, which is what others spend."""

    limit: int | None
    booked: int
    held: int
    scope: str = TOTAL
    is_told: bool = True

    @property
    def left(self) -> int | None:
        """What may still be ordered on that day."""
        return None if self.limit is None else max(0, self.limit - self.booked - self.held)

    def without(self, bill: ChargeState, micro: int) -> "Budget":
        """The same without a job of this price."""
        booked, held = ChargeState.BOOKED, ChargeState.HELD
        return replace(self, booked=self.booked - micro * (bill is booked), held=self.held - micro * (bill is held))

    def check(self, offer: Offer, takes: int = 1) -> None:
        """Raises CallerError(over_budget), saying whose budget it is and what is left, when `offer` does not fit so
        many times."""
        if self.left is not None and to_micro(offer.at_most_usd) * takes > self.left:
            costs = f"This costs {takes_price(offer, takes)}"
            limit = f"{to_text(from_micro(self.limit or 0))} USD"
            whose, remedy = f"today's budget of {limit}", "LTX_MCP_BUDGET_USD_PER_DAY"
            if self.scope != TOTAL:
                kind, _, name = self.scope.partition(":")
                whose = f"your budget of {limit} for today" if kind == "caller" else f"today's {limit} of team {name}"
                remedy = "your budget" if kind == "caller" else "the budget of the team"
            left = f"{to_text(from_micro(self.left))} USD are left of {whose}"
            raise CallerError(
                ErrorCode.OVER_BUDGET,
                f"{costs}; {left if self.is_told else NOT_TOLD}.",
                f"Ask for less, wait until 00:00 UTC, or let the operator raise {remedy}.",
            )


@dataclass(frozen=True)
class Budgets:
    """What a caller may spend from: the budget of all callers together, with or without a limit, and, where there is
    one, the caller's `own` and that of the caller's `team`. Whoever is not the operator always has an own one."""

    total: Budget
    own: Budget | None = None
    team: Budget | None = None

    @property
    def shown(self) -> Budget:
        """What the caller is shown: the tightest of those that are not of all callers together, where there is any."""
        limited = [(each.left, each) for each in (self.own, self.team) if each is not None and each.left is not None]
        return min(limited, key=itemgetter(0))[1] if limited else self.own or self.total

    @property
    def left(self) -> int | None:
        """What may still be ordered by all of them."""
        left = [each.left for each in (self.total, self.own, self.team) if each is not None and each.left is not None]
        return min(left, default=None)


def scope_of_caller(caller: str) -> str:
    """What the database counts a caller's money under."""
    return f"caller:{caller}"


def scope_of_team(team: str) -> str:
    """The same for a team."""
    return f"team:{team}"


def read_budgets(connection: Connection, day: str, limits: Mapping[str, int | None]) -> list[Budget]:
    """The budgets of `day`, one for each scope of `limits`. The database counts the provider's own charge if known,
    else what is held for the job."""
    query = select(spent.c.scope, spent.c.bill, spent.c.micro).where(spent.c.day == day, spent.c.scope.in_(limits))
    found = {(scope, bill): micro for scope, bill, micro in connection.execute(query)}
    booked, held = ChargeState.BOOKED, ChargeState.HELD
    return [
        Budget(limit, found.get((scope, booked), 0), found.get((scope, held), 0), scope)
        for scope, limit in limits.items()
    ]


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
