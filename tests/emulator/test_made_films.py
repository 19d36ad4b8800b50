"""The films of retakes, extensions and orders with a sound are real: made from the very bytes that were sent, once."""

import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import av
import httpx
import pytest
from PIL import Image, ImageStat

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.fal.errors import KEY as FAL_KEY
from ltx_mcp.emulator.ltx.errors import KEY as LTX_KEY
from tests.emulator.conftest import NO_TLS, Service
from tests.emulator.ltx_orders import ELSEWHERE, TYPES, data_uri
from tests.emulator.made import TONE_HZ, film, tone

SMALL = film("mp4", size=(640, 360), frames=80)
SILENT_TALL = film("mp4", size=(360, 640), frames=75, sound=False)
FAL = "fal-ai/ltx-2.3"


@pytest.fixture
def state(service: Service) -> EmulatorState:
    """Its state, empty, where films are done at once."""
    service[1].reset()
    service[1].wait_s = service[1].work_s = 0
    return service[1]


@pytest.fixture
def http(service: Service, state: EmulatorState) -> Iterator[httpx.Client]:
    """A client without a key of its own."""
    with httpx.Client(base_url=service[0], timeout=300, trust_env=False, verify=NO_TLS) as client:
        yield client


def from_ltx(http: httpx.Client, endpoint: str, **fields: Any) -> httpx.Response:
    """Order at v2 and download."""
    headers = {"authorization": f"Bearer {LTX_KEY}"}
    sent = http.post(f"/v2/{endpoint}", json=fields, headers=headers)
    assert sent.status_code == 202, sent.text
    told = http.get(f"/v2/{endpoint}/{sent.json()['id']}", headers=headers).json()
    return http.get(told["result"]["video_url"])


def from_ltx_v1(http: httpx.Client, endpoint: str, **fields: Any) -> httpx.Response:
    """Order at v1, which answers with the film."""
    return http.post(f"/v1/{endpoint}", json=fields, headers={"authorization": f"Bearer {LTX_KEY}"})


def from_fal(http: httpx.Client, endpoint: str, **fields: Any) -> httpx.Response:
    """Order from the queue and download."""
    headers = {"authorization": f"Key {FAL_KEY}"}
    told = http.post(f"/{FAL}/{endpoint}", json=fields, headers=headers).json()
    return http.get(http.get(told["response_url"], headers=headers).json()["video"]["url"])


@dataclass
class Seen:
    """What a film's streams hold: lengths in seconds, and the mean brightness of every frame."""

    size: tuple[int, int]
    seconds: float
    greys: list[float]
    sound_s: float


def look(content: bytes) -> Seen:
    """Decode a film to its end."""
    with av.open(io.BytesIO(content), "r") as opened:
        pictures = opened.streams.video[0]
        greys = [_mean(frame) for frame in opened.decode(pictures)]
        seconds = float((pictures.duration or 0) * (pictures.time_base or 0))
        size = (pictures.width, pictures.height)
    with av.open(io.BytesIO(content), "r") as opened:
        sounds = opened.streams.audio
        sound_s = sum(frame.samples / frame.sample_rate for frame in opened.decode(sounds[0])) if sounds else 0.0
        return Seen(size, seconds, greys, sound_s)


def _mean(frame: Any) -> float:
    return float(ImageStat.Stat(frame.reformat(64, 36, "rgb24").to_image().convert("L")).mean[0])


def pitch(content: bytes) -> float:
    """How often the sound of a film swings in a second, by its changes of sign."""
    samples = array("h")
    with av.open(io.BytesIO(content), "r") as opened:
        resampler = av.AudioResampler("s16", "mono", 48000)
        for frame in opened.decode(opened.streams.audio[0]):
            for block in resampler.resample(frame):
                samples.frombytes(bytes(block.planes[0])[: block.samples * 2])
    loud = [sample < 0 for sample in samples if abs(sample) > 1000]
    changes = sum(one != after for one, after in pairwise(loud))
    return changes / 2 * 48000 / len(samples)


def seen(answer: httpx.Response) -> Seen:
    """What came."""
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4"), answer.text[:200]
    return look(answer.content)


GIVEN = look(SMALL)
"""80 frames, each a little brighter than the one before."""


@pytest.mark.parametrize("mode", ["end", "start"])
@pytest.mark.parametrize("way", [from_ltx, from_ltx_v1])
def test_an_extension_is_the_film_that_was_sent_and_more_of_it(http: httpx.Client, way: Any, mode: str) -> None:
    made = seen(way(http, "extend", video_uri=data_uri(SMALL, TYPES["mp4"]), duration=2, mode=mode))
    assert (made.size, len(made.greys)) == ((640, 360), 130)
    assert made.seconds == pytest.approx(5.2, abs=0.04)
    assert made.sound_s == pytest.approx(5.2, abs=0.1)
    kept = made.greys[:80] if mode == "end" else made.greys[50:]
    assert kept == pytest.approx(GIVEN.greys, abs=1.5)


def test_fals_extension_is_the_same(http: httpx.Client) -> None:
    made = seen(from_fal(http, "extend-video", video_url=data_uri(SMALL, TYPES["mp4"]), duration=2))
    assert (made.size, len(made.greys)) == ((640, 360), 130)
    assert made.greys[:80] == pytest.approx(GIVEN.greys, abs=1.5)


def test_an_extension_of_a_silent_film_is_silent_and_stands_as_it_does(http: httpx.Client) -> None:
    made = seen(from_ltx(http, "extend", video_uri=data_uri(SILENT_TALL, TYPES["mp4"]), duration=2))
    assert (made.size, len(made.greys), made.sound_s) == ((360, 640), 125, 0)


def test_ltxs_retake_is_the_film_that_was_sent_at_full_hd_with_another_section(http: httpx.Client) -> None:
    made = seen(
        from_ltx(http, "retake", video_uri=data_uri(SMALL, TYPES["mp4"]), start_time=1.2, duration=9, prompt="rain")
    )
    assert (made.size, len(made.greys)) == ((1920, 1080), 80)
    assert made.seconds == pytest.approx(3.2, abs=0.04)
    assert made.sound_s == pytest.approx(3.2, abs=0.1)
    assert made.greys[:29] == pytest.approx(GIVEN.greys[:29], abs=1.5)
    assert made.greys[50:70] != pytest.approx(GIVEN.greys[50:70], abs=1.5)


def test_ltxs_retake_of_another_shape_gets_bars(http: httpx.Client) -> None:
    square = film("mp4", size=(360, 360), frames=75, sound=False)
    answer = from_ltx(http, "retake", video_uri=data_uri(square, TYPES["mp4"]), start_time=0.5, duration=2)
    with av.open(io.BytesIO(answer.content), "r") as opened:
        frame: Any = next(opened.decode(video=0))
        first = frame.to_image()
    assert first.size == (1920, 1080)
    assert max(first.getpixel((400, 540))) < 20
    assert min(first.getpixel((960, 540))[:1]) > 20


@pytest.mark.parametrize("mode", ["replace_audio_and_video", "replace_video", "replace_audio"])
def test_fals_retake_keeps_the_size_and_what_its_mode_does_not_name(http: httpx.Client, mode: str) -> None:
    video = data_uri(SMALL, TYPES["mp4"])
    made = seen(from_fal(http, "retake-video", video_url=video, prompt="rain", duration=2, retake_mode=mode))
    assert (made.size, len(made.greys)) == ((640, 360), 80)
    assert made.greys[55:] == pytest.approx(GIVEN.greys[55:], abs=1.5)
    kept = made.greys[5:45] == pytest.approx(GIVEN.greys[5:45], abs=1.5)
    assert kept == (mode == "replace_audio")


@pytest.mark.parametrize("kind", ["mp3", "m4a", "ogg"])
def test_a_film_from_a_sound_is_as_long_as_it_and_carries_it(http: httpx.Client, kind: str) -> None:
    sound = data_uri(tone(kind, 2.4), TYPES[kind])
    answer = from_ltx(http, "audio-to-video", audio_uri=sound, prompt="x", resolution="1280x720", fps=25)
    made = seen(answer)
    assert (made.size, len(made.greys)) == ((1280, 720), 60)
    assert pitch(answer.content) == pytest.approx(TONE_HZ, rel=0.03)
    assert made.sound_s == pytest.approx(2.4, abs=0.06)


def test_fals_film_from_a_sound_shows_its_picture(http: httpx.Client) -> None:
    first = []
    for colour in ("white", "black"):
        drawn = io.BytesIO()
        Image.new("RGB", (90, 160), colour).save(drawn, "PNG")
        sound, picture = data_uri(tone("wav", 2.0), "audio/wav"), data_uri(drawn.getvalue(), "image/png")
        made = seen(from_fal(http, "audio-to-video", audio_url=sound, image_url=picture))
        assert (made.size, len(made.greys)) == ((1080, 1920), 50)
        assert made.sound_s == pytest.approx(2.0, abs=0.06)
        first.append(made.greys[0])
    assert first[0] - first[1] > 100


@pytest.mark.parametrize("way", [from_ltx, from_ltx_v1])
def test_what_lies_elsewhere_leads_to_a_real_film_too(http: httpx.Client, way: Any) -> None:
    made = seen(way(http, "extend", video_uri=ELSEWHERE, duration=2))
    assert (made.size, len(made.greys)) == ((1920, 1080), 200)
    assert made.sound_s == pytest.approx(8, abs=0.1)


def test_the_same_order_is_the_same_film_made_once(http: httpx.Client, service: Service) -> None:
    video = {"video_url": data_uri(SMALL, TYPES["mp4"]), "duration": 2}
    first, again = (from_fal(http, "extend-video", **video, prompt=word) for word in ("rain", "snow"))
    assert first.headers["etag"] == again.headers["etag"]
    assert first.headers["last-modified"] == again.headers["last-modified"]
    other = from_fal(http, "extend-video", **video | {"video_url": data_uri(SMALL + bytes(8), TYPES["mp4"])})
    assert other.headers["etag"] != first.headers["etag"]


def test_a_smaller_film_is_half_the_size_and_half_the_length(http: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("*", "order", "smaller_film", times=3))
    extended = seen(from_fal(http, "extend-video", video_url=data_uri(SMALL, TYPES["mp4"]), duration=2))
    half = data_uri(film("mp4", size=(960, 540), frames=80), TYPES["mp4"])
    retaken = seen(from_ltx(http, "retake", video_uri=half, start_time=0, duration=2))
    sounding = seen(from_fal(http, "audio-to-video", audio_url=data_uri(tone(), TYPES["mp3"]), prompt="x"))
    assert (extended.size, len(extended.greys)) == ((320, 180), 65)
    assert (retaken.size, len(retaken.greys)) == ((960, 540), 40)
    assert sounding.size == (960, 540)
    assert len(sounding.greys) == pytest.approx(38, abs=1)


def test_an_edit_may_fail_after_it_was_taken(http: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("ltx", "order", "fails", times=2))
    answer = from_ltx_v1(http, "extend", video_uri=ELSEWHERE, duration=2)
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "api_error")
    headers = {"authorization": f"Bearer {LTX_KEY}"}
    sent = http.post("/v2/extend", json={"video_uri": ELSEWHERE, "duration": 2}, headers=headers).json()
    assert http.get(f"/v2/extend/{sent['id']}", headers=headers).json()["status"] == "failed"


@pytest.mark.parametrize("way", [from_ltx, from_ltx_v1])
@pytest.mark.parametrize("model", ["ltx-2-5-fast", "ltx-2-5-pro"])
@pytest.mark.parametrize("endpoint", ["text-to-video", "image-to-video"])
def test_a_film_of_automatic_length_has_eight_seconds(
    http: httpx.Client, state: EmulatorState, way: Any, endpoint: str, model: str
) -> None:
    fields = {"prompt": "x", "model": model, "duration": None, "resolution": "1280x720"}
    if endpoint == "image-to-video":
        fields["image_uri"] = ELSEWHERE
    made = seen(way(http, endpoint, **fields))
    assert (made.size, len(made.greys)) == ((1280, 720), 192)
    assert made.sound_s == pytest.approx(8, abs=0.1)
    assert state.orders[0].facts["billed_s"] == 8
