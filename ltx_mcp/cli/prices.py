"""`estimate` and `models`: what a video would cost, and what there is."""

import json
from typing import Any

import click
from pydantic import ValidationError

from ltx_mcp.cli.common import told
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.plan import make_offers
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.request import EstimateCost, to_request
from ltx_mcp.server.edge import read_edge


@click.command()
@click.option("--operation", default="text_to_video", show_default=True)
@click.option("--duration", default="6", show_default=True, help="Seconds.")
@click.option("--resolution", default="1080p", show_default=True)
@click.option("--aspect-ratio", default="16:9", show_default=True)
@click.option("--fps", default="25", show_default=True)
@click.option("--count", default="1", show_default=True, help="How many such videos.")
@click.option("--json", "as_json", is_flag=True)
def estimate(count: str, as_json: bool, **options: Any) -> None:
    """Show what a video would cost at each provider."""
    with told():
        try:
            arguments = EstimateCost.model_validate({"count": count, **options})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise CallerError(ErrorCode.INVALID_REQUEST, f"{first['loc'][0]}: {first['msg']}.") from error
        _, market = read_edge()
        plan = make_offers(to_request(arguments), (), market)
    rows = [(offer, "") for offer in plan.offers] + list(plan.unusable)
    table = [
        {
            "provider": offer.provider,
            "model": offer.model,
            "cost_usd": to_text(offer.cost_usd),
            "total_usd": to_text(offer.cost_usd * arguments.count),
            "note": why or f"as of {offer.as_of}",
        }
        for offer, why in rows
    ] + [{"provider": no.provider, "model": no.model, "note": no.reason} for no in plan.refused]
    _print(table, as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True)
def models(as_json: bool) -> None:
    """Show what can be ordered, and what each provider needs."""
    with told():
        _, market = read_edge()
    table = [
        {
            "provider": facts.name,
            "model": row.model,
            "operation": row.operation,
            "duration": "; ".join(str(limit.duration) for limit in row.limits),
            "usable": market.standings[facts.name].why_not or "yes",
        }
        for facts in market.providers
        for row in facts.offer
    ]
    _print(table, as_json)


def _print(table: list[dict[str, str]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(table))
        return
    from rich.console import Console
    from rich.table import Table

    names = list(dict.fromkeys(name for row in table for name in row))
    shown = Table(*names)
    for row in table:
        shown.add_row(*(row.get(name, "") for name in names))
    Console().print(shown)
