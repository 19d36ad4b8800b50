"""The emulated LTX API's films from a sound, retakes and extensions: each limit, each default, and what is billed."""

import io
import json
from fractions import Fraction
from typing import Any

import httpx
import pytest
from PIL import Image

from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.emulator.conftest import picture
from tests.emulator.ltx_orders import ELSEWHERE, TYPES, data_uri, error, http, order, refusal, upload
from tests.emulator.made import film, tone

__all__ = ["http"]

SING = {"prompt": "A street singer"}
RETAKE = {"start_time": 0, "duration": 2}


def film_uri(**how: Any) -> str:
    return data_uri(film("mp4", **how), "video/mp4")


def tone_uri(seconds: float) -> str:
    return data_uri(tone("mp3", seconds), TYPES["mp3"])


def tall_picture() -> bytes:
    kept = io.BytesIO()
    Image.new("RGB", (90, 160), "teal").save(kept, "png")
    return kept.getvalue()


# -- audio-to-video

SOUNDS = [
    ({}, 2, 20),
    ({"model": "ltx-2-5-fast", "resolution": "1280x720"}, 2, 20),
    ({"model": "ltx-2-3-pro", "resolution": "1080x1920", "fps": 25}, 2, 20),
    ({"model": "ltx-2-3-pro", "resolution": "2560x1440"}, 2, 10),
    ({"model": "ltx-2-5-fast", "resolution": "2160x3840"}, 2, 10),
    ({"model": "ltx-2-5-fast", "fps": 50}, 2, 20),
    ({"model": "ltx-2-5-pro", "resolution": "1280x720"}, 2, 10),
]


@pytest.mark.parametrize(("fields", "least", "most"), SOUNDS, ids=repr)
def test_how_long_a_sound_may_be_follows_from_model_and_resolution(
    http: httpx.Client, state: EmulatorState, fields: dict[str, Any], least: float, most: float
) -> None:
    for seconds in (least, most):
        order(http, "audio-to-video", audio_uri=tone_uri(seconds), **SING, **fields)
    for seconds in (least - 0.2, most + 0.2):
        told = refusal(http, "audio-to-video", audio_uri=tone_uri(seconds), **SING, **fields)
        assert told.startswith("audio_uri: lasts")
        assert f"must be {least} to {most} s" in told
    assert [each.facts["billed_s"] for each in state.orders] == pytest.approx([least, most], abs=0.05)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"prompt": ""}, "prompt or image_uri is required"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x" * 5001}, "prompt"),
        ({"model": "ltx-2-3-fast"}, "model"),
        ({"model": None}, "model"),
        ({"resolution": "1080p"}, "resolution"),
        ({"resolution": None}, "resolution"),
        ({"fps": 30}, "fps"),
        ({"fps": 24.0}, "fps"),
        ({"fps": True}, "fps"),
        ({"camera_motion": "none"}, "camera_motion"),
        ({"last_frame_uri": ELSEWHERE}, "last_frame_uri needs image_uri"),
        ({"image_uri": "a.png"}, "image_uri"),
        ({"image_uri": ELSEWHERE, "last_frame_uri": data_uri(b"words", "image/png")}, "last_frame_uri"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_wrong_field_beside_a_sound_is_refused_by_name(
    http: httpx.Client, state: EmulatorState, version: str, fields: dict[str, Any], word: str
) -> None:
    assert refusal(http, f"{version}/audio-to-video", **{"audio_uri": ELSEWHERE, **SING, **fields}).startswith(word)
    assert not state.orders


def test_a_sound_needs_a_prompt_or_a_picture_beside_it(http: httpx.Client, state: EmulatorState) -> None:
    assert refusal(http, "audio-to-video", audio_uri=ELSEWHERE) == "prompt or image_uri is required"
    assert refusal(http, "audio-to-video", **SING) == "audio_uri is required"
    picture_uri = data_uri(picture(), "image/png")
    order(http, "audio-to-video", audio_uri=ELSEWHERE, image_uri=picture_uri, prompt="")
    order(http, "audio-to-video", audio_uri=ELSEWHERE, image_uri=picture_uri, last_frame_uri=picture_uri)
    order(http, "audio-to-video", audio_uri=ELSEWHERE, camera_motion="jib_up", **SING)


def test_a_film_from_a_sound_is_full_hd_as_its_picture_stands_with_24_frames_a_second(
    http: httpx.Client, state: EmulatorState
) -> None:
    tall = upload(http, tall_picture())
    for fields in ({}, {"image_uri": tall}, {"image_uri": ELSEWHERE}, {"image_uri": tall, "resolution": "1280x720"}):
        order(http, "audio-to-video", audio_uri=ELSEWHERE, **SING, **fields)
    films = [each.video for each in state.orders]
    assert [(each.width, each.height) for each in films] == [(1920, 1080), (1080, 1920), (1920, 1080), (1280, 720)]
    assert [(each.fps, each.duration, each.audio) for each in films] == [(24, 6, True)] * 4


# -- what a film must be


@pytest.mark.parametrize("endpoint", ["retake", "extend"])
def test_a_film_has_73_frames_at_least(http: httpx.Client, state: EmulatorState, endpoint: str) -> None:
    order(http, endpoint, video_uri=film_uri(frames=73), **RETAKE)
    told = refusal(http, endpoint, video_uri=film_uri(frames=72), **RETAKE)
    assert told.startswith("video_uri")
    assert "at least 73" in told
    assert len(state.orders) == 1


@pytest.mark.parametrize("size", [(320, 180), (180, 320), (322, 180)])
def test_a_film_of_16_9_or_9_16_is_extended(http: httpx.Client, state: EmulatorState, size: tuple[int, int]) -> None:
    order(http, "extend", video_uri=film_uri(size=size), duration=2)
    assert (state.orders[0].video.width, state.orders[0].video.height) == size


@pytest.mark.parametrize("size", [(320, 240), (240, 240), (326, 180), (420, 180)])
def test_a_film_of_another_shape_is_retaken_but_not_extended(
    http: httpx.Client, state: EmulatorState, size: tuple[int, int]
) -> None:
    told = refusal(http, "extend", video_uri=film_uri(size=size), duration=2)
    assert told == f"video_uri: is {size[0]}x{size[1]}; must be 16:9 or 9:16"
    order(http, "retake", video_uri=film_uri(size=size), **RETAKE)


# -- retake


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"start_time": None}, "start_time"),
        ({"start_time": -0.1}, "start_time"),
        ({"start_time": "1"}, "start_time"),
        ({"start_time": 6}, "start_time must lie before the end"),
        ({"duration": None}, "duration"),
        ({"duration": 1.9}, "duration"),
        ({"duration": True}, "duration"),
        ({"duration": float("inf")}, "duration"),
        ({"mode": "replace"}, "mode"),
        ({"mode": None}, "mode"),
        ({"resolution": "1280x720"}, "resolution"),
        ({"model": "ltx-2-5-pro"}, "model"),
        ({"prompt": "x" * 5001}, "prompt"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_wrong_retake_is_refused_by_name(
    http: httpx.Client, state: EmulatorState, version: str, fields: dict[str, Any], word: str
) -> None:
    body = {"video_uri": ELSEWHERE, "start_time": 1, "duration": 2} | fields
    answer = http.post(f"/{version}/retake", content=json.dumps(body), headers={"content-type": "application/json"})
    assert error(answer) == (400, "invalid_request_error")
    assert answer.json()["error"]["message"].startswith(word)
    assert not state.orders


@pytest.mark.parametrize("name", ["video_uri", "start_time", "duration"])
def test_each_required_field_of_a_retake_is_missed_by_name(http: httpx.Client, name: str) -> None:
    body: dict[str, Any] = {"video_uri": ELSEWHERE, "start_time": 1, "duration": 2}
    del body[name]
    assert refusal(http, "retake", **body) == f"{name} is required"


@pytest.mark.parametrize("mode", ["replace_audio_and_video", "replace_video", "replace_audio"])
def test_a_retake_is_billed_the_whole_film_and_ends_with_it(
    http: httpx.Client, state: EmulatorState, mode: str
) -> None:
    order(http, "retake", video_uri=film_uri(frames=100), start_time=1.5, duration=30, mode=mode)
    [taken] = state.orders
    assert taken.video.edit is not None
    assert (taken.video.edit.start_time, taken.video.edit.duration, taken.video.edit.mode) == (1.5, 2.5, mode)
    assert (taken.video.duration, taken.facts["billed_s"]) == (4, 4)


@pytest.mark.parametrize(
    ("size", "fields", "expected"),
    [
        ((320, 180), {}, (1920, 1080)),
        ((180, 320), {}, (1080, 1920)),
        ((240, 240), {}, (1920, 1080)),
        ((320, 180), {"resolution": "1080x1920"}, (1080, 1920)),
    ],
)
def test_a_retake_has_the_size_that_was_asked_for_or_stands_as_the_film_does(
    http: httpx.Client, state: EmulatorState, size: tuple[int, int], fields: dict[str, Any], expected: tuple[int, int]
) -> None:
    order(http, "retake", video_uri=film_uri(size=size), **RETAKE, **fields)
    assert (state.orders[0].video.width, state.orders[0].video.height) == expected
    assert state.orders[0].video.fps == 25


# -- extend


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"duration": 1.9}, "duration"),
        ({"duration": 20.1}, "duration"),
        ({"duration": "5"}, "duration"),
        ({"duration": None}, "duration"),
        ({"mode": "middle"}, "mode"),
        ({"context": 0}, "context"),
        ({"context": 0.9}, "context"),
        ({"context": 20.1}, "context"),
        ({"context": None}, "context"),
        ({"duration": 16, "context": 5}, "context and duration"),
        ({"model": "ltx-2-3-fast"}, "model"),
        ({"prompt": ["x"]}, "prompt"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_wrong_extension_is_refused_by_name(
    http: httpx.Client, state: EmulatorState, version: str, fields: dict[str, Any], word: str
) -> None:
    body = {"video_uri": ELSEWHERE, "duration": 5} | fields
    assert refusal(http, f"{version}/extend", **body).startswith(word)
    assert not state.orders


@pytest.mark.parametrize("name", ["video_uri", "duration"])
def test_each_required_field_of_an_extension_is_missed_by_name(http: httpx.Client, name: str) -> None:
    body: dict[str, Any] = {"video_uri": ELSEWHERE, "duration": 5}
    del body[name]
    assert refusal(http, "extend", **body) == f"{name} is required"


@pytest.mark.parametrize(
    ("fps", "duration", "context", "too_much"),
    [(25, 15, 5.2, 5.21), (24, 2, 19.04, 19.05), (50, 6, 4.1, 4.11), (Fraction(30000, 1001), 10, 6.85, 6.86)],
)
def test_context_and_new_part_have_505_frames_at_most(
    http: httpx.Client, state: EmulatorState, fps: Fraction, duration: float, context: float, too_much: float
) -> None:
    uri = film_uri(fps=fps, frames=75)
    order(http, "extend", video_uri=uri, duration=duration, context=context)
    told = refusal(http, "extend", video_uri=uri, duration=duration, context=too_much)
    assert told.startswith("context and duration must be at most 505 frames")


def test_a_new_part_of_more_than_505_frames_is_refused_without_a_context(http: httpx.Client) -> None:
    uri = film_uri(fps=50, frames=75)
    order(http, "extend", video_uri=uri, duration=10)
    assert "505 frames" in refusal(http, "extend", video_uri=uri, duration=10.2)


@pytest.mark.parametrize(
    ("frames", "fields", "billed_s"),
    [
        (100, {"duration": 5, "context": 2}, 7),
        (100, {"duration": 5, "context": 8}, 9),
        (100, {"duration": 5}, 9),
        (600, {"duration": 5}, 20.2),
        (600, {"duration": 2, "context": 18}, 20),
        (600, {"duration": 20}, 20.2),
        (100, {"duration": 2.5, "mode": "start"}, 6.5),
    ],
    ids=repr,
)
def test_an_extension_is_billed_its_new_part_and_its_context(
    http: httpx.Client, state: EmulatorState, frames: int, fields: dict[str, Any], billed_s: float
) -> None:
    order(http, "extend", video_uri=film_uri(frames=frames), **fields)
    [taken] = state.orders
    assert taken.facts["billed_s"] == pytest.approx(billed_s, abs=0.001)
    assert taken.video.duration == frames / 25 + fields["duration"]


def test_an_order_from_text_is_billed_its_film(http: httpx.Client, state: EmulatorState) -> None:
    order(http, "text-to-video", prompt="x", model="ltx-2-3-fast", duration=8, resolution="1280x720")
    assert state.orders[0].facts["billed_s"] == 8


@pytest.mark.parametrize(
    ("endpoint", "fields"),
    [
        ("audio-to-video", {"audio_uri": ELSEWHERE, **SING}),
        ("retake", {"video_uri": ELSEWHERE, **RETAKE}),
        ("extend", {"video_uri": ELSEWHERE, "duration": 2}),
    ],
)
def test_a_job_is_known_only_under_the_name_it_was_ordered_by(
    http: httpx.Client, endpoint: str, fields: dict[str, Any]
) -> None:
    path = order(http, endpoint, **fields)
    assert http.get(path).json()["status"] == "pending"
    others = {"audio-to-video", "retake", "extend", "text-to-video", "video-to-video-hdr"} - {endpoint}
    for other in others:
        assert error(http.get(path.replace(endpoint, other, 1))) == (404, "not_found_error")


# -- reframe --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", ["720x720", "1080x1080", "900x720", "1080x1350", "720x1280", "1920x1080"])
def test_a_new_shape_is_made_of_the_complete_film(http: httpx.Client, state: EmulatorState, resolution: str) -> None:
    order(http, "video-to-video-reframe", video_uri=film_uri(frames=80), resolution=resolution)
    made = state.orders[0]
    assert (f"{made.video.width}x{made.video.height}", made.facts["billed_s"]) == (resolution, 3.2)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"resolution": "1440x2560"}, "resolution must be one of"),
        ({"resolution": "1080p"}, "resolution must be one of"),
        ({"resolution": "720x720", "placement": "center"}, "placement must be"),
        ({"resolution": "720x720", "video_uri": "http://127.0.0.1/a"}, "video_uri"),
        ({}, "resolution is required"),
    ],
    ids=repr,
)
def test_a_wrong_reframe_is_refused_by_name(
    http: httpx.Client, state: EmulatorState, fields: dict[str, Any], word: str
) -> None:
    assert refusal(http, "v2/video-to-video-reframe", **{"video_uri": ELSEWHERE} | fields).startswith(word)
    assert not state.orders


def test_a_film_of_more_than_a_minute_is_not_reframed(http: httpx.Client) -> None:
    told = refusal(http, "v2/video-to-video-reframe", video_uri=film_uri(fps=5, frames=301), resolution="720x720")
    assert told.startswith("video_uri: lasts 60.2 s")
