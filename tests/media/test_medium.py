"""What is said of a film or a sound that a caller brings: its kind and its facts, or in words why it is of no use."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.media.probe import Kind, probe_media
from tests.media.films import CINEMA, NTSC, Recipe, make

FILM = Recipe(size=(160, 90), options=(("preset", "ultrafast"), ("g", "20")))
SOUND = Recipe(video=None)
HEVC = replace(FILM, video="libx265", options=(("x265-params", "log-level=none"), ("preset", "ultrafast")))
VP9 = replace(FILM, video="libvpx-vp9", audio="libopus", options=(("deadline", "realtime"), ("cpu-used", "8")))
UNEVEN = tuple(Fraction(40 * n + n * n % 7, 1000) for n in range(50))
FASTSTART = (("movflags", "+faststart"),)

FILMS = {
    "a.mp4": FILM,
    "a.mov": replace(HEVC, audio="pcm_s16le"),
    "a.mkv": replace(FILM, audio="flac"),
    "a.webm": VP9,
    "a.avi": replace(FILM, video="mjpeg", audio="libmp3lame", pix_fmt="yuvj420p", options=(), colours=None),
}
FILM_CODECS = {
    "a.mp4": ("h264", "aac"),
    "a.mov": ("hevc", "pcm"),
    "a.mkv": ("h264", "flac"),
    "a.webm": ("vp9", "opus"),
    "a.avi": ("mjpeg", "mp3"),
}
SOUNDS = {
    "a.mp3": (replace(SOUND, audio="libmp3lame"), "mp3"),
    "a.m4a": (SOUND, "aac"),
    "a.aac": (SOUND, "aac"),
    "a.wav": (replace(SOUND, audio="pcm_s24le"), "pcm"),
    "a.flac": (replace(SOUND, audio="flac", layout="mono", sample_rate=44_100), "flac"),
    "a.ogg": (replace(SOUND, audio="libopus"), "opus"),
}


def refusal(path: Path, kind: Kind) -> str:
    """The words of the refusal, which always say what is accepted and what to do."""
    with pytest.raises(CallerError, match=rf"^The {kind} .*(are read)") as caught:
        probe_media(path, kind)
    assert (caught.value.code, bool(caught.value.hint)) == (ErrorCode.INPUT_FAILED, True)
    return caught.value.message


# -- facts


@pytest.mark.parametrize("name", FILMS)
def test_each_kind_of_film_is_known_by_its_container_and_codecs(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, FILMS[name])
    video, audio = FILM_CODECS[name]
    facts = probe_media(path, "video")
    told = MediaInfo(
        path.suffix[1:],
        160,
        90,
        duration=facts.duration,
        fps=25.0,
        frames=50,
        size_bytes=path.stat().st_size,
        video_codec=video,
        audio_codec=audio,
    )
    assert facts == told
    # an AVI counts the frame that its writer held back
    assert facts.duration == pytest.approx(2.0, abs=0.041 if name == "a.avi" else 0.001)


@pytest.mark.parametrize("name", SOUNDS)
def test_each_kind_of_sound_is_known_by_its_container_and_codec(name: str, tmp_path: Path) -> None:
    recipe, codec = SOUNDS[name]
    path = make(tmp_path / name, recipe)
    facts = probe_media(path, "audio")
    assert facts == MediaInfo(
        path.suffix[1:], duration=facts.duration, size_bytes=path.stat().st_size, audio_codec=codec
    )
    # raw AAC says nothing of the samples that its encoder put before and after
    assert facts.duration == pytest.approx(2.0, abs=0.03 if name == "a.aac" else 0.0005)


def test_the_sound_of_a_film_counts_as_a_sound(tmp_path: Path) -> None:
    facts = probe_media(make(tmp_path / "a.mp4", replace(FILM, seconds=1.5)), "audio")
    assert (facts.format, facts.audio_codec, facts.duration) == ("mp4", "aac", 1.5)


@pytest.mark.parametrize(("rate", "told"), [(CINEMA, 23.976), (NTSC, 29.97), (Fraction(50), 50.0)])
@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_rate_is_exact(rate: Fraction, told: float, ending: str, tmp_path: Path) -> None:
    facts = probe_media(make(tmp_path / f"a.{ending}", replace(FILM, rate=rate, audio=None)), "video")
    assert facts.fps == told
    assert facts.duration == pytest.approx(float(50 / rate), abs=0.0011)


def test_of_a_film_of_uneven_frames_the_average_rate_is_told(tmp_path: Path) -> None:
    facts = probe_media(make(tmp_path / "a.mp4", replace(FILM, moments=UNEVEN, audio=None)), "video")
    assert facts.frames == 50
    assert facts.fps == pytest.approx(25, rel=0.01)


def test_a_film_held_upright_is_measured_as_it_is_seen(tmp_path: Path) -> None:
    facts = probe_media(make(tmp_path / "a.mov", replace(FILM, turned=90)), "video")
    assert (facts.width, facts.height) == (90, 160)


def test_high_efficiency_aac_is_told_apart(tmp_path: Path) -> None:
    path = make(tmp_path / "a.m4a", replace(SOUND, sample_rate=24_000))
    # the sound's description says that its upper half is made up, to 48 kHz
    path.write_bytes(path.read_bytes().replace(b"\x56\xe5\x00", b"\x56\xe5\x98"))
    assert probe_media(path, "audio").audio_codec == "he-aac"


def with_cover(path: Path) -> Path:
    cover = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(cover, "JPEG")
    body = b"\0image/jpeg\0\3\0" + cover.getvalue()
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    sound = make(path, replace(SOUND, audio="libmp3lame", muxing=(("id3v2_version", "0"),)))
    sound.write_bytes(b"ID3\3\0\0" + size + frame + sound.read_bytes())
    return sound


def test_a_sound_with_a_cover_is_a_sound_and_no_film(tmp_path: Path) -> None:
    path = with_cover(tmp_path / "a.mp3")
    assert probe_media(path, "audio") == MediaInfo(
        "mp3", duration=2.0, size_bytes=path.stat().st_size, audio_codec="mp3"
    )
    assert "no moving picture" in refusal(path, "video")


def test_the_length_of_an_mp3_without_a_header_is_that_of_its_sound(tmp_path: Path) -> None:
    recipe = replace(SOUND, audio="libmp3lame", muxing=(("write_xing", "0"), ("id3v2_version", "0")))
    parts = [make(tmp_path / f"{rate}.mp3", replace(recipe, coding=(("b", rate),))) for rate in ("64000", "256000")]
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with av.open(str(path)) as guessed:
        assert abs((guessed.duration or 0) / av.time_base - 4) > 1
    assert probe_media(path, "audio").duration == pytest.approx(4.0, abs=0.1)


# -- what is of no use


CUT: dict[str, tuple[Recipe, Kind]] = {
    "a.mp4": (replace(FILM, muxing=FASTSTART), "video"),
    "b.mp4": (FILM, "video"),
    "a.mov": (replace(HEVC, audio=None, muxing=FASTSTART), "video"),
    "a.mkv": (FILM, "video"),
    "a.webm": (VP9, "video"),
    "a.avi": (FILMS["a.avi"], "video"),
    "b.mp3": (replace(SOUND, audio="libmp3lame", muxing=(("write_xing", "0"),)), "audio"),
    **{name: (recipe, "audio") for name, (recipe, _) in SOUNDS.items()},
}


@pytest.mark.parametrize("part", [0.5, 0.97])
@pytest.mark.parametrize("name", CUT)
def test_a_file_that_breaks_off_is_found_out(name: str, part: float, tmp_path: Path) -> None:
    recipe, kind = CUT[name]
    path = make(tmp_path / name, recipe)
    probe_media(path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * part)])
    assert "cut short" in refusal(path, kind)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "silent.avi", "a.wav"])
def test_a_file_that_breaks_off_between_two_packets_is_found_out(name: str, tmp_path: Path) -> None:
    recipe, kind = CUT[name] if name in CUT else (replace(FILMS["a.avi"], audio=None), "video")
    path = make(tmp_path / name, recipe)
    with av.open(str(path)) as medium:
        places = [packet.pos for packet in medium.demux() if packet.pos is not None]
    path.write_bytes(path.read_bytes()[: max(places) - (8 if name == "silent.avi" else 0)])
    assert "cut short" in refusal(path, kind)


def text(path: Path) -> None:
    path.write_text("neither film nor sound\n" * 50, encoding="utf-8")


def empty(path: Path) -> None:
    path.touch()


def still(path: Path) -> None:
    Image.new("RGB", (64, 36)).save(path, "PNG")


def playlist(path: Path) -> None:
    make(path.with_name("inner.mp4"), FILM)
    path.write_text("#EXTM3U\n#EXTINF:2,\ninner.mp4\n#EXT-X-ENDLIST\n", encoding="utf-8")


def script(path: Path) -> None:
    make(path.with_name("inner.mp4"), FILM)
    path.write_text("ffconcat version 1.0\nfile inner.mp4\n", encoding="utf-8")


@pytest.mark.parametrize("kind", ["video", "audio"])
@pytest.mark.parametrize("spoil", [text, empty, still, playlist, script])
def test_what_is_neither_film_nor_sound_is_refused(spoil: Callable[[Path], None], kind: Kind, tmp_path: Path) -> None:
    spoil(tmp_path / "a")
    assert "of another kind" in refusal(tmp_path / "a", kind)


def test_a_film_without_sound_is_no_sound(tmp_path: Path) -> None:
    assert "no sound" in refusal(make(tmp_path / "a.mp4", replace(FILM, audio=None)), "audio")


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_what_is_locked_is_said_to_be_so(kind: Kind, tmp_path: Path) -> None:
    key = "00112233445566778899aabbccddeeff"
    locks = (("encryption_scheme", "cenc-aes-ctr"), ("encryption_key", key), ("encryption_kid", key))
    assert "copy protection" in refusal(make(tmp_path / "a.mp4", replace(FILM, muxing=locks)), kind)


@pytest.mark.parametrize("which", [0, -1])
def test_a_first_or_last_frame_that_cannot_be_decoded_is_found_out(which: int, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    with av.open(str(path)) as film:
        frames = [(packet.pos, packet.size) for packet in film.demux(video=0) if packet.pos is not None]
    place, size = sorted(frames)[which]
    data = bytearray(path.read_bytes())
    data[place : place + size] = bytes(size)
    path.write_bytes(data)
    assert "cannot be decoded" in refusal(path, "video")


def test_sound_with_damage_in_its_middle_is_found_out(tmp_path: Path) -> None:
    path = make(tmp_path / "a.flac", SOUNDS["a.flac"][0])
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)
    assert "damaged" in refusal(path, "audio")


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(CallerError, match="cannot be read: No such file"):
        probe_media(tmp_path / "a.mp4", "video")
