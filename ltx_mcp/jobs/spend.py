"""What was ordered and charged, by UTC day, provider and model, and where a provider charges other prices than its
table has."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, case, func, literal, select

from ltx_mcp.domain.job import ChargeState
from ltx_mcp.jobs.store.budget import Budget, Budgets
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import jobs
from ltx_mcp.jobs.store.transitions import ROUNDING_MICRO

Spender = Literal["", "caller", "team"]
"""By what rows are told apart besides day, provider and model."""


@dataclass(frozen=True)
class SpendRow:
    """One day's jobs of one provider and model; money in micro-dollars. `held`, `booked` and `released` count jobs.

    `charged` sums the provider's own figures, None where it reported none; `drift` is how much that exceeds the quotes
    for the same jobs. Released jobs were not charged. `spender` is the caller or the team, where rows are told apart by
    it; empty otherwise, and for jobs of no team.
    """

    day: str
    spender: str
    provider: str
    model: str
    videos: int
    held: int
    booked: int
    released: int
    quoted_micro: int
    spent_micro: int
    reserved_micro: int
    charged_micro: int | None
    drift_micro: int | None


@dataclass(frozen=True)
class PriceDrift:
    """A provider and model whose charges differ from the quotes by more than rounding to a cent: `videos` jobs since
    the day `since`, quoted from a price table as of `as_of`."""

    provider: str
    model: str
    videos: int
    quoted_micro: int
    charged_micro: int
    since: str
    as_of: str


@dataclass(frozen=True)
class Spend:
    """Newest day first, and within it by spender, provider and model; `budget` is what is shown of the budgets of the
    last day, and `budgets` are those that the caller has. `drifts` are of all rows together."""

    rows: tuple[SpendRow, ...]
    drifts: tuple[PriceDrift, ...]
    budget: Budget
    budgets: Budgets | None = None


def read_spend(
    database: Database, caller: str | None, last: date, days: int, budget: Budget, by: Spender = ""
) -> Spend:
    """The jobs of one caller, or without `caller` of all, on the `days` UTC days up to `last`. `by` a caller or a team,
    there is a row for each of them. Blocking."""
    first = last - timedelta(days=days - 1)
    selected = and_(jobs.c.day >= first.isoformat(), jobs.c.day <= last.isoformat())
    if caller is not None:
        selected = and_(jobs.c.caller == caller, selected)
    with database.read() as connection:
        tried = connection.execute(select(func.max(jobs.c.offer_index)).where(selected)).scalar()
        if tried is None:
            return Spend((), (), budget)
        ordered = _ordered(selected, tried, by)
        rows = tuple(_to_spent(row) for row in connection.execute(_by_day(ordered)))
        drifts = tuple(PriceDrift(**_values(row)) for row in connection.execute(_drifting(ordered)))
    return Spend(rows, drifts, budget)


def _ordered(selected: ColumnElement[bool], tried: int, by: Spender) -> Any:
    """Each job with its spender, and the model and date of its current offer, which are inside its JSON."""

    def of_offer(name: str) -> Any:
        parts = ((jobs.c.offer_index == at, jobs.c.offers[(at, name)].as_string()) for at in range(tried + 1))
        return case(*parts)

    columns = (jobs.c.day, jobs.c.provider, jobs.c.bill, jobs.c.cost_micro, jobs.c.held_micro, jobs.c.charged_micro)
    spenders = {"": literal(""), "caller": jobs.c.caller, "team": func.coalesce(jobs.c.team, "")}
    more = (spenders[by].label("spender"), of_offer("model").label("model"), of_offer("as_of").label("as_of"))
    return select(*columns, *more).where(selected).subquery()


def _by_day(ordered: Any) -> Any:
    bill, charged = ordered.c.bill, ordered.c.charged_micro
    counts = func.coalesce(charged, ordered.c.held_micro)
    reported = and_(charged.is_not(None), bill != ChargeState.RELEASED.value)

    group = (ordered.c.day, ordered.c.spender, ordered.c.provider, ordered.c.model)
    return (
        select(
            *group,
            func.count().label("videos"),
            *(_sum(bill == state.value, 1).label(state.value) for state in ChargeState),
            func.sum(ordered.c.cost_micro).label("quoted_micro"),
            _sum(bill == ChargeState.BOOKED.value, counts).label("spent_micro"),
            _sum(bill == ChargeState.HELD.value, counts).label("reserved_micro"),
            _sum(reported, 1).label("reported"),
            _sum(reported, charged).label("charged_micro"),
            _sum(reported, charged - ordered.c.cost_micro).label("drift_micro"),
        )
        .group_by(*group)
        .order_by(ordered.c.day.desc(), *group[1:])
    )


def _drifting(ordered: Any) -> Any:
    charged, quoted = ordered.c.charged_micro, ordered.c.cost_micro
    drifts = and_(ordered.c.bill != ChargeState.RELEASED.value, func.abs(charged - quoted) >= ROUNDING_MICRO)
    group = (ordered.c.provider, ordered.c.model)
    return (
        select(
            *group,
            func.count().label("videos"),
            func.sum(quoted).label("quoted_micro"),
            func.sum(charged).label("charged_micro"),
            func.min(ordered.c.day).label("since"),
            func.max(ordered.c.as_of).label("as_of"),
        )
        .where(drifts)
        .group_by(*group)
        .order_by(*group)
    )


def _sum(when: Any, amount: Any) -> Any:
    return func.sum(case((when, amount), else_=0))


def _values(row: Any) -> dict[str, Any]:
    """The columns of a row by name; sums, which are Decimal on PostgreSQL, as int."""
    return {name: int(value) if isinstance(value, Decimal) else value for name, value in row._mapping.items()}


def _to_spent(row: Any) -> SpendRow:
    values = _values(row)
    if not values.pop("reported"):
        values |= {"charged_micro": None, "drift_micro": None}
    return SpendRow(**values)
