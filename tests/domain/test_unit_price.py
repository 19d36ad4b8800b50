"""What is believed of a provider's own prices, what it makes of what may be charged, and the charge by its units."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.catalog import OfferSpec, PixelTier, Price, PriceReading
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import Catalog, make_offers
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.request import to_request
from ltx_mcp.domain.unit_price import UnitPrice, charge_of, confirms_seconds, with_unit_price
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.providers.bench import lookup_in

AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
FAST = "fal-ai/ltx-2.3/text-to-video/fast"
FAL = next(facts for facts in read_providers() if facts.name == "fal")
ROW = next(row for row in FAL.offer if row.endpoint == FAST)
LONGER = next(row for row in FAL.offer if row.operation == "extend")


def unit_price(amount: str, unit: str = "second", currency: str = "USD", *, confirmed: bool = False) -> UnitPrice:
    return UnitPrice(unit, currency, Decimal(amount), AT, confirmed)


def offer(price: UnitPrice | None = None, catalog: Catalog | None = None, **asked: Any) -> Offer:
    """fal's fast offer, planned with what its price call said."""
    catalog = catalog or make_catalog((FAL,), (), lookup_in({"FAL_KEY": "a:b"}))
    catalog = replace(catalog, unit_prices={("fal", FAST): price} if price else {})
    arguments = GenerateVideo(prompt="a pond", provider="fal", model="ltx-2.3-fast", **asked)
    plan = make_offers(to_request(arguments), (), catalog)
    return plan.offers[0]


def money(price: UnitPrice | None, **asked: Any) -> tuple[Decimal, Decimal]:
    made = offer(price, **asked)
    return made.cost_usd, made.at_most_usd


# -- what is held ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["second", "Seconds", "sec", " s "])
def test_a_higher_price_a_second_raises_what_may_be_charged_and_not_the_quote(unit: str) -> None:
    assert money(None) == (Decimal("0.24"), Decimal("0.36"))
    assert money(unit_price("0.07", unit)) == (Decimal("0.24"), Decimal("0.42"))


def test_the_other_sizes_scale_as_in_the_row() -> None:
    assert money(unit_price("0.07"), resolution="2160p") == (Decimal("0.96"), Decimal("1.68"))


@pytest.mark.parametrize(
    "price",
    [
        unit_price("0.12001"),  # above twice the highest reading, 0.06
        unit_price("0.01999"),  # below half of the lowest, 0.04
        unit_price("0.09", "megapixel"),
        unit_price("0.09", "video"),
        unit_price("0.09", ""),
        unit_price("0.09", currency="EUR"),
    ],
)
def test_what_is_not_believed_changes_nothing(price: UnitPrice) -> None:
    assert money(price) == money(replace(price, is_confirmed=True)) == money(None)


@pytest.mark.parametrize("amount", ["0.12", "0.02"])
def test_the_bounds_themselves_are_believed(amount: str) -> None:
    assert money(unit_price(amount, confirmed=True))[1] == max(Decimal("0.24"), Decimal(amount) * 6)


@pytest.mark.parametrize(
    ("amount", "confirmed", "most"),
    [
        ("0.05", False, "0.36"),
        ("0.05", True, "0.30"),
        ("0.04", True, "0.24"),
        ("0.03", True, "0.24"),  # the page's quote is the least
        ("0.07", True, "0.42"),
    ],
)
def test_a_lower_price_counts_only_when_a_charge_has_confirmed_the_unit(
    amount: str, confirmed: bool, most: str
) -> None:
    assert money(unit_price(amount, confirmed=confirmed)) == (Decimal("0.24"), Decimal(most))


def test_a_row_of_the_operators_own_beats_what_the_provider_tells() -> None:
    row = ROW.model_copy(update={"is_operators": True})
    assert with_unit_price(row, unit_price("0.07")) is row
    assert charge_of(offer(), row, unit_price("0.06"), Decimal(6)) is None


def test_a_price_that_knows_no_sizes_rises_in_each_tier() -> None:
    raised = with_unit_price(LONGER, unit_price("0.12")).price
    assert raised.at_most is not None
    assert [tier.usd_per_second for tier in raised.at_most.pixel_tiers] == [Decimal("0.12")]
    tiers = (PixelTier(usd_per_second=Decimal("0.02"), up_to=921_600), PixelTier(usd_per_second=Decimal("0.05")))
    two = LONGER.model_copy(update={"price": LONGER.price.model_copy(update={"pixel_tiers": tiers})})
    raised = with_unit_price(two, unit_price("0.03")).price
    assert raised.at_most is not None
    assert [tier.usd_per_second for tier in raised.at_most.pixel_tiers] == [Decimal("0.03"), Decimal("0.075")]


def test_a_second_reading_of_tiers_names_each_of_them() -> None:
    source: dict[str, Any] = {"as_of": "2026-11-28", "source": "x"}
    tiers = (PixelTier(usd_per_second=Decimal("0.02")),)
    Price(**source, pixel_tiers=tiers, at_most=PriceReading(**source, pixel_tiers=tiers))
    lower = (PixelTier(usd_per_second=Decimal("0.01")),)
    for wrong in (PriceReading(**source), PriceReading(**source, pixel_tiers=lower)):
        with pytest.raises(ValueError, match="at_most"):
            Price(**source, pixel_tiers=tiers, at_most=wrong)


# -- the charge -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "size", "units", "charged"),
    [
        ("0.06", "1080p", "6", "0.36"),
        ("0.06", "1080p", "6.029333", "0.36175998"),
        ("0.04", "1080p", "3", "0.12"),
        ("0.06", "1080p", "0", "0"),
        ("0.06", "2160p", "6", "1.44"),  # seconds, at the price of their size
        ("0.06", "2160p", "24", "1.44"),  # or counted by size
        ("0.06", "1080p", "24", None),
        ("0.06", "2160p", "99", None),
        ("0.06", "1080p", "-1", None),
        ("0.5", "1080p", "6", None),  # a price that is not believed
    ],
)
def test_the_charge_is_the_units_by_the_providers_own_price(
    amount: str, size: str, units: str, charged: str | None
) -> None:
    found = charge_of(offer(resolution=size), ROW, unit_price(amount), Decimal(units))
    assert found == (None if charged is None else Decimal(charged))


def test_where_no_price_is_known_no_charge_is_claimed() -> None:
    assert charge_of(offer(), ROW, None, Decimal(6)) is None


@pytest.mark.parametrize(
    ("units", "confirms"), [("6", True), ("6.3", True), ("5.7", True), ("6.31", False), ("3", False)]
)
def test_units_within_a_twentieth_of_the_seconds_are_seconds(units: str, confirms: bool) -> None:
    assert confirms_seconds(offer(), Decimal(units)) is confirms


def test_what_does_not_divide_evenly_is_whole_micro_dollars_in_the_books() -> None:
    row: OfferSpec = ROW.model_copy(
        update={
            "price": ROW.price.model_copy(
                update={"usd_per_second": {"720p": Decimal("0.03"), "1080p": Decimal("0.07")}, "at_most": None}
            )
        }
    )
    found = charge_of(offer(), row, unit_price("0.04"), Decimal("6"))
    assert found is not None
    assert to_micro(found) == 560_000


# -- units that are no seconds --------------------------------------------------------------------------------------

OPEN = next(row for row in FAL.offer if row.endpoint == "fal-ai/ltx-2.3-22b/text-to-video")
FAST_25 = next(row for row in FAL.offer if row.endpoint == "lightricks/ltx-2.5/text-to-video/fast")


def planned(row: OfferSpec, **asked: Any) -> Offer:
    """fal's offer of a row."""
    catalog = make_catalog((FAL,), (), lookup_in({"FAL_KEY": "a:b"}))
    arguments = GenerateVideo(prompt="a pond", provider="fal", model=row.model, **asked)
    return make_offers(to_request(arguments), (), catalog).offers[0]


@pytest.mark.parametrize("unit", ["megapixel", "Megapixels", " MP "])
def test_a_price_by_the_megapixel_is_raised_by_that_of_a_megapixel(unit: str) -> None:
    raised = with_unit_price(OPEN, unit_price("0.002", unit)).price
    assert raised.at_most is not None
    assert (raised.usd_per_megapixel, raised.at_most.usd_per_megapixel) == (Decimal("0.001605"), Decimal("0.002"))


@pytest.mark.parametrize("unit", ["second", "", "compute second", "video", "image"])
def test_a_price_by_the_megapixel_is_raised_by_no_other_unit(unit: str) -> None:
    assert with_unit_price(OPEN, unit_price("0.002", unit)) is OPEN
    assert charge_of(planned(OPEN), OPEN, unit_price("0.001605", unit), Decimal(320)) is None


@pytest.mark.parametrize(
    ("units", "charged"), [("320", "0.5136"), ("319.6", "0.512958"), ("372", "0.59706"), ("373", None)]
)
def test_megapixels_are_charged_as_far_as_they_can_be_those_of_the_order(units: str, charged: str | None) -> None:
    found = charge_of(planned(OPEN), OPEN, unit_price("0.001605", "megapixel"), Decimal(units))
    assert found == (None if charged is None else Decimal(charged))


@pytest.mark.parametrize(
    ("asked", "units", "charged"),
    [
        ({"resolution": "720p"}, "54", "0.54"),
        ({"resolution": "720p"}, "51", None),  # further from the price than files are from their order
        ({"resolution": "720p"}, "57", None),
        ({"resolution": "720p"}, "6", None),  # seconds after all
        ({"resolution": "720p", "duration": "auto"}, "72", "0.72"),
        ({"resolution": "720p", "duration": "auto"}, "200", None),
        ({"resolution": "720p", "duration": "auto"}, "20", None),
    ],
)
def test_cents_are_charged_where_they_are_about_the_price(
    asked: dict[str, Any], units: str, charged: str | None
) -> None:
    found = charge_of(planned(FAST_25, **asked), FAST_25, unit_price("0.01", "unit"), Decimal(units))
    assert found == (None if charged is None else Decimal(charged))
    assert with_unit_price(FAST_25, unit_price("0.01", "unit")) is FAST_25
