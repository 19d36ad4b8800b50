"""Prices to the cent, as each provider states them, and what `auto` makes of them."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.domain.plan import make_offers
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.providers.bench import (
    REMOTE,
    Ask,
    Bench,
    catalog_of,
    extends,
    image,
    offers,
    opened,
    reframes,
    retakes,
    speaks,
    text,
)
from tests.providers.clips import Clips

pytestmark = pytest.mark.anyio

EVERYTHING = settings("http://127.0.0.1:1")
SIZES = ("720p", "1080p", "1440p", "2160p")
PICTURE = Input(role="image", sha256="a", format="png", size_bytes=9, width=64, height=36)


def usd(provider: str, model: str = "auto", *, picture: bool = False, **asked: Any) -> Decimal:
    """The price of the one offer this leads to."""
    given = {"provider": provider, "model": model, "aspect_ratio": "16:9", **asked}
    request = to_request(image("x.png", **given) if picture else text(**given))
    found = make_offers(request, (PICTURE,) if picture else (), catalog_of(EVERYTHING)).offers
    return next(offer.cost_usd for offer in found if model in ("auto", offer.model))


PER_SECOND = [
    ("fal", "ltx-2.3-fast", False, {"1080p": "0.04", "1440p": "0.08", "2160p": "0.16"}),
    ("fal", "ltx-2.3-pro", False, {"1080p": "0.08", "1440p": "0.16", "2160p": "0.32"}),
    ("fal", "ltx-2.3-fast", True, {"1080p": "0.06", "1440p": "0.12", "2160p": "0.24"}),
    ("fal", "ltx-2.3-pro", True, {"1080p": "0.06", "1440p": "0.12", "2160p": "0.24"}),
    *(
        ("ltx", model, picture, dict(zip(SIZES, rates.split(), strict=True)))
        for picture in (False, True)
        for model, rates in (
            ("ltx-2.5-fast", "0.09 0.13 0.19 0.30"),
            ("ltx-2.5-pro", "0.12 0.17 0.25 0.39"),
            ("ltx-2.3-fast", "0.03 0.06 0.12 0.24"),
            ("ltx-2.3-pro", "0.04 0.08 0.16 0.32"),
        )
    ),
    *(
        ("netwrck", "ltx-2.3", picture, {"1080p": "0.048", "1440p": "0.096", "2160p": "0.192"})
        for picture in (False, True)
    ),
    *(("bytecompute", "ltx-2.3", picture, {"720p": "0.02", "1080p": "0.04"}) for picture in (False, True)),
    *(("local", "preview", picture, dict.fromkeys(SIZES, "0")) for picture in (False, True)),
]


@pytest.mark.parametrize("duration", [6, 8, 10])
@pytest.mark.parametrize(("provider", "model", "picture", "rates"), PER_SECOND)
def test_a_film_costs_its_seconds(
    provider: str, model: str, picture: bool, rates: dict[str, str], duration: int
) -> None:
    found = {size: usd(provider, model, picture=picture, resolution=size, duration=duration) for size in rates}
    assert found == {size: Decimal(rate) * duration for size, rate in rates.items()}


@pytest.mark.parametrize(
    ("duration", "resolution", "price", "credits"),
    [
        (6, "1080p", "0.288", 29),
        (8, "1080p", "0.384", 39),
        (10, "1080p", "0.48", 48),
        (14, "1080p", "0.672", 68),
        (20, "1080p", "0.96", 96),
        (6, "2160p", "1.152", 116),
    ],
)
def test_netwrck_counts_in_whole_credits(duration: int, resolution: str, price: str, credits: int) -> None:
    asked = text(provider="netwrck", duration=duration, resolution=resolution)
    (offer,) = offers(catalog_of(EVERYTHING), asked)
    assert (offer.cost_usd, offer.credits, offer.at_most_usd) == (Decimal(price), credits, Decimal(credits) / 100)


@pytest.mark.parametrize(
    ("resolution", "aspect_ratio", "rate"),
    [
        ("720p", "16:9", "0.02"),  # 1280 x 720 = 921,600 pixels exactly
        ("720p", "9:16", "0.02"),
        ("720p", "1:1", "0.02"),
        ("1080p", "1:1", "0.04"),
        ("1080p", "4:5", "0.04"),
        ("1080p", "16:9", "0.04"),
    ],
)
def test_bytecompute_has_two_tiers_by_pixels(resolution: str, aspect_ratio: str, rate: str) -> None:
    for duration in (4, 5, 10):
        asked: dict[str, Any] = {"duration": duration, "resolution": resolution, "aspect_ratio": aspect_ratio}
        assert usd("bytecompute", **asked) == Decimal(rate) * duration


async def test_a_budget_holds_netwrcks_whole_credits(emulator: tuple[str, EmulatorState], home: Path) -> None:
    async with opened(home, emulator, budget_usd=Decimal("0.289")) as bench:
        with pytest.raises(CallerError) as raised:
            await bench.place(text(provider="netwrck"))
        assert raised.value.code is ErrorCode.OVER_BUDGET


async def test_a_budget_of_29_cents_is_enough_and_ends_with_what_was_charged(
    emulator: tuple[str, EmulatorState], home: Path
) -> None:
    async with opened(home, emulator, budget_usd=Decimal("0.29")) as bench:
        bench.world.faults.append(Fault("netwrck", "submit", "delay", 1, {"seconds": 0.3}))
        job = await bench.place(text(provider="netwrck"))
        assert ((await bench.jobs.budget()).held, job.cost_micro) == (290_000, 288_000)
        job = await bench.end(job)
        budget = await bench.jobs.budget()
        assert (job.state, budget.held, budget.booked, budget.left) == (State.SUCCEEDED, 0, 288_000, 2_000)


# what is made of other media


EDITS: list[tuple[str, str, Ask, str, dict[str, Any], str]] = [
    ("ltx", "ltx-2.5-fast", speaks, "3.5.mp3", {"resolution": "720p"}, "0.09"),
    ("ltx", "ltx-2.5-fast", speaks, "3.5.m4a", {"resolution": "2160p"}, "0.30"),
    ("ltx", "ltx-2.5-pro", speaks, "2.mp3", {"resolution": "1440p"}, "0.25"),
    ("ltx", "ltx-2.3-pro", speaks, "3.5-mp3.wav", {}, "0.10"),
    ("fal", "ltx-2.3-pro", speaks, "3.5.aac", {}, "0.10"),
    ("fal", "ltx-2.5-fast", speaks, "3.5.mp3", {}, "0.13"),
    ("fal", "ltx-2.5-pro", speaks, "2.mp3", {"image": "tall.png"}, "0.17"),
    ("fal", "ltx-2.3-pro", reframes, "wide.mp4", {"resolution": "720p"}, "0.10"),
    ("fal", "ltx-2.3-pro", reframes, "fast.mp4", {"aspect_ratio": "1:1"}, "0.20"),
    ("ltx", "ltx-2.3-pro", reframes, "tall.mp4", {"aspect_ratio": "16:9", "resolution": "720p"}, "0.10"),
    ("ltx", "ltx-2.3-pro", reframes, "silent.mp4", {"aspect_ratio": "4:5"}, "0.20"),
    ("ltx", "ltx-2.3-pro", retakes, "tall.mp4", {}, "0.10"),  # all of it, however short the section
    ("fal", "ltx-2.3-pro", retakes, "full.mp4", {"mode": "replace_audio"}, "0.10"),
    ("ltx", "ltx-2.3-pro", extends, "wide.mp4", {"context": 1}, "0.10"),
    ("ltx", "ltx-2.3-pro", extends, "tall.mp4", {"duration": 2.5}, "0.10"),  # and all of it as context
    ("ltx", "ltx-2.3-pro", extends, "fast.mp4", {"duration": 9}, "0.10"),  # and the 1.1 s that have room
    ("fal", "ltx-2.3-pro", extends, "fast.mp4", {"duration": 8}, "0.10"),
    ("fal", "ltx-2.3-pro", extends, "full.mp4", {"duration": 4, "context": 2.5, "mode": "start"}, "0.10"),
]


@pytest.fixture(scope="module")
async def edits(emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    home = tmp_path_factory.mktemp("edits") / "home"
    async with opened(home, emulated, folders=(Path("/"),)) as made:
        yield made


@pytest.mark.parametrize(("provider", "model", "ask", "name", "changed", "rate"), EDITS)
async def test_what_is_held_is_what_the_provider_counts_at_the_rate_of_its_page(
    edits: Bench,
    clips: Clips,
    provider: str,
    model: str,
    ask: Ask,
    name: str,
    changed: dict[str, Any],
    rate: str,
) -> None:
    edits.world.orders.clear()  # an account may have two under way
    edits.world.work_s = 3600.0
    pictures = {role: str(clips.path(picture)) for role, picture in changed.items() if role == "image"}
    job = await edits.place(ask(clips.path(name), provider=provider, model=model, **changed | pictures))
    job = await edits.until(job, State.RUNNING)
    counted = Decimal(str(edits.orders(provider)[-1].facts["billed_s"]))
    placed = (await edits.history(job))[0]
    assert (placed.what, placed.detail["held_micro"]) == ("placed", counted * Decimal(rate) * 1_000_000)


OPEN_RATE = Decimal("0.001605")


@pytest.mark.parametrize(
    ("ask", "changed", "megapixels", "most"),
    [
        (text, {"resolution": "720p", "fps": 24}, 131, 131),  # 145 frames of 1280x704
        (text, {"duration": 18}, 955, 955),  # 457 frames of 1920x1088
        (image, {"image": "wide.png", "fps": 48, "duration": 10}, 1005, 1005),
        (speaks, {"audio": "3.5.mp3"}, 186, 203),  # 89 frames; one step more may be counted
    ],
)
async def test_what_is_held_of_the_open_weights_is_every_megapixel_that_is_begun(
    edits: Bench, clips: Clips, ask: Ask, changed: dict[str, Any], megapixels: int, most: int
) -> None:
    edits.world.orders.clear()
    edits.world.work_s = 3600.0
    files = {role: str(clips.path(changed[role])) for role in ("image", "audio") if role in changed}
    first = [files.pop(next(iter(files)))] if files else []
    rest = {name: value for name, value in changed.items() if name not in ("image", "audio")}
    job = await edits.place(ask(*first, provider="fal", model="ltx-2.3-open", **rest))
    job = await edits.until(job, State.RUNNING)
    assert (job.offer.cost_usd, job.offer.at_most_usd) == (megapixels * OPEN_RATE, most * OPEN_RATE)
    assert edits.orders("fal")[-1].facts["units"] == megapixels


# auto


def order_of(**asked: Any) -> list[str]:
    return [offer.provider for offer in offers(catalog_of(EVERYTHING), text(**asked))]


def test_auto_tries_what_may_cost_least_first_and_of_equals_the_cheapest_and_the_preferred() -> None:
    assert order_of() == ["bytecompute"]
    assert order_of(max_cost_usd=1) == [
        *("bytecompute", "netwrck", "fal", "ltx", "fal", "ltx"),
        *("fal", "ltx"),  # LTX-2.5
        "fal",  # another model than the hosted ones, although it would cost less than LTX-2.5
    ]
    assert order_of(resolution="720p")[0] == "bytecompute"
    assert order_of(provider="fal") == ["fal"]
    swapped = catalog_of(EVERYTHING, ("ltx", "fal"))
    assert [(offer.provider, offer.model) for offer in offers(swapped, text())] == [
        ("fal", "ltx-2.3-fast"),
        ("ltx", "ltx-2.3-fast"),
    ]


def test_auto_may_never_cost_more_than_a_tenth_above_the_first_offer_unless_a_cap_says_so() -> None:
    for asked in (text(), text(resolution="1440p"), text(duration=20), text(max_cost_usd=0.36)):
        found = offers(catalog_of(EVERYTHING), asked)
        cap = Decimal(str(asked.max_cost_usd)) if asked.max_cost_usd else found[0].at_most_usd * Decimal("1.1")
        assert all(offer.at_most_usd <= cap for offer in found)
        assert [offer.at_most_usd for offer in found] == sorted(offer.at_most_usd for offer in found)


CAPS = [
    ("netwrck", "0.289", "0.288 USD, at most 0.29 at netwrck, above max_cost_usd=0.289"),
    ("netwrck", "0.288", "0.288 USD, at most 0.29 at netwrck, above max_cost_usd=0.288"),
    ("fal", "0.359999", "0.24 USD, at most 0.36 at fal, above max_cost_usd=0.359999"),
    ("ltx", "0.359999", "0.36 USD at ltx, above max_cost_usd=0.359999"),
    ("auto", "0.2", "0.24 USD at bytecompute, above max_cost_usd=0.2"),
    ("auto", "0", "max_cost_usd=0 admits only what costs nothing; the price is 0.24 USD at bytecompute"),
]


@pytest.mark.parametrize(("provider", "cap", "words"), CAPS)
def test_a_cap_below_what_may_be_charged_names_the_cheapest(provider: str, cap: str, words: str) -> None:
    with pytest.raises(CallerError) as raised:
        offers(catalog_of(EVERYTHING), text(provider=provider, max_cost_usd=float(cap)))
    assert raised.value.code is ErrorCode.OVER_BUDGET
    assert words in str(raised.value)


@pytest.mark.parametrize(("provider", "cap"), [("netwrck", 0.29), ("fal", 0.36), ("ltx", 0.36), ("local", 0)])
def test_a_cap_of_what_may_be_charged_is_enough(provider: str, cap: float) -> None:
    assert offers(catalog_of(EVERYTHING), text(provider=provider, max_cost_usd=cap))[0].provider == provider


def test_a_cap_of_nothing_draws_only_where_the_preview_is_meant() -> None:
    assert [offer.provider for offer in offers(catalog_of({}), text(max_cost_usd=0))] == ["local"]
    with pytest.raises(CallerError):
        offers(catalog_of(EVERYTHING), text(max_cost_usd=-0.0))


def test_auto_takes_the_preview_only_where_nothing_is_configured() -> None:
    assert [offer.provider for offer in offers(catalog_of({}), text())] == ["local"]
    assert "local" not in order_of(max_cost_usd=9)


@pytest.mark.parametrize("provider", REMOTE)
def test_a_provider_without_its_key_says_which_one_is_missing(provider: str) -> None:
    key = next(name for name in EVERYTHING if name.endswith("_KEY") and provider.upper() in name)
    with pytest.raises(SetupError, match=key):
        offers(catalog_of({**EVERYTHING, key: ""}), text(provider=provider))


async def ordered(bench: Bench, *faults: Fault) -> tuple[list[str], Any]:
    bench.world.faults = list(faults)
    job = await bench.order(text(max_cost_usd=1))
    return [each.provider for each in bench.orders()], job


async def test_after_a_sure_no_the_next_offer_is_ordered(emulator: tuple[str, EmulatorState], home: Path) -> None:
    async with opened(home, emulator) as bench:
        took, job = await ordered(bench, Fault("bytecompute", "submit", "locked"), Fault("netwrck", "submit", "locked"))
        assert (took, job.offer.provider, job.state, job.cost_micro) == (["fal"], "fal", State.SUCCEEDED, 240_000)
        assert [each.what for each in await bench.history(job)].count("next_offer") == 2


@pytest.mark.parametrize(
    ("fault", "state", "bill"),
    [
        (Fault("fal", "submit", "drop_after"), State.UNKNOWN, ChargeState.HELD),
        (Fault("fal", "submit", "html"), State.UNKNOWN, ChargeState.HELD),
        (Fault("fal", "submit", "status", 1, {"status": 500}), State.UNKNOWN, ChargeState.HELD),
        (Fault("fal", "submit", "content"), State.FAILED, ChargeState.RELEASED),
        (Fault("fal", "submit", "refuse"), State.FAILED, ChargeState.RELEASED),
        (Fault("fal", "order", "fails"), State.FAILED, ChargeState.RELEASED),
    ],
)
async def test_after_anything_else_nobody_else_is_asked(
    emulator: tuple[str, EmulatorState], home: Path, fault: Fault, state: State, bill: ChargeState
) -> None:
    async with opened(home, emulator, providers=("fal", "ltx")) as bench:
        took, job = await ordered(bench, Fault(fault.provider, fault.step, fault.kind, 1, fault.options))
        assert (set(took) <= {"fal"}, job.state, job.bill) == (True, state, bill)
        assert {each.provider for each in bench.world.calls} == {"fal"}


async def test_a_budget_also_stops_the_next_offer(emulator: tuple[str, EmulatorState], home: Path) -> None:
    names = ("bytecompute", "netwrck")
    async with opened(home, emulator, budget_usd=Decimal("0.24"), providers=names) as bench:
        took, job = await ordered(bench, Fault("bytecompute", "submit", "locked"))
        assert (took, job.state, job.bill) == ([], State.FAILED, ChargeState.RELEASED)
        assert "netwrck (ltx-2.3) was left out." in job.error.message
        assert (await bench.jobs.budget()).held == 0


async def test_what_is_offered_again_is_priced_as_an_order_would_be(
    emulator: tuple[str, EmulatorState], home: Path
) -> None:
    async with opened(home, emulator, env={"LTX_MCP_FAL_API_URL": ""}) as bench:
        endpoint, now = "fal-ai/ltx-2.3/text-to-video/fast", bench.time.now()
        price = UnitPrice("second", "USD", Decimal("0.09"), now)
        await bench.jobs._price_book.run_in_thread(bench.jobs._price_book.keep, "fal", {endpoint: price})
        quotes = await bench.jobs.quotes(EstimateCost(provider="fal", model="ltx-2.3-fast"), "local")
        assert [offer.at_most_usd for offer in quotes.offers] == [Decimal("0.54")]
        asked = text(provider="fal", model="ltx-2.3-fast")
        assert [offer.at_most_usd for offer in offers(bench.jobs.catalog, asked)] == [Decimal("0.54")]
