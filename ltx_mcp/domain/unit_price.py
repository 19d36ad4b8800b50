"""A provider's own unit price, from its price call: when it is believed, and what it changes; pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from ltx_mcp.domain.catalog import OfferSpec, PixelTier, Price, PriceReading
from ltx_mcp.domain.measured import shortest_of
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import Quantity, highest_price, make_price

SECOND_UNITS = frozenset({"second", "seconds", "sec", "s"})
MEGAPIXEL_UNITS = frozenset({"megapixel", "megapixels", "mp"})
MIN_FACTOR, MAX_FACTOR = Decimal("0.5"), Decimal(2)
"""A figure further below the row's lowest, or above its highest, is regarded as the price of something else."""
CENT = Decimal("0.01")
UNITS_DIFFER = Decimal("0.05")
SPARE_S = 1
"""More seconds than ordered that may be charged: files have a frame or two more, and longer audio."""


@dataclass(frozen=True)
class UnitPrice:
    """What the call returned for one endpoint. `is_confirmed`: a charge has shown since that this unit is a second."""

    unit: str
    currency: str
    amount: Decimal
    read_at: datetime
    is_confirmed: bool = False

    @property
    def is_per_second(self) -> bool:
        """Whether it is USD per second."""
        return self._is_usd and self._unit in SECOND_UNITS

    @property
    def is_cent(self) -> bool:
        """Whether the units are US cents, as fal counts LTX-2.5: they say what is charged, and nothing of prices."""
        return self._is_usd and self.amount == CENT

    def fits(self, price: PriceReading) -> bool:
        """Whether it is USD for the unit that this price is for."""
        if price.usd_per_megapixel is None:
            return self.is_per_second
        return self._is_usd and self._unit in MEGAPIXEL_UNITS

    @property
    def _unit(self) -> str:
        return self.unit.strip().lower()

    @property
    def _is_usd(self) -> bool:
        return self.currency.strip().upper() == "USD"


UnitPrices = Mapping[tuple[str, str], UnitPrice]
"""By provider and endpoint."""


def base_usd(price: PriceReading) -> Decimal:
    """USD per second at the row's smallest size, to which price calls refer: they know no sizes. Or per megapixel."""
    if price.usd_per_megapixel is not None:
        return price.usd_per_megapixel
    if price.pixel_tiers:
        return price.pixel_tiers[0].usd_per_second
    return price.usd_per_second[min(price.usd_per_second, key=lambda size: int(size.removesuffix("p")))]


def believed_usd(row: OfferSpec, reported: UnitPrice | None) -> Decimal | None:
    """USD per unit of the row's price, at its smallest size, as its provider reports it; None if nothing credible was
    reported, and for rows of the operator, which no call changes."""
    if reported is None or row.is_operators or not reported.fits(row.price):
        return None
    lowest = base_usd(row.price)
    highest = base_usd(row.price.at_most or row.price)
    return reported.amount if lowest * MIN_FACTOR <= reported.amount <= highest * MAX_FACTOR else None


def with_unit_price(row: OfferSpec, reported: UnitPrice | None) -> OfferSpec:
    """The row with the reported price as its higher reading; its quote stays. What may be charged rises with the
    report, and falls with it only if a charge has confirmed the unit; never below the quote."""
    usd = believed_usd(row, reported)
    if reported is None or usd is None:
        return row
    price = row.price
    now = price.at_most or price
    before = price if reported.is_confirmed else now
    reading = PriceReading(
        as_of=reported.read_at.date(),
        source="the provider's price call",
        usd_per_second={
            size: max(before.usd_per_second[size], _scaled(usd, rate, price))
            for size, rate in price.usd_per_second.items()
        },
        pixel_tiers=_raised_tiers(price, before, usd),
        usd_per_megapixel=None if before.usd_per_megapixel is None else max(before.usd_per_megapixel, usd),
    )
    if _rates(reading) == _rates(now):
        return row
    return row.model_copy(update={"price": price.model_copy(update={"at_most": reading})})


def raised(offer: Offer, row: OfferSpec, reported: UnitPrice | None) -> Offer:
    """The offer with what would be reserved now, if that is more than when it was placed; it never gets cheaper."""
    price = with_unit_price(row, reported).price
    highest = highest_price(price, replace(_quantity(offer), spare_frames=row.spare_frames))
    return replace(offer, highest_usd=highest) if highest is not None and highest > offer.at_most_usd else offer


def charge_of(offer: Offer, row: OfferSpec, reported: UnitPrice | None, units: Decimal) -> Decimal | None:
    """USD for the units that a provider counted, by its own price; None if that is not known or credible."""
    if reported is None or row.is_operators or not units.is_finite() or units < 0:
        return None
    if reported.is_cent:
        return _charge_in_cents(offer, row, units)
    usd = believed_usd(row, reported)
    if usd is None:
        return None
    if row.price.usd_per_megapixel is None:
        return _charge_of_seconds(offer, row, usd, units)
    most = replace(_quantity(offer), frames=(offer.frames or 0) + row.spare_frames + SPARE_S * offer.fps)
    return usd * units if units <= most.megapixels else None


def _charge_in_cents(offer: Offer, row: OfferSpec, units: Decimal) -> Decimal | None:
    """USD where the units can be nothing but cents: they are about the price of the order."""
    least = offer.cost_of(shortest_of(offer, row)) if offer.auto_duration else offer.cost_usd
    usd = units * CENT
    return usd if least * (1 - UNITS_DIFFER) <= usd <= offer.at_most_usd * (1 + UNITS_DIFFER) else None


def _charge_of_seconds(offer: Offer, row: OfferSpec, usd: Decimal, units: Decimal) -> Decimal | None:
    """Assumed, as no page says it: a unit is a second of the ordered size; if there are more units than seconds, a
    larger size counts as more units. If there are even more, no charge can be stated."""
    rate = make_price(row.price, replace(_quantity(offer), seconds=Decimal(1)))
    if rate is None:
        return None
    longest = offer.billed + SPARE_S
    if units <= longest:
        return _scaled(usd, rate, row.price) * units
    return usd * units if units <= _scaled(longest, rate, row.price) else None


def confirms_seconds(offer: Offer, units: Decimal) -> bool:
    """Whether the units counted for a finished order must be its seconds."""
    return units.is_finite() and abs(units - offer.billed) <= offer.billed * UNITS_DIFFER


def _quantity(offer: Offer) -> Quantity:
    return Quantity(offer.billed, offer.resolution, offer.width * offer.height, offer.frames or 0)


def _rates(reading: PriceReading) -> tuple[object, ...]:
    return reading.usd_per_second, reading.pixel_tiers, reading.usd_per_megapixel


def _raised_tiers(price: Price, before: PriceReading, usd: Decimal) -> tuple[PixelTier, ...]:
    return tuple(
        PixelTier(usd_per_second=max(was.usd_per_second, _scaled(usd, tier.usd_per_second, price)), up_to=tier.up_to)
        for was, tier in zip(before.pixel_tiers, price.pixel_tiers, strict=True)
    )


def _scaled(amount: Decimal, rate: Decimal, price: Price) -> Decimal:
    """An amount at the smallest size, converted to the size of this rate."""
    base = base_usd(price)
    return amount * rate / base if base else amount
