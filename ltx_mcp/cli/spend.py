"""`jobs --spend`: what was spent, a line for each UTC day, provider and model, and whose prices are not as quoted.

For an operator, of other callers too, each caller or team on lines of its own.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltx_mcp.cli.common import open_jobs
from ltx_mcp.cli.output.listing import shown_caller
from ltx_mcp.cli.output.text import print_json, print_table
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.jobs.callers import LOCAL, is_pattern, matches
from ltx_mcp.presentation.spending import DriftRow, SpendView, SpentRow, to_spend_view

if TYPE_CHECKING:
    from ltx_mcp.jobs.spend import Spender

DAYS = 30
NO_TEAM = "-"
EXPENDABLE = ("released", "held", "booked", "reserved", "drift", "charged", "videos", "model", "quoted")
"""Columns that a narrow terminal need not show: what matters of them is said below, or in --json."""


@dataclass(frozen=True)
class Spending:
    """What was spent; with `by`, `spenders` has the caller or the team of each row."""

    view: SpendView
    by: "Spender" = ""
    spenders: tuple[str, ...] = ()


async def read_spend(days: int, whose: str = "", by: "Spender" = "") -> Spending:
    """What was spent on the last `days` days: from here, by `whose` callers, or with `by` alone by everybody."""
    is_one = bool(whose) and not is_pattern(whose)
    by = by or ("caller" if whose and not is_one else "")
    caller = whose if is_one else None if by else LOCAL
    async with open_jobs() as jobs:
        spend = await jobs.spend(caller, days=days, by=by)
    view = to_spend_view(spend)
    kept = [(row, each.spender) for row, each in zip(view.rows, spend.rows, strict=True) if _is_of(each.spender, whose)]
    if len(kept) < len(view.rows):  # what is said of prices is of all rows together
        view = view.model_copy(update={"rows": [row for row, _ in kept], "drifts": []})
    return Spending(view, by, tuple(spender for _, spender in kept) if by else ())


def _is_of(spender: str, whose: str) -> bool:
    """Whether a row is of those who were asked for; one caller's rows were read as such."""
    return not is_pattern(whose) or matches(whose, spender)


def print_spend(spending: Spending, as_json: bool) -> None:
    """As JSON, or as a table with what should be known beside it."""
    view = spending.view
    names: list[dict[str, str]] = [{spending.by: spender} for spender in spending.spenders] or [{} for _ in view.rows]
    if as_json:
        wire = view.to_wire()
        rows = [{**row, **name} for row, name in zip(wire["rows"], names, strict=True)]
        print_json(wire | {"rows": rows})
        return
    rows = [_cells(row, name) for row, name in zip(view.rows, names, strict=True)]
    if rows:
        print_table(rows, EXPENDABLE)
    else:
        print("Nothing was ordered.")
    for drift in view.drifts:
        print(_drift(drift))
    budget = view.budget
    print(f"Today (UTC): {to_text(budget.spent_usd)} USD spent, {to_text(budget.reserved_usd)} reserved", end="")
    left = budget.left_usd or 0.0
    print("." if budget.limit_usd is None else f", {to_text(left)} left of {to_text(budget.limit_usd)}.")


def _cells(row: SpentRow, name: dict[str, str]) -> dict[str, str]:
    return {
        "day": row.day,
        **{by: shown_caller(spender) or NO_TEAM for by, spender in name.items()},
        "provider": row.provider,
        "model": row.model,
        "videos": str(row.videos),
        "held": str(row.held),
        "booked": str(row.booked),
        "released": str(row.released),
        "quoted": to_text(row.quoted_usd),
        "spent": to_text(row.spent_usd),
        "reserved": to_text(row.reserved_usd),
        "charged": "" if row.charged_usd is None else to_text(row.charged_usd),
        "drift": "" if row.drift_usd is None else f"{'+' * (row.drift_usd > 0)}{to_text(row.drift_usd)}",
    }


def _drift(drift: DriftRow) -> str:
    videos = "1 video" if drift.videos == 1 else f"{drift.videos} videos"
    return plain_line(
        f"{drift.provider} {drift.model} charged {to_text(drift.charged_usd)} USD, quoted "
        f"{to_text(drift.quoted_usd)}, for {videos} since {drift.since}: the price table, as of {drift.as_of}, "
        "may be outdated."
    )
