"""What can be ordered for a request, and what is said when nothing can."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ltx_mcp.domain.arguments import EstimateCost, GenerateVideo
from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError, SetupError
from ltx_mcp.domain.output_format import video_size
from ltx_mcp.domain.plan import Catalog, assumed_inputs, make_offers, select_offers
from ltx_mcp.domain.request import Input, Request, to_request
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers

FAST: dict[str, Any] = {
    "model": "fast",
    "operation": "text_to_video",
    "endpoint": "x/fast",
    "limits": [
        {"duration": [6, 8, 10], "fps": [24, 25, 48, 50], "resolution": ["1080p", "2160p"]},
        {"duration": [12, 14, 16, 18, 20], "fps": [25], "resolution": ["1080p"]},
    ],
    "aspect_ratio": ["16:9", "9:16"],
    "price": {"as_of": date(2026, 11, 1), "source": "s", "usd_per_second": {"1080p": "0.04", "2160p": "0.16"}},
}
CHEAP = {"1080p": "0.01", "2160p": "0.01"}
TIERED = {
    "model": "tiered",
    "operation": "text_to_video",
    "endpoint": "generate",
    "limits": [{"duration": {"from": 4, "to": 10}, "fps": [25, 50], "resolution": ["720p", "1080p"]}],
    "aspect_ratio": ["16:9", "1:1", "4:5"],
    "min_edge": 512,
    "max_long_edge": 1920,
    "max_short_edge": 1080,
    "price": {
        "as_of": date(2026, 11, 1),
        "source": "s",
        "pixel_tiers": [{"up_to": 921600, "usd_per_second": "0.02"}, {"usd_per_second": "0.04"}],
    },
}


def provider(name: str, *offers: dict[str, Any], **more: Any) -> ProviderSpec:
    return ProviderSpec.model_validate({"name": name, "title": name, "offer": offers, **more})


def catalog(*, keys: tuple[str, ...] = ("FAL_KEY", "BYTE_KEY"), order: tuple[str, ...] = ()) -> Catalog:
    fal = provider("fal", FAST, key_env=["FAL_KEY"], usd_per_credit="0.01")
    byte = provider("bytecompute", TIERED, key_env=["BYTE_KEY"])
    values = dict.fromkeys(keys, "secret")
    local = [facts for facts in read_providers() if facts.is_preview]
    return make_catalog((fal, byte, *local), order, lambda name: values.get(name, ""))


def ask(**arguments: Any) -> Request:
    return to_request(GenerateVideo.model_validate({"prompt": "p", **arguments}))


def refusal(request: Request, where: Catalog) -> LtxError:
    with pytest.raises(LtxError) as caught:
        select_offers(request, (), where)
    return caught.value


def test_the_cheapest_configured_provider_comes_first() -> None:
    offers = select_offers(ask(resolution="720p", adjust="nearest", aspect_ratio="16:9"), (), catalog())
    assert [offer.provider for offer in offers] == ["bytecompute"]
    assert offers[0].cost_usd == Decimal("0.12")


def test_at_equal_price_the_operators_order_decides() -> None:
    assert [offer.provider for offer in select_offers(ask(), (), catalog())] == ["fal", "bytecompute"]
    turned = select_offers(ask(), (), catalog(order=("bytecompute", "fal")))
    assert [offer.provider for offer in turned] == ["bytecompute", "fal"]


def test_the_preview_is_not_picked_while_something_real_is_configured() -> None:
    assert "local" not in [offer.provider for offer in select_offers(ask(), (), catalog())]


def test_the_preview_is_picked_when_nothing_is_configured() -> None:
    assert [offer.provider for offer in select_offers(ask(), (), catalog(keys=()))] == ["local"]


def test_the_preview_can_be_asked_for_by_name_at_any_time() -> None:
    assert select_offers(ask(provider="local"), (), catalog())[0].provider == "local"


def test_a_provider_without_its_key_is_named_with_the_variable() -> None:
    error = refusal(ask(provider="fal"), catalog(keys=()))
    assert isinstance(error, SetupError)
    assert error.code is ErrorCode.MISSING_KEY
    assert "FAL_KEY" in str(error)


def test_a_long_film_at_the_wrong_rate_is_refused_with_the_matrix_and_the_nearest_price() -> None:
    error = refusal(ask(provider="fal", duration=20, fps=24), catalog())
    assert error.code is ErrorCode.NOT_SUPPORTED
    assert "duration 12, 14, 16, 18, 20 at 25 fps in 1080p" in str(error)
    assert "fps=25 at fal for 0.80 USD" in error.hint


def test_nearest_changes_as_little_as_it_can_and_tells_it() -> None:
    offer = select_offers(ask(provider="fal", duration=20, fps=24, adjust="nearest"), (), catalog())[0]
    assert (int(offer.duration), offer.fps) == (20, 25)
    assert [(change.field, change.asked, change.got, change.by) for change in offer.adjustments] == [
        ("fps", "24", "25", "server")
    ]


def test_an_exact_offer_beats_a_cheaper_adjusted_one() -> None:
    offers = select_offers(ask(duration=5, fps=50, resolution="720p", adjust="nearest"), (), catalog())
    assert offers[0].provider == "bytecompute"
    assert offers[0].adjustments == ()


def test_one_wrong_size_is_refused_with_the_sizes_and_no_table() -> None:
    with pytest.raises(CallerError) as raised:
        select_offers(ask(resolution="720p", provider="fal"), (), catalog())
    assert raised.value.message == "fal fast: resolution 720p is not offered; allowed: 1080p, 2160p."


def test_auto_takes_the_size_that_was_asked_before_a_cheaper_other_one() -> None:
    stepped = FAST | {"model": "stepped", "edge_step": 64, "price": FAST["price"] | {"usd_per_second": CHEAP}}
    fal = provider("fal", stepped, FAST, key_env=["FAL_KEY"])
    both = make_catalog((fal, *(each for each in read_providers() if each.is_preview)), (), lambda _: "secret")
    offers = make_offers(ask(), (), both).offers
    assert [(offer.model, offer.width, offer.height) for offer in offers if offer.provider == "fal"] == [
        ("fast", 1920, 1080),
        ("stepped", 1920, 1088),
    ]


@pytest.mark.parametrize(("resolution", "ratio", "usd"), [("720p", "16:9", "0.02"), ("1080p", "16:9", "0.04")])
def test_a_pixel_tier_prices_by_the_size_of_the_picture(resolution: str, ratio: str, usd: str) -> None:
    request = ask(provider="bytecompute", duration=10, resolution=resolution, aspect_ratio=ratio)
    assert select_offers(request, (), catalog())[0].cost_usd == Decimal(usd) * 10


def test_a_frame_too_large_for_the_provider_is_refused_by_its_size() -> None:
    narrow = provider("bytecompute", {**TIERED, "max_long_edge": 1280})
    plan = make_offers(ask(provider="bytecompute"), (), make_catalog((narrow,), (), lambda name: ""))
    assert plan.offers == ()
    assert "1920x1080" in plan.refused[0].reason


def test_credits_are_rounded_up() -> None:
    plan = make_offers(ask(provider="fal", duration=6, resolution="1080p"), (), catalog())
    assert plan.offers[0].credits == 24
    odd = provider("fal", FAST, usd_per_credit="0.05")
    assert make_offers(ask(provider="fal"), (), make_catalog((odd,), (), lambda name: "")).offers[0].credits == 5


def test_a_price_above_the_cap_is_refused_with_the_price() -> None:
    error = refusal(ask(provider="fal", resolution="2160p", max_cost_usd=0.5), catalog())
    assert error.code is ErrorCode.OVER_BUDGET
    assert "0.96 USD" in str(error)


def test_without_a_cap_failover_stays_within_a_tenth_more() -> None:
    offers = select_offers(ask(duration=10, resolution="1080p", fps=25), (), catalog())
    assert [offer.provider for offer in offers] == ["fal", "bytecompute"]
    price = {"as_of": date(2026, 11, 1), "source": "s", "usd_per_second": {"720p": "0.05", "1080p": "0.05"}}
    dear = provider("bytecompute", {**TIERED, "price": price})
    where = make_catalog((provider("fal", FAST), dear), (), lambda name: "")
    assert [offer.provider for offer in select_offers(ask(duration=10), (), where)] == ["fal"]


def test_auto_shape_is_the_offered_one_nearest_to_the_picture() -> None:
    photo = Input(role="image", sha256="a", format="png", width=1000, height=1300)
    request = Request(**{**vars(ask(provider="local")), "operation": "image_to_video", "aspect_ratio": "auto"})
    assert select_offers(request, (photo,), catalog())[0].aspect_ratio == "3:4"


def test_an_unsupported_picture_format_is_refused_or_converted() -> None:
    picky = {**FAST, "operation": "image_to_video", "media": ["image"]}
    rule = {"accepts": ["png"], "ways": ["upload"]}
    where = make_catalog((provider("fal", picky, inputs={"image": rule}),), (), lambda name: "")
    photo = Input(role="image", sha256="a", format="avif", width=1920, height=1080)
    request = Request(**{**vars(ask()), "operation": "image_to_video"})
    assert "avif" in make_offers(request, (photo,), where).refused[0].reason
    near = Request(**{**vars(request), "adjust": "nearest"})
    offer = make_offers(near, (photo,), where).offers[0]
    assert offer.conversions == {"image": "png"}
    assert [change.field for change in offer.adjustments] == ["image"]


TAKES = {"image": {"accepts": ["png", "jpeg"], "ways": ["upload"], "max_bytes": 9_000_000}}
PHOTO = Input(role="image", sha256="a", format="png", width=1920, height=1080)


def told(photo: Input, **asked: str) -> list[tuple[str, str]]:
    """What is told of a picture on its way to a provider that takes PNG and JPEG of nine megabytes, or to local."""
    row = {**FAST, "operation": "image_to_video", "media": ["image"]}
    local = [facts for facts in read_providers() if facts.is_preview]
    where = make_catalog((provider("fal", row, inputs=TAKES), *local), (), lambda name: "")
    request = Request(**{**vars(ask(provider="fal")), "operation": "image_to_video", **asked})
    return [(change.asked, change.got) for change in select_offers(request, (photo,), where)[0].adjustments]


def test_whatever_is_made_of_a_picture_is_told_in_words() -> None:
    assert told(PHOTO) == []
    turned = replace(PHOTO, format="jpeg", exif_rotated=True, traits=("display_p3",))
    assert told(turned) == [("jpeg, turned by EXIF, in Display P3 colours", "jpeg, turned upright, in sRGB colours")]
    drawing = replace(PHOTO, format="png", traits=("animated", "prophoto", "on_black"))
    assert told(drawing) == [
        ("png, animated, in ProPhoto RGB colours, transparent", "jpeg, its first frame, in sRGB colours, laid on black")
    ]
    gif = replace(PHOTO, format="gif", traits=("animated",), width=5000, height=4000)
    assert told(gif, adjust="nearest") == [("gif, animated", "jpeg, its first frame, scaled to 4800x3840")]
    with pytest.raises(CallerError, match="image is gif; accepted: png, jpeg, or adjust=nearest converts it"):
        told(gif)


def test_of_a_picture_that_is_drawn_here_only_what_is_missing_in_it_is_told() -> None:
    photo = replace(PHOTO, format="heif", exif_rotated=True, traits=("display_p3", "grey16", "no_end"))
    assert told(photo, provider="local") == []
    drawing = replace(PHOTO, format="gif", traits=("animated", "on_white"))
    assert told(drawing, provider="local") == [("gif, animated, transparent", "its first frame, laid on white")]


def test_a_photo_of_too_many_bytes_is_made_smaller_where_that_may_be() -> None:
    photo = replace(PHOTO, format="jpeg", width=8160, height=6120, size_bytes=20_000_000)
    assert told(photo, adjust="nearest") == [("jpeg", "jpeg, scaled to 5120x3840")]
    most = "image has 20,000,000 bytes; at most 9,000,000 are accepted"
    with pytest.raises(CallerError, match=rf"{most}, or adjust=nearest converts it\."):
        told(photo)
    with pytest.raises(CallerError, match=rf"{most}\."):
        told(replace(photo, width=1920, height=1080), adjust="nearest")


@pytest.mark.parametrize(
    ("argument", "value", "allowed"),
    [("provider", "sora", "auto, fal"), ("model", "ltx-9", "auto, fast"), ("operation", "dance", "text_to_video")],
)
def test_an_unknown_name_is_refused_with_the_known_ones(argument: str, value: str, allowed: str) -> None:
    request = Request(**{**vars(ask()), argument: value})
    error = refusal(request, catalog())
    assert isinstance(error, CallerError)
    assert argument in error.message
    assert allowed in error.message


def test_an_estimate_quotes_the_preview_beside_the_real_ones() -> None:
    plan = make_offers(to_request(EstimateCost()), (), catalog(keys=("FAL_KEY",)))
    assert {offer.provider for offer in plan.offers} == {"fal", "local"}
    assert [(offer.provider, why) for offer, why in plan.unusable] == [("bytecompute", "bytecompute needs BYTE_KEY.")]


@pytest.mark.parametrize(
    ("resolution", "ratio", "size"),
    [
        ("1080p", "16:9", (1920, 1080)),
        ("2160p", "9:16", (2160, 3840)),
        ("720p", "4:5", (720, 900)),
        ("1440p", "1:1", (1440, 1440)),
    ],
)
def test_the_label_is_the_short_side(resolution: str, ratio: str, size: tuple[int, int]) -> None:
    assert video_size(resolution, ratio) == size


@given(
    st.floats(min_value=0.1, max_value=500, allow_nan=False),
    st.sampled_from([24, 25, 48, 50]),
    st.sampled_from(["720p", "1080p", "1440p", "2160p"]),
)
def test_nearest_always_finds_something_a_row_admits(duration: float, fps: int, resolution: str) -> None:
    where = catalog()
    request = ask(provider="fal", duration=duration, fps=fps, resolution=resolution, adjust="nearest")
    offer = select_offers(request, (), where)[0]
    exact = ask(provider="fal", duration=float(offer.duration), fps=offer.fps, resolution=offer.resolution)
    assert select_offers(exact, (), where)[0].adjustments == ()


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [({}, 10), ({"duration": 8}, 16), ({"duration": 2}, 6), ({"context": 2}, 7), ({"context": 9}, 14)],
)
def test_an_extension_without_a_video_is_priced_as_of_one_as_long_as_it_adds(
    asked: dict[str, float], seconds: float
) -> None:
    """Or as long as its context is to be, and as a video must be at least: what docs/agents.md says."""
    arguments = EstimateCost(operation="extend", provider="fal", **({"duration": 5} | asked))  # type: ignore[arg-type]
    catalog = make_catalog(read_providers(), (), lambda name: "key" if name == "FAL_KEY" else "")
    (offer,) = make_offers(to_request(arguments), assumed_inputs(arguments), catalog).offers
    assert (offer.billed, offer.cost_usd) == (Decimal(seconds), Decimal(seconds) / 10)
