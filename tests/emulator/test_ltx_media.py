"""Films and sounds at the emulated LTX API: every form and kind it takes, and what it refuses, in words."""

from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.emulator.ltx.inputs import FORMATS
from tests.emulator.ltx_orders import ELSEWHERE, TYPES, data_uri, http, order, refusal, upload
from tests.emulator.made import film, tone

__all__ = ["http"]

DAY_S = 24 * 3600
SING = {"prompt": "A street singer"}


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_a_film_may_be_mp4_mov_or_mkv_with_h264_or_h265(
    http: httpx.Client, state: EmulatorState, kind: str, codec: str
) -> None:
    order(http, "extend", video_uri=upload(http, film(kind, codec=codec), TYPES[kind]), duration=2)
    assert state.orders[0].video.duration == pytest.approx(5, abs=0.01)


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("mp3", ""), ("m4a", ""), ("ogg", "libopus"), ("ogg", "vorbis"), ("wav", "libmp3lame")],
)
def test_a_sound_may_be_mp3_m4a_ogg_or_wav_that_is_no_pcm(
    http: httpx.Client, state: EmulatorState, kind: str, codec: str
) -> None:
    order(http, "audio-to-video", audio_uri=upload(http, tone(kind, codec=codec), TYPES[kind]), **SING)
    assert state.orders[0].video.duration == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    ("content", "content_type", "word"),
    [
        (tone("wav"), "audio/wav", "pcm"),
        (tone("flac"), "audio/flac", "flac"),
        (tone("aac"), "audio/aac", "aac"),
        (film("mp4"), "video/mp4", "mp4"),
        (tone("mp3"), "audio/wav", "was sent as audio/wav"),
        (tone("mp3"), "audio/mp3", "was sent as audio/mp3"),
        (tone("mp3")[:100], "audio/mpeg", "cannot be read"),
        (b"words", "audio/mpeg", "cannot be read"),
    ],
    ids=["pcm", "flac", "adts", "film", "type", "odd-type", "cut", "words"],
)
@pytest.mark.parametrize("way", [upload, lambda http, *file: data_uri(*file)], ids=["upload", "data"])
def test_any_other_sound_is_refused(
    http: httpx.Client, state: EmulatorState, way: Any, content: bytes, content_type: str, word: str
) -> None:
    told = refusal(http, "audio-to-video", audio_uri=way(http, content, content_type), **SING)
    assert told.startswith("audio_uri")
    assert word in told
    assert not state.orders


@pytest.mark.parametrize(
    ("content", "content_type", "word"),
    [
        (film("webm", codec="libvpx-vp9"), "video/webm", "webm"),
        (film("mp4", codec="mpeg4"), "video/mp4", "mpeg4"),
        (film("mp4"), "video/quicktime", "was sent as video/quicktime"),
        (film("mp4")[:-9000], "video/mp4", "cannot be read"),
        (tone("m4a"), "audio/mp4", "cannot be read"),
        (b"words", "video/mp4", "cannot be read"),
    ],
    ids=["webm", "mpeg4", "type", "cut", "sound", "words"],
)
def test_any_other_film_is_refused(
    http: httpx.Client, state: EmulatorState, content: bytes, content_type: str, word: str
) -> None:
    told = refusal(http, "retake", video_uri=upload(http, content, content_type), start_time=0, duration=2)
    assert told.startswith("video_uri")
    assert word in told
    assert not state.orders


def test_he_aac_and_pcm_are_in_no_row_of_the_formats() -> None:
    codecs = {codec for kinds in FORMATS.values() for _, known in kinds.values() for codec in known}
    assert codecs == {"h264", "hevc", "aac", "mp3", "vorbis", "flac", "opus"}


@pytest.mark.parametrize(
    "uri",
    [
        "http://media.example.org/a.mp4",
        "https://93.184.216.34/a.mp4",
        "/home/a.mp4",
        "ltx://uploads/nothing",
        "data:video/mp4;base64,",
        "data:video/mp4,abc",
        data_uri(bytes(12 * 2**20), "video/mp4"),
        None,
        7,
    ],
    ids=lambda uri: str(uri)[:30],
)
@pytest.mark.parametrize(("endpoint", "name"), [("extend", "video_uri"), ("audio-to-video", "audio_uri")])
def test_any_other_address_is_refused(
    http: httpx.Client, state: EmulatorState, endpoint: str, name: str, uri: object
) -> None:
    assert refusal(http, endpoint, **{name: uri}, duration=2, **SING).startswith(name)
    assert not state.orders


def test_an_https_address_is_taken_for_six_seconds_of_full_hd(http: httpx.Client, state: EmulatorState) -> None:
    order(http, "extend", video_uri=ELSEWHERE, duration=2)
    order(http, "audio-to-video", audio_uri=ELSEWHERE, **SING)
    films = [(each.video.width, each.video.height, each.video.fps, each.video.duration) for each in state.orders]
    assert films == [(1920, 1080, 25, 8), (1920, 1080, 24, 6)]


def test_a_data_uri_holds_a_film_of_up_to_15_mb_encoded(http: httpx.Client, state: EmulatorState) -> None:
    most = 15 * 2**20 - len("data:video/mp4;base64,")
    padding = most // 4 * 3 - len(film("mp4")) - 2
    order(http, "extend", video_uri=data_uri(padded(padding), "video/mp4"), duration=2)
    told = refusal(http, "extend", video_uri=data_uri(padded(padding + 3), "video/mp4"), duration=2)
    assert told == "video_uri: must be a whole base64 data URI of at most 15 MB"


def padded(by: int) -> bytes:
    """A film with a box of this size that players pass over."""
    return film("mp4") + by.to_bytes(4, "big") + b"free" + bytes(by - 8)


def test_an_upload_is_kept_for_a_day(http: httpx.Client, state: EmulatorState) -> None:
    uri = upload(http, film("mp4"), "video/mp4")
    order(http, "extend", video_uri=uri, duration=2)
    state.advance(DAY_S + 1)
    assert refusal(http, "extend", video_uri=uri, duration=2) == "video_uri: the upload has expired"
    unused = http.post("/v1/upload").json()["storage_uri"]
    assert "nothing was uploaded" in refusal(http, "extend", video_uri=unused, duration=2)
