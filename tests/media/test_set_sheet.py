"""The contact sheet of a set: a row a take, numbered, small enough for any host."""

import random
from dataclasses import asdict
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from ltx_mcp.media.measure import make_sheet
from ltx_mcp.media.messages import SheetRow
from ltx_mcp.media.set_sheet import SET_SHEET_BYTES, make_set_sheet
from tests.media.test_measure import FPS, ONE_KEY_FRAME, make_film, write_film

COUNT = 51
SHAPES = ((320, 180), (180, 320), (240, 240))
BAND = 56


def row_of(film: Path, number: int, size: tuple[int, int], count: int) -> SheetRow:
    sheet = film.with_suffix(".jpg")
    make_sheet(film, sheet)
    end = (count - 1) / FPS
    return SheetRow(number, "", str(sheet), *size, tuple(end * step / 5 for step in range(6)))


def made(rows: list[SheetRow], out: Path) -> Image.Image:
    facts = make_set_sheet([asdict(row) for row in rows], out)
    assert facts.size_bytes == out.stat().st_size <= SET_SHEET_BYTES == 90_000
    with Image.open(out) as picture:
        return picture.convert("RGB")


@pytest.mark.parametrize("size", SHAPES)
def test_every_take_has_a_row_of_its_six_moments_side_by_side(size: tuple[int, int], tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, COUNT, size)
    row = row_of(film, 1, size, COUNT)
    sheet = made([row, SheetRow(2, "", row.sheet, *size, row.moments)], tmp_path / "set.jpg")
    width = (sheet.width - BAND - 4) / 6
    assert width / (sheet.height / 2) == pytest.approx(size[0] / size[1], abs=0.1)
    for line in (0, 1):
        below_times = sheet.height // 2 * line + round(sheet.height * 0.4)
        greys = [sheet.convert("L").getpixel((round(BAND + width * (cell + 0.6)), below_times)) for cell in range(6)]
        assert greys == pytest.approx([20 + 40 * cell for cell in range(6)], abs=4)


def test_a_take_without_a_video_says_so_in_its_row(tmp_path: Path) -> None:
    row = row_of(make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 6), 1, (160, 90), 6)
    shown, silent = (
        made([row, SheetRow(2, words)], tmp_path / f"{words or 'none'}.jpg")
        for words in ("failed: content_refused", "")
    )
    text = (BAND, shown.height - 50, shown.width, shown.height)
    assert ImageStat.Stat(shown.crop(text).convert("L")).stddev[0] > 20
    assert ImageStat.Stat(silent.crop(text).convert("L")).stddev[0] < 5


def test_each_row_has_a_number_of_its_own(tmp_path: Path) -> None:
    row = row_of(make_film(tmp_path / "film.mp4", ONE_KEY_FRAME, 6), 1, (160, 90), 6)
    sheet = made([SheetRow(number, "", row.sheet, 160, 90, row.moments) for number in range(1, 7)], tmp_path / "s.jpg")
    tall = (sheet.height - 4) // 6
    bands = [sheet.crop((0, 4 + tall * row, BAND, tall * (row + 1))).convert("L") for row in range(6)]
    for one, other in combinations(bands, 2):
        assert ImageStat.Stat(ImageChops.difference(one, other)).mean[0] > 2


def test_six_takes_of_noise_are_small_enough_and_still_legible(tmp_path: Path) -> None:
    size = (640, 360)
    noise = [Image.frombytes("RGB", size, random.Random(seed).randbytes(640 * 360 * 3)) for seed in range(6)]
    row = row_of(write_film(tmp_path / "film.mp4", ONE_KEY_FRAME, noise), 1, size, 6)
    sheet = made([SheetRow(number, "", row.sheet, *size, row.moments) for number in range(1, 7)], tmp_path / "s.jpg")
    assert sheet.width >= 500
