"""A preview made from a sound: the picture moves to it, and it is the whole sound track, at its own moments."""

import math
from array import array
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image, ImageStat

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.decode.audio_reader import measure_loudness
from ltx_mcp.media.messages import RenderOrder
from ltx_mcp.media.preview.render import render
from ltx_mcp.media.probe import probe_media
from tests.media.films import Recipe, heard, lag, make, packets, pictures

SMALL = RenderOrder("a red kite over green hills", 320, 180, 25, 2.0, audio=True)
SOUND = Recipe(video=None)
SOUNDS = {
    "a.mp3": replace(SOUND, audio="libmp3lame"),
    "bare.mp3": replace(SOUND, audio="libmp3lame", muxing=(("write_xing", "0"),)),
    "a.m4a": SOUND,
    "a.aac": SOUND,
    "mono.m4a": replace(SOUND, layout="mono", sample_rate=44_100),
    "a.wav": replace(SOUND, audio="pcm_s16le"),
    "a.flac": replace(SOUND, audio="flac"),
    "a.ogg": replace(SOUND, audio="libopus"),
    "film.mp4": Recipe(),
}
COPIED = ("a.mp3", "bare.mp3", "a.m4a", "a.aac", "mono.m4a", "film.mp4")


def drawn(order: RenderOrder, sound: Path) -> Path:
    out = sound.with_name("out.mp4")
    render(replace(order, sound=str(sound)), out, lambda part: None)
    return out


def beats(path: Path, loudness: list[float]) -> Path:
    """A sound of half seconds, each as loud as said."""
    samples = array("h")
    for level in loudness:
        samples.extend(round(30_000 * level * math.sin(step / 9)) for step in range(24_000))
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=48_000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def brightness(picture: Image.Image) -> float:
    return float(ImageStat.Stat(picture.convert("L")).mean[0])


def bar(picture: Image.Image) -> float:
    """How much of the uppermost row has the yellow of the bar of loudness, from 0 to 1."""
    row = picture.getchannel("B").crop((0, 0, picture.width, 1)), picture.getchannel("R").crop((0, 0, picture.width, 1))
    blues, reds = (part.tobytes() for part in row)
    return sum(1 for blue, red in zip(blues, reds, strict=True) if red > 200 and red - blue > 70) / picture.width


@pytest.mark.parametrize("name", SOUNDS)
def test_the_sound_is_heard_from_the_first_frame_on(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, SOUNDS[name])
    assert abs(lag(heard(path), heard(drawn(SMALL, path)))) <= 0.002


@pytest.mark.parametrize("name", SOUNDS)
def test_what_an_mp4_can_hold_is_copied_and_the_rest_becomes_aac(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, SOUNDS[name])
    out = drawn(replace(SMALL, duration=2.2), path)
    assert probe_media(out, "video").audio_codec == ("mp3" if name.endswith("mp3") else "aac")
    if name != "a.aac":
        assert (packets(out, "audio") == packets(path, "audio")) is (name in COPIED)


@pytest.mark.parametrize("duration", [0.8, 2.0, 3.0])
@pytest.mark.parametrize("name", SOUNDS)
def test_the_film_is_as_long_as_ordered_however_long_the_sound(name: str, duration: float, tmp_path: Path) -> None:
    out = drawn(replace(SMALL, duration=duration), make(tmp_path / name, SOUNDS[name]))
    with av.open(str(out)) as film:
        assert film.duration == round(duration * av.time_base)
        assert film.streams.video[0].frames == round(duration * 25)


@pytest.mark.parametrize("has_image", [False, True])
def test_the_picture_moves_to_the_sound(has_image: bool, tmp_path: Path) -> None:
    order = replace(SMALL, camera_motion="static")
    if has_image:
        Image.radial_gradient("L").convert("RGB").save(tmp_path / "a.png")
        order = replace(order, image=str(tmp_path / "a.png"))
    film = list(pictures(drawn(order, beats(tmp_path / "a.wav", [0.0, 1.0, 0.0, 0.5]))))
    quiet, loud, silent, half = (film[at] for at in (8, 20, 36, 48))
    assert bar(quiet) < 0.1
    assert bar(loud) > 0.9
    assert 0.3 < bar(half) < 0.7
    assert brightness(loud) > brightness(quiet) * 1.2
    assert brightness(loud) > brightness(half) > brightness(silent)


def test_loudness_is_that_of_each_frame(tmp_path: Path) -> None:
    levels = measure_loudness(beats(tmp_path / "a.wav", [0.2, 1.0, 0.5]), 10, 15)
    assert levels[2] == pytest.approx(0.2, abs=0.02)
    assert levels[7] == pytest.approx(1.0, abs=0.02)
    assert levels[14] == pytest.approx(0.5, abs=0.02)


def test_silence_makes_a_film_too(tmp_path: Path) -> None:
    out = drawn(replace(SMALL, duration=0.4), beats(tmp_path / "a.wav", [0.0]))
    assert probe_media(out, "video").frames == 10


def test_the_same_order_makes_the_same_bytes_wherever_the_sound_lies(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = (make(folder / "a.m4a", SOUND) for folder in (tmp_path, tmp_path / "other"))
    order = replace(SMALL, duration=0.4)
    assert drawn(order, one).read_bytes() == drawn(order, other).read_bytes()


def test_what_is_no_sound_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no sound" * 100)
    with pytest.raises(CallerError, match=r"^The audio ") as caught:
        drawn(SMALL, tmp_path / "a.mp3")
    assert caught.value.code is ErrorCode.INPUT_FAILED
