"""The limits of the facts, row by row: what they admit a provider takes, and what they refuse it would refuse too."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.catalog import Limit, NumberRange, OfferSpec, ProviderSpec
from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.output_format import count_frames, video_size
from ltx_mcp.domain.plan import Catalog, make_offers
from ltx_mcp.domain.request import Input, Request, to_request
from ltx_mcp.emulator.emulator_state import EmulatorState, VideoSpec
from ltx_mcp.providers.adapters import Adapters
from ltx_mcp.providers.base import DeferredVideo, Provider, SubmittedOrder
from ltx_mcp.providers.catalog_loader import read_providers
from tests.providers.adapted import adapters_at
from tests.providers.bench import MADE, image, text

pytestmark = pytest.mark.anyio

ROWS = [(facts, row) for facts in read_providers() for row in facts.offer if row.operation in MADE]
IDS = [f"{facts.name} {row.model} {row.operation}" for facts, row in ROWS]
RATES, LABELS = (24, 25, 48, 50), ("720p", "1080p", "1440p", "2160p")
RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "4:5")
PICTURE = "https://pictures.example/pond.png"
MOST_FRAMES = 481
NEGOTIATES, DRAWN = "bytecompute", "local"


@pytest.fixture(scope="module")
async def there(emulated: tuple[str, EmulatorState]) -> AsyncIterator[tuple[Adapters, Catalog]]:
    async with adapters_at(emulated[0]) as made:
        yield made


def numbers(limit: Limit) -> list[Decimal]:
    """Every whole number of seconds a limit admits."""
    given = limit.duration
    if isinstance(given, NumberRange):
        assert given.step is not None, "fractions of seconds would have to be tried too"
        return [given.low + given.step * n for n in range(int((given.high - given.low) / given.step) + 1)]
    return list(given.values)


def asked(facts: ProviderSpec, row: OfferSpec, **changed: Any) -> Request:
    """A request for this row only."""
    given = {"provider": facts.name, "model": row.model, "aspect_ratio": "16:9"}
    plain = to_request(image("x.png", **given) if row.media else text(**given))
    return replace(plain, **changed)


def pictures(row: OfferSpec) -> list[Input]:
    return [Input(role="image", sha256="a", format="png", size_bytes=9, width=64, height=36)] if row.media else []


def uris_for(facts: ProviderSpec, row: OfferSpec, folder: Path) -> dict[str, str]:
    if not row.media:
        return {}
    if facts.name != NEGOTIATES:
        return {"image": PICTURE}
    Image.new("RGB", (64, 36), "teal").save(folder / "pond.png")
    return {"image": str(folder / "pond.png")}


def admitted(facts: ProviderSpec, row: OfferSpec) -> Iterator[Request]:
    """Every combination the row's limits admit; cameras and silence are spread over them."""
    count = 0
    for limit in row.limits:
        for duration in numbers(limit):
            for fps in limit.fps:
                for resolution in limit.resolution:
                    for aspect_ratio in row.aspect_ratio:
                        camera = row.camera_motion[count % len(row.camera_motion)]
                        sound = row.generate_audio[count % len(row.generate_audio)]
                        count += 1
                        yield asked(
                            facts,
                            row,
                            duration=duration,
                            fps=fps,
                            resolution=resolution,
                            aspect_ratio=aspect_ratio,
                            camera_motion=camera,
                            generate_audio=sound,
                        )


@pytest.mark.parametrize(("facts", "row"), ROWS, ids=IDS)
async def test_every_admitted_combination_is_taken_as_it_was_asked(
    facts: ProviderSpec,
    row: OfferSpec,
    emulated: tuple[str, EmulatorState],
    there: tuple[Adapters, Catalog],
    tmp_path: Path,
) -> None:
    adapters, catalog = there
    world, uris = emulated[1], uris_for(facts, row, tmp_path)
    world.reset()
    for request in admitted(facts, row):
        plan = make_offers(request, pictures(row), catalog)
        if not _in_frame(row, *video_size(request.resolution or "", request.aspect_ratio)):
            assert (plan.offers, len(plan.refused)) == ((), 1), request
            continue
        (offer,) = plan.offers
        said = await adapters.by_name[facts.name].submit(offer, uris)
        if facts.name == DRAWN:
            assert isinstance(said, DeferredVideo)
            continue
        assert isinstance(said, SubmittedOrder)
        assert said.adjustments == (), request
        seconds = float(request.duration or 0) if offer.frames is None else offer.frames / offer.fps
        film = VideoSpec(offer.width, offer.height, request.fps, seconds, request.generate_audio)
        assert world.orders[-1].video == film, request
    assert facts.name == DRAWN or len(world.orders) > 5


def _in_frame(row: OfferSpec, width: int, height: int) -> bool:
    """What the pages say about the frame itself."""
    short, long = sorted((width, height))
    return short >= row.min_edge and long <= (row.max_long_edge or long) and short <= (row.max_short_edge or short)


Neighbour = tuple[str, dict[str, Any], str]


def neighbours(row: OfferSpec, limit: Limit) -> Iterator[Neighbour]:
    """What stands just outside a limit, and what the refusal must name."""
    inside: dict[str, Any] = {
        "duration": numbers(limit)[0],
        "fps": limit.fps[0],
        "resolution": limit.resolution[0],
    }
    for duration in (numbers(limit)[0] - 1, numbers(limit)[-1] + 1, numbers(limit)[0] + Decimal("0.5")):
        yield "duration", inside | {"duration": duration}, str(numbers(limit)[0])
    for fps in RATES:
        if not _admits(row.limits, **inside | {"fps": fps}):
            yield "fps", inside | {"fps": fps}, f"{limit.fps[0]}"
    longest = inside | {"duration": numbers(limit)[-1], "fps": limit.fps[-1]}
    for resolution in LABELS:
        if not _admits(row.limits, **longest | {"resolution": resolution}):
            yield "resolution", longest | {"resolution": resolution}, limit.resolution[0]
    for ratio in RATIOS:
        if ratio not in row.aspect_ratio:
            yield "aspect_ratio", inside | {"aspect_ratio": ratio}, ", ".join(row.aspect_ratio)
    if "dolly_in" not in row.camera_motion:
        yield "camera_motion", inside | {"camera_motion": "dolly_in"}, "leave it out"
    if False not in row.generate_audio:
        yield "generate_audio", inside | {"generate_audio": False}, "generate_audio=false"


def _admits(limits: Sequence[Limit], duration: Decimal, fps: int, resolution: str) -> bool:
    return any(duration in numbers(each) and fps in each.fps and resolution in each.resolution for each in limits)


def outside(row: OfferSpec) -> Iterator[tuple[Limit, Neighbour]]:
    """What stands just outside each limit of a row, and inside none of the others."""
    for limit in row.limits:
        for neighbour in neighbours(row, limit):
            name, changed, _ = neighbour
            elsewhere = name in ("aspect_ratio", "camera_motion", "generate_audio")
            if elsewhere or not _admits(row.limits, *(changed[field] for field in ("duration", "fps", "resolution"))):
                yield limit, neighbour


@pytest.mark.parametrize(("facts", "row"), ROWS, ids=IDS)
async def test_what_stands_just_outside_is_refused_in_words_and_by_the_provider(
    facts: ProviderSpec,
    row: OfferSpec,
    emulated: tuple[str, EmulatorState],
    there: tuple[Adapters, Catalog],
    tmp_path: Path,
) -> None:
    adapters, catalog = there
    tried = list(outside(row))
    assert tried
    for limit, (name, changed, allowed) in tried:
        plan = make_offers(asked(facts, row, **changed), pictures(row), catalog)
        (refusal,) = plan.refused
        assert plan.offers == (), changed
        assert refusal.reason.endswith("."), changed
        # which of the three is wrong depends on which is nearest; the sentence lists what goes together
        assert name in refusal.reason or name in ("fps", "resolution"), changed
        assert allowed in refusal.reason, changed
        if facts.name == DRAWN or name in ("camera_motion", "generate_audio") or _is_fraction(changed):
            continue  # nothing on this provider's wire could say it
        offer = forced(facts, row, limit, changed, catalog)
        if offer.frames is not None and offer.frames <= MOST_FRAMES:
            continue  # its page has no limit but this one
        emulated[1].reset()
        await check_refused(adapters.by_name[facts.name], offer, uris_for(facts, row, tmp_path), name)
        assert facts.name == NEGOTIATES or emulated[1].orders == [], changed


async def check_refused(adapter: Provider, offer: Offer, uris: dict[str, str], name: str) -> None:
    """The provider takes no such order; the one that negotiates says what it makes instead."""
    if offer.provider != NEGOTIATES:
        with pytest.raises(ProviderError) as raised:
            await adapter.submit(offer, uris)
        assert (raised.value.accepted, raised.value.code) == ("no", ErrorCode.REJECTED), offer
        return
    said = await adapter.submit(offer, uris)
    assert isinstance(said, SubmittedOrder)
    assert name == "aspect_ratio" or {each.by for each in said.adjustments} == {"provider"}, offer
    assert name == "aspect_ratio" or name in {each.field for each in said.adjustments}, offer


def _is_fraction(changed: dict[str, Any]) -> bool:
    return bool(changed["duration"] % 1)


def forced(facts: ProviderSpec, row: OfferSpec, limit: Limit, changed: dict[str, Any], catalog: Catalog) -> Offer:
    """An offer nobody would make, by changing one that is made."""
    inside = {"duration": numbers(limit)[0], "fps": limit.fps[0], "resolution": limit.resolution[0]}
    (offer,) = make_offers(asked(facts, row, **inside), pictures(row), catalog).offers
    width, height = video_size(changed["resolution"], changed.get("aspect_ratio", "16:9"))
    frames = count_frames(row, changed["duration"], changed["fps"])
    return replace(offer, width=width, height=height, frames=frames, **changed)
