"""Films brought into another shape: what matters stays in the picture, and nothing but the shape changes."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from PIL import Image, ImageChops, ImageDraw

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.messages import ReframeOrder
from ltx_mcp.media.preview.attention import window_path
from ltx_mcp.media.preview.reframe import reframe
from ltx_mcp.media.probe import probe_media
from tests.media.films import NTSC, Recipe, make, moments, packets, picture, pictures, psnr
from tests.media.odd.films import Odd
from tests.media.test_odd_films import RIGHT, named, off, three_places

FILM = Recipe(frames=30, seconds=1.2)
UNEVEN = tuple(Fraction(40 * n + n * n % 13, 1000) for n in range(30))
SOURCES = {
    "a.mp4": FILM,
    "tall.mp4": replace(FILM, size=(180, 320), rate=NTSC),
    "silent.mp4": replace(FILM, audio=None, rate=Fraction(50)),
    "one.mp4": replace(FILM, frames=1, audio=None),
    "uneven.mp4": replace(FILM, moments=UNEVEN),
    "phone.mp4": replace(FILM, turned=90),
    "over.mp4": replace(FILM, turned=180),
    "odd.mkv": replace(FILM, size=(322, 178)),
}
SHAPES = {"9:16": (360, 640), "16:9": (640, 360), "1:1": (400, 400)}
RED = (220, 30, 30)


def reframed(path: Path, size: tuple[int, int]) -> Path:
    out = path.with_name(f"{path.name} {size[0]}x{size[1]}.mp4")
    reframe(ReframeOrder(str(path), *size), out, lambda part: None)
    return out


def below_the_mark(image: Image.Image) -> Image.Image:
    return image.crop((0, image.height // 5, image.width, image.height))


def filmed(path: Path, shown: Callable[[int], Image.Image], frames: int, turned: int = 0) -> Path:
    """A film of drawn frames, 25 a second, to be shown turned by so many degrees."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height = shown(0).size
        if turned:
            stream.set_display_rotation(turned)
        for number in range(frames):
            frame = av.VideoFrame.from_image(shown(number))  # type: ignore[no-untyped-call]
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def ball(size: tuple[int, int], x: float, y: float, radius: int = 20, ground: int = 90) -> Image.Image:
    """A red ball before something that is nowhere quite even."""
    picture = Image.effect_noise(size, 12).point([max(0, min(255, v - 128 + ground)) for v in range(256)])
    picture = picture.convert("RGB")
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=RED)
    return picture


def ball_box(picture: Image.Image) -> tuple[int, int, int, int]:
    """Where the ball is seen."""
    red, green, _ = picture.split()
    box = ImageChops.subtract(red, green).point([0] * 70 + [255] * 186).getbbox()
    assert box is not None
    return box


def along(number: int) -> float:
    """A ball that rests, crosses the picture in 3 s and rests at the other edge."""
    return 30 + 580 * min(1.0, max(0.0, (number - 25) / 75))


# -- what is kept


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SOURCES)
def test_a_film_in_another_shape_has_that_size_and_every_frame_at_its_moment(
    name: str, shape: str, tmp_path: Path
) -> None:
    path = make(tmp_path / name, SOURCES[name])
    out = reframed(path, SHAPES[shape])
    before, after = probe_media(path, "video"), probe_media(out, "video")
    assert (after.width, after.height) == SHAPES[shape]
    assert (after.frames, after.audio_codec) == (before.frames, before.audio_codec)
    assert moments(out) == pytest.approx(moments(path), abs=0.0011)
    assert after.duration == pytest.approx(before.duration, abs=0.005)


def test_the_sound_is_not_touched(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", FILM)
    assert packets(reframed(path, SHAPES["9:16"]), "audio") == packets(path, "audio")


@pytest.mark.parametrize(("name", "size"), [("a.mp4", (640, 360)), ("phone.mp4", (360, 640)), ("over.mp4", (320, 180))])
def test_a_film_of_that_shape_is_only_scaled(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    path = make(tmp_path / name, SOURCES[name])
    for own, made in zip(pictures(path), pictures(reframed(path, size)), strict=True):
        assert psnr(below_the_mark(own.resize(size, Image.Resampling.BICUBIC)), below_the_mark(made)) > 34


@pytest.mark.parametrize("film", RIGHT, ids=named)
def test_an_odd_film_is_reframed_as_a_player_shows_it(film: Odd, tmp_path: Path) -> None:
    film.make(tmp_path / film.name)
    out = reframed(tmp_path / film.name, (film.size[0] // 2 * 8, film.size[1] // 2 * 8))
    shown = list(pictures(out))
    assert len(shown) == film.frames
    assert off(three_places(shown[0]), film.colours) <= film.near


def test_every_frame_says_that_it_is_not_ltx(tmp_path: Path) -> None:
    path = filmed(tmp_path / "a.mp4", lambda number: Image.new("RGB", (640, 360), (200, 200, 200)), 5)
    for shown in pictures(reframed(path, (720, 720))):
        grey = shown.convert("L")
        assert grey.crop((360, 0, 720, 72)).histogram()[0:100] != [0] * 100
        assert below_the_mark(grey).histogram()[0:190] == [0] * 190


# -- what is seen


@pytest.mark.parametrize(("is_upright", "turned"), [(False, 0), (True, 0), (False, 270), (True, 90)])
def test_what_moves_stays_in_the_picture_and_keeps_its_shape(is_upright: bool, turned: int, tmp_path: Path) -> None:
    size, target = ((360, 640), (640, 360)) if is_upright else ((640, 360), (360, 640))

    def shown(number: int) -> Image.Image:
        place = along(number), 180.0
        return ball(size, *(place[::-1] if is_upright else place))

    out = reframed(filmed(tmp_path / "a.mp4", shown, 125, turned), target[::-1] if turned else target)
    scale = 640 / 360
    for frame in pictures(out):
        left, top, right, bottom = ball_box(frame)
        assert right - left == pytest.approx(41 * scale, abs=8)
        assert bottom - top == pytest.approx(41 * scale, abs=8)
        assert min(left, top, frame.width - right, frame.height - bottom) >= 1


def small(number: int, x: float, ground: int = 90) -> tuple[int, Image.Image]:
    return number, ball((128, 72), x, 36, 6, ground)


def test_the_window_never_jumps_within_a_shot() -> None:
    frames = [small(number, along(number) / 5) for number in range(125)]
    path = window_path(frames, [number / 25 for number in range(125)], 0.316, is_upright=False)
    steps = [after - before for before, after in pairwise(path)]
    assert max(map(abs, steps)) < 0.02
    assert max(abs(after - before) for before, after in pairwise(steps)) < 0.002
    assert (path[0], path[-1]) == pytest.approx((0.0, 0.684), abs=0.03)


def test_the_window_jumps_at_a_cut_and_there_alone() -> None:
    frames = [small(number, 20) if number < 40 else small(number, 108, ground=150) for number in range(80)]
    path = window_path(frames, [number / 25 for number in range(80)], 0.316, is_upright=False)
    steps = [abs(after - before) for before, after in pairwise(path)]
    assert steps[39] > 0.5
    assert max(steps[:39] + steps[40:]) < 0.005


def test_a_flash_is_no_cut() -> None:
    frames = [small(number, 20 + number, ground=230 if number == 40 else 90) for number in range(80)]
    path = window_path(frames, [number / 25 for number in range(80)], 0.316, is_upright=False)
    assert max(abs(after - before) for before, after in pairwise(path)) < 0.03


EVEN = {
    "grey": lambda: Image.new("RGB", (128, 72), (90, 90, 90)),
    "noise": lambda: Image.effect_noise((128, 72), 40).convert("RGB"),
    "a pattern": lambda: picture(0, (320, 180)).resize((128, 72)),
}


@pytest.mark.parametrize("drawn", EVEN.values(), ids=EVEN)
def test_the_middle_is_shown_where_nothing_says_otherwise(drawn: Callable[[], Image.Image]) -> None:
    frames = [(number, drawn()) for number in range(60)]
    path = window_path(frames, [number / 25 for number in range(60)], 0.316, is_upright=False)
    assert path == pytest.approx([0.342] * 60, abs=0.05)


# -- the work itself


def test_what_is_no_film_cannot_be_reframed(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(CallerError) as caught:
        reframed(tmp_path / "a.mp4", SHAPES["1:1"])
    assert caught.value.code is ErrorCode.INPUT_FAILED


def test_progress_goes_on_from_watching_to_cropping_and_ends_at_one(tmp_path: Path) -> None:
    told: list[float] = []
    path = make(tmp_path / "a.mp4", replace(FILM, frames=60))
    reframe(ReframeOrder(str(path), *SHAPES["9:16"]), tmp_path / "out.mp4", told.append)
    assert told == sorted(told)
    assert [any(part <= 0.3 for part in told), any(0.3 < part < 1 for part in told), told[-1]] == [True, True, 1.0]
