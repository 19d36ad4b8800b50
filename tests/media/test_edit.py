"""Films lengthened and sections redrawn: what is kept is the film that came, what is new goes on from it."""

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import pytest
from PIL import Image, ImageChops, ImageStat

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.messages import EditOrder, RenderOrder
from ltx_mcp.media.preview.edit import edit
from ltx_mcp.media.preview.render import render
from ltx_mcp.media.probe import probe_media
from tests.media.films import CINEMA, NTSC, Recipe, between, heard, lag, make, moments, packets, pictures, psnr

FILM = Recipe(frames=40, seconds=1.6)
HEVC = replace(FILM, video="libx265", audio="pcm_s16le", options=(("x265-params", "log-level=none:crf=16"),))
VP9 = replace(FILM, video="libvpx-vp9", audio="libopus", options=(("deadline", "realtime"), ("cpu-used", "8")))
UNEVEN = tuple(Fraction(40 * n + n * n % 13, 1000) for n in range(40))
SOURCES = {
    "a.mp4": FILM,
    "mono.mp4": replace(FILM, layout="mono", sample_rate=44_100),
    "cinema.mp4": replace(FILM, rate=CINEMA, audio=None),
    "broadcast.mov": replace(FILM, rate=NTSC),
    "fast.mp4": replace(FILM, rate=Fraction(50), seconds=0.8),
    "uneven.mp4": replace(FILM, moments=UNEVEN),
    "upright.mp4": replace(FILM, turned=90),
    "a.mov": HEVC,
    "grain.mp4": replace(FILM, is_grain=True, audio=None, options=(("crf", "8"), ("preset", "ultrafast"))),
    "a.webm": replace(VP9, size=(321, 181)),
    "a.mkv": FILM,
    "late.mov": replace(HEVC, late=0.3, seconds=1.3),
}
START, END = 0.48, 1.0  # of the section redrawn
RETAKES = ("replace_audio_and_video", "replace_video", "replace_audio")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where films lie that several tests look at."""
    return tmp_path_factory.mktemp("shelf")


@lru_cache
def edited(order: EditOrder) -> Path:
    path = Path(order.video)
    out = path.with_name(f"{path.name} {order.what} {order.mode} {order.start_time} {order.duration}.mp4")
    edit(order, out, lambda part: None)
    return out


def source(name: str, shelf: Path) -> Path:
    path = shelf / name
    return path if path.exists() else make(path, SOURCES[name])


def extension(path: Path, mode: str = "end", seconds: float = 0.6) -> EditOrder:
    return EditOrder("extend", str(path), "a storm at sea", seconds, mode)


def retake(path: Path, mode: str = RETAKES[0], start: float = START, seconds: float = END - START) -> EditOrder:
    return EditOrder("retake", str(path), "a storm at sea", seconds, mode, start)


def likeness(one: Image.Image, other: Image.Image, name: str = "") -> float:
    """Decibels; in grey for odd sizes, whose colours are spread in another way when they are shown."""
    mode = "L" if name == "a.webm" else "RGB"
    return psnr(one.convert(mode), other.convert(mode))


def middle(picture: Image.Image) -> Image.Image:
    """The part that neither the mark nor the caption touches."""
    width, height = picture.size
    return picture.crop((0, height // 5, width, height * 3 // 5))


def is_marked(picture: Image.Image, plain: Image.Image) -> bool:
    """Whether the corner of the mark differs far more from the film's own picture than the middle does."""
    corner = (picture.width * 2 // 3, 0, picture.width, picture.height // 10)
    return strangeness(picture.crop(corner), plain.crop(corner)) > strangeness(middle(picture), middle(plain)) + 10


def strangeness(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


# -- a longer film


@pytest.mark.parametrize("mode", ["end", "start"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_longer_film_keeps_every_frame_at_its_moment(name: str, mode: str, shelf: Path) -> None:
    path = source(name, shelf)
    out = edited(extension(path, mode))
    own, made = list(pictures(path)), list(pictures(out))
    before = len(made) - len(own) if mode == "start" else 0
    assert min(likeness(one, made[before + n], name) for n, one in enumerate(own)) > 40
    shown, shift = moments(out)[before : before + len(own)], moments(out)[before]
    assert [moment - shift for moment in shown] == pytest.approx(moments(path), abs=0.0011)


def shown_s(path: Path) -> float:
    """How long there is something to see: a film is as long as its sound where that goes on much longer."""
    film = probe_media(path, "video")
    return film.frames / film.fps if film.doubt else film.duration


@pytest.mark.parametrize("mode", ["end", "start"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_longer_film_is_longer_by_what_was_asked(name: str, mode: str, shelf: Path) -> None:
    path = source(name, shelf)
    before, after = probe_media(path, "video"), probe_media(edited(extension(path, mode)), "video")
    assert after.duration == pytest.approx(shown_s(path) + 0.6, abs=0.022)
    assert after.frames == before.frames + round(0.6 * before.fps)
    assert after.fps == pytest.approx(before.fps, abs=0.4 if name == "uneven.mp4" else 0.0005)
    assert (after.width, after.height) == (before.width // 2 * 2, before.height // 2 * 2)


@pytest.mark.parametrize("mode", ["end", "start"])
@pytest.mark.parametrize("name", [name for name, recipe in SOURCES.items() if recipe.audio])
def test_a_longer_film_sounds_as_before_beside_the_same_frames(name: str, mode: str, shelf: Path) -> None:
    path = source(name, shelf)
    out = edited(extension(path, mode))
    longer = probe_media(out, "video").duration - shown_s(path)
    shift = longer if mode == "start" else 0.0
    assert abs(lag(heard(path), between(heard(out), shift, shift + 1.6))) <= 0.002


@pytest.mark.parametrize("mode", ["end", "start"])
def test_the_new_part_sounds_softly_and_is_faded_at_the_seam(mode: str, tmp_path: Path) -> None:
    out = edited(extension(make(tmp_path / "a.mp4", FILM), mode, seconds=3.0))
    sound = heard(out)
    start = 1.6 if mode == "end" else 0.0
    loud = [max(map(abs, between(sound, start + at, start + at + 0.05))) for at in (0.05, 1.4, 2.9)]
    assert loud[0] < 0.01
    assert 0.02 < loud[1] < 0.4
    assert loud[2] < 0.01


@pytest.mark.parametrize(("rate", "layout"), [(48_000, "stereo"), (44_100, "mono")])
def test_the_sound_keeps_its_rate_and_channels_and_is_as_long_as_the_picture(
    rate: int, layout: str, tmp_path: Path
) -> None:
    path = make(tmp_path / "a.mp4", replace(FILM, sample_rate=rate, layout=layout))
    with av.open(str(edited(extension(path)))) as film:
        stream = film.streams.audio[0]
        assert (stream.rate, stream.layout.name) == (rate, layout)
        assert stream.duration is not None
        assert stream.time_base is not None
        assert stream.duration * stream.time_base == Fraction(11, 5)


def test_a_film_without_sound_stays_without(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", replace(FILM, audio=None))
    assert probe_media(edited(extension(path)), "video").audio_codec == ""


@pytest.mark.parametrize("mode", ["end", "start"])
def test_the_new_part_holds_the_frame_at_the_seam(mode: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    own, made = list(pictures(path)), list(pictures(edited(extension(path, mode, seconds=2.0))))
    film = own[-1] if mode == "end" else own[0]
    new = [middle(picture) for picture in (made[40:] if mode == "end" else made[:50])]
    assert min(psnr(each, middle(film)) for each in new) > 30


@pytest.mark.parametrize("mode", ["end", "start"])
def test_only_the_new_part_says_that_it_is_a_preview(mode: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", replace(FILM, size=(640, 360)))
    own, made = list(pictures(path)), list(pictures(edited(extension(path, mode))))
    nearest, plain = (made[40], own[-1]) if mode == "end" else (made[14], own[0])
    assert is_marked(nearest, plain)
    assert not is_marked(*((made[39], own[-1]) if mode == "end" else (made[15], own[0])))


# -- a section redrawn


@pytest.mark.parametrize("mode", RETAKES)
@pytest.mark.parametrize("name", SOURCES)
def test_a_retake_keeps_every_frame_outside_its_section(name: str, mode: str, shelf: Path) -> None:
    path = source(name, shelf)
    out = edited(retake(path, mode))
    shown = moments(path)
    pairs = zip(shown, pictures(path), pictures(out), strict=True)
    kept = [
        likeness(one, other.crop((0, 0, *one.size)), name)
        for moment, one, other in pairs
        if mode == "replace_audio" or not START - 0.001 < moment < END - 0.001
    ]
    assert len(kept) >= 14
    assert min(kept) > 40
    assert moments(out) == pytest.approx(shown, abs=0.0011)


@pytest.mark.parametrize("mode", RETAKES)
@pytest.mark.parametrize("name", [name for name, recipe in SOURCES.items() if recipe.audio])
def test_a_retake_keeps_the_sound_outside_its_section(name: str, mode: str, shelf: Path) -> None:
    path = source(name, shelf)
    own, made = heard(path), heard(edited(retake(path, mode)))
    end = 0.8 if name == "fast.mp4" else 1.6
    spans = [(0.0, START), (END, end)] if end > END else [(0.0, START)]
    if mode == "replace_video":
        spans = [(0.0, end)]
    for span in spans:
        assert abs(lag(between(own, *span), between(made, *span))) <= 0.002


@pytest.mark.parametrize("mode", RETAKES)
def test_a_retake_has_the_length_and_the_streams_of_the_film(mode: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    before, after = probe_media(path, "video"), probe_media(edited(retake(path, mode)), "video")
    assert replace(after, size_bytes=0) == replace(before, size_bytes=0)


def test_a_retake_of_the_picture_leaves_the_sound_untouched(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    assert packets(edited(retake(path, "replace_video")), "audio") == packets(path, "audio")


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm", "a.mkv", "upright.mp4"])
def test_a_retake_of_the_sound_leaves_the_picture_untouched(name: str, shelf: Path) -> None:
    path = source(name, shelf)
    assert packets(edited(retake(path, "replace_audio")), "video") == packets(path, "video")


@pytest.mark.parametrize("mode", ["replace_audio_and_video", "replace_audio"])
def test_a_retake_of_the_sound_makes_it_new_in_the_section(mode: str, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", replace(FILM, frames=100, seconds=4.0))
    own, made = heard(path), heard(edited(retake(path, mode, 1.0, 2.0)))
    with pytest.raises(AssertionError):
        lag(between(own, 1.1, 2.9), between(made, 1.1, 2.9))
    assert max(map(abs, between(made, 1.8, 2.2))) > 0.02


def test_the_sound_does_not_break_off_at_the_seams_of_a_retake(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    own, made = heard(path), heard(edited(retake(path, "replace_audio", 0.4, 0.8)))
    for seam in (0.4, 1.192):
        loud, left = (max(map(abs, between(sound, seam, seam + 0.008))) for sound in (own, made))
        assert left > loud / 3


def test_a_film_without_sound_gets_some_where_its_sound_is_retaken(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", replace(FILM, audio=None))
    sound = heard(edited(retake(path, "replace_audio", 0.4, 0.8)))
    assert max(map(abs, between(sound, 0.7, 0.9))) > 0.02
    assert max(map(abs, between(sound, 0.0, 0.3))) < 0.002


def test_a_retaken_section_leaves_and_arrives_without_a_jump(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", replace(FILM, frames=60))
    own, made = list(pictures(path)), list(pictures(edited(retake(path, "replace_video", 0.4, 1.6))))
    assert psnr(middle(made[10]), middle(own[9])) > 20
    assert psnr(middle(made[49]), middle(own[50])) > 20
    assert psnr(middle(made[30]), middle(own[30])) < 14


def test_only_the_section_says_that_it_is_a_preview(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", replace(FILM, size=(640, 360)))
    own, made = list(pictures(path)), list(pictures(edited(retake(path, "replace_video", 0.4, 0.8))))
    assert [is_marked(made[10], own[9]), is_marked(made[29], own[30])] == [True, True]
    assert [is_marked(made[at], own[at]) for at in (9, 30)] == [False, False]


@pytest.mark.parametrize(("start", "seconds"), [(0.0, 0.4), (1.2, 5.0), (0.0, 9.0)])
def test_a_section_may_reach_to_either_end_of_the_film_and_beyond(start: float, seconds: float, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    out = edited(retake(path, "replace_audio_and_video", start, seconds))
    changed = [psnr(middle(one), middle(other)) < 38 for one, other in zip(pictures(path), pictures(out), strict=True)]
    assert changed == [start <= n / 25 < start + seconds for n in range(40)]


@pytest.mark.parametrize("start", [-0.5, 1.6, 30.0])
def test_a_section_outside_the_film_is_refused_with_the_films_length(start: float, tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    with pytest.raises(CallerError, match=r"between 0 and 1\.600 s") as caught:
        edited(retake(path, start=start))
    assert caught.value.code is ErrorCode.INVALID_REQUEST


# -- all edits


def test_an_edit_of_an_edit_is_still_the_film(tmp_path: Path) -> None:
    path = tmp_path / "first.mp4"
    render(RenderOrder("green hills", 320, 180, 25, 1.0, audio=True), path, lambda part: None)
    twice = path
    for number in range(3):
        twice = edited(extension(twice)).rename(tmp_path / f"{number}.mp4")
    assert min(psnr(one, other) for one, other in zip(pictures(path), pictures(twice), strict=False)) > 40
    assert probe_media(twice, "video").frames == 25 + 3 * 15


def test_what_is_no_film_cannot_be_edited(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(CallerError) as caught:
        edited(extension(tmp_path / "a.mp4"))
    assert caught.value.code is ErrorCode.INPUT_FAILED


def test_progress_is_told_and_ends_at_one(tmp_path: Path) -> None:
    told: list[float] = []
    edit(extension(make(tmp_path / "a.mp4", FILM)), tmp_path / "out.mp4", told.append)
    assert told == sorted(told)
    assert len(told) >= 5
    assert told[-1] == 1.0


def test_characters_without_a_font_are_told(tmp_path: Path) -> None:
    order = replace(extension(make(tmp_path / "a.mp4", FILM)), prompt="an unassigned \U000e0ff0\U000e0ff1 pair")
    assert edit(order, tmp_path / "out.mp4", lambda part: None).missing_glyphs == 2
