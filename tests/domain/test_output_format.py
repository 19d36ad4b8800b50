"""Films from a sound and films made from films: what they cost, and where each documented limit stands.

The figures are those of the providers' own pages, written out by hand; sources stand in the facts.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ltx_mcp.domain.arguments import (
    ExtendVideo,
    GenerateFromAudio,
    GenerateVideo,
    PaidArguments,
    RetakeVideo,
)
from ltx_mcp.domain.offer import Offer, Refusal
from ltx_mcp.domain.offer_builder import make_offer
from ltx_mcp.domain.output_format import count_frames
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.providers.catalog_loader import read_providers
from tests.providers.bench import catalog_of, offers, text

FACTS = {facts.name: facts for facts in read_providers()}
SOUND = Input("audio", "a" * 64, "mp3", codec="mp3", duration=8.0, size_bytes=200_000)
PICTURE = Input("image", "b" * 64, "jpeg", width=1200, height=800, size_bytes=300_000)


def video(seconds: float = 6.0, fps: float = 25.0, width: int = 1920, height: int = 1080, **other: Any) -> Input:
    values: dict[str, Any] = {"format": "mp4", "codec": "h264", "has_audio": True, "size_bytes": 4_000_000} | other
    frames = round(seconds * fps)
    return Input("video", "c" * 64, width=width, height=height, duration=seconds, fps=fps, frames=frames, **values)


def sound(seconds: float, **other: Any) -> Input:
    return replace(SOUND, duration=seconds, **other)


def answer(provider: str, model: str, arguments: PaidArguments, *inputs: Input) -> Offer | Refusal:
    request = to_request(arguments)
    rows = [row for row in FACTS[provider].offer if (row.model, row.operation) == (model, request.operation)]
    made = make_offer(request, inputs, FACTS[provider], rows[0])
    return made if isinstance(made, Refusal) else made.offer


def offered(provider: str, model: str, arguments: PaidArguments, *inputs: Input) -> Offer:
    offer = answer(provider, model, arguments, *inputs)
    assert isinstance(offer, Offer), offer
    return offer


def reason(provider: str, model: str, arguments: PaidArguments, *inputs: Input) -> str:
    refusal = answer(provider, model, arguments, *inputs)
    assert isinstance(refusal, Refusal), refusal
    return refusal.reason


def speaks(**other: Any) -> GenerateFromAudio:
    return GenerateFromAudio(**{"audio": "a.mp3", "prompt": "a singer", **other})


def extends(**other: Any) -> ExtendVideo:
    return ExtendVideo(**{"video": "v.mp4", **other})


def retakes(**other: Any) -> RetakeVideo:
    return RetakeVideo(**{"video": "v.mp4", "prompt": "a red hat", "start_time": 1, "duration": 3, **other})


PRO = "ltx-2.3-pro"
PRICES: list[tuple[str, str, PaidArguments, Input, str, str]] = [
    # the sound's seconds, by model and size
    ("ltx", "ltx-2.5-fast", speaks(resolution="720p"), sound(8), "8", "0.72"),
    ("ltx", "ltx-2.5-fast", speaks(resolution="1080p"), sound(20), "20", "2.60"),
    ("ltx", "ltx-2.5-fast", speaks(resolution="1440p"), sound(10), "10", "1.90"),
    ("ltx", "ltx-2.5-fast", speaks(resolution="2160p"), sound(2), "2", "0.60"),
    ("ltx", "ltx-2.5-pro", speaks(resolution="720p"), sound(5), "5", "0.60"),
    ("ltx", "ltx-2.5-pro", speaks(resolution="2160p"), sound(10), "10", "3.90"),
    ("ltx", PRO, speaks(resolution="720p"), sound(10), "10", "0.60"),
    ("ltx", PRO, speaks(), sound(8.25), "8.25", "0.825"),
    ("ltx", PRO, speaks(resolution="1440p"), sound(6), "6", "1.08"),
    ("ltx", PRO, speaks(resolution="2160p"), sound(6), "6", "2.04"),
    ("fal", PRO, speaks(), sound(7.5), "7.5", "0.75"),
    # a retake: the whole video, however short the section
    ("ltx", PRO, retakes(duration=2), video(12), "12", "1.20"),
    ("ltx", PRO, retakes(duration=2), video(60.04), "60.04", "6.004"),
    ("fal", PRO, retakes(duration=2), video(12), "12", "1.20"),
    # an extension: the new part, and the context that is looked at
    ("ltx", PRO, extends(duration=5, context=2), video(6), "7", "0.70"),
    ("ltx", PRO, extends(duration=5), video(6), "11", "1.10"),
    ("ltx", PRO, extends(duration=5), video(40), "20.2", "2.02"),  # 505 frames at 25 fps
    ("ltx", PRO, extends(duration=5), video(40, fps=50), "10.1", "1.01"),  # and at 50
    ("ltx", PRO, extends(duration=20), video(40, fps=24), "21.05", "2.105"),
    ("ltx", PRO, extends(duration=2), video(40, fps=24), "21.05", "2.105"),
    ("ltx", PRO, extends(duration=2, context=1), video(40, fps=24, width=1280, height=720), "3", "0.30"),
    ("fal", PRO, extends(duration=5, context=2), video(6), "7", "0.70"),
    ("fal", PRO, extends(duration=5), video(6, width=3840, height=2160), "11", "1.10"),
    ("local", "preview", extends(duration=5), video(6), "11", "0"),
    ("local", "preview", retakes(), video(6), "6", "0"),
    ("local", "preview", speaks(), sound(6), "6", "0"),
]


@pytest.mark.parametrize(("provider", "model", "arguments", "given", "billed_s", "usd"), PRICES)
def test_the_price_is_the_one_of_the_providers_page(
    provider: str, model: str, arguments: PaidArguments, given: Input, billed_s: str, usd: str
) -> None:
    offer = offered(provider, model, arguments, given)
    assert (offer.billed, offer.cost_usd) == (Decimal(billed_s), Decimal(usd))
    assert offer.source


LTX_RETAKE_SIZE = "1920x1080"
REFUSED: list[tuple[str, str, PaidArguments, tuple[Input, ...], tuple[Input, ...], str]] = [
    # provider, model, what is asked, given that is admitted, given that is refused, what the refusal must say
    ("ltx", "ltx-2.5-fast", speaks(), (sound(2),), (sound(1.9),), "2 to 20"),
    ("ltx", "ltx-2.5-fast", speaks(), (sound(20),), (sound(20.1),), "2 to 20"),
    ("ltx", "ltx-2.5-fast", speaks(resolution="1440p"), (sound(10),), (sound(10.1),), "2 to 20"),
    ("ltx", "ltx-2.5-pro", speaks(resolution="720p"), (sound(10),), (sound(10.1),), "2 to 10"),
    ("ltx", PRO, speaks(resolution="2160p"), (sound(10),), (sound(10.5),), "1080p"),
    ("fal", PRO, speaks(), (sound(20),), (sound(20.5),), "2 to 20"),
    ("fal", PRO, speaks(), (sound(2),), (sound(1.5),), "2 to 20"),
    ("ltx", PRO, speaks(), (SOUND,), (replace(SOUND, format="wav", codec="pcm"),), "adjust=nearest converts it"),
    ("ltx", PRO, speaks(), (replace(SOUND, format="m4a", codec="aac"),), (replace(SOUND, codec="he-aac"),), "m4a/aac"),
    ("fal", PRO, speaks(), (replace(SOUND, format="wav", codec="pcm"),), (replace(SOUND, codec="flac"),), "wav/pcm"),
    ("ltx", PRO, speaks(), (SOUND,), (replace(SOUND, size_bytes=200_000_001),), "200,000,000"),
    ("ltx", PRO, speaks(), (SOUND, PICTURE), (SOUND, replace(PICTURE, size_bytes=15_000_001)), "15,000,000"),
    ("ltx", PRO, extends(), (video(73 / 25),), (video(72 / 25),), "at least 73 (2.92 s at 25 fps)"),
    ("ltx", PRO, extends(), (video(width=1080, height=1920),), (video(width=1080, height=1080),), "16:9, 9:16"),
    ("ltx", PRO, extends(), (video(width=1280, height=720),), (video(width=1440, height=1080),), "16:9, 9:16"),
    ("ltx", PRO, extends(), (video(size_bytes=100_000_000),), (video(size_bytes=100_000_001),), "100,000,000"),
    ("ltx", PRO, extends(), (video(),), (video(width=2560, height=1440),), "only up to 2,073,600 pixels"),
    ("ltx", PRO, extends(), (video(),), (video(width=4096, height=2304),), "3840x2160"),
    ("ltx", PRO, extends(), (video(format="mov", codec="hevc"),), (video(format="webm", codec="vp9"),), "mkv/hevc"),
    ("fal", PRO, extends(), (video(),), (video(format="mov", codec="hevc"),), "mov/h264"),
    ("ltx", PRO, extends(duration=9), (video(fps=25),), (video(fps=51),), "2 to 8.9"),
    ("ltx", PRO, extends(duration=9.1), (video(fps=50),), (video(fps=60),), "505 frames"),
    ("ltx", PRO, extends(duration=5, context=5.1), (video(fps=50),), (video(fps=51),), "context up to 4.9"),
    ("fal", PRO, extends(), (video(73 / 25),), (video(72 / 25),), "at least 73"),
    ("fal", PRO, extends(duration=9.1), (video(fps=50),), (video(fps=60),), "505 frames"),
    ("ltx", PRO, retakes(), (video(),), (video(72 / 25),), "at least 73"),
    ("ltx", PRO, retakes(), (video(width=3840, height=2160),), (video(width=4096, height=2160),), "3840x2160"),
    ("ltx", PRO, retakes(start_time=4, duration=2), (video(6),), (video(5.5),), "0 to 3.5"),
    ("ltx", PRO, retakes(start_time=1, duration=5), (video(6),), (video(5.5),), "2 to 4.5"),
    ("fal", PRO, retakes(start_time=1, duration=5), (video(6),), (video(5.5),), "4.5 s are left"),
    ("fal", PRO, retakes(start_time=20, duration=2), (video(30),), (video(21),), "0 to 19"),
    ("ltx", PRO, retakes(), (video(size_bytes=200_000_000),), (video(size_bytes=200_000_001),), "200,000,000"),
    ("local", "preview", retakes(), (video(120),), (video(121),), "0"),
]


@pytest.mark.parametrize(("provider", "model", "arguments", "inside", "outside", "says"), REFUSED)
def test_a_limit_of_what_is_given_admits_what_is_inside_and_says_what_would_be_allowed(
    provider: str,
    model: str,
    arguments: PaidArguments,
    inside: tuple[Input, ...],
    outside: tuple[Input, ...],
    says: str,
) -> None:
    offered(provider, model, arguments, *inside)
    told = reason(provider, model, arguments, *outside)
    assert says in told
    assert told.endswith(".")


ASKED: list[tuple[str, str, PaidArguments, PaidArguments, Input, str]] = [
    ("ltx", PRO, extends(duration=20), extends(duration=20, context=0.5), video(fps=20), "context 0.5"),
    ("ltx", PRO, extends(context=1), extends(context=0.9), video(), "1 to 20, or 0"),
    ("fal", PRO, retakes(start_time=20), retakes(start_time=20.2), video(60), "allowed: 0 to 20"),
    ("fal", PRO, retakes(duration=20), retakes(duration=20.5), video(60), "2 to 20"),
    ("ltx", PRO, retakes(duration=40), retakes(duration=60), video(60), "59 s are left"),
    ("ltx", PRO, retakes(prompt=""), retakes(start_time=58.5), video(60), "0 to 58"),
    ("fal", PRO, retakes(), retakes(prompt=""), video(), "prompt is required"),
    ("fal", PRO, speaks(), speaks(resolution="720p"), SOUND, "1080p"),
    ("fal", PRO, speaks(), speaks(camera_motion="dolly_in"), SOUND, "leave it out"),
    ("fal", PRO, speaks(), speaks(fps=50), SOUND, "25 fps"),
    ("ltx", PRO, speaks(aspect_ratio="9:16"), speaks(aspect_ratio="1:1"), SOUND, "16:9, 9:16"),
]


@pytest.mark.parametrize(("provider", "model", "admitted", "refused", "given", "says"), ASKED)
def test_a_limit_of_what_is_asked_admits_what_is_inside_and_says_what_would_be_allowed(
    provider: str, model: str, admitted: PaidArguments, refused: PaidArguments, given: Input, says: str
) -> None:
    offered(provider, model, admitted, given)
    assert says in reason(provider, model, refused, given)


def test_a_sound_is_never_cut_to_fit() -> None:
    assert "2 to 20" in reason("ltx", PRO, speaks(adjust="nearest"), sound(25))
    smaller = offered("ltx", PRO, speaks(adjust="nearest", resolution="2160p"), sound(15))
    assert (smaller.duration, smaller.resolution) == (Decimal(15), "1080p")


def test_nearest_fits_the_new_part_and_the_section_and_tells() -> None:
    longer = offered("ltx", PRO, extends(duration=20, adjust="nearest"), video(fps=50))
    assert longer.duration == Decimal("9.1")
    assert [(each.field, each.asked, each.got) for each in longer.adjustments] == [("duration", "20", "9.1")]
    redone = offered("ltx", PRO, retakes(start_time=1, duration=60, adjust="nearest"), video(6))
    assert (redone.duration, redone.start_time) == (Decimal(5), Decimal(1))


def test_a_context_that_does_not_fit_is_shortened_only_where_it_may_be() -> None:
    shorter = offered("ltx", PRO, extends(duration=5, context=10, adjust="nearest"), video(20, fps=50))
    assert (shorter.billed, shorter.context) == (Decimal("10.1"), Decimal("5.1"))
    assert [(each.field, each.got) for each in shorter.adjustments] == [("context", "5.1")]


def test_a_retake_that_the_provider_scales_says_so_before_it_is_ordered() -> None:
    offer = offered("ltx", PRO, retakes(), video(width=1280, height=720))
    assert (offer.width, offer.height) == (1920, 1080)
    assert [(each.field, each.asked, each.got, each.by) for each in offer.adjustments] == [
        ("resolution", "1280x720", LTX_RETAKE_SIZE, "provider")
    ]
    upright = offered("ltx", PRO, retakes(), video(width=720, height=1280))
    assert (upright.width, upright.height) == (1080, 1920)
    assert offered("fal", PRO, retakes(), video(width=1280, height=720)).adjustments == ()


@pytest.mark.parametrize(
    ("given", "target"),
    [
        (replace(SOUND, format="wav", codec="pcm"), "m4a/aac"),
        (replace(SOUND, format="flac", codec="flac"), "m4a/aac"),
        (replace(SOUND, format="mp4", codec="aac"), "m4a/aac"),
    ],
)
def test_nearest_converts_a_sound_that_is_not_accepted_and_tells(given: Input, target: str) -> None:
    offer = offered("ltx", PRO, speaks(adjust="nearest"), given)
    assert offer.conversions == {"audio": target}
    assert [(each.field, each.asked, each.got) for each in offer.adjustments] == [("audio", given.form, target)]


def test_the_film_is_as_long_as_the_sound_or_as_the_video_and_its_new_part() -> None:
    assert offered("ltx", PRO, speaks(), sound(7.2)).length == Decimal("7.2")
    assert offered("ltx", PRO, extends(duration=5), video(6.04)).length == Decimal("11.04")
    assert offered("ltx", PRO, retakes(), video(6.04)).length == Decimal("6.04")


def test_an_edited_film_has_sound_when_the_given_one_has_or_sound_is_made() -> None:
    silent = video(has_audio=False)
    assert not offered("ltx", PRO, extends(), silent).generate_audio
    assert offered("ltx", PRO, retakes(mode="replace_audio"), silent).generate_audio


def test_a_length_the_provider_chooses_is_held_at_the_longest_and_costs_what_comes() -> None:
    offer = offered("ltx", "ltx-2.5-fast", GenerateVideo(prompt="a pond", duration="auto"))
    assert (offer.auto_duration, offer.duration, offer.cost_usd) == (True, Decimal(20), Decimal("2.60"))
    assert offer.cost_of(Decimal("7.04")) == Decimal("0.9152")
    assert offer.cost_of(Decimal(30)) == Decimal("2.60")
    large = offered("ltx", "ltx-2.5-fast", GenerateVideo(prompt="a pond", duration="auto", resolution="2160p"))
    assert (large.duration, large.cost_usd) == (Decimal(10), Decimal("3.00"))
    assert "duration auto" in reason("ltx", "ltx-2.3-fast", GenerateVideo(prompt="a pond", duration="auto"))


# -- frames and edges that come in steps ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"), [("6", 25, 153), ("6", 24, 145), ("20", 24, 481), ("0.36", 25, 9), ("0.04", 25, 1)]
)
def test_frames_are_a_multiple_of_the_step_and_one_more_and_fill_the_seconds(
    seconds: str, fps: int, frames: int
) -> None:
    row = next(row for facts in read_providers() for row in facts.offer if row.model == "ltx-2.3-open")
    assert count_frames(row, Decimal(seconds), fps) == frames


def test_auto_takes_the_open_weights_only_for_a_seed_or_by_name() -> None:
    catalog = catalog_of({"FAL_KEY": "a:b"})
    sound = Input("audio", "a", "mp3", 9, codec="mp3", duration=6.5)
    asked = (speaks(), speaks(seed=1), speaks(model="ltx-2.3-open"))
    first = [offers(catalog, each, sound)[0].model for each in asked]
    assert first == ["ltx-2.3-pro", "ltx-2.3-open", "ltx-2.3-open"]


def test_the_size_that_comes_of_steps_is_told() -> None:
    (offer,) = offers(catalog_of({"FAL_KEY": "a:b"}), text(seed=1, resolution="720p", aspect_ratio="9:16"))
    assert (offer.width, offer.height, offer.frames, offer.length) == (704, 1280, 153, Decimal("6.12"))
    assert [(each.field, each.asked, each.got, each.by) for each in offer.adjustments] == [
        ("resolution", "720x1280", "704x1280", "provider")
    ]
