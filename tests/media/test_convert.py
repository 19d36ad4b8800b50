"""What is made of films and sounds that a provider would refuse: the same to see and to hear, at the same moments."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.convert import convert_media
from ltx_mcp.media.probe import Kind, probe_media
from tests.media.films import CINEMA, Recipe, heard, lag, make, moments, packets, pictures, psnr

FILM = Recipe(frames=40, seconds=1.6)
HEVC = replace(FILM, video="libx265", audio="pcm_s16le", options=(("x265-params", "log-level=none:crf=16"),))
VP9 = replace(FILM, video="libvpx-vp9", audio="libopus", options=(("deadline", "realtime"), ("cpu-used", "8")))
SOUND = Recipe(video=None)
UNEVEN = tuple(Fraction(40 * n + n * n % 13, 1000) for n in range(40))
# its last two frames are shown for 20 and 40 ms, and stored the other way round
HALTING = tuple(Fraction(6 * n + 4 * (n % 2), 100) for n in range(39))
PAIRS = (("crf", "16"), ("bf", "1"), ("b_strategy", "0"))
FILMS = {
    "a.mkv": FILM,
    "a.mov": HEVC,
    "ten bits.mov": replace(HEVC, pix_fmt="yuv420p10le", audio=None),
    "upright.mov": replace(HEVC, turned=90),
    "upside down.mov": replace(HEVC, turned=180),
    "other side.mov": replace(HEVC, turned=270),
    "uneven.mov": replace(HEVC, moments=UNEVEN),
    "uneven.mkv": replace(FILM, audio=None, moments=HALTING, options=PAIRS),
    "full range.avi": replace(FILM, video="mjpeg", pix_fmt="yuvj420p", audio=None, options=(("qmax", "2"),)),
    "late.mov": replace(HEVC, late=0.3, seconds=1.2),
    "late.mkv": replace(FILM, late=0.3, seconds=1.2),
    "cinema.mkv": replace(FILM, rate=CINEMA),
    "a.webm": VP9,
    "a.avi": replace(FILM, video="mpeg4", audio="libmp3lame", options=(("b", "4000000"),)),
    "frames in another order.avi": replace(FILM, audio=None),
    "hidden frames.webm": replace(
        VP9, video="libvpx", options=(("auto-alt-ref", "1"), ("lag-in-frames", "16"), ("b", "900000"))
    ),
    "old colours.mov": replace(HEVC, pix_fmt="yuv422p", colours=6),
}
FINER = {"ten bits.mov", "old colours.mov"}
SOUNDS = {
    "a.mp3": replace(SOUND, audio="libmp3lame"),
    "bare.mp3": replace(SOUND, audio="libmp3lame", muxing=(("write_xing", "0"),)),
    "a.aac": SOUND,
    "a.wav": replace(SOUND, audio="pcm_s16le"),
    "a.flac": replace(SOUND, audio="flac", sample_rate=96_000),
    "a.ogg": replace(SOUND, audio="libopus"),
    "low.wav": replace(SOUND, audio="pcm_u8", sample_rate=22_050, layout="mono"),
    "film.mov": HEVC,
    "film.mkv": FILM,
}


def to_film(path: Path) -> Path:
    out = path.with_name("out.mp4")
    convert_media(path, out, "video")
    return out


def to_sound(path: Path) -> Path:
    out = path.with_name("out.m4a")
    convert_media(path, out, "audio")
    return out


@pytest.mark.parametrize("name", FILMS)
def test_a_converted_film_has_every_frame_at_its_moment_and_looks_the_same(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, FILMS[name])
    out = to_film(path)
    # in grey where the source has finer colours than the film that is made
    mode = "L" if name in FINER else "RGB"
    pairs = zip(pictures(path), pictures(out), strict=True)
    likeness = [psnr(one.convert(mode), other.convert(mode)) for one, other in pairs]
    assert len(likeness) == len(FILMS[name].moments or range(40))
    assert min(likeness) > 40
    assert moments(out) == pytest.approx(sorted(moments(path)), abs=0.0011)


@pytest.mark.parametrize("name", [name for name, recipe in FILMS.items() if recipe.audio])
def test_the_sound_of_a_converted_film_is_heard_with_the_same_frames(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, FILMS[name])
    assert abs(lag(heard(path), heard(to_film(path)))) <= 0.002


@pytest.mark.parametrize("name", FILMS)
def test_the_facts_told_of_a_conversion_are_those_of_an_mp4_as_wanted(name: str, tmp_path: Path) -> None:
    path, recipe = make(tmp_path / name, FILMS[name]), FILMS[name]
    before, after = probe_media(path, "video"), convert_media(path, tmp_path / "out.mp4", "video")
    assert (after.format, after.video_codec, after.audio_codec) == ("mp4", "h264", "aac" if recipe.audio else "")
    assert (after.width, after.height, after.frames) == (before.width, before.height, before.frames)
    assert after.duration == pytest.approx(before.duration, abs=0.0011)
    assert after == probe_media(tmp_path / "out.mp4", "video")


@pytest.mark.parametrize("name", ["a.mkv", "a.mov"])
def test_a_picture_that_is_h264_already_is_copied(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, FILM)
    out = to_film(path)
    assert packets(out, "video") == packets(path, "video")
    assert packets(out, "audio") == packets(path, "audio")


def test_a_film_of_an_odd_size_loses_its_last_row_and_column_alone(tmp_path: Path) -> None:
    path = make(tmp_path / "a.webm", replace(VP9, size=(321, 181)))
    out = to_film(path)
    assert probe_media(out, "video").width == 320
    # in grey, for colours are spread to odd sizes in another way when they are shown
    pairs = zip(pictures(path), pictures(out), strict=True)
    assert min(psnr(one.convert("L"), other.convert("L")) for one, other in pairs) > 40


def test_the_colours_are_described_as_they_were(tmp_path: Path) -> None:
    with av.open(str(to_film(make(tmp_path / "a.mov", replace(HEVC, colours=6))))) as film:
        context = film.streams.video[0].codec_context
        assert (context.color_primaries, context.colorspace) == (6, 6)


@pytest.mark.parametrize("name", SOUNDS)
def test_a_converted_sound_is_heard_at_the_same_moments(name: str, tmp_path: Path) -> None:
    path = make(tmp_path / name, SOUNDS[name])
    out = to_sound(path)
    assert abs(lag(heard(path), heard(out))) <= 0.002
    before, after = probe_media(path, "audio"), probe_media(out, "audio")
    assert (after.format, after.video_codec, after.audio_codec) == ("m4a", "", "aac")
    assert after.duration == pytest.approx(before.duration, abs=0.002)


@pytest.mark.parametrize(
    ("rate", "layout", "made"),
    [
        (48_000, "stereo", (48_000, "stereo")),
        (44_100, "mono", (44_100, "mono")),
        (96_000, "5.1", (48_000, "stereo")),
        (22_050, "mono", (44_100, "mono")),
        (32_000, "stereo", (48_000, "stereo")),
    ],
)
def test_rate_and_channels_stay_where_players_know_them(
    rate: int, layout: str, made: tuple[int, str], tmp_path: Path
) -> None:
    path = make(tmp_path / "a.wav", replace(SOUND, audio="pcm_s16le", sample_rate=rate, layout=layout))
    with av.open(str(to_sound(path))) as sound:
        stream = sound.streams.audio[0]
        assert (stream.rate, stream.layout.name) == made


def test_sound_that_is_aac_already_is_copied_out_of_a_film(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    assert packets(to_sound(path), "audio") == packets(path, "audio")


def test_high_efficiency_aac_is_made_plain(tmp_path: Path) -> None:
    path = make(tmp_path / "a.m4a", replace(SOUND, sample_rate=24_000))
    path.write_bytes(path.read_bytes().replace(b"\x56\xe5\x00", b"\x56\xe5\x98"))
    assert probe_media(to_sound(path), "audio").audio_codec == "aac"


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_a_player_can_begin_before_the_whole_conversion_is_there(kind: Kind, tmp_path: Path) -> None:
    convert_media(make(tmp_path / "a.mov", HEVC), tmp_path / "out", kind)
    data = (tmp_path / "out").read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_what_cannot_be_read_is_refused_and_not_converted(kind: Kind, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no film" * 100)
    with pytest.raises(CallerError) as caught:
        convert_media(path, tmp_path / "out", kind)
    assert caught.value.code is ErrorCode.INPUT_FAILED
