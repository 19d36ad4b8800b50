"""How long a film or a sound is taken to be, whatever its head says: never shorter than anybody could count it."""

import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError
from ltx_mcp.media.convert import convert_media
from ltx_mcp.media.measure import make_sheet, measure_film, take_frame
from ltx_mcp.media.probe import Kind, probe_media
from tests.media.films import Recipe, make
from tests.media.lies import (
    AVI,
    FILM,
    FRAGMENTS,
    LIVE,
    LYING_FILMS,
    LYING_SOUNDS,
    SHORT,
    SOUND,
    TRUE_S,
    VP8,
    Make,
    again,
    boxes,
    lying,
    with_hole,
)

REORDERED = (("preset", "veryfast"), ("bf", "3"), ("g", "100"))
LATEST_S = TRUE_S + 0.11  # with what an encoder put around a sound


@pytest.mark.parametrize("name", LYING_FILMS)
def test_a_film_is_as_long_as_the_longest_that_is_said_or_counted(name: str, tmp_path: Path) -> None:
    path = LYING_FILMS[name](tmp_path / name)
    facts = probe_media(path, "video")
    assert TRUE_S <= facts.duration < LATEST_S
    assert facts.doubt.startswith("3")
    assert facts.doubt.endswith((" s by its header", " s of picture"))
    assert facts.fps == 25.0


@pytest.mark.parametrize("name", LYING_SOUNDS)
def test_a_sound_is_as_long_as_the_longest_that_is_said_or_counted(name: str, tmp_path: Path) -> None:
    facts = probe_media(LYING_SOUNDS[name](tmp_path / name), "audio")
    assert TRUE_S - 0.01 <= facts.duration < LATEST_S
    assert facts.doubt


def test_a_hole_counts_in_a_sound_too(tmp_path: Path) -> None:
    assert TRUE_S <= probe_media(with_hole(tmp_path / "a.mkv"), "audio").duration < LATEST_S


HONEST_FILMS: dict[str, Recipe] = {
    "reordered.mp4": replace(FILM, options=REORDERED),
    "fragments.mp4": replace(FILM, options=REORDERED, muxing=FRAGMENTS, sample_rate=48_000),
    "reordered.mkv": replace(FILM, options=REORDERED, sample_rate=48_000),
    "reordered.mov": replace(FILM, options=REORDERED, sample_rate=44_100),
    "slow.mp4": replace(FILM, rate=Fraction(5), frames=60, options=REORDERED),
    "a.webm": VP8,
    "live.webm": LIVE,
    "a.avi": AVI,
}
HONEST_SOUNDS: dict[str, Recipe] = {
    "a.m4a": replace(SOUND, sample_rate=8_000),
    "a.mp3": replace(SOUND, audio="libmp3lame", sample_rate=8_000),
    "a.ogg": replace(SOUND, audio="libopus", sample_rate=48_000),
    "a.flac": replace(SOUND, audio="flac"),
    "a.wav": replace(SOUND, audio="pcm_s16le"),
}


@pytest.mark.parametrize("name", HONEST_FILMS)
def test_an_honest_film_is_not_a_hair_longer_than_it_says(name: str, tmp_path: Path) -> None:
    facts = probe_media(make(tmp_path / name, HONEST_FILMS[name]), "video")
    # an AVI counts the frame that its writer held back
    assert (facts.duration, facts.doubt) == (TRUE_S, "") or (name == "a.avi" and facts.duration <= TRUE_S + 0.04)


@pytest.mark.parametrize("name", HONEST_SOUNDS)
def test_an_honest_sound_is_not_a_hair_longer_than_it_says(name: str, tmp_path: Path) -> None:
    facts = probe_media(make(tmp_path / name, HONEST_SOUNDS[name]), "audio")
    assert (facts.duration, facts.doubt) == (TRUE_S, "")


@pytest.mark.parametrize(
    ("kind", "name", "make_it"),
    [
        ("video", "head.avi", LYING_FILMS["head.avi"]),
        ("video", "media.mp4", LYING_FILMS["media.mp4"]),
        ("video", "a.webm", lambda path: make(path, VP8)),
        ("audio", "head.flac", LYING_SOUNDS["head.flac"]),
        ("audio", "media.m4a", LYING_SOUNDS["media.m4a"]),
        ("audio", "a.wav", lambda path: make(path, HONEST_SOUNDS["a.wav"])),
    ],
)
def test_what_is_made_of_it_is_as_long(kind: Kind, name: str, make_it: Make, tmp_path: Path) -> None:
    path = make_it(tmp_path / name)
    made = convert_media(path, tmp_path / "made", kind)
    assert made.duration == pytest.approx(probe_media(path, kind).duration, abs=0.1)
    assert made.duration <= probe_media(path, kind).duration
    assert made.fps == (25.0 if kind == "video" else 0.0)


@pytest.mark.parametrize("size", [bytes(4), b"\xff" * 4])
def test_a_wav_that_was_streamed_is_as_long_as_its_sound(size: bytes, tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", HONEST_SOUNDS["a.wav"])
    data = path.read_bytes()
    place = data.index(b"data") + 4
    path.write_bytes(b"RIFF" + size + data[8:place] + size + data[place + 4 :])
    facts = probe_media(path, "audio")
    assert (facts.duration, facts.doubt) == (TRUE_S, "")


def endless(data: bytearray) -> None:
    """As long as its container can say, in whole seconds."""
    place = data.index(b"mvhd") + 16
    data[place : place + 8] = struct.pack(">II", 1, 2**32 - 2)


def test_a_length_beyond_all_reason_still_has_a_price(tmp_path: Path) -> None:
    assert probe_media(lying(FILM, endless)(tmp_path / "a.mp4"), "video").duration == 1e6


# -- films that were made


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("live.webm", lambda path: make(path, LIVE)),
        ("head.webm", LYING_FILMS["head.webm"]),
        ("head.mp4", LYING_FILMS["head.mp4"]),
        ("media.mp4", LYING_FILMS["media.mp4"]),
        ("sound.mp4", LYING_FILMS["sound.mp4"]),
        ("hole.mkv", LYING_FILMS["hole.mkv"]),
        ("again.mkv", again),
    ],
)
def test_a_film_that_comes_is_measured_by_its_packets_too(
    name: str, made: Callable[[Path], Path], tmp_path: Path
) -> None:
    facts = measure_film(made(tmp_path / name))
    assert TRUE_S <= facts.duration < LATEST_S
    assert facts.fps == 25.0


def test_a_film_of_many_streams_is_the_longest_of_them(tmp_path: Path) -> None:
    facts = measure_film(lying(SHORT, boxes(b"mvhd", factor=0.25))(tmp_path / "a.mp4"))
    assert TRUE_S <= facts.duration < LATEST_S


def test_the_whole_of_a_film_without_a_length_in_its_head_can_be_seen(tmp_path: Path) -> None:
    path = make(tmp_path / "live.webm", LIVE)
    assert take_frame(path, "last", tmp_path / "last.png", "png").moment == pytest.approx(TRUE_S - 0.04, abs=0.002)
    assert take_frame(path, 11.5, tmp_path / "late.png", "png").moment == pytest.approx(11.48, abs=0.025)
    assert make_sheet(path, tmp_path / "sheet.jpg").moments[-1] == pytest.approx(TRUE_S - 0.04, abs=0.002)
    with pytest.raises(CallerError, match=r"between 0 and 11\.9"):
        take_frame(path, 13.0, tmp_path / "none.png", "png")
    with Image.open(tmp_path / "last.png") as picture:
        assert picture.size == (64, 36)
