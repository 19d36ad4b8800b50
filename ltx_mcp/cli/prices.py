"""`estimate` and `models`: what a video would cost, and what there is."""

import sys
from functools import partial
from typing import Any

import click

from ltx_mcp.cli.common import open_jobs, report_errors, run
from ltx_mcp.cli.naming import with_full_ids
from ltx_mcp.cli.options import as_json_option, options_of, read_options
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import print_json, print_table, spoken
from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.catalog import Limit, OfferSpec
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.price import to_text
from ltx_mcp.presentation.config import CALLER, read_edge
from ltx_mcp.presentation.result_models import Estimate, Quote, to_estimate
from ltx_mcp.presentation.result_text import supposed_text


@click.command()
@options_of(EstimateCost)
@as_json_option
def estimate(as_json: bool, **options: Any) -> None:
    """Show what a video would cost at each provider."""
    found, count = run(partial(_estimate, options))
    if as_json:
        print_json(found.to_wire())
        return
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.offers import draw_estimate

        draw_estimate(found, count)
    else:
        refused = [
            {"provider": each.provider, "model": each.model, "note": spoken(each.reason)} for each in found.refused
        ]
        print_table([*map(_quoted, found.quotes), *refused])
    if found.next:
        print(spoken(found.next))
    if found.budget.limit_usd is not None:
        left = to_text(found.budget.left_usd or 0.0)
        print(f"Left of today's budget (UTC): {left} of {to_text(found.budget.limit_usd)} USD.")


def _quoted(quote: Quote) -> dict[str, str]:
    parts = (
        f"for {quote.billed}" if quote.billed else "",
        f"at most {to_text(quote.most_usd)} each" if quote.most_usd > quote.cost_usd else "",
        f"{quote.credits} credits each" if quote.credits else "",
        spoken(quote.why_not or f"as of {quote.as_of}"),
    )
    return {
        "provider": quote.provider,
        "model": quote.model,
        "usd": to_text(quote.cost_usd),
        "total": to_text(quote.total_usd),
        "note": "; ".join(filter(None, parts)),
    }


async def _estimate(options: dict[str, Any]) -> tuple[Estimate, int]:
    """The quotes, and for how many videos."""
    arguments = read_options(EstimateCost, "estimate_cost", options)
    async with open_jobs() as jobs:
        plan = await jobs.quotes(await with_full_ids(jobs, arguments), CALLER)
        supposed = supposed_text(arguments)
        return to_estimate(plan, arguments.count, await jobs.budget(), supposed), arguments.count


@click.command()
@as_json_option
def models(as_json: bool) -> None:
    """Show what can be ordered, and what each provider needs."""
    with report_errors():
        _, market = read_edge()
    if as_json:
        print_json(_facts(market))
        return
    if is_terminal(sys.stdout):
        from ltx_mcp.cli.offers import draw_models

        draw_models(market)
        return
    print_table(
        [
            _cells(facts.name, row, limit, market.standings[facts.name].unavailable_reason or "yes")
            for facts in market.providers
            for row in facts.offer
            for limit in row.limits
        ]
    )


def _facts(market: Catalog) -> list[dict[str, Any]]:
    """The facts as they are, and whether each provider could be used now."""
    return [
        facts.model_dump(mode="json", by_alias=True)
        | {"usable": market.standings[facts.name].usable, "why_not": market.standings[facts.name].unavailable_reason}
        for facts in market.providers
    ]


def _cells(provider: str, row: OfferSpec, limit: Limit, usable: str) -> dict[str, str]:
    return {
        "provider": provider,
        "model": row.model,
        "operation": row.operation,
        "seconds": str(limit.duration),
        "fps": ", ".join(map(str, limit.fps)),
        "resolution": ", ".join(limit.resolution),
        "usable": usable,
    }
