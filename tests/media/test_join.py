"""Films joined from clips: every frame and every sound in its place."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import ChildFailed, JoinClip, JoinOrder
from tests.media.films import NTSC, Recipe, between, heard, lag, make, moments
from tests.media.joined import Numbered, codes, joined

B_FRAMES = (("crf", "12"), ("g", "12"), ("bf", "3"), ("x264-params", "open-gop=1:b-pyramid=normal:scenecut=0"))


def frames_of(clip: int, first: int, last: int) -> list[tuple[int, int]]:
    return [(clip, number) for number in range(first, last)]


# -- pictures


def test_every_frame_of_every_clip_is_shown_once_and_in_order(tmp_path: Path) -> None:
    clips = [Numbered(number, frames=20 + number).make(tmp_path / f"{number}.mp4") for number in range(1, 5)]
    film, notes = joined(tmp_path, *(JoinClip(str(clip), continues=False) for clip in clips))
    assert codes(film) == [frame for number in range(1, 5) for frame in frames_of(number, 0, 20 + number)]
    assert (notes.frames, notes.duration) == (90, 3.6)
    assert moments(film) == pytest.approx([number / 25 for number in range(90)], abs=1e-4)


@pytest.mark.parametrize("start", [11, 12, 13, 25, 37])
def test_a_section_is_exact_to_the_frame_in_open_groups_of_pictures_too(start: int, tmp_path: Path) -> None:
    clip = Numbered(1, frames=50, options=B_FRAMES).make(tmp_path / "a.mp4")
    film, _ = joined(tmp_path, JoinClip(str(clip), start / 25, (start + 10) / 25))
    assert codes(film) == frames_of(1, start, start + 10)


def test_two_sections_of_one_video_meet_without_a_lost_or_doubled_frame(tmp_path: Path) -> None:
    clip = str(Numbered(1, frames=50).make(tmp_path / "a.mp4"))
    film, _ = joined(tmp_path, JoinClip(clip, 0, 1), JoinClip(clip, 1, 2))
    assert codes(film) == frames_of(1, 0, 50)


def test_the_frame_that_a_clip_was_made_from_is_shown_once(tmp_path: Path) -> None:
    one = Numbered(1, frames=20).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=20, first=19).make(tmp_path / "2.mp4")
    film, notes = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=True))
    assert codes(film) == frames_of(1, 0, 20) + frames_of(2, 1, 20)
    assert [(seam.kind, seam.dropped_frames, seam.at) for seam in notes.seams] == [("continued", 1, 0.8)]


@pytest.mark.parametrize(("rate", "first"), [(Fraction(50), 2), (NTSC, 1), (Fraction(24), 1), (Fraction(12), 1)])
def test_a_doubled_frame_of_another_rate_is_not_shown_again(rate: Fraction, first: int, tmp_path: Path) -> None:
    one = Numbered(1, frames=20).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=round(rate), rate=rate).make(tmp_path / "2.mp4")
    film, _ = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=True))
    shown = codes(film)
    assert shown[:21] == [*frames_of(1, 0, 20), (2, first)]
    assert len(shown) == 20 + round((round(rate) - 1) / rate * 25)


def test_a_clip_of_twice_the_rate_shows_every_second_frame_evenly(tmp_path: Path) -> None:
    clip = Numbered(1, frames=50, rate=Fraction(50)).make(tmp_path / "1.mp4")
    shown = [number for _, number in codes(joined(tmp_path, JoinClip(str(clip)))[0])]
    assert len(shown) == 25
    assert {later - earlier for earlier, later in pairwise(shown)} == {2}


def test_a_crossfade_shares_its_frames_and_leaves_the_others_alone(tmp_path: Path) -> None:
    clips = [Numbered(number, frames=30).make(tmp_path / f"{number}.mp4") for number in (1, 2)]
    film, notes = joined(tmp_path, *(JoinClip(str(clip)) for clip in clips), transition="crossfade", transition_s=0.4)
    shown = codes(film)
    assert (shown[:20], shown[30:]) == (frames_of(1, 0, 20), frames_of(2, 10, 30))
    assert (len(shown), notes.frames) == (50, 50)


def test_a_fade_goes_dark_between_two_clips_and_keeps_the_length(tmp_path: Path) -> None:
    clips = [Numbered(number, frames=30).make(tmp_path / f"{number}.mp4") for number in (1, 2)]
    film, _ = joined(tmp_path, *(JoinClip(str(clip)) for clip in clips), transition="fade", transition_s=0.8)
    with av.open(str(film)) as opened:
        light = [max(bytes(frame.planes[0])) for frame in opened.decode(video=0)]
    assert len(light) == 60
    assert [light[10] > 200, light[29] < 60, light[30] < 60, light[50] > 200] == [True] * 4


# -- sound


def test_sound_is_in_step_after_forty_clips_of_odd_lengths(tmp_path: Path) -> None:
    clip = Numbered(1, frames=37, rate=NTSC).make(tmp_path / "1.mp4")
    film, notes = joined(tmp_path, *[JoinClip(str(clip), continues=False)] * 40, fps=29.97)
    whole, own = heard(film), heard(clip)
    for begins in (0, notes.frames // 2, notes.frames - 37):
        at = begins / float(NTSC)
        assert abs(lag(between(own, 0.05, 1.2), between(whole, at + 0.05, at + 1.2))) < 0.01
    with av.open(str(film)) as opened:
        stream = opened.streams.audio[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(notes.frames / float(NTSC), abs=0.001)


def test_a_silent_clip_between_two_that_are_heard_keeps_its_time(tmp_path: Path) -> None:
    one = Numbered(1).make(tmp_path / "1.mp4")
    silent = Numbered(2, has_sound=False).make(tmp_path / "2.mp4")
    film, _ = joined(tmp_path, JoinClip(str(one)), JoinClip(str(silent)), JoinClip(str(one)))
    whole, own = heard(film), heard(one)
    assert max(map(abs, between(whole, 1.3, 2.3))) < 0.001
    assert abs(lag(between(own, 0.1, 1.1), between(whole, 2.5, 3.5))) < 0.01


def test_films_without_any_sound_have_no_track(tmp_path: Path) -> None:
    silent = Numbered(1, has_sound=False).make(tmp_path / "1.mp4")
    film, notes = joined(tmp_path, JoinClip(str(silent)), JoinClip(str(silent)))
    with av.open(str(film)) as opened:
        assert not opened.streams.audio
    assert notes.loudness_lufs is None


# -- what cannot be joined


@pytest.mark.parametrize(("start", "end"), [(1.2, None), (0.5, 0.5), (0, 1.5), (-1, 1), (float("nan"), 1)])
def test_a_section_outside_its_video_is_refused(start: float, end: float | None, tmp_path: Path) -> None:
    clip = Numbered(1).make(tmp_path / "1.mp4")
    with pytest.raises(CallerError, match=r"clip 1 must lie within its video, from 0 to 1\.2 s") as caught:
        joined(tmp_path, JoinClip(str(clip), start, end))
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_a_clip_that_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film" * 100)
    with pytest.raises(CallerError) as caught:
        joined(tmp_path, JoinClip(str(tmp_path / "a.mp4")))
    assert caught.value.code is ErrorCode.INPUT_FAILED


@pytest.mark.anyio
async def test_a_join_that_fails_half_way_leaves_no_file(tmp_path: Path) -> None:
    good = make(tmp_path / "good.mp4", Recipe())
    cut = tmp_path / "cut.mp4"
    data = make(tmp_path / "whole.mp4", replace(Recipe(), audio=None, size=(640, 360))).read_bytes()
    cut.write_bytes(data[: len(data) // 3] + bytes(len(data) // 3) + data[len(data) // 3 * 2 :])
    client = MediaClient()
    order = JoinOrder((JoinClip(str(good)), JoinClip(str(good)), JoinClip(str(cut))), 320, 180, 25.0)
    try:
        with pytest.raises((CallerError, ChildFailed)):
            await client.join(order, tmp_path / "film.mp4")
    finally:
        await client.close()
    assert not list(tmp_path.glob("film*"))


@pytest.mark.anyio
async def test_progress_rises_to_one_and_the_notes_cross_the_pipe(tmp_path: Path) -> None:
    clip = str(Numbered(1).make(tmp_path / "1.mp4"))
    told: list[float] = []
    client = MediaClient()
    try:
        order = JoinOrder((JoinClip(clip), JoinClip(clip)), 320, 180, 25.0)
        notes = await client.join(order, tmp_path / "film.mp4", told.append)
    finally:
        await client.close()
    assert (notes.frames, notes.seams[0].kind, notes.seams[0].at) == (60, "cut", 1.2)
    assert told == sorted(told)
    assert len(told) > 10
    assert told[-1] == 1.0
