"""`estimate` and `models`: what a video would cost, and what there is.

On a terminal in tables that fit it, grouped by provider, with the best price marked.
"""

import sys
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any, get_args

import click

from ltx_mcp.cli.common import open_jobs, report_errors, run
from ltx_mcp.cli.naming import with_full_ids
from ltx_mcp.cli.options import as_json_option, options_of, read_options
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import print_json, print_table, spoken
from ltx_mcp.domain.argument_types import Resolution
from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.catalog import Limit, NumberChoices, Numbers, OfferSpec, ProviderSpec
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.domain.price import to_text
from ltx_mcp.domain.request import PREVIEW_PROVIDER
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.presentation.result_models import Estimate, Quote, RefusedOffer, to_estimate
from ltx_mcp.presentation.result_text import assumed_text

SHORT = {"text_to_video": "text", "image_to_video": "image", "audio_to_video": "audio"}
SIZES = get_args(Resolution)
NAMES = ("model", "kind", "seconds", "fps", "resolution", "usd/s")
FEW = 4
PREVIEW = "a preview drawn on this machine, not LTX"


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
        _draw_estimate(found, count)
    else:
        quotes = [_quote_cells(quote, why=quote.why_not or f"as of {quote.as_of}") for quote in found.quotes]
        print_table([*quotes, *map(_refused_cells, found.refused)])
    if found.next:
        print(spoken(found.next))
    if found.budget.limit_usd is not None:
        left = to_text(found.budget.left_usd or 0.0)
        print(f"Left of today's budget (UTC): {left} of {to_text(found.budget.limit_usd)} USD.")


def _quote_cells(quote: Quote, *marks: str, why: str) -> dict[str, str]:
    """What a quote is for, after `marks` and before `why`."""
    notes = (
        *marks,
        f"for {quote.billed}" if quote.billed else "",
        f"at most {to_text(quote.max_usd)} each" if quote.max_usd > quote.cost_usd else "",
        f"{quote.credits} credits each" if quote.credits else "",
        spoken(why),
    )
    return {
        "provider": quote.provider,
        "model": quote.model,
        "usd": to_text(quote.cost_usd),
        "total": to_text(quote.total_usd),
        "note": "; ".join(filter(None, notes)),
    }


def _refused_cells(refused: RefusedOffer) -> dict[str, str]:
    return {"provider": refused.provider, "model": refused.model, "note": spoken(refused.reason)}


async def _estimate(options: dict[str, Any]) -> tuple[Estimate, int]:
    """The quotes, and for how many videos."""
    arguments = read_options(EstimateCost, "estimate_cost", options)
    async with open_jobs() as jobs:
        plan = await jobs.quotes(await with_full_ids(jobs, arguments), LOCAL)
        supposed = assumed_text(arguments)
        return to_estimate(plan, arguments.count, await jobs.budgets(LOCAL), supposed), arguments.count


@click.command()
@as_json_option
def models(as_json: bool) -> None:
    """Show what can be ordered, and what each provider needs."""
    with report_errors():
        _, catalog = read_edge()
    if as_json:
        print_json(_facts(catalog))
        return
    if is_terminal(sys.stdout):
        _draw_models(catalog)
        return
    print_table(
        [
            _cells(facts.name, row, limit, catalog.availability[facts.name].unavailable_reason or "yes")
            for facts in catalog.providers
            for row in facts.offer
            for limit in row.limits
        ]
    )


def _facts(catalog: Catalog) -> list[dict[str, Any]]:
    """The facts as they are, and whether each provider could be used now."""
    return [
        facts.model_dump(mode="json", by_alias=True)
        | {
            "usable": catalog.availability[facts.name].usable,
            "why_not": catalog.availability[facts.name].unavailable_reason,
        }
        for facts in catalog.providers
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


def _draw_models(catalog: Catalog) -> None:
    """What each provider makes, of what, within which limits, and what stands in the way."""
    from rich.text import Text

    from ltx_mcp.cli.output.screen import make_console, make_table, piece

    console = make_console()
    rows = {facts.name: _rows(facts) for facts in catalog.providers}
    every = [NAMES, *(row for each in rows.values() for row in each)]
    widths = [max(len(row[column]) for row in every) for column in range(len(NAMES))]
    for name, offered in rows.items():
        availability = catalog.availability[name]
        ready = (
            Text("ready", "green") if availability.usable else piece(console, availability.unavailable_reason, "yellow")
        )
        table = make_table(console, NAMES, offered)
        for column, width in zip(table.columns, widths, strict=True):
            column.min_width = width
        console.print(Text.assemble(piece(console, name, "bold"), "  ", ready))
        console.print(table)
        console.print()


def _rows(facts: ProviderSpec) -> list[tuple[str, ...]]:
    """One for each limit of a model, with all that it is the limit of."""
    made: dict[tuple[str, ...], list[str]] = {}
    for row in facts.offer:
        for limit in row.limits:
            made.setdefault((row.model, *_limit(limit), _rate(row, limit)), []).append(row.operation)
    return [
        (model, ", ".join(SHORT.get(each, each) for each in operations), *cells)
        for (model, *cells), operations in made.items()
    ]


def _limit(limit: Limit) -> tuple[str, str, str]:
    fps = " ".join(map(str, limit.fps)) or "as given"
    at = sorted(map(SIZES.index, limit.resolution))
    is_row = len(at) > 1 and at == list(range(at[0], at[-1] + 1))
    sizes = f"{SIZES[at[0]]}-{SIZES[at[-1]]}" if is_row else ", ".join(limit.resolution)
    return _seconds(limit.duration), fps, sizes or "as given"


def _seconds(numbers: Numbers) -> str:
    """An even row of numbers by its first two and its last."""
    if not isinstance(numbers, NumberChoices):
        return f"{numbers.low}, {numbers.low + numbers.step} … {numbers.high}" if numbers.step else str(numbers)
    steps = {after - before for before, after in zip(numbers.values, numbers.values[1:], strict=False)}
    first, *_, last = shown = [format(value, "f") for value in numbers.values]
    return f"{first}, {shown[1]} … {last}" if len(shown) >= FEW and len(steps) == 1 else str(numbers)


def _rate(row: OfferSpec, limit: Limit) -> str:
    """What a second costs here, from the least to the most; or a megapixel."""
    if row.price.usd_per_megapixel is not None:
        return f"{to_text(row.price.usd_per_megapixel)} a megapixel"
    rates = [rate for label, rate in row.price.usd_per_second.items() if label in (limit.resolution or SIZES)]
    rates += [tier.usd_per_second for tier in row.price.pixel_tiers]
    ends = dict.fromkeys(map(to_text, (min(rates, default=Decimal()), max(rates, default=Decimal()))))
    return "-".join(ends)


def _draw_estimate(found: Estimate, count: int) -> None:
    """Quotes with the best one marked, those that cannot be used now dimmed with the reason, then who has no offer."""
    from rich.text import Text

    from ltx_mcp.cli.output.screen import make_console, make_table

    console = make_console()
    names = ["provider", "model", "usd", *(["total"] if count > 1 else []), "note"]
    best, rows = _best(found.quotes), []
    for quote in found.quotes:
        style = "bold green" if quote is best else "" if quote.usable else "dim"
        marks = ("cheapest" if quote is best else "", PREVIEW if quote.provider == PREVIEW_PROVIDER else "")
        rows.append((_quote_cells(quote, *marks, why=quote.why_not or ""), style))
    rows += [(_refused_cells(refused), "dim") for refused in found.refused]
    console.print(
        make_table(console, names, ([(cells.get(name, ""), style) for name in names] for cells, style in rows))
    )
    if dates := sorted({quote.as_of for quote in found.quotes}):
        console.print(Text(f"Prices as of {', '.join(dates)}; --json names where each comes from.", "dim"))


def _best(quotes: Sequence[Quote]) -> Quote | None:
    """The cheapest that could be ordered now and is no preview."""
    real = [quote for quote in quotes if quote.usable and quote.provider != PREVIEW_PROVIDER]
    return min(real, key=lambda quote: quote.max_usd, default=None)
