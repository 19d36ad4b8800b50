"""A file of LTX_MCP_MODELS that cannot be meant: refused at the start, by the name of file, row and field."""

from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.providers.catalog_loader import read_providers

PRICE = {"as_of": "2026-11-21", "source": "a test"}
ROW: dict[str, Any] = {
    "model": "mine",
    "operation": "text_to_video",
    "endpoint": "mine",
    "limits": [
        {"duration": {"from": 2, "to": 20, "step": 2}, "fps": [24, 25], "resolution": ["720p", "1080p"]},
        {"duration": [6, 8], "fps": [50], "resolution": ["1080p"]},
    ],
    "aspect_ratio": ["16:9"],
    "media_limits": {
        "video": {
            "duration": {"from": 0, "to": 60},
            "min_frames": 9,
            "max_frames": 1800,
            "min_short_edge": 64,
            "max_long_edge": 3840,
            "max_short_edge": 2160,
            "max_bytes": 10**8,
        }
    },
    "context": {"from": 1, "to": 20},
    "context_frames": 505,
    "start_time": {"from": 0, "to": 60},
    "film_short_edge": 1080,
    "frame_step": 8,
    "edge_step": 64,
    "min_edge": 64,
    "max_long_edge": 3840,
    "max_short_edge": 2160,
    "price": PRICE | {"usd_per_second": {"720p": "0.03", "1080p": "0.06"}},
}
TIERED = ROW | {
    "model": "tiered",
    "price": PRICE | {"pixel_tiers": [{"up_to": 921_600, "usd_per_second": "0.02"}, {"usd_per_second": "0.04"}]},
}
COUNTED = ROW | {"model": "counted", "price": PRICE | {"usd_per_megapixel": "0.0016"}}
WHOLE: dict[str, Any] = {
    "name": "ltx",
    "rank": 2,
    "poll": {"first_s": 5, "factor": 1.5, "most_s": 10, "jitter": 0.2},
    "upload_lives_s": 86400,
    "film_lives_s": 86400,
    "slots": 2,
    "give_up_after_s": 3600,
    "usd_per_credit": "0.01",
    "inputs": {
        "image": {"accepts": ["png"], "ways": ["upload"], "max_bytes": 10**7},
        "video": {"accepts": ["mp4/h264"], "ways": ["upload"]},
        "audio": {"accepts": ["mp3/mp3"], "ways": ["upload"]},
    },
    "offer": [ROW, TIERED, COUNTED],
}
MAY_BE_ZERO = (
    "usd_per_second",
    "usd_per_megapixel",
    "jitter",
    "rank",
    "media_limits.video.duration.from",
    "start_time.from",
    "context.from",
)
MAY_BE_BELOW = ("rank",)
ABSURD = [-1, "1e300", "NaN", True]
ABSURD_PRICES = ["-0.01", 10**30, 1e300, "1e-400", float("nan"), float("inf"), "-inf", "much", [], {}]


def figures(table: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a figure stands in the file."""
    if isinstance(table, dict | list):
        for key, value in table.items() if isinstance(table, dict) else enumerate(table):
            yield from figures(value, (*place, key))
    elif isinstance(table, int | float) or str(table).startswith("0."):
        yield place


FIGURES = list(figures(WHOLE))


def with_value(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    table = deepcopy(WHOLE)
    at: Any = table
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return table


def written(folder: Path, table: dict[str, Any]) -> Path:
    path = folder / "models.toml"
    path.write_text(tomlkit.dumps(table), encoding="utf-8")
    return path


def refusal(folder: Path, table: dict[str, Any]) -> str:
    with pytest.raises(SetupError) as caught:
        read_providers(written(folder, table))
    told = str(caught.value)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert str(folder / "models.toml") in told
    assert "LTX_MCP_MODELS" in told
    assert told.isprintable()
    assert len(told) < 1500
    return told


def named(place: tuple[Any, ...]) -> str:
    return ".".join(str(each) for each in place[2 if place[0] == "offer" else 0 :])


def test_the_file_that_is_spoilt_here_can_be_used_as_it_is(tmp_path: Path) -> None:
    (facts,) = [each for each in read_providers(written(tmp_path, WHOLE)) if each.name == "ltx"]
    assert {"mine", "tiered", "counted"} <= {row.model for row in facts.offer}
    assert len(FIGURES) > 50


@pytest.mark.parametrize("place", FIGURES, ids=named)
def test_each_figure_that_cannot_be_meant_is_refused_by_name(place: tuple[Any, ...], tmp_path: Path) -> None:
    field = named(place)
    for value in (*ABSURD, *(ABSURD_PRICES if "usd_per" in field else ())):
        if field.endswith(MAY_BE_BELOW) and value == -1:
            continue
        told = refusal(tmp_path, with_value(place, value))
        assert [word for word in field.split(".") if not word.isdecimal()][-1] in told, told
        if place[0] == "offer":
            assert f"offer {WHOLE['offer'][place[1]]['model']} text_to_video: " in told


@pytest.mark.parametrize("place", FIGURES, ids=named)
def test_zero_is_refused_where_it_says_nothing(place: tuple[Any, ...], tmp_path: Path) -> None:
    if any(word in named(place) for word in MAY_BE_ZERO):
        read_providers(written(tmp_path, with_value(place, 0)))
    else:
        refusal(tmp_path, with_value(place, 0))


def test_a_price_is_told_with_its_row_what_it_is_and_what_it_may_be(tmp_path: Path) -> None:
    told = refusal(tmp_path, with_value(("offer", 0, "price", "usd_per_second", "1080p"), "-0.06"))
    assert (
        'offer mine text_to_video: price.usd_per_second.1080p = "-0.06": should be greater than or equal to 0' in told
    )
    told = refusal(tmp_path, with_value(("offer", 1, "price", "pixel_tiers", 1, "usd_per_second"), 2500))
    assert "offer tiered text_to_video: price.pixel_tiers.1.usd_per_second = 2500: should be less than" in told


def test_an_own_machine_may_cost_nothing_and_a_price_is_exact(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    text = path.read_text(encoding="utf-8").replace('"0.03"', "0").replace('"0.06"', "0.060000000001")
    path.write_text(text, encoding="utf-8")
    (facts,) = [each for each in read_providers(path) if each.name == "ltx"]
    (row,) = [row for row in facts.offer if row.model == "mine"]
    assert row.price.usd_per_second == {"720p": Decimal(0), "1080p": Decimal("0.060000000001")}


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("offer", 0, "price", "usd_per_second"), {"720p": "0.03"}, "has none for 1080p, which limits allow"),
        (("offer", 0, "limits", 0, "fps"), [], "each of limits needs fps"),
        (("offer", 0, "limits", 0, "resolution"), [], "each of limits needs resolution"),
        (("offer", 0, "limits", 0, "duration"), {"from": 9, "to": 3}, "from 9 should not be above to 3"),
        (("offer", 0, "limits", 0, "duration"), [], "duration"),
        (("offer", 0, "min_edge"), 5000, "min_edge should not be above"),
        (("inputs",), {"image": {"accepts": ["png"], "ways": ["url"]}}, "takes audio, and inputs has no audio"),
        (("offer", 0, "media"), ["film"], "media.0"),
        (("offer", 0, "model"), "", "model"),
        (("offer", 0, "endpoint"), "x" * 10**6, "endpoint"),
        (("offer", 1, "price", "pixel_tiers"), [{"usd_per_second": 1}, {"usd_per_second": 2}], "should grow by up_to"),
        (
            ("offer", 0, "price", "usd_per_megapixel"),
            "0.0016",
            "give one of usd_per_second, pixel_tiers and usd_per_meg",
        ),
        (("offer", 0, "automatic"), True, "automatic and frame_step exclude each other"),
        (("offer", 0, "price"), PRICE, "give one of usd_per_second, pixel_tiers and usd_per_megapixel"),
        (("offer", 0, "price"), PRICE | {"usd_per_megapixel": "-1"}, "price.usd_per_megapixel"),
        (
            ("offer", 0, "price"),
            PRICE | {"usd_per_megapixel": "0.002", "at_most": PRICE | {"usd_per_megapixel": "0.001"}},
            "at_most should name usd_per_megapixel where the price does, and not with less",
        ),
        (("film_hosts",), ["https://a.test; script-src *"], "film_hosts.0"),
        (("key_form",), PRICE | {"pattern": "(", "words": "w"}, "key_form.pattern"),
        (("inputs",), {"pictures": {"accepts": ["png"], "ways": ["url"]}}, "inputs.pictures"),
    ],
    ids=lambda value: None if isinstance(value, list | dict) else str(value)[:40],
)
def test_what_does_not_fit_together_is_refused(place: tuple[Any, ...], value: Any, told: str, tmp_path: Path) -> None:
    table = with_value(place, value) if place[0] in WHOLE else WHOLE | {place[0]: value}
    assert told in refusal(tmp_path, table)


def test_many_faults_are_not_all_told(tmp_path: Path) -> None:
    rows = [ROW | {"model": f"m{n}", "min_edge": -1} for n in range(500)]
    assert "; and 495 more" in refusal(tmp_path, WHOLE | {"offer": rows})


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "slots = " + "9" * 5000, "name = 'ltx'\nslots = 1e9999999"])
def test_what_no_parser_takes_is_refused_too(text: str, tmp_path: Path) -> None:
    path = tmp_path / "models.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match=r"models\.toml cannot be used"):
        read_providers(path)
