"""Money: Decimal in calculations, integer micro-dollars in the store, a JSON number of at most six decimals outside."""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from ltx_mcp.domain.catalog import Price, PriceReading

MICRO = Decimal(1_000_000)
MAX_MICRO = Decimal(2**62)


@dataclass(frozen=True)
class Cost:
    """What an order costs: by the table, by its higher reading if there is one, and in credits if a provider has them;
    `credits_usd` is what the integer credits are worth."""

    usd: Decimal
    highest_usd: Decimal | None
    credits: int | None
    credits_usd: Decimal | None


@dataclass(frozen=True)
class Quantity:
    """What is paid for: seconds of a video of `pixels` per frame. `frames` are all of them, where they are counted, and
    `spare_frames` how many more may be charged."""

    seconds: Decimal
    resolution: str
    pixels: int
    frames: int = 0
    spare_frames: int = 0

    @property
    def megapixels(self) -> Decimal:
        """Of all frames together; one that was begun is paid completely."""
        return (self.pixels * self.frames / MICRO).to_integral_value(ROUND_CEILING)


def make_cost(price: Price, quantity: Quantity, usd_per_credit: Decimal | None) -> Cost | None:
    """What this much costs; None if the table has no price for it."""
    usd = make_price(price, quantity)
    if usd is None:
        return None
    credits = None if usd_per_credit is None else int((usd / usd_per_credit).to_integral_value(ROUND_CEILING))
    worth = None if credits is None or usd_per_credit is None else credits * usd_per_credit
    return Cost(usd, highest_price(price, quantity), credits, worth)


def why_no_price(price: Price, width: int, height: int) -> str:
    """Why the table has none for this size; empty where the size itself is not offered."""
    if price.usd_per_megapixel is not None:
        return "The price is by frames, and how many the video has is not known."
    largest = max((tier.up_to or 0 for tier in price.pixel_tiers), default=0)
    return f"No price is known for {width}x{height}, only up to {largest:,} pixels." if largest else ""


def make_price(price: PriceReading, quantity: Quantity) -> Decimal | None:
    """USD for this much; None if the table has no price for it."""
    if price.usd_per_megapixel is not None:
        return quantity.megapixels * price.usd_per_megapixel if quantity.frames > 0 else None
    for tier in price.pixel_tiers:
        if tier.up_to is None or quantity.pixels <= tier.up_to:
            return tier.usd_per_second * quantity.seconds
    rates = {str(label): rate for label, rate in price.usd_per_second.items()}
    return rates[quantity.resolution] * quantity.seconds if quantity.resolution in rates else None


def highest_price(price: Price, quantity: Quantity) -> Decimal | None:
    """USD for the most that may be counted, by the higher reading; None if neither is more."""
    if price.at_most is None and not quantity.spare_frames:
        return None
    most = replace(quantity, frames=quantity.frames + quantity.spare_frames)
    return make_price(price.at_most or price, most)


def to_micro(usd: Decimal) -> int:
    """Micro-dollars, rounded up: a budget never reserves less than what may be charged."""
    return int((usd * MICRO).to_integral_value(ROUND_CEILING))


def floor_micro(usd: Decimal) -> int:
    """Micro-dollars of a limit, rounded down so that no price above it fits; at most MAX_MICRO, which databases can
    store."""
    return int(min(usd * MICRO, MAX_MICRO).to_integral_value(ROUND_FLOOR))


def from_micro(micro: int) -> Decimal:
    """USD of micro-dollars."""
    return Decimal(micro) / MICRO


def to_wire(usd: Decimal) -> float:
    """USD as a JSON number with at most six decimals."""
    return float(round(usd, 6))


def price_text(cost: Decimal, at_most: Decimal | None = None) -> str:
    """A price for a person, with what may be charged if that is more: `0.24 USD`, `0.24 USD, at most 0.36`."""
    return f"{to_text(cost)} USD" + (f", at most {to_text(at_most)}" if at_most is not None and at_most > cost else "")


def to_text(usd: Decimal | float) -> str:
    """USD for a person, with at least two decimals: 0.20, 1.152, 0.00."""
    exact = usd if isinstance(usd, Decimal) else Decimal(repr(usd))
    integer, _, decimals = format(exact.normalize(), "f").partition(".")
    return f"{integer}.{decimals:0<2}"
