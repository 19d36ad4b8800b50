"""The emulated fal.ai's films from a sound, extensions and retakes: fields, media, what is refused, what is billed."""

from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.conftest import Emulated
from tests.emulator.fal_orders import ELSEWHERE, data_uri, fal, state, submit, tall, uploaded
from tests.emulator.made import film, tone

__all__ = ["fal", "state", "submit"]

SOUND, EXTEND, RETAKE = (f"/fal-ai/ltx-2.3/{name}" for name in ("audio-to-video", "extend-video", "retake-video"))
PROMPT = {"prompt": "a pond"}
TYPES = {"video": "video/mp4", "audio": "audio/mpeg"}


def film_uri(**how: Any) -> str:
    return data_uri(film("mp4", **how), "video/mp4")


def tone_uri(seconds: float, kind: str = "mp3") -> str:
    return data_uri(tone(kind, seconds), "audio/mpeg")


def details(answer: httpx.Response) -> list[tuple[str, list[str]]]:
    """Type and place of each thing that is wrong."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["x-fal-retryable"] == "false"
    return [(each["type"], each["loc"]) for each in answer.json()["detail"]]


BAD: list[tuple[str, dict[str, Any], str, str]] = [
    (SOUND, {"audio_url": None}, "string_type", "audio_url"),
    (SOUND, {"audio_url": "pond.mp3"}, "file_download_error", "audio_url"),
    (SOUND, {"aspect_ratio": "1:1"}, "one_of", "aspect_ratio"),
    (SOUND, {"image_url": "pond.png"}, "file_download_error", "image_url"),
    (SOUND, {"guidance_scale": 51}, "less_than_equal", "guidance_scale"),
    (SOUND, {"prompt": ""}, "value_error", ""),
    (EXTEND, {"video_url": "http://media.example.com/a.mp4"}, "file_download_error", "video_url"),
    (EXTEND, {"duration": 1.9}, "greater_than_equal", "duration"),
    (EXTEND, {"duration": 20.1}, "less_than_equal", "duration"),
    (EXTEND, {"duration": "5"}, "float_type", "duration"),
    (EXTEND, {"mode": "middle"}, "one_of", "mode"),
    (EXTEND, {"context": 0.9}, "greater_than_equal", "context"),
    (EXTEND, {"context": 20.1}, "less_than_equal", "context"),
    (EXTEND, {"duration": 16, "context": 5}, "feature_not_supported", ""),
    (RETAKE, {"prompt": None}, "string_type", "prompt"),
    (RETAKE, {"start_time": -1}, "greater_than_equal", "start_time"),
    (RETAKE, {"start_time": 20.1}, "less_than_equal", "start_time"),
    (RETAKE, {"start_time": 6}, "feature_not_supported", ""),
    (RETAKE, {"duration": 1.9}, "greater_than_equal", "duration"),
    (RETAKE, {"duration": 20.1}, "less_than_equal", "duration"),
    (RETAKE, {"retake_mode": "replace"}, "one_of", "retake_mode"),
]


@pytest.mark.parametrize(("path", "fields", "kind", "name"), BAD, ids=repr)
def test_an_input_the_model_does_not_take_is_a_422_in_a_list(
    fal: httpx.Client, state: EmulatorState, path: str, fields: dict[str, Any], kind: str, name: str
) -> None:
    medium = {"audio_url": ELSEWHERE} if path == SOUND else {"video_url": ELSEWHERE}
    answer = fal.post(path, json=PROMPT | medium | fields)
    assert details(answer) == [(kind, ["body", name] if name else ["body"])]
    assert state.orders == []


@pytest.mark.parametrize(
    ("path", "missing"), [(SOUND, ["audio_url"]), (EXTEND, ["video_url"]), (RETAKE, ["video_url", "prompt"])]
)
def test_each_required_field_is_missed_by_name(fal: httpx.Client, path: str, missing: list[str]) -> None:
    assert details(fal.post(path, json={"image_url": ELSEWHERE})) == [("missing", ["body", name]) for name in missing]


def test_all_that_may_be_left_out_has_the_default_of_the_page(fal: httpx.Client, state: EmulatorState) -> None:
    bodies = [
        (SOUND, {"audio_url": ELSEWHERE, "image_url": ELSEWHERE}),
        (EXTEND, {"video_url": ELSEWHERE}),
        (RETAKE, {"video_url": ELSEWHERE, "prompt": "rain"}),
    ]
    for path, body in bodies:
        assert fal.post(path, json=body).status_code == 200
    sound, extended, retaken = (each.video for each in state.orders)
    assert (sound.width, sound.height, sound.fps, sound.duration, sound.edit) == (1920, 1080, 25, 6, None)
    assert extended.edit is not None
    assert (extended.duration, extended.edit.duration, extended.edit.mode) == (11, 5, "end")
    assert retaken.edit is not None
    assert (retaken.duration, retaken.edit.start_time, retaken.edit.duration) == (6, 0, 5)
    assert retaken.edit.mode == "replace_audio_and_video"


@pytest.mark.parametrize("kind", ["mp3", "ogg", "wav", "m4a", "aac"])
@pytest.mark.parametrize("way", ["storage", "cdn", "data"])
def test_a_sound_of_every_kind_is_taken_and_measured(
    fal: httpx.Client, state: EmulatorState, way: str, kind: str
) -> None:
    fields = {"audio_url": uploaded(fal, way, tone(kind), "audio/mpeg")}
    answer = fal.post(SOUND, json=PROMPT | fields)
    assert answer.status_code == 200, answer.text
    assert state.orders[0].video.duration == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("way", ["storage", "cdn", "data"])
def test_a_film_of_every_kind_is_taken_and_measured(
    fal: httpx.Client, state: EmulatorState, way: str, kind: str
) -> None:
    codec = "libvpx-vp9" if kind == "webm" else "libx264"
    answer = fal.post(EXTEND, json={"video_url": uploaded(fal, way, film(kind, codec=codec), "video/mp4")})
    assert answer.status_code == 200, answer.text
    made = state.orders[0].video
    assert (made.width, made.height, made.fps) == (320, 180, 25)
    assert made.duration == pytest.approx(8, abs=0.01)


def test_a_file_in_parts_is_one_film(emulator: Emulated, fal: httpx.Client, state: EmulatorState) -> None:
    token = fal.post("/storage/auth/token", json={}).json()
    headers = {"Authorization": f"{token['token_type']} {token['token']}", "X-Fal-File-Name": "pond.mp4"}
    begun = fal.post("/files/upload/multipart", headers=headers).json()
    half, content, tags = len(film("mp4")) // 2, film("mp4"), []
    for number, part in ((2, content[half:]), (1, content[:half])):
        url = f"{begun['access_url']}/multipart/{begun['uploadId']}/{number}"
        tags.append({"partNumber": number, "etag": fal.put(url, content=part, headers=headers).headers["ETag"]})
    done = f"{begun['access_url']}/multipart/{begun['uploadId']}/complete"
    url = fal.post(done, json={"parts": tags}, headers=headers).json()["access_url"]
    assert httpx.get(url).content == content
    assert fal.post(EXTEND, json={"video_url": url}).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tone("flac"), "unsupported_audio_format"),
        (film("mp4"), "unsupported_audio_format"),
        (b"words", "unsupported_audio_format"),
        (tone("mp3", 1.8), "audio_duration_too_short"),
        (tone("mp3", 20.2), "audio_duration_too_long"),
    ],
    ids=["flac", "film", "words", "short", "long"],
)
def test_a_sound_that_does_not_fit_is_a_422_that_says_why(
    fal: httpx.Client, state: EmulatorState, content: bytes, kind: str
) -> None:
    answer = fal.post(SOUND, json=PROMPT | {"audio_url": data_uri(content, "audio/mpeg")})
    assert details(answer) == [(kind, ["body", "audio_url"])]
    ctx = answer.json()["detail"][0]["ctx"]
    expected = {"min_duration": 2, "max_duration": 20, "supported_formats": ["mp3", "ogg", "wav", "m4a", "aac"]}
    assert {name: value for name, value in ctx.items() if name in expected}.items() <= expected.items()
    assert ctx.keys() & expected.keys()
    assert state.orders == []


@pytest.mark.parametrize("seconds", [2, 20])
def test_a_sound_of_2_and_of_20_seconds_is_taken_and_billed(
    fal: httpx.Client, state: EmulatorState, seconds: int
) -> None:
    assert fal.post(SOUND, json=PROMPT | {"audio_url": tone_uri(seconds)}).status_code == 200
    assert state.orders[0].facts["billed_s"] == pytest.approx(seconds, abs=0.05)


@pytest.mark.parametrize(
    ("content", "kind", "loc"),
    [
        (film("avi", codec="mpeg4", sound=False), "unsupported_video_format", ["body", "video_url"]),
        (tone("m4a"), "unsupported_video_format", ["body", "video_url"]),
        (b"words", "unsupported_video_format", ["body", "video_url"]),
        (film("mp4", frames=72), "video_duration_too_short", ["body"]),
    ],
    ids=["avi", "sound", "words", "short"],
)
@pytest.mark.parametrize("path", [EXTEND, RETAKE])
def test_a_film_that_does_not_fit_is_a_422_that_says_why(
    fal: httpx.Client, state: EmulatorState, path: str, content: bytes, kind: str, loc: list[str]
) -> None:
    assert details(fal.post(path, json=PROMPT | {"video_url": data_uri(content, "video/mp4")})) == [(kind, loc)]
    assert state.orders == []


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (1920, 1080)),
        ({"aspect_ratio": "9:16"}, (1080, 1920)),
        ({"image_url": tall()}, (1080, 1920)),
        ({"image_url": tall(), "aspect_ratio": "16:9"}, (1920, 1080)),
        ({"image_url": ELSEWHERE}, (1920, 1080)),
    ],
    ids=lambda each: str(each)[:40],
)
def test_a_film_from_a_sound_stands_as_its_picture_does(
    fal: httpx.Client, state: EmulatorState, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    assert fal.post(SOUND, json=PROMPT | {"audio_url": ELSEWHERE} | fields).status_code == 200
    assert (state.orders[0].video.width, state.orders[0].video.height) == size


@pytest.mark.parametrize(
    ("path", "fields", "billed_s"),
    [
        (EXTEND, {"video_url": film_uri(frames=100), "context": 2}, 7),
        (EXTEND, {"video_url": film_uri(frames=100)}, 9),
        (EXTEND, {"video_url": film_uri(frames=600)}, 20.2),
        (RETAKE, {"video_url": film_uri(frames=100), "start_time": 1, "duration": 2}, 4),
        (SOUND, {"audio_url": tone_uri(3, "wav")}, 3),
        ("/fal-ai/ltx-2.3/text-to-video", {"duration": 8}, 8),
    ],
    ids=lambda each: str(each)[:40],
)
def test_the_result_says_what_the_operation_is_billed(
    fal: httpx.Client, state: EmulatorState, path: str, fields: dict[str, Any], billed_s: float
) -> None:
    told = fal.post(path, json=PROMPT | fields).json()
    state.advance(181)
    result = fal.get(told["response_url"])
    assert result.status_code == 200
    assert float(result.headers["x-fal-billable-units"]) == state.orders[0].facts["billed_s"] == billed_s


def test_context_and_new_part_have_505_frames_at_most(fal: httpx.Client) -> None:
    body = {"video_url": film_uri(), "duration": 15}
    assert fal.post(EXTEND, json=body | {"context": 5.2}).status_code == 200
    assert details(fal.post(EXTEND, json=body | {"context": 5.21})) == [("feature_not_supported", ["body"])]


def test_an_order_is_followed_and_cancelled_as_any_other(fal: httpx.Client, state: EmulatorState) -> None:
    told = fal.post(EXTEND, json={"video_url": ELSEWHERE}).json()
    assert fal.get(told["status_url"]).json()["status"] == "IN_QUEUE"
    assert fal.put(told["cancel_url"]).json() == {"status": "OK"}
    with fal.stream("GET", told["status_url"] + "/stream") as answer:
        assert "COMPLETED" in answer.read().decode()


@pytest.mark.parametrize("path", [SOUND, EXTEND, RETAKE])
def test_the_price_of_each_is_in_the_list(fal: httpx.Client, path: str) -> None:
    told = fal.get("/v1/models/pricing", params={"endpoint_id": path[1:]}).json()
    assert [each["unit_price"] for each in told["prices"]] == [0.1]
