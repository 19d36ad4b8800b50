"""What fal counts for its bill is no second everywhere: cents for LTX-2.5, megapixels for the open weights."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.emulator.emulator_state import EmulatedPrice
from tests.conftest import Emulated
from tests.providers.bench import known_prices, opened, text

pytestmark = pytest.mark.anyio

CLIP = {"prompt": "a pond at dawn", "provider": "fal"}


def _held(job: Job) -> tuple[Decimal, Decimal]:
    return job.offer.cost_usd, job.offer.at_most_usd


@pytest.mark.parametrize(
    ("asked", "charged"),
    [
        ({"model": "ltx-2.5-fast", "resolution": "720p"}, 540_000),  # 54 units of a cent
        ({"model": "ltx-2.5-pro", "duration": 8}, 1_360_000),
        ({"model": "ltx-2.5-fast", "duration": "auto"}, 1_040_000),  # 8 of at most 20 s
        ({"model": "ltx-2.3-open", "resolution": "720p", "fps": 24}, 210_255),  # 131 megapixels
    ],
)
async def test_what_fal_counts_in_cents_or_megapixels_is_charged_as_that(
    home: Path, emulator: Emulated, asked: dict[str, Any], charged: int
) -> None:
    async with opened(home, emulator) as bench:
        await known_prices(bench)
        job = await bench.order(text(**CLIP | asked))
    assert (job.state, job.charged_micro, job.bill) == (State.SUCCEEDED, charged, ChargeState.BOOKED)


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("lightricks/ltx-2.5/text-to-video/fast", EmulatedPrice(0.01, "unit", "EUR")),
        ("lightricks/ltx-2.5/text-to-video/fast", EmulatedPrice(0.1, "unit")),
        ("fal-ai/ltx-2.3-22b/text-to-video", EmulatedPrice(0.001605, "second")),
        ("fal-ai/ltx-2.3-22b/text-to-video", EmulatedPrice(0.002, "compute second")),
    ],
)
async def test_a_unit_that_is_not_that_of_the_row_changes_and_charges_nothing(
    home: Path, emulator: Emulated, endpoint: str, told: EmulatedPrice
) -> None:
    emulator[1].prices[endpoint] = told
    model = "ltx-2.5-fast" if "2.5" in endpoint else "ltx-2.3-open"
    async with opened(home, emulator) as bench:
        plain = (await bench.jobs.quotes(EstimateCost(provider="fal", model=model), "local")).offers[0]
        await known_prices(bench)
        job = await bench.order(text(**CLIP, model=model))
    assert (_held(job), job.charged_micro) == ((plain.cost_usd, plain.at_most_usd), None)


async def test_units_that_are_not_about_the_price_are_no_cents(home: Path, emulator: Emulated) -> None:
    """A unit may be a second after all, or a film of another length."""
    emulator[1].prices["fal-ai/ltx-2.3/text-to-video/fast"] = EmulatedPrice(0.01, "unit")
    async with opened(home, emulator) as bench:
        await known_prices(bench)
        job = await bench.order(text(**CLIP, model="ltx-2.3-fast"))
    assert (_held(job)[1], job.charged_micro) == (Decimal("0.36"), None)
