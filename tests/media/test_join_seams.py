"""Where one clip goes on from another: one moment, one light."""

from pathlib import Path

import av
import pytest
from PIL import ImageStat

from ltx_mcp.media.decode.source_video import read_source
from ltx_mcp.media.join.doubled import is_doubled
from ltx_mcp.media.messages import JoinClip
from tests.media.joined import Numbered, codes, joined

WARM = (1.12, 1.0, 0.86)
DIM = (0.82, 0.82, 0.82)
SOFT = (("crf", "30"), ("preset", "veryfast"))


def colours(path: Path, foot: float = 0.025) -> list[list[float]]:
    """The mean colour of each frame, without its foot: the row that carries its number, or more."""
    found = []
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            image = frame.to_image()  # type: ignore[no-untyped-call]
            found.append(ImageStat.Stat(image.crop((0, 0, image.width, image.height - round(image.width * foot)))).mean)
    return found


def step(one: list[float], other: list[float]) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("tint", [WARM, DIM], ids=["warmer", "darker"])
def test_the_step_of_colours_at_a_seam_is_gone_and_comes_back_over_a_second(
    tint: tuple[float, float, float], tmp_path: Path
) -> None:
    one = Numbered(1, frames=20).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=60, first=19, tint=tint).make(tmp_path / "2.mp4")
    plain, _ = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=False))
    before = colours(plain)
    film, notes = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=True))
    after = colours(film)
    assert notes.seams[0].is_matched
    # the doubled frame shows the step alone, without what moves
    assert step(after[19], after[20]) < step(before[19], before[20]) / 3
    changes = [step(after[number], before[number + 1]) for number in range(20, 79)]
    assert changes[0] > changes[12] > changes[22]
    assert max(changes[26:]) < 1.5


def test_what_only_one_clip_shows_does_not_change_the_colours_of_the_rest(tmp_path: Path) -> None:
    one = Numbered(1, frames=20).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=30, first=19, bar=0.2).make(tmp_path / "2.mp4")
    film, _ = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=True))
    shown, plain = [colours(path, foot=0.3) for path in (film, other)]
    assert max(step(shown[20 + number], plain[1 + number]) for number in range(5)) < 1


def test_nothing_is_matched_where_the_story_cuts(tmp_path: Path) -> None:
    one = Numbered(1, frames=20).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=30, first=19, tint=WARM).make(tmp_path / "2.mp4")
    film, notes = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=False))
    assert [notes.seams[0].is_matched, notes.seams[0].dropped_frames] == [False, 0]
    assert step(colours(film)[20], colours(other)[0]) < 1


def test_clips_of_the_same_colours_are_not_changed(tmp_path: Path) -> None:
    one = Numbered(1, frames=20).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=30, first=19).make(tmp_path / "2.mp4")
    _, notes = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=True))
    assert [notes.seams[0].is_matched, notes.seams[0].dropped_frames] == [False, 1]


def test_a_crossfade_is_not_made_within_a_moment_that_goes_on(tmp_path: Path) -> None:
    one = Numbered(1, frames=20).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=30, first=19).make(tmp_path / "2.mp4")
    film, notes = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=True), transition="crossfade")
    assert (notes.seams[0].kind, len(codes(film))) == ("continued", 49)


@pytest.mark.parametrize(
    ("first", "tint", "doubled"),
    [(19, (1.0, 1.0, 1.0), True), (19, WARM, True), (20, (1.0, 1.0, 1.0), False), (22, DIM, False), (0, DIM, False)],
    ids=["the same", "the same, warmer", "the next", "soon after", "another"],
)
def test_a_doubled_frame_is_found_and_nothing_else_is_taken_for_one(
    first: int, tint: tuple[float, float, float], doubled: bool, tmp_path: Path
) -> None:
    one = read_source(Numbered(1, frames=20, is_coded=False).make(tmp_path / "1.mp4"))
    clip = Numbered(2, frames=20, first=first, tint=tint, is_coded=False, options=SOFT)
    other = read_source(clip.make(tmp_path / "2.mp4"))
    assert is_doubled(one, 19, other, 0) is doubled


def test_a_picture_that_stands_still_is_never_taken_for_a_doubled_frame(tmp_path: Path) -> None:
    still = Numbered(0, frames=1).make(tmp_path / "1.mp4")
    film, notes = joined(tmp_path, JoinClip(str(still)), JoinClip(str(still)))
    assert (notes.frames, notes.seams[0].kind, codes(film)) == (2, "cut", [(0, 0), (0, 0)])
