"""Clips of every kind in one film: as a player shows them, in step, and within the memory that the process may use."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from PIL import Image, ImageStat

from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import JoinClip, JoinOrder
from tests.media.films import Recipe, between, heard, lag, make, pictures
from tests.media.joined import Numbered, joined
from tests.media.odd.films import GREYS, H265, PQ, Cut, Odd, cut
from tests.media.test_odd_films import RIGHT, named, off, three_places


@pytest.mark.parametrize("film", RIGHT, ids=named)
def test_an_odd_film_between_two_plain_ones_is_shown_as_a_player_shows_it(film: Odd, tmp_path: Path) -> None:
    film.make(tmp_path / film.name)
    width, height = film.size[0] // 2 * 4, film.size[1] // 2 * 4
    plain = Numbered(1, frames=10, size=(width, height), options=(("crf", "12"),)).make(tmp_path / "beside.mp4")
    clips = JoinClip(str(plain)), JoinClip(str(tmp_path / film.name), continues=False), JoinClip(str(plain))
    out, notes = joined(tmp_path, *clips, width=width, height=height)
    seconds = 2.0 if film.doubt == "2 s of picture" else film.seconds
    assert abs(notes.frames / 25 - 0.8 - seconds) <= film.within + 0.02
    shown = list(pictures(out))
    assert len(shown) == notes.frames
    assert off(three_places(shown[10]), film.colours) <= film.near + 2


def test_hdr_in_4k_at_50_frames_between_clips_of_24_is_in_step(tmp_path: Path) -> None:
    plain = Numbered(1, frames=48, rate=Fraction(24), size=(640, 360)).make(tmp_path / "plain.mp4")
    light = Cut("libx265", "yuv420p10le", H265, (3840, 2160), Fraction(50), 25, tags=PQ, colours=GREYS, sounds=(0.5,))
    cut(tmp_path / "hdr.mp4", light)
    clips = JoinClip(str(plain)), JoinClip(str(tmp_path / "hdr.mp4")), JoinClip(str(plain))
    out, notes = joined(tmp_path, *clips, width=640, height=360, fps=24)
    assert notes.frames == 48 + 12 + 48
    assert abs(lag(between(heard(plain), 0.1, 1.9), between(heard(out), 2.6, 4.4))) < 0.01


def test_frames_that_come_unevenly_are_shown_when_they_were(tmp_path: Path) -> None:
    moments = tuple(Fraction(40 * n + (n * n % 13) * 3, 1000) for n in range(30))
    uneven = make(tmp_path / "uneven.mp4", replace(Recipe(), moments=moments, seconds=1.2))
    out, notes = joined(tmp_path, JoinClip(str(uneven)))
    own = list(pictures(uneven))
    for number, shown in list(enumerate(pictures(out)))[2:26:4]:
        middle = Fraction(2 * number + 1, 50)
        on_screen = max(place for place, moment in enumerate(moments) if moment <= middle)
        errors = [sum(abs(a - b) for a, b in zip(mean(shown), mean(own[n]), strict=True)) for n in range(30)]
        assert errors.index(min(errors)) == on_screen
    assert notes.frames == pytest.approx(30, abs=1)


def mean(image: Image.Image) -> list[float]:
    """What tells one frame from the next."""
    return ImageStat.Stat(image.resize((16, 9))).mean + [float(v) for v in image.convert("L").resize((12, 8)).tobytes()]


def test_a_clip_of_another_shape_is_not_stretched_and_fills_the_frame(tmp_path: Path) -> None:
    tall = make(tmp_path / "tall.mp4", replace(Recipe(), size=(180, 320), audio=None))
    out, _ = joined(tmp_path, JoinClip(str(tall)), width=640, height=320)
    shown, own = next(pictures(out)), next(pictures(tall))
    middle = shown.crop((230, 0, 410, 320))
    assert max(abs(a - b) for a, b in zip(ImageStat.Stat(middle).mean, ImageStat.Stat(own).mean, strict=True)) < 3
    side = ImageStat.Stat(shown.crop((0, 0, 200, 320)).convert("L"))
    assert 10 < side.mean[0] < 0.7 * ImageStat.Stat(own.convert("L")).mean[0]


@pytest.mark.anyio
async def test_forty_sources_at_once_stay_within_the_memory_of_the_process(tmp_path: Path) -> None:
    large = make(tmp_path / "0.mp4", replace(Recipe(), size=(1920, 1080), frames=8, seconds=0.32))
    clips = []
    for number in range(40):
        path = tmp_path / f"clip-{number}.mp4"
        path.write_bytes(large.read_bytes())
        clips.append(JoinClip(str(path), continues=False))
    client = MediaClient()
    order = JoinOrder(tuple(clips), 1920, 1080, 24.0, transition="crossfade", transition_s=0.1)
    try:
        notes = await client.join(order, tmp_path / "film.mp4")
    finally:
        await client.close()
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert film.streams.video[0].frames == notes.frames
    assert len(notes.seams) == 39
