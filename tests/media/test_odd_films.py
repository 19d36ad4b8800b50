"""The table of odd films: how long, how large and how fast each is, how it looks, and what is said of it."""

from pathlib import Path

import pytest
from PIL import Image, ImageStat

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.measure import measure_film, take_frame
from ltx_mcp.media.probe import probe_media
from tests.media.odd.films import FILMS, Colour, Odd
from tests.media.odd.sounds import SOUNDS

RIGHT = [film for film in FILMS if not film.refused]
MEASURED = [film for film in RIGHT if not film.name.endswith(".avi")]
"""No provider delivers those."""


def named(film: Odd) -> str:
    return film.name


def three_places(picture: Image.Image) -> tuple[Colour, Colour, Colour]:
    """The mean colours of the upper left, the upper right and the lower left, away from the edges."""
    wide, high = picture.size
    found = []
    for left, top in ((0.1, 0.1), (0.7, 0.1), (0.1, 0.7)):
        box = (round(wide * left), round(high * top), round(wide * (left + 0.2)), round(high * (top + 0.2)))
        red, green, blue = (round(mean) for mean in ImageStat.Stat(picture.convert("RGB").crop(box)).mean)
        found.append((red, green, blue))
    return found[0], found[1], found[2]


def off(one: tuple[Colour, ...], other: tuple[Colour, ...]) -> int:
    return max(abs(a - b) for left, right in zip(one, other, strict=True) for a, b in zip(left, right, strict=True))


def test_the_table_has_eighty_files_of_which_some_are_of_others() -> None:
    assert len(FILMS) + len(SOUNDS) >= 80
    names = [*(film.name for film in FILMS), *(sound.name for sound in SOUNDS)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("film", RIGHT, ids=named)
def test_an_odd_film_is_what_a_player_shows(film: Odd, tmp_path: Path) -> None:
    path = tmp_path / film.name
    film.make(path)
    facts = probe_media(path, "video")
    assert (facts.width, facts.height, facts.fps, facts.frames) == (*film.size, film.fps, film.frames)
    assert abs(facts.duration - film.seconds) <= film.within
    assert (", ".join(facts.traits), facts.doubt) == (film.traits, film.doubt)


@pytest.mark.parametrize("film", MEASURED, ids=named)
def test_an_odd_film_that_comes_is_measured_and_seen_as_a_player_shows_it(film: Odd, tmp_path: Path) -> None:
    path = tmp_path / film.name
    film.make(path)
    facts = measure_film(path)
    assert (facts.width, facts.height, facts.fps) == (*film.size, film.fps)
    assert abs(facts.duration - film.seconds) <= film.within
    take_frame(path, "first", tmp_path / "first.png", "png")
    with Image.open(tmp_path / "first.png") as picture:
        assert picture.size == film.size
        assert off(three_places(picture), film.colours) <= film.near


@pytest.mark.parametrize("film", [film for film in FILMS if film.refused], ids=named)
def test_a_film_of_a_kind_that_is_not_read_is_refused_by_name(film: Odd, tmp_path: Path) -> None:
    path = tmp_path / film.name
    film.make(path)
    with pytest.raises(CallerError, match=film.refused) as caught:
        probe_media(path, "video")
    assert caught.value.code is ErrorCode.INPUT_FAILED
    assert "MP4, MOV, MKV, WebM and AVI are read" in caught.value.message
