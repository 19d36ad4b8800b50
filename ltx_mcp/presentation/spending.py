"""What callers see of their spending: by UTC day, provider and model, and where a provider charges other prices than
the table has."""

import re
from datetime import date
from typing import TYPE_CHECKING, Any

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.price import from_micro, to_wire
from ltx_mcp.domain.quoting import quote
from ltx_mcp.presentation.result_models import BudgetView, ResultModel, to_budget_view, whose_budget

if TYPE_CHECKING:
    from ltx_mcp.jobs.spend import PriceDrift, Spend, SpendRow


class SpentRow(ResultModel):
    """One day, provider and model; held, booked and released count videos."""

    day: str
    provider: str
    model: str
    videos: int
    held: int
    booked: int
    released: int
    quoted_usd: float
    spent_usd: float
    reserved_usd: float
    charged_usd: float | None = None
    drift_usd: float | None = None


class DriftRow(ResultModel):
    """A provider and model whose charges are not as quoted."""

    provider: str
    model: str
    videos: int
    quoted_usd: float
    charged_usd: float
    since: str
    as_of: str


class SpendView(ResultModel):
    """Newest day first; the budget is that of the last day: the operator's, of everybody together, or what the caller
    has of it. `next` says whose it is, where a caller has a team with a budget."""

    rows: list[SpentRow]
    drifts: list[DriftRow]
    budget: BudgetView
    next: str | None = None


def to_spend_view(spend: "Spend") -> SpendView:
    """As callers see it."""
    return SpendView(
        rows=[SpentRow(**_in_usd(row, but="spender")) for row in spend.rows],
        drifts=[DriftRow(**_in_usd(drift)) for drift in spend.drifts],
        budget=to_budget_view(spend.budget),
        next=(whose_budget(spend.budgets) if spend.budgets else "") or None,
    )


def read_day(text: str) -> date | None:
    """The day of `YYYY-MM-DD`; None for `today`. Raises CallerError."""
    if text == "today":
        return None
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise CallerError(
        ErrorCode.INVALID_REQUEST, f"day: {quote(text)} is no day.", "Give a UTC day as YYYY-MM-DD, or today."
    )


def _in_usd(record: "SpendRow | PriceDrift", but: str = "") -> dict[str, Any]:
    """The fields of a record, micro-dollars as USD."""
    fields = {name: value for name, value in vars(record).items() if name != but}
    amounts = {name: micro for name, micro in fields.items() if name.endswith("_micro")}
    others = {name: value for name, value in fields.items() if name not in amounts}
    return others | {
        f"{name.removesuffix('_micro')}_usd": None if micro is None else to_wire(from_micro(micro))
        for name, micro in amounts.items()
    }
