"""What is said of films and pictures, and the frames taken out of films: exact, or refused."""

import math
import random
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import pytest
from PIL import Image, ImageStat

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.media.measure import SHEET_BYTES, make_sheet, measure_film, take_frame
from ltx_mcp.media.messages import ExtractedFrame

FPS = 25
ONE_KEY_FRAME = {"preset": "ultrafast", "crf": "12", "g": "9999"}
MANY_KINDS = {"preset": "veryfast", "crf": "12", "g": "20", "bf": "3"}
WAYS = {"one key frame": ONE_KEY_FRAME, "frames in another order": MANY_KINDS}


def level(number: int) -> int:
    """The grey that says which frame it is."""
    return 20 + number * 4


def make_film(path: Path, options: dict[str, str], count: int = 50, size: tuple[int, int] = (160, 90)) -> Path:
    return write_film(path, options, [Image.new("RGB", size, (level(n),) * 3) for n in range(count)])


def write_film(path: Path, options: dict[str, str], pictures: list[Image.Image]) -> Path:
    with av.open(str(path), "w", format="mp4" if path.suffix != ".mkv" else "matroska") as film:
        video = film.add_stream("libx264", rate=FPS, options=options)
        video.width, video.height, video.pix_fmt = (*pictures[0].size, "yuv420p")
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            film.mux(video.encode(frame))
        film.mux(video.encode())
    return path


def grey(picture: Image.Image) -> float:
    return float(ImageStat.Stat(picture.convert("L")).mean[0])


def number_of(path: Path) -> int:
    """Which frame of a film of greys a picture shows."""
    with Image.open(path) as picture:
        return round((grey(picture) - 20) / 4)


# -- facts of films


def test_the_facts_of_a_film_are_those_of_its_streams(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.mp4", ONE_KEY_FRAME)
    facts = measure_film(path)
    assert (facts.duration, facts.width, facts.height, facts.fps, facts.frames) == (2.0, 160, 90, 25.0, 50)
    assert not facts.has_audio
    assert facts.size_bytes == path.stat().st_size


def test_frames_are_counted_where_the_header_does_not_say(tmp_path: Path) -> None:
    facts = measure_film(make_film(tmp_path / "film.mkv", MANY_KINDS))
    assert (facts.frames, facts.fps) == (50, 25.0)
    assert facts.duration == pytest.approx(2.0, abs=0.05)


def turned(path: Path) -> Path:
    """The film marked as held upright: players turn it a quarter clockwise."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 90 << 16, 0, 1 << 30)
    path.write_bytes(data)
    return path


def test_a_film_held_upright_is_measured_and_shown_upright(tmp_path: Path) -> None:
    half = Image.new("RGB", (160, 90), "black")
    half.paste((255, 255, 255), (0, 0, 80, 90))
    path = turned(write_film(tmp_path / "film.mp4", ONE_KEY_FRAME, [half] * 5))
    facts = measure_film(path)
    frame = take_frame(path, "first", tmp_path / "a.png", "png")
    assert (facts.width, facts.height) == (frame.width, frame.height) == (90, 160)
    with Image.open(tmp_path / "a.png") as picture:
        # What was on the left is on top after a quarter clockwise.
        assert grey(picture.crop((0, 0, 90, 70))) > 240
        assert grey(picture.crop((0, 90, 90, 160))) < 15


def text(path: Path) -> None:
    path.write_text("no film\n" * 100, encoding="utf-8")


def empty(path: Path) -> None:
    path.touch()


def list_of_films(path: Path) -> None:
    """A list would make the reader open other files."""
    make_film(path.with_name("other.mp4"), ONE_KEY_FRAME, 5)
    path.write_text("ffconcat version 1.0\nfile other.mp4\n", encoding="utf-8")


def only_sound(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as film:
        sound = film.add_stream("aac", rate=48_000, layout="stereo")
        frame = av.AudioFrame(format="s16", layout="stereo", samples=4096)
        frame.sample_rate, frame.pts = 48_000, 0
        film.mux(sound.encode(frame))
        film.mux(sound.encode())


def headless(path: Path) -> None:
    data = make_film(path, ONE_KEY_FRAME).read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("spoil", [text, empty, list_of_films, only_sound, headless])
def test_what_is_no_film_is_said_to_be_none(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    spoil(path)
    for work in (lambda: measure_film(path), lambda: make_sheet(path, tmp_path / "sheet.jpg")):
        with pytest.raises(LtxError, match="not a playable film") as caught:
            work()
        assert caught.value.code is ErrorCode.BAD_REPLY
    assert not (tmp_path / "sheet.jpg").exists()


# -- single frames


@pytest.mark.parametrize("way", WAYS)
def test_the_frame_of_a_moment_is_exactly_the_one_on_the_screen(way: str, tmp_path: Path) -> None:
    path, out = make_film(tmp_path / "film.mp4", WAYS[way]), tmp_path / "a.png"
    edges = [(0.039, 0), (1.07, 26), (1.959, 48), (2.0, 49)]
    for moment, number in [*((n / FPS, n) for n in range(50)), *edges]:
        facts = take_frame(path, moment, out, "png")
        assert (number_of(out), facts.moment) == (number, number / FPS)


def test_a_film_without_an_index_is_read_as_exactly(tmp_path: Path) -> None:
    path, out = make_film(tmp_path / "film.mkv", MANY_KINDS), tmp_path / "a.png"
    for moment, number in [(0.0, 0), (1.08, 27), (1.96, 49)]:
        take_frame(path, moment, out, "png")
        assert number_of(out) == number


@pytest.mark.parametrize("way", WAYS)
def test_first_and_last_are_the_first_and_the_last_frame(way: str, tmp_path: Path) -> None:
    path, out = make_film(tmp_path / "film.mp4", WAYS[way]), tmp_path / "a.png"
    assert (take_frame(path, "first", out, "png").moment, number_of(out)) == (0.0, 0)
    assert (take_frame(path, "last", out, "png").moment, number_of(out)) == (1.96, 49)


@pytest.mark.parametrize("way", WAYS)
def test_the_last_frame_of_a_film_cut_short_is_the_last_that_can_be_decoded(way: str, tmp_path: Path) -> None:
    grain = random.Random(1)
    noise = [Image.frombytes("RGB", (160, 90), grain.randbytes(160 * 90 * 3)) for _ in range(50)]
    path = write_film(tmp_path / "film.mp4", WAYS[way], noise)
    moov_first = remuxed(path)
    data = moov_first.read_bytes()
    moov_first.write_bytes(data[: len(data) * 6 // 10])
    assert 0.8 < take_frame(moov_first, "last", tmp_path / "a.png", "png").moment < 1.4


def remuxed(path: Path) -> Path:
    """The same film with its index in front."""
    out = path.with_name("front.mp4")
    with av.open(str(path)) as source, av.open(str(out), "w", options={"movflags": "+faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return out


@pytest.mark.parametrize("moment", [-0.1, 2.1, 1e9, math.nan, math.inf])
def test_a_moment_outside_the_film_is_refused_with_the_range(moment: float, tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.mp4", ONE_KEY_FRAME)
    with pytest.raises(CallerError, match="between 0 and 2 s") as caught:
        take_frame(path, moment, tmp_path / "a.png")
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_a_frame_is_made_smaller_when_asked_and_says_its_size(tmp_path: Path) -> None:
    path, out = make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 5, (640, 360)), tmp_path / "a.jpg"
    facts = take_frame(path, "first", out, "jpeg", 320)
    assert facts == ExtractedFrame(320, 180, out.stat().st_size, 0.0)
    with Image.open(out) as picture:
        assert (picture.format, picture.size) == ("JPEG", (320, 180))


def test_a_frame_that_cannot_be_written_is_not_the_films_fault(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 5)
    with pytest.raises(FileNotFoundError):
        take_frame(path, "first", tmp_path / "nowhere" / "a.jpg")


# -- contact sheets


@pytest.mark.parametrize("way", WAYS)
def test_a_sheet_runs_from_the_first_frame_to_the_last(way: str, tmp_path: Path) -> None:
    facts = make_sheet(make_film(tmp_path / "film.mp4", WAYS[way]), tmp_path / "sheet.jpg")
    assert facts.moments == [0.0, 0.36, 0.76, 1.16, 1.56, 1.96]
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (facts.width, facts.height)
        width, height = facts.width // 3, facts.height // 2
        for place, number in [(0, 0), (1, 9), (5, 49)]:
            row, column = divmod(place, 3)
            foot = sheet.crop(
                (column * width + 20, row * height + height - 30, (column + 1) * width - 20, (row + 1) * height - 10)
            )
            assert abs(grey(foot) - level(number)) < 3


def test_every_cell_says_its_moment_in_a_corner(tmp_path: Path) -> None:
    make_sheet(make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 50, (640, 360)), tmp_path / "sheet.jpg")
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        grey_sheet = sheet.convert("L")
    width, height = grey_sheet.width // 3, grey_sheet.height // 2
    for row in range(2):
        for column in range(3):
            corner = grey_sheet.crop((column * width, row * height, column * width + 120, row * height + 48))
            low, high = cast(tuple[int, int], corner.getextrema())
            assert high > 235
            assert high - low > 120


@pytest.mark.parametrize(("size", "columns"), [((160, 90), 3), ((90, 160), 6), ((96, 96), 3)])
def test_the_grid_suits_the_shape_of_the_film(size: tuple[int, int], columns: int, tmp_path: Path) -> None:
    facts = make_sheet(make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 10, size), tmp_path / "sheet.jpg")
    assert facts.width // columns == pytest.approx(size[0], abs=9)
    assert facts.height // (6 // columns) == pytest.approx(size[1], abs=9)


def test_a_sheet_of_noise_is_small_enough_and_still_legible(tmp_path: Path) -> None:
    grain = random.Random(7)
    noise = [Image.frombytes("RGB", (640, 360), grain.randbytes(640 * 360 * 3)) for _ in range(8)]
    facts = make_sheet(write_film(tmp_path / "film.mp4", ONE_KEY_FRAME, noise), tmp_path / "sheet.jpg")
    assert facts.size_bytes == (tmp_path / "sheet.jpg").stat().st_size <= SHEET_BYTES
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        # Pillow's table for quality 40; below that the numbers only grow.
        assert max(sheet.quantization[0]) <= 151  # type: ignore[attr-defined]
    assert facts.width > 400


def test_a_film_of_one_frame_has_a_sheet(tmp_path: Path) -> None:
    facts = make_sheet(make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 1), tmp_path / "sheet.jpg")
    assert facts.moments == [0.0] * 6


def test_writing_leaves_nothing_half_done(tmp_path: Path) -> None:
    path = make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 5)
    make_sheet(path, tmp_path / "sheet.jpg")
    take_frame(path, "last", tmp_path / "a.jpg")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.jpg", "film.mp4", "sheet.jpg"]
