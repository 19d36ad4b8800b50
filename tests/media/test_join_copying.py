"""What of a joined film is copied is what was stored, and stands where it belongs."""

from itertools import pairwise
from pathlib import Path

import av
import pytest

from ltx_mcp.media.decode.frame_reader import open_video
from ltx_mcp.media.join.parameter_sets import ParameterSets, from_record, from_stream, to_record
from ltx_mcp.media.messages import JoinClip
from tests.media.joined import Numbered, codes, joined, read_code

OPEN = (("crf", "12"), ("g", "12"), ("bf", "3"), ("x264-params", "open-gop=1:b-pyramid=normal:scenecut=0"))
CLOSED = (("crf", "12"), ("g", "15"), ("bf", "3"), ("x264-params", "scenecut=0:b-pyramid=normal"))
ONE_GROUP = (("crf", "12"), ("g", "250"), ("bf", "2"))
KINDS = {"open": OPEN, "closed": CLOSED, "one group": ONE_GROUP}


def decoded(path: Path) -> list[bytes]:
    with av.open(str(path)) as film:
        return [b"".join(bytes(plane) for plane in frame.planes) for frame in film.decode(video=0)]


@pytest.mark.parametrize("kind", KINDS)
def test_clips_that_are_shown_as_they_are_are_copied_bit_by_bit(kind: str, tmp_path: Path) -> None:
    clips = [Numbered(n, frames=60, options=KINDS[kind]).make(tmp_path / f"{n}.mp4") for n in (1, 2)]
    film, notes = joined(tmp_path, *(JoinClip(str(clip), continues=False) for clip in clips))
    assert decoded(film) == [frame for clip in clips for frame in decoded(clip)]
    assert notes.copied_s == notes.duration == 4.8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [0, 1, 11, 15])
def test_sections_are_exact_where_copied_and_encoded_frames_meet(kind: str, start: int, tmp_path: Path) -> None:
    clip = Numbered(1, frames=80, options=KINDS[kind]).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=30, options=OPEN).make(tmp_path / "2.mp4")
    film, notes = joined(
        tmp_path, JoinClip(str(clip), start / 25, (start + 53) / 25), JoinClip(str(other)), JoinClip(str(clip), 2)
    )
    expected = (
        [(1, n) for n in range(start, start + 53)] + [(2, n) for n in range(30)] + [(1, n) for n in range(50, 80)]
    )
    assert codes(film) == expected
    # of the others only the first frame refers to nothing before it
    is_cut_into = kind != "closed" and start > 0
    assert notes.copied_s >= (1.2 if is_cut_into else 2)
    own = decoded(clip)
    alike = sum(frame == own[start + number] for number, frame in enumerate(decoded(film)[:53]))
    assert alike >= (0 if is_cut_into else 24)


def test_what_is_done_at_seams_is_encoded_and_the_rest_copied(tmp_path: Path) -> None:
    one = Numbered(1, frames=60, options=CLOSED).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=90, first=59, tint=(0.8, 0.8, 0.8), options=CLOSED).make(tmp_path / "2.mp4")
    film, notes = joined(
        tmp_path, JoinClip(str(one)), JoinClip(str(other), continues=True), JoinClip(str(one), title="Ende")
    )
    assert codes(film) == [(1, n) for n in range(60)] + [(2, n) for n in range(1, 90)] + [(1, n) for n in range(60)]
    assert notes.seams[0].is_matched
    # all of the first clip, of the second what begins after its first second, nothing under a title
    assert notes.copied_s == pytest.approx((60 + 60) / 25)


def test_every_frame_is_stored_in_time_to_be_shown(tmp_path: Path) -> None:
    clips = [Numbered(n, frames=60, options=OPEN).make(tmp_path / f"{n}.mp4") for n in (1, 2)]
    film, _ = joined(tmp_path, JoinClip(str(clips[0]), 0.2, 2), JoinClip(str(clips[1])), JoinClip(str(clips[0]), 0.4))
    with av.open(str(film)) as opened:
        packets = [packet for packet in opened.demux(video=0) if packet.size]
    times = [(packet.dts, packet.pts) for packet in packets]
    assert all(dts is not None and pts is not None and dts <= pts for dts, pts in times)
    assert all(earlier[0] < later[0] for earlier, later in pairwise(times))  # type: ignore[operator]
    assert len({pts for _, pts in times}) == len(times)


def test_a_player_that_jumps_finds_the_right_frame(tmp_path: Path) -> None:
    clip = Numbered(1, frames=60, options=OPEN).make(tmp_path / "1.mp4")
    film, _ = joined(tmp_path, JoinClip(str(clip), 0.2, 2), JoinClip(str(clip)), JoinClip(str(clip), 0.4))
    expected = [*range(5, 50), *range(60), *range(10, 60)]
    with open_video(film) as reader:
        for number in (150, 3, 44, 45, 46, 104, 105, 106, 60):
            image = reader.image(reader.at(number / 25 + 0.001))
            assert read_code(image) == (1, expected[number])


@pytest.mark.parametrize(
    "change",
    [
        {"size": (640, 360)},
        {"options": (("crf", "12"), ("profile", "baseline"), ("x264-params", "bframes=0"))},
        {"options": (("crf", "12"), ("x264-params", "sps-id=3"))},
    ],
    ids=["another size", "other parameters", "another number"],
)
def test_a_clip_stored_otherwise_is_encoded_among_those_that_are_copied(
    change: dict[str, object], tmp_path: Path
) -> None:
    one = Numbered(1, frames=60).make(tmp_path / "1.mp4")
    other = Numbered(2, frames=30, **change).make(tmp_path / "2.mp4")  # type: ignore[arg-type]
    film, notes = joined(tmp_path, JoinClip(str(one)), JoinClip(str(other)), JoinClip(str(one)))
    assert codes(film) == [(1, n) for n in range(60)] + [(2, n) for n in range(30)] + [(1, n) for n in range(60)]
    assert notes.copied_s == 4.8


def test_parameter_sets_are_read_from_a_record_and_numbered() -> None:
    sets = from_stream(b"\0\0\0\1\x67\x64\0\x28\xac\xd9\0\0\1\x68\xeb\xe3\xcb")
    assert sets == ParameterSets((b"\x67\x64\0\x28\xac\xd9",), (b"\x68\xeb\xe3\xcb",))
    assert from_record(to_record(sets)) == sets
    assert sets.numbers() == {0}
    assert sets.free_number() == 1
    assert from_record(b"") is None
    assert from_record(to_record(sets)[:-4][:20]) != sets
