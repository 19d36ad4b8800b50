"""The emulated fal.ai's LTX-2.5, open weights and reframe: defaults, what is refused, what is counted for the bill."""

from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState, VideoSpec
from tests.emulator.fal_orders import ELSEWHERE, PROMPT, Submit, data_uri, fal, state, submit
from tests.emulator.made import film, tone

__all__ = ["fal", "state", "submit"]

FAST, PRO = "/lightricks/ltx-2.5/text-to-video/fast", "/lightricks/ltx-2.5/text-to-video/pro"
FAST_IMAGE, PRO_IMAGE = "/lightricks/ltx-2.5/image-to-video/fast", "/lightricks/ltx-2.5/image-to-video/pro"
FAST_SOUND, PRO_SOUND = "/lightricks/ltx-2.5/audio-to-video/fast", "/lightricks/ltx-2.5/audio-to-video/pro"
OPEN = "/fal-ai/ltx-2.3-22b/text-to-video"
OPEN_IMAGE, OPEN_SOUND = "/fal-ai/ltx-2.3-22b/image-to-video", "/fal-ai/ltx-2.3-22b/audio-to-video"
REFRAME = "/fal-ai/ltx-2.3/reframe"


def sound(seconds: float) -> str:
    return data_uri(tone("wav", seconds), "audio/wav")


def video(**made: Any) -> str:
    return data_uri(film(**made), "video/mp4")


@pytest.mark.parametrize(
    ("path", "fields", "made"),
    [
        (FAST, {}, VideoSpec(1920, 1080, 25, 8)),
        (PRO, {"resolution": "720p", "fps": 50, "duration": 10}, VideoSpec(1280, 720, 50, 10)),
        (FAST, {"resolution": "1440p", "aspect_ratio": "9:16", "camera_motion": None}, VideoSpec(1440, 2560, 25, 8)),
        (FAST_IMAGE, {"image_url": ELSEWHERE, "end_image_url": ELSEWHERE}, VideoSpec(1920, 1080, 25, 8)),
        (OPEN, {}, VideoSpec(1024, 576, 24, 121 / 24)),
        (OPEN, {"video_size": {"width": 1280, "height": 704}, "fps": 12.5}, VideoSpec(1280, 704, 12.5, 9.68)),
        (OPEN_IMAGE, {"image_url": ELSEWHERE, "num_frames": 9, "fps": 1}, VideoSpec(1024, 576, 1, 9)),
    ],
    ids=repr,
)
def test_what_is_left_out_is_what_the_page_says(
    submit: Submit, state: EmulatorState, path: str, fields: dict[str, Any], made: VideoSpec
) -> None:
    submit(path, **fields)
    assert state.orders[0].video == made


LONG = {"duration": 12}


@pytest.mark.parametrize(
    ("path", "fields", "loc"),
    [
        *((FAST, {"duration": value}, "duration") for value in (7, 22, "Auto", None, "6", 6.0, True)),
        *((PRO, {"duration": value}, "duration") for value in (12, 20)),
        (FAST, {"resolution": "4k"}, "resolution"),
        (PRO, {"resolution": "1440p"}, "resolution"),
        (FAST, {"fps": "25"}, "fps"),
        (PRO, {"fps": 48}, "fps"),
        (FAST, {"camera_motion": "none"}, "camera_motion"),
        (FAST, {"prompt": ""}, "prompt"),
        (FAST, {"prompt": "x" * 5001}, "prompt"),
        (FAST, {"aspect_ratio": "auto"}, "aspect_ratio"),
        *((FAST, LONG | {"fps": fps}, "") for fps in (48, 50)),
        *((FAST, LONG | {"resolution": size}, "") for size in ("1440p", "2160p")),
        (PRO_IMAGE, {}, "image_url"),
        (FAST_SOUND, {"audio_url": sound(1.5)}, "audio_url"),
        (PRO_SOUND, {"audio_url": sound(10.5)}, ""),
        (PRO_SOUND, {"audio_url": ELSEWHERE, "prompt": None}, ""),
        *((OPEN, {"num_frames": frames}, "num_frames") for frames in (8, 482, 25.0)),
        *((OPEN, {"fps": fps}, "fps") for fps in (0.5, 61)),
        (OPEN, {"camera_lora": "focus_shift"}, "camera_lora"),
        (OPEN, {"seed": "1"}, "seed"),
        (OPEN_SOUND, {"audio_url": ELSEWHERE, "prompt": None}, "prompt"),
        (OPEN_SOUND, {"audio_url": sound(20), "fps": 25}, ""),
        (REFRAME, {"video_url": ELSEWHERE, "aspect_ratio": "4:3"}, "aspect_ratio"),
        (REFRAME, {"video_url": ELSEWHERE, "resolution": "1440p"}, "resolution"),
        (REFRAME, {"video_url": video(fps=5, frames=301)}, ""),
        (REFRAME, {"video_url": video(size=(320, 62), frames=5)}, ""),
        (REFRAME, {}, "video_url"),
    ],
    ids=lambda each: str(each)[:60],
)
def test_what_the_page_does_not_have_is_a_422_that_names_it(
    fal: httpx.Client, state: EmulatorState, path: str, fields: dict[str, Any], loc: str
) -> None:
    told = fal.post(path, json=PROMPT | fields)
    assert told.status_code == 422
    assert told.json()["detail"][0]["loc"][:2] == ["body", *([loc] if loc else [])]
    assert state.orders == []


@pytest.mark.parametrize(
    ("path", "fields", "units"),
    [
        (FAST, {"duration": 6, "resolution": "720p"}, "54"),
        (PRO, {"duration": 10}, "170"),
        (FAST, {"resolution": "2160p"}, "240"),  # eight seconds of auto
        (FAST_SOUND, {"audio_url": sound(3.28)}, "42.64"),
        (PRO_SOUND, {"audio_url": ELSEWHERE}, "102"),
        (OPEN, {"video_size": {"width": 1280, "height": 720}}, "112"),  # the page's own example
        (OPEN_SOUND, {"audio_url": sound(3), "video_size": {"width": 1280, "height": 704}}, "66"),  # 73 frames
        (REFRAME, {"video_url": video(frames=80)}, "3.2"),
    ],
    ids=lambda each: str(each)[:60],
)
def test_the_bill_counts_cents_megapixels_or_seconds(
    fal: httpx.Client, submit: Submit, state: EmulatorState, path: str, fields: dict[str, Any], units: str
) -> None:
    told = submit(path, **fields)
    state.advance(181)
    result = fal.get(told["response_url"])
    assert (result.status_code, result.headers["x-fal-billable-units"]) == (200, units)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"seed": 0, "enable_prompt_expansion": False}, {"seed": 0, "prompt": "a pond"}),
        ({"seed": 7}, {"seed": 7, "prompt": "a pond (expanded)"}),
    ],
)
def test_the_open_weights_give_back_seed_and_prompt(
    fal: httpx.Client, submit: Submit, state: EmulatorState, asked: dict[str, Any], told: dict[str, Any]
) -> None:
    order = submit(OPEN, **asked)
    state.advance(181)
    result = fal.get(order["response_url"]).json()
    assert {name: result[name] for name in told} == told


def test_without_a_seed_each_order_has_its_own(submit: Submit, state: EmulatorState) -> None:
    submit(OPEN)
    submit(OPEN)
    first, second = (order.facts["answer"]["seed"] for order in state.orders)
    assert first != second


@pytest.mark.parametrize(
    ("ratio", "resolution", "size"),
    [("1:1", "720p", (720, 720)), ("4:5", "1080p", (1080, 1350)), ("5:4", "720p", (900, 720))],
)
def test_a_new_shape_has_the_short_edge_of_its_label(
    submit: Submit, state: EmulatorState, ratio: str, resolution: str, size: tuple[int, int]
) -> None:
    submit(REFRAME, video_url=video(fps=24, frames=77), aspect_ratio=ratio, resolution=resolution)
    made = state.orders[0].video
    assert (made.width, made.height, made.fps, made.audio) == (*size, 24, True)
    assert made.duration == pytest.approx(77 / 24, abs=0.001)


def test_an_order_is_found_under_its_own_owner_only(fal: httpx.Client, submit: Submit) -> None:
    told = submit(FAST)
    assert fal.get(told["status_url"]).json()["status"] == "IN_QUEUE"
    for other in ("/fal-ai/ltx-2.5/", "/lightricks/ltx-2.3/", "/fal-ai/ltx-2.3-22b/"):
        assert fal.get(told["status_url"].replace("/lightricks/ltx-2.5/", other)).status_code == 404
    assert fal.put(told["cancel_url"]).json() == {"status": "OK"}
