"""`jobs --spend`: what was spent, a line for each UTC day, provider and model, and whose prices are not as quoted."""

from ltx_mcp.cli.common import open_jobs
from ltx_mcp.cli.output.text import print_json, print_table
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.presentation.spending import DriftRow, SpendView, SpentRow, to_spend_view

DAYS = 30
EXPENDABLE = ("released", "held", "booked", "reserved", "drift", "charged", "videos", "model", "quoted")
"""Columns that a narrow terminal need not show: what matters of them is said below, or in --json."""


async def read_spend(days: int) -> SpendView:
    """What was spent from here on the last `days` days."""
    async with open_jobs() as jobs:
        return to_spend_view(await jobs.spend(LOCAL, days=days))


def print_spend(view: SpendView, as_json: bool) -> None:
    """As JSON, or as a table with what should be known beside it."""
    if as_json:
        print_json(view.to_wire())
        return
    rows = [_cells(row) for row in view.rows]
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


def _cells(row: SpentRow) -> dict[str, str]:
    return {
        "day": row.day,
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
