"""fal's price call over a real socket: when it is asked, what an order then holds, what its charge is, odd replies."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.unit_price import UnitPrice, base_usd
from ltx_mcp.emulator.emulator_state import EmulatedPrice, EmulatorState, Fault
from ltx_mcp.emulator.fal.endpoints import ENDPOINTS
from ltx_mcp.providers.base import SupportsPricing
from ltx_mcp.providers.catalog_loader import can_serve, read_addresses, read_providers
from tests.conftest import Emulated
from tests.patience import HANG_S
from tests.providers.adapted import adapters_at
from tests.providers.bench import FACTOR, Bench, catalog_of, known_prices, lookup_in, opened, text

pytestmark = pytest.mark.anyio

FAST = "fal-ai/ltx-2.3/text-to-video/fast"
API = "LTX_MCP_FAL_API_URL"
FAL = next(facts for facts in read_providers() if facts.name == "fal")
QUEUE = {"FAL_KEY": "a:b", "LTX_MCP_FAL_QUEUE_URL": "https://gateway.example"}
OVERLAY = """
name = "fal"
[[offer]]
model = "ltx-2.3-fast"
operation = "text_to_video"
endpoint = "fal-ai/ltx-2.3/text-to-video/fast"
limits = [{ duration = [6], fps = [25], resolution = ["1080p"] }]
aspect_ratio = ["16:9"]
price = { as_of = "2026-11-28", source = "our contract", usd_per_second = { 1080p = "0.035" } }
"""


@asynccontextmanager
async def priced(home: Path, emulator: Emulated, told: EmulatedPrice, **options: Any) -> AsyncIterator[Bench]:
    """An open home that has read this price of the fast model."""
    emulator[1].prices[FAST] = told
    async with opened(home, emulator, **options) as bench:
        await known_prices(bench)
        yield bench


def fast(**asked: Any) -> Any:
    return text(provider="fal", model="ltx-2.3-fast", **asked)


def held(job: Job) -> tuple[Decimal, Decimal]:
    return job.offer.cost_usd, job.offer.at_most_usd


def prices_asked(world: EmulatorState) -> int:
    return sum(call.step == "prices" for call in world.calls)


# -- who is asked -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "asked"),
    [
        ({"FAL_KEY": "a:b"}, "https://api.fal.ai"),
        ({"FAL_KEY": "a:b", "LTX_MCP_FAL_QUEUE_URL": "https://queue.fal.run/"}, "https://api.fal.ai"),
        (QUEUE, None),
        (QUEUE | {API: ""}, None),
        (QUEUE | {API: "https://prices.example/v1"}, "https://prices.example"),
    ],
)
def test_the_price_call_goes_to_fal_where_the_queue_is_fals_own_or_to_where_it_is_set(
    env: Mapping[str, str], asked: str | None
) -> None:
    assert read_addresses(FAL, lookup_in(env)).get("api") == asked
    assert can_serve(FAL, lookup_in(env))


def test_an_overlay_without_its_address_switches_it_off() -> None:
    off = 'name = "fal"\nurl_default = { queue = "https://queue.fal.run", rest = "https://rest.fal.ai" }'
    catalog = catalog_of({"FAL_KEY": "a:b"}, overlay=off)
    assert catalog.availability["fal"].usable
    assert "api" not in read_addresses(catalog.facts("fal"), lookup_in({"FAL_KEY": "a:b"}))


async def test_an_address_for_prices_elsewhere_makes_the_queue_no_stranger(emulator: Emulated) -> None:
    async with adapters_at(emulator[0], {API: "https://prices.example"}) as (adapters, _):
        assert "fal" in adapters.loopback
    async with adapters_at(emulator[0], {API: ""}) as (adapters, _):
        adapter = adapters.by_name["fal"]
        assert isinstance(adapter, SupportsPricing)
        assert not adapter.tells_prices


async def test_only_an_order_makes_it_ask_and_not_again_within_the_hour(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator, factor=1) as bench:
        await bench.jobs.quotes(EstimateCost(), "local")
        assert prices_asked(bench.world) == 0
        jobs = [await bench.place(fast(prompt=f"pond {n}")) for n in range(3)]
        await known_prices(bench)
        for job in jobs:
            await bench.end(job)
        assert prices_asked(bench.world) == 1
        bench.time.turn(3_700)
        await bench.order(fast(prompt="an hour later"))
        with anyio.fail_after(HANG_S):
            while prices_asked(bench.world) < 2:
                await anyio.sleep(0.005)


async def test_an_order_waits_for_no_price_call(home: Path, emulator: Emulated) -> None:
    emulator[1].faults.append(Fault("fal", "prices", "delay", options={"seconds": 3600}))
    async with opened(home, emulator) as bench:
        job = await bench.order(fast())
    assert (job.state, job.charged_micro, job.bill) == (State.SUCCEEDED, None, ChargeState.BOOKED)


async def test_another_process_of_the_database_plans_with_what_one_was_told(home: Path, emulator: Emulated) -> None:
    async with priced(home, emulator, EmulatedPrice(0.07)), opened(home, emulator) as other:
        plan = await other.jobs.quotes(EstimateCost(provider="fal", model="ltx-2.3-fast"), "local")
    assert (plan.offers[0].cost_usd, plan.offers[0].at_most_usd) == (Decimal("0.24"), Decimal("0.42"))
    assert prices_asked(emulator[1]) == 1


# -- what is held and charged ---------------------------------------------------------------------------------------


async def test_what_fal_tells_is_held_charged_and_seen_as_a_drift(home: Path, emulator: Emulated) -> None:
    async with priced(home, emulator, EmulatedPrice(0.07), budget_usd=Decimal(1)) as bench:
        emulator[1].work_s = 3600
        job = await bench.place(fast())
        assert held(job) == (Decimal("0.24"), Decimal("0.42"))
        assert (await bench.jobs.budget()).held == 420_000
        emulator[1].work_s = 0
        job = await bench.end(job)
        assert (job.cost_micro, job.charged_micro) == (240_000, 420_000)
        (drift,) = (await bench.jobs.spend("local")).drifts
        assert (drift.quoted_micro, drift.charged_micro) == (240_000, 420_000)
        assert (await bench.jobs.budget()).booked == 420_000


async def test_where_no_price_is_believed_what_is_held_is_booked_and_no_charge_claimed(
    home: Path, emulator: Emulated
) -> None:
    async with priced(home, emulator, EmulatedPrice(0.05, "megapixel"), budget_usd=Decimal(1)) as bench:
        job = await bench.order(fast())
        assert (held(job), job.charged_micro) == ((Decimal("0.24"), Decimal("0.36")), None)
        assert (await bench.jobs.budget()).booked == 360_000
        assert (await bench.jobs.spend("local")).drifts == ()


async def test_a_lower_price_is_held_once_a_charge_has_confirmed_the_unit(home: Path, emulator: Emulated) -> None:
    async with priced(home, emulator, EmulatedPrice(0.04)) as bench:
        first = await bench.order(fast(prompt="first"))
        second = await bench.order(fast(prompt="second"))
    assert (held(first)[1], held(second)[1]) == (Decimal("0.36"), Decimal("0.24"))
    assert (first.charged_micro, second.charged_micro) == (240_000, 240_000)


async def test_a_film_of_other_seconds_confirms_nothing(home: Path, emulator: Emulated) -> None:
    async with priced(home, emulator, EmulatedPrice(0.04)) as bench:
        emulator[1].faults.append(Fault("fal", "order", "smaller_film"))
        first = await bench.order(fast(prompt="first"))
        second = await bench.place(fast(prompt="second"))
        assert (first.charged_micro, held(second)[1]) == (120_000, Decimal("0.36"))
        await bench.end(second)


async def test_an_overlay_beats_what_fal_tells(home: Path, emulator: Emulated) -> None:
    async with priced(home, emulator, EmulatedPrice(0.06), overlay=OVERLAY) as bench:
        job = await bench.order(fast())
    assert held(job) == (Decimal("0.21"), Decimal("0.21"))
    assert job.charged_micro is None


async def test_an_order_keeps_the_price_of_its_placing(home: Path, emulator: Emulated) -> None:
    async with priced(home, emulator, EmulatedPrice(0.05), budget_usd=Decimal(1)) as bench:
        emulator[1].work_s = 3600
        job = await bench.place(fast())
        emulator[1].prices[FAST] = EmulatedPrice(0.10)
        bench.time.turn(3_700)
        await bench.place(text(provider="local"))
        with anyio.fail_after(HANG_S):
            while prices_asked(bench.world) < 2:
                await anyio.sleep(0.005)
        assert held(await bench.jobs.get(job.id, "local")) == (Decimal("0.24"), Decimal("0.36"))
        assert (await bench.jobs.budget()).held == 360_000
        emulator[1].work_s = 0
        await bench.end(job)


@pytest.mark.parametrize(("amount", "continuation"), [("0.06", True), ("0.07", True), ("0.10", False)])
async def test_a_next_offer_whose_price_has_risen_is_compared_again(
    home: Path, emulator: Emulated, amount: str, continuation: bool
) -> None:
    async with opened(home, emulator, providers=("bytecompute", "fal"), budget_usd=Decimal(1)) as bench:
        await known_prices(bench)
        bench.world.faults += [
            Fault("bytecompute", "submit", "status", options={"status": 429, "retry_after": 50}),
            Fault("bytecompute", "submit", "locked"),
        ]
        bench.time.run(1)
        job = await bench.place(text(max_cost_usd=0.45))
        assert [offer.provider for offer in job.offers][:2] == ["bytecompute", "fal"]
        with anyio.fail_after(HANG_S):
            while "turned_away" not in [each.what for each in await bench.history(job)]:
                await anyio.sleep(0.005)
        book, at = bench.jobs._price_book, bench.time.now()
        await book.run_in_thread(book.keep, "fal", {FAST: UnitPrice("second", "USD", Decimal(amount), at)})
        bench.time.run(FACTOR)
        job = await bench.end(job)
        most = max(Decimal("0.36"), 6 * Decimal(amount))
        if continuation:
            assert (job.state, job.offer.provider, job.offer.at_most_usd) == (State.SUCCEEDED, "fal", most)
            return
        assert (job.state, job.bill, (await bench.jobs.budget()).held) == (State.FAILED, ChargeState.RELEASED, 0)
        assert job.error is not None
        assert (
            "fal (ltx-2.3-fast) was left out. By its newest price it costs 0.24 USD, at most 0.60, more"
            in job.error.message
        )
        assert bench.orders("fal") == []


# -- odd replies ----------------------------------------------------------------------------------------------------


async def reported_by(emulator: Emulated) -> Mapping[str, UnitPrice]:
    """What the price call at the emulator's address brings."""
    async with adapters_at(emulator[0]) as (adapters, _):
        adapter = adapters.by_name["fal"]
        assert isinstance(adapter, SupportsPricing)
        return await adapter.prices()


def said(world: EmulatorState, body: Any, status: int = 200) -> None:
    whole = body if isinstance(body, str) else json.dumps(body)
    world.faults.append(Fault("fal", "prices", "body", options={"body": whole, "status": status}))


def row(amount: Any, **other: Any) -> dict[str, Any]:
    return {"endpoint_id": FAST, "unit_price": amount, "unit": "second", "currency": "USD"} | other


ODD = [
    {},
    [],
    "null",
    "no json",
    {"prices": None},
    {"prices": {"0": row(0.05)}},
    {"prices": []},
    {
        "prices": [
            None,
            1,
            "x",
            [],
            row(None),
            row(True),
            row("NaN"),
            row("-0.05"),
            row(1e9),
            row("0." + "0" * 60 + "5"),
        ]
    },
    json.dumps({"prices": [row(float("inf"))]}),
    {"prices": [row(0.05, endpoint_id=None), row(0.05, unit="s" * 41), row(0.05, currency="$" * 41)]},
    "[" * 100_000,
]


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
async def test_an_odd_reply_tells_no_prices(emulator: Emulated, body: Any) -> None:
    said(emulator[1], body)
    with pytest.raises(ProviderError) as caught:
        await reported_by(emulator)
    assert caught.value.code is ErrorCode.BAD_REPLY


async def test_an_odd_reply_is_one_line_in_the_log_and_changes_nothing(
    home: Path, emulator: Emulated, caplog: pytest.LogCaptureFixture
) -> None:
    said(emulator[1], {"prices": [row(None)]})
    with caplog.at_level(logging.WARNING, "ltx_mcp"):
        async with opened(home, emulator) as bench:
            job = await bench.order(fast())
            with anyio.fail_after(HANG_S):
                while not caplog.records:
                    await anyio.sleep(0.005)
    assert (held(job)[1], job.charged_micro) == (Decimal("0.36"), None)
    (told,) = caplog.records
    assert "fal did not tell its prices" in told.getMessage()


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 503])
async def test_a_refusal_is_an_error_that_shows_no_key(emulator: Emulated, status: int) -> None:
    emulator[1].faults.append(Fault("fal", "prices", "body", options={"body": "{}", "status": status}))
    with pytest.raises(ProviderError) as caught:
        await reported_by(emulator)
    assert "an-emulated-secret" not in str(caught.value)


async def test_of_a_reply_that_is_odd_in_part_the_rest_is_read(emulator: Emulated) -> None:
    other = "fal-ai/ltx-2.3/text-to-video"
    rows = [None, row("0.05", unit=" Seconds ", note=1), row("x", endpoint_id=other), row(1, endpoint_id="other/one")]
    said(emulator[1], {"prices": rows, "has_more": "?"})
    told = await reported_by(emulator)
    assert {endpoint: price.amount for endpoint, price in told.items()} == {FAST: Decimal("0.05")}
    assert told[FAST].is_per_second


async def test_a_body_without_end_is_cut(emulator: Emulated) -> None:
    said(emulator[1], '{"prices": [' + "1," * (3 << 20))
    with pytest.raises(ProviderError) as caught:
        await reported_by(emulator)
    assert caught.value.code is ErrorCode.BAD_REPLY


# -- the emulator ---------------------------------------------------------------------------------------------------


def test_the_emulated_prices_are_those_of_the_model_pages() -> None:
    cent = {row.endpoint: Decimal("0.01") for row in FAL.offer if row.endpoint.startswith("lightricks/")}
    ours = {row.endpoint: base_usd(row.price) for row in FAL.offer} | cent
    assert {name: Decimal(str(each.unit_price)) for name, each in ENDPOINTS.items()} == ours


def test_prices_are_told_to_the_emulator_and_forgotten(emulator: Emulated) -> None:
    url, headers = emulator[0], {"Authorization": "Key 5d0c1f0e-0000-4000-8000-00000000e111:an-emulated-secret"}

    def now() -> Any:
        asked = httpx.get(f"{url}/v1/models/pricing", params={"endpoint_id": FAST}, headers=headers, trust_env=False)
        return asked.json()["prices"][0]

    def tell(**told: Any) -> httpx.Response:
        return httpx.post(f"{url}/control/prices", json={"endpoint": FAST, **told}, trust_env=False)

    usual = row(0.04)
    assert now() == usual
    assert tell(unit_price=0.06).status_code == 200
    assert now() == row(0.06)
    assert tell(unit_price=7, unit="megapixel", currency="EUR").status_code == 200
    assert now() == row(7, unit="megapixel", currency="EUR")
    for wrong in ({"endpoint": "x", "unit_price": 1}, {"unit_price": -1}, {"unit_price": "1"}, {}):
        refused = tell(**wrong)
        assert (refused.status_code, refused.text.startswith("cannot be read")) == (400, True)
    assert httpx.delete(f"{url}/control/prices", trust_env=False).json() == {}
    assert now() == usual


async def test_what_is_emulated_is_found_by_the_settings_it_prints(emulator: Emulated) -> None:
    assert set(await reported_by(emulator)) == set(ENDPOINTS)
