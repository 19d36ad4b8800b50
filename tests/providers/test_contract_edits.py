"""The limits of films from a sound and from films, row by row: what the facts admit a provider takes as it was asked,
and what they refuse it would refuse too. Every medium is a real one, and lies at the provider.
"""

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from ltx_mcp.domain.arguments import PaidArguments
from ltx_mcp.domain.catalog import Limit, OfferSpec, ProviderSpec
from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.media_reference import mime_type
from ltx_mcp.domain.offer import Offer, Refusal
from ltx_mcp.domain.offer_builder import make_offer
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.emulator.emulator_state import EmulatedOrder, EmulatorState
from ltx_mcp.media.client import MediaClient
from ltx_mcp.providers.adapters import Adapters
from ltx_mcp.providers.base import DeferredVideo, SubmittedOrder, SupportsUpload
from ltx_mcp.providers.catalog_loader import read_providers
from tests.providers.adapted import adapters_at
from tests.providers.bench import MADE, Ask, extends, reframes, retakes, speaks
from tests.providers.clips import Clips, read

pytestmark = pytest.mark.anyio

# a join is ordered from nobody; tests/media has it
ROWS = [(facts, row) for facts in read_providers() for row in facts.offer if row.operation not in (*MADE, "join")]
IDS = [f"{facts.name} {row.model} {row.operation}" for facts, row in ROWS]
DRAWN = "local"
MILLISECONDS = 0.0051
"""Lengths are told in milliseconds; seconds that are counted in frames, in hundredths."""


@dataclass
class There:
    """The adapters, the world behind them, and what was sent to each provider."""

    adapters: Adapters
    world: EmulatorState
    clips: Clips
    media: MediaClient
    read: dict[str, Input] = field(default_factory=dict)
    sent: dict[tuple[str, str], str] = field(default_factory=dict)

    async def given(self, media: Mapping[str, str]) -> list[Input]:
        """The media by role, as a request has them."""
        for role, name in media.items():
            if name not in self.read:
                self.read[name] = await read(self.clips.path(name), role, self.media)
        return [replace(self.read[name], role=role) for role, name in media.items()]

    async def uris(self, provider: str, media: Mapping[str, str]) -> dict[str, str]:
        """Where they lie at a provider: each is sent there once."""
        adapter = self.adapters.by_name[provider]
        for given, name in zip(await self.given(media), media.values(), strict=True):
            if (provider, name) not in self.sent:
                path = self.clips.path(name)
                sent = (
                    await adapter.upload(path, mime_type(given.format)) if isinstance(adapter, SupportsUpload) else None
                )
                self.sent[provider, name] = sent.uri if sent else str(path)
        return {role: self.sent[provider, name] for role, name in media.items()}


@pytest.fixture(scope="module")
async def there(emulated: tuple[str, EmulatorState], clips: Clips) -> AsyncIterator[There]:
    emulated[1].reset()
    emulated[1].wait_s = emulated[1].work_s = 3600.0
    media = MediaClient()
    async with adapters_at(emulated[0]) as (adapters, _):
        yield There(adapters, emulated[1], clips, media)
    await media.close()


Asked = tuple[PaidArguments, dict[str, str]]
"""What is asked, and the media by role."""


def admitted(row: OfferSpec) -> Iterator[Asked]:
    """The ends of every limit with something between them, each mode, each size, each shape."""
    if row.operation == "audio_to_video":
        for limit in row.limits:
            yield from _spoken(row, limit)
    elif row.operation == "extend":
        yield from _extended(row)
    elif row.operation == "reframe":
        yield from _reframed(row)
    else:
        yield from _retaken(row)


def _reframed(row: OfferSpec) -> Iterator[Asked]:
    for name in ("wide.mp4", "tall.mp4", "silent.mp4", "fast.mp4", "square.mp4", "long.mp4"):
        for ratio, label in itertools.product(row.aspect_ratio, row.limits[0].resolution):
            yield reframes("v", aspect_ratio=ratio, resolution=label), {"video": name}


def _spoken(row: OfferSpec, limit: Limit) -> Iterator[Asked]:
    """Cameras are spread over all combinations; with a picture, a prompt is not needed."""
    lengths = (limit.duration.nearest(Decimal()), Decimal("3.5"), limit.duration.longest)
    names = ("fps", "resolution", "aspect_ratio")
    for count, (seconds, *values) in enumerate(
        itertools.product(lengths, limit.fps, limit.resolution, row.aspect_ratio)
    ):
        form = "m4a" if seconds % 1 else "mp3"
        media = {"audio": f"{seconds}.{form}"} | ({"image": "tall.png"} if count % 2 else {})
        asked = dict(zip(names, values, strict=True)) | {
            "prompt": "a singer" if row.needs_prompt or not count % 2 else ""
        }
        yield speaks("a", image="i" if count % 2 else "", **asked, camera_motion=_nth(row.camera_motion, count)), media


def _nth(words: tuple[str, ...], count: int) -> str:
    return words[count % len(words)]


def _extended(row: OfferSpec) -> Iterator[Asked]:
    for mode in row.modes:
        for name, duration in itertools.product(("wide.mp4", "silent.mp4", "full.mp4"), (2, 2.5, 19.2)):
            yield extends("v", duration=duration, mode=mode), {"video": name}
        yield extends("v", duration=20, mode=mode), {"video": "tall.mp4"}
        yield extends("v", duration=9.1, mode=mode, prompt=""), {"video": "fast.mp4"}
        for duration, context in ((2, 1), (19.2, 1), (4, 2.75), (2, 18.2)):
            yield extends("v", duration=duration, mode=mode, context=context), {"video": "wide.mp4"}


def _retaken(row: OfferSpec) -> Iterator[Asked]:
    prompts = ("a red hat",) if row.needs_prompt else ("a red hat", "")
    for mode, prompt in itertools.product(row.modes, prompts):
        for name in ("wide.mp4", "tall.mp4", "full.mp4", "silent.mp4", "fast.mp4"):
            yield retakes("v", start_time=0, duration=2, mode=mode, prompt=prompt), {"video": name}
        for start_time, duration in ((1.2, 2), (0, 3.2), (0.5, 2.25)):
            yield retakes("v", start_time=start_time, duration=duration, mode=mode), {"video": "wide.mp4"}
        longest = min(float(row.limits[0].duration.longest), 22)
        yield retakes("v", start_time=20, duration=longest, mode=mode), {"video": "long.mp4"}


def answered(facts: ProviderSpec, row: OfferSpec, asked: PaidArguments, inputs: list[Input]) -> Offer | Refusal:
    made = make_offer(to_request(asked), inputs, facts, row)
    return made if isinstance(made, Refusal) else made.offer


@pytest.mark.parametrize(("facts", "row"), ROWS, ids=IDS)
async def test_what_the_limits_admit_is_taken_as_it_was_asked(
    there: There, facts: ProviderSpec, row: OfferSpec
) -> None:
    taken = len(there.world.orders)
    for count, (asked, media) in enumerate(admitted(row), 1):
        inputs = await there.given(media)
        offer = answered(facts, row, asked, inputs)
        assert isinstance(offer, Offer), (asked, offer)
        said = await there.adapters.by_name[facts.name].submit(offer, await there.uris(facts.name, media))
        if facts.name == DRAWN:
            assert isinstance(said, DeferredVideo)
            continue
        assert isinstance(said, SubmittedOrder)
        assert said.adjustments == ()
        assert len(there.world.orders) == taken + count
        check_order(there.world.orders[-1], offer, inputs)
    assert count > 5


def check_order(order: EmulatedOrder, offer: Offer, inputs: list[Input]) -> None:
    """The film the provider will make is the one that is offered, from the bytes that were given, at its price."""
    film, given = order.video, {each.role: each.sha256 for each in inputs}
    assert (film.width, film.height) == (offer.width, offer.height)
    assert (film.duration, film.fps) == pytest.approx((float(offer.length), offer.fps), abs=MILLISECONDS)
    assert order.facts["billed_s"] == pytest.approx(float(offer.billed), abs=2 * MILLISECONDS)
    if offer.operation == "reframe":
        assert name_of(film.reframed or "") == given["video"]
        return
    if film.edit is None:
        assert (name_of(film.audio_path), name_of(film.image_path)) == (given["audio"], given.get("image", ""))
        return
    edit = film.edit
    assert (edit.what, edit.mode, name_of(edit.video)) == (offer.operation, offer.mode, given["video"])
    section = (float(offer.duration), float(offer.start_time or 0))
    assert (edit.duration, edit.start_time) == pytest.approx(section, abs=MILLISECONDS)
    if offer.operation == "extend":
        context = None if offer.context is None else float(offer.context)
        assert order.fields.get("context") == context


def name_of(path: str) -> str:
    """The emulator keeps what came by its hash."""
    return path.rpartition("/")[2]


# -- just outside


@dataclass(frozen=True)
class Outside:
    """What is refused with these words; `forced` are changes that make it of an offer that is made for `inside`,
    None where nothing on this provider's wire could say it."""

    asked: PaidArguments
    media: dict[str, str]
    says: str
    forced: dict[str, Any] | None = None
    inside: dict[str, str] = field(default_factory=dict)


def outside(facts: ProviderSpec, row: OfferSpec) -> Iterator[Outside]:
    """What stands just outside each limit of a row."""
    if row.operation == "audio_to_video":
        yield from _wrong_sounds(facts, row)
    elif row.operation == "extend":
        yield from _wrong_extensions(facts, row)
    elif row.operation == "reframe":
        yield from _wrong_shapes(row)
    else:
        yield from _wrong_retakes(facts, row)


def _wrong_shapes(row: OfferSpec) -> Iterator[Outside]:
    wide, ratios = {"video": "wide.mp4"}, ", ".join(row.aspect_ratio)
    if "4:3" not in row.aspect_ratio:
        size = {"aspect_ratio": "4:3", "width": 1440, "height": 1080}
        yield Outside(reframes("v", aspect_ratio="4:3"), wide, ratios, size, wide)
    if "1440p" not in row.limits[0].resolution:
        size = {"resolution": "1440p", "width": 1440, "height": 2560}
        yield Outside(reframes("v", resolution="1440p"), wide, "720p, 1080p", size, wide)
    if row.media_limits["video"].max_frames:
        yield Outside(reframes("v"), {"video": "longer.mp4"}, "0 to 60 s", {}, wide)
        yield Outside(reframes("v"), {"video": "many.mp4"}, "at most 1800 are accepted", {}, wide)
        yield Outside(reframes("v"), {"video": "tiny.mp4"}, "at least 64 pixels", {}, wide)
        yield Outside(reframes("v"), {"video": "broad.mp4"}, "at most 4096x", {}, wide)


def _wrong_sounds(facts: ProviderSpec, row: OfferSpec) -> Iterator[Outside]:
    is_ltx, fine, is_free = facts.name == "ltx", {"audio": "3.5.mp3"}, row.frame_step is not None
    for limit in row.limits:
        low, high = limit.duration.nearest(Decimal()), limit.duration.longest
        size = {"resolution": limit.resolution[0], "fps": limit.fps[-1]}
        forced: dict[str, Any] | None = None if is_free else {}  # of the open weights, the frames alone are limited
        yield Outside(speaks("a", **size), {"audio": "1.8.mp3"}, f"{low} to", {}, fine)
        yield Outside(speaks("a", **size), {"audio": f"{high + Decimal('0.2')}.mp3"}, f"to {high}", forced, fine)
    sizes = {label for limit in row.limits for label in limit.resolution}
    for label in {"720p", "1080p", "1440p", "2160p"} - sizes:
        yield Outside(speaks("a", resolution=label), fine, "1080p")
    for rate in {24, 25, 48, 50} - {fps for limit in row.limits for fps in limit.fps}:
        yield Outside(speaks("a", fps=rate), fine, "allowed: 25.")
    if facts.name != DRAWN:
        square = {"width": 1080, "height": 1080, "aspect_ratio": "1:1"}
        yield Outside(speaks("a", aspect_ratio="1:1"), fine, "16:9, 9:16", None if is_free else square, fine)
    if is_ltx:
        yield Outside(speaks("a"), {"audio": "3.5.wav"}, "adjust=nearest converts it", {}, fine)
    elif facts.name == "fal":
        yield Outside(speaks("a"), {"audio": "3.5.flac"}, "adjust=nearest converts it", {}, fine)
    if "dolly_in" not in row.camera_motion:
        yield Outside(speaks("a", camera_motion="dolly_in"), fine, "leave it out")


def _wrong_extensions(facts: ProviderSpec, row: OfferSpec) -> Iterator[Outside]:
    upright, wide, fast = {"video": "tall.mp4"}, {"video": "wide.mp4"}, {"video": "fast.mp4"}
    if row.context_frames is not None:
        held = {"duration": Decimal("10.2")}
        yield Outside(extends("v", duration=10.2), fast, "2 to 9.1, because the new part and its context", held, fast)
        both = {"duration": Decimal(5), "context": Decimal("5.2")}
        yield Outside(extends("v", duration=5, context=5.2), fast, "context up to 5.1", both, fast)
    if row.context is not None:
        context = {"context": Decimal("0.9")}
        yield Outside(extends("v", context=0.9), wide, "1 to 20, or 0", context, wide)
    if facts.name == "ltx":
        yield Outside(extends("v"), {"video": "short.mp4"}, "at least 73 (2.92 s at 25 fps)", {}, wide)
        yield Outside(extends("v"), {"video": "square.mp4"}, "16:9, 9:16", {}, wide)
    for duration in (Decimal("1.9"), Decimal("20.1")):
        forced = {"duration": duration}
        yield Outside(extends("v").model_copy(update=_told(forced)), upright, "2 to 20", forced, upright)


def _wrong_retakes(facts: ProviderSpec, row: OfferSpec) -> Iterator[Outside]:
    wide, long = {"video": "wide.mp4"}, {"video": "long.mp4"}
    beyond = {"start_time": Decimal("3.3")}
    yield Outside(retakes("v", start_time=1.3), wide, "0 to 1.2")
    yield Outside(retakes("v", start_time=3.3), wide, "0 to 1.2", beyond, wide)
    yield Outside(retakes("v", start_time=1, duration=2.5), wide, "2.2 s are left of the video")
    brief = {"duration": Decimal("1.9")}
    yield Outside(retakes("v").model_copy(update=_told(brief)), wide, "2 to", brief, wide)
    if facts.name == "ltx":
        yield Outside(retakes("v", start_time=0), {"video": "short.mp4"}, "at least 73", {}, wide)
    if row.start_time is not None:
        late, much = {"start_time": Decimal("20.1")}, {"duration": Decimal("20.1")}
        yield Outside(retakes("v", **_told(late)), long, "0 to 20", late, long)
        yield Outside(retakes("v", **_told(much)), long, "2 to 20", much, long)
    if row.needs_prompt:
        yield Outside(retakes("v", prompt=""), wide, "prompt is required")


ASKS: dict[str, Ask] = {"audio_to_video": speaks, "extend": extends, "retake": retakes, "reframe": reframes}


def _told(changes: dict[str, Decimal]) -> dict[str, float]:
    return {name: float(value) for name, value in changes.items()}


OUTSIDE = [
    pytest.param(facts, row, each, id=f"{name} {' '.join(each.media.values())} {each.says}")
    for (facts, row), name in zip(ROWS, IDS, strict=True)
    for each in outside(facts, row)
]


@pytest.mark.parametrize(("facts", "row", "one"), OUTSIDE)
async def test_what_stands_just_outside_is_refused_in_words_and_by_the_provider(
    there: There, facts: ProviderSpec, row: OfferSpec, one: Outside
) -> None:
    refusal = answered(facts, row, one.asked, await there.given(one.media))
    assert isinstance(refusal, Refusal), refusal
    assert one.says in refusal.reason
    assert refusal.reason.endswith(".")
    if one.forced is None or facts.name == DRAWN:
        return
    plain = ASKS[row.operation]
    same = {name: getattr(one.asked, name) for name in ("resolution", "fps") if "audio" in one.media}
    offer = answered(facts, row, plain("x", **same), await there.given(one.inside))
    assert isinstance(offer, Offer), offer
    taken = len(there.world.orders)
    with pytest.raises(ProviderError) as raised:
        await there.adapters.by_name[facts.name].submit(
            replace(offer, **one.forced), await there.uris(facts.name, one.media)
        )
    assert (raised.value.accepted, raised.value.code, len(there.world.orders)) == ("no", ErrorCode.REJECTED, taken)
    assert raised.value.detail
