"""`models` and `estimate` on a terminal: tables that fit it, grouped by provider, with the best price marked."""

from collections.abc import Sequence
from decimal import Decimal
from typing import get_args

from rich.text import Text

from ltx_mcp.cli.output.screen import make_console, make_table, piece
from ltx_mcp.cli.output.text import spoken
from ltx_mcp.domain.arguments import Resolution
from ltx_mcp.domain.catalog import Limit, NumberChoices, Numbers, OfferSpec, ProviderSpec
from ltx_mcp.domain.plan import PREVIEW_PROVIDER, Catalog
from ltx_mcp.domain.price import to_text
from ltx_mcp.presentation.result_models import Estimate, Quote

SHORT = {"text_to_video": "text", "image_to_video": "image", "audio_to_video": "audio"}
SIZES = get_args(Resolution)
NAMES = ("model", "kind", "seconds", "fps", "resolution", "usd/s")
FEW = 4
PREVIEW = "a preview drawn on this machine, not LTX"


def draw_models(market: Catalog) -> None:
    """What each provider makes, of what, within which limits, and what stands in the way."""
    console = make_console()
    rows = {facts.name: _rows(facts) for facts in market.providers}
    every = [NAMES, *(row for each in rows.values() for row in each)]
    widths = [max(len(row[column]) for row in every) for column in range(len(NAMES))]
    for name, offered in rows.items():
        standing = market.standings[name]
        ready = Text("ready", "green") if standing.usable else piece(console, standing.unavailable_reason, "yellow")
        table = make_table(console, *NAMES)
        for column, width in zip(table.columns, widths, strict=True):
            column.min_width = width
        for row in offered:
            table.add_row(*(piece(console, cell) for cell in row))
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
    """What a second costs here, from the least to the most."""
    rates = [rate for label, rate in row.price.usd_per_second.items() if label in (limit.resolution or SIZES)]
    rates += [tier.usd_per_second for tier in row.price.pixel_tiers]
    ends = dict.fromkeys(map(to_text, (min(rates, default=Decimal()), max(rates, default=Decimal()))))
    return "-".join(ends)


def draw_estimate(found: Estimate, count: int) -> None:
    """Quotes with the best one marked, those that cannot be used now dimmed with the reason, then who has no offer."""
    console = make_console()
    names = ["provider", "model", "usd", *(["total"] if count > 1 else []), "note"]
    table = make_table(console, *names)
    best = _best(found.quotes)
    for quote in found.quotes:
        cells = [quote.provider, quote.model, to_text(quote.cost_usd), to_text(quote.total_usd)]
        note = _note(quote, quote is best)
        style = "bold green" if quote is best else "" if quote.usable else "dim"
        table.add_row(*(piece(console, each, style) for each in [*cells[: len(names) - 1], note]))
    for refused in found.refused:
        cells = [refused.provider, refused.model, *[""] * (len(names) - 3), spoken(refused.reason)]
        table.add_row(*(piece(console, each, "dim") for each in cells))
    console.print(table)
    if dates := sorted({quote.as_of for quote in found.quotes}):
        console.print(Text(f"Prices as of {', '.join(dates)}; --json names where each comes from.", "dim"))


def _best(quotes: Sequence[Quote]) -> Quote | None:
    """The cheapest that could be ordered now and is no preview."""
    real = [quote for quote in quotes if quote.usable and quote.provider != PREVIEW_PROVIDER]
    return min(real, key=lambda quote: quote.most_usd, default=None)


def _note(quote: Quote, is_best: bool) -> str:
    parts = [
        "cheapest" if is_best else "",
        PREVIEW if quote.provider == PREVIEW_PROVIDER else "",
        f"for {quote.billed}" if quote.billed else "",
        f"at most {to_text(quote.most_usd)} each" if quote.most_usd > quote.cost_usd else "",
        f"{quote.credits} credits each" if quote.credits else "",
        spoken(quote.why_not) if quote.why_not else "",
    ]
    return "; ".join(filter(None, parts))
