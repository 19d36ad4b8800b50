"""Captions and titles of a joined film: a track of their own, and on request in the picture."""

from pathlib import Path

import av
import pytest
from PIL import Image, ImageChops

from ltx_mcp.domain.captions import Cue
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.media.join.poster import make_poster, score
from ltx_mcp.media.join.texts import without_overlaps
from ltx_mcp.media.messages import JoinClip
from tests.media.films import pictures
from tests.media.joined import Numbered, codes, joined

CAPTIONS = "00:00:00,400 --> 00:00:00,800\nHello there\n\n00:00:01,000 --> 00:00:09,000\n你好\nمرحبا\n"


def shown_texts(path: Path) -> list[tuple[float, str]]:
    with av.open(str(path)) as film:
        packets = [packet for packet in film.demux(subtitles=0) if packet.size]
        return [(float((p.pts or 0) * p.time_base), bytes(p)[2:].decode()) for p in packets]


def changed(one: Path, other: Path) -> list[tuple[int, int, int, int] | None]:
    """Of each frame the part in which two films differ, if any."""
    pairs = zip(pictures(one), pictures(other), strict=True)
    loud = [0] * 70 + [255] * 186
    return [ImageChops.difference(a, b).convert("L").point(loud).getbbox() for a, b in pairs]


def test_captions_are_a_track_that_players_show_and_leave_the_picture_alone(tmp_path: Path) -> None:
    clip = str(Numbered(1, frames=50).make(tmp_path / "1.mp4"))
    film, _ = joined(tmp_path, JoinClip(clip), captions=CAPTIONS)
    assert shown_texts(film) == [(0.0, ""), (0.4, "Hello there"), (0.8, ""), (1.0, "你好\nمرحبا")]
    assert codes(film) == [(1, number) for number in range(50)]
    plain, _ = joined(tmp_path, JoinClip(clip))
    assert not any(changed(film, plain))


def test_burnt_captions_are_seen_in_their_frames_alone_and_at_the_foot(tmp_path: Path) -> None:
    clip = str(Numbered(1, frames=40, size=(640, 360)).make(tmp_path / "1.mp4"))
    size = {"width": 640, "height": 360}
    plain = joined(tmp_path, JoinClip(clip), **size)[0].rename(tmp_path / "plain.mp4")
    film, notes = joined(tmp_path, JoinClip(clip), captions=CAPTIONS, burn_captions=True, **size)
    boxes = changed(plain, film)
    assert [number for number, box in enumerate(boxes) if box] == [*range(10, 20), *range(25, 40)]
    assert all(box[1] > 200 and box[0] > 20 and box[2] < 620 for box in boxes if box)
    assert notes.missing_glyphs >= 0


def test_burnt_captions_can_be_read_over_white(tmp_path: Path) -> None:
    white = Numbered(1, frames=10, size=(640, 360), tint=(255, 255, 255), is_coded=False).make(tmp_path / "1.mp4")
    text = "00:00:00,000 --> 00:00:01,000\nA line to read\n"
    film, _ = joined(tmp_path, JoinClip(str(white)), captions=text, burn_captions=True, width=640, height=360)
    shown = next(iter(pictures(film))).convert("L")
    levels = shown.crop(shown.point([255] * 200 + [0] * 56).getbbox()).histogram()
    shade = max(range(200), key=levels.__getitem__)
    light = ((shade / 255 + 0.055) / 1.055) ** 2.4
    assert 1.05 / (light + 0.05) > 4.5, "what WCAG asks of white letters"


def test_a_title_comes_and_goes_over_the_beginning_of_its_clip(tmp_path: Path) -> None:
    clip = str(Numbered(1, frames=60, size=(640, 360)).make(tmp_path / "1.mp4"))
    clips = JoinClip(clip, 0, 0.4), JoinClip(clip, 0, 2.4, title="Kapitel 2")
    size = {"width": 640, "height": 360}
    plain = joined(tmp_path, JoinClip(clip, 0, 0.4), JoinClip(clip), **size)[0].rename(tmp_path / "plain.mp4")
    seen = [bool(box) for box in changed(plain, joined(tmp_path, *clips, **size)[0])]
    assert not any(seen[:10])
    assert all(seen[20:60])


def test_characters_without_a_font_are_counted_once(tmp_path: Path) -> None:
    clip = str(Numbered(1, frames=60).make(tmp_path / "1.mp4"))
    words = "\U0001fae8a"
    text = f"00:00:00,000 --> 00:00:02,000\n{words}\n\n00:00:01,000 --> 00:00:03,000\n{words}\n"
    _, notes = joined(tmp_path, JoinClip(clip), captions=text, burn_captions=True)
    assert notes.missing_glyphs == 1


def test_captions_that_cannot_be_read_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    clip = str(Numbered(1, frames=10).make(tmp_path / "1.mp4"))
    with pytest.raises(CallerError, match="in line 1"):
        joined(tmp_path, JoinClip(clip), captions="hello")
    assert not (tmp_path / "film.mp4").exists()


def test_cues_that_overlap_are_shown_together() -> None:
    cues = [Cue(0, 2, "a"), Cue(1, 3, "b"), Cue(5, 6, "c")]
    assert without_overlaps(cues) == [Cue(0, 1, "a"), Cue(1, 2, "a\nb"), Cue(2, 3, "b"), Cue(5, 6, "c")]


def test_the_poster_is_a_clear_picture_and_not_a_dark_one(tmp_path: Path) -> None:
    clip = Numbered(1, frames=30, size=(640, 360)).make(tmp_path / "1.mp4")
    dark = Numbered(2, frames=60, size=(640, 360), tint=(0.1, 0.1, 0.1)).make(tmp_path / "2.mp4")
    film, _ = joined(tmp_path, JoinClip(str(dark)), JoinClip(str(clip)), width=640, height=360)
    poster = make_poster(film, tmp_path / "poster.jpg")
    assert poster.moment >= 2.4
    with Image.open(tmp_path / "poster.jpg") as image:
        assert (image.size, image.format) == ((640, 360), "JPEG")
        assert score(image) > 2 * score(image.point([level // 10 for level in range(256)] * 3))
