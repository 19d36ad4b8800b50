"""Captions as people have them, read and written, and refused with their line."""

import pytest

from ltx_mcp.domain.captions import Cue, parse, to_srt
from ltx_mcp.domain.errors import CallerError, ErrorCode

SRT = """\
1
00:00:01,000 --> 00:00:02,500
Hello <i>there</i>,
who are you?

2
00:01:00,000 --> 00:01:02,000
{\\an8}你好
"""
VTT = """\
WEBVTT - a title

STYLE
::cue { color: red }

NOTE
--> is only an arrow here

intro
00:01.000 --> 00:02.500 line:10% align:start
<v Anna>Hello there,</v>
who are you?

01:00:00.5 --> 01:00:02.000
a &lt; b
"""


def test_srt_is_read_without_its_marks_of_style() -> None:
    assert parse(SRT) == (Cue(1.0, 2.5, "Hello there,\nwho are you?"), Cue(60.0, 62.0, "你好"))


def test_webvtt_is_read_with_its_notes_names_and_settings() -> None:
    assert parse(VTT) == (Cue(1.0, 2.5, "Hello there,\nwho are you?"), Cue(3600.5, 3602.0, "a < b"))


@pytest.mark.parametrize("ending", ["\r\n", "\r", "\n"])
def test_any_end_of_line_and_a_byte_order_mark_are_read(ending: str) -> None:
    assert parse("\ufeff" + SRT.replace("\n", ending)) == parse(SRT)


def test_cues_are_sorted_by_their_beginning() -> None:
    text = "00:00:05,000 --> 00:00:06,000\nb\n\n00:00:01,000 --> 00:00:09,000\na\n"
    assert [cue.text for cue in parse(text)] == ["a", "b"]


def test_what_is_written_as_srt_is_read_again() -> None:
    cues = (Cue(0.0, 0.04, "a"), Cue(59.9996, 3661.25, "b\nc"))
    assert parse(to_srt(cues)) == (Cue(0.0, 0.04, "a"), Cue(60.0, 3661.25, "b\nc"))


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("", 1, "there is no cue"),
        ("WEBVTT\n\nNOTE nothing\n", 1, "there is no cue"),
        ("just some words\n", 1, "'just some words' is no cue"),
        ("1\n00:00:01,000 -> 00:00:02,000\nhello\n", 1, "'1' is no cue"),
        ("1\n00:00:01,000 --> 00:61:02,000\nhello\n", 2, "are no times"),
        ("1\n00:00:01,000 --> later\nhello\n", 2, "are no times"),
        (SRT + "\n\n3\n00:02:02,000 --> 00:02:01,000\nno\n", 12, "ends before it begins"),
        ("00:00:01,000 --> 00:00:02,000\n" + "x" * 1001, 2, "more than 1,000 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, why: str) -> None:
    with pytest.raises(CallerError) as caught:
        parse(text)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert f"in line {line}, " in caught.value.message
    assert why in caught.value.message


def test_more_cues_than_any_film_has_are_refused() -> None:
    with pytest.raises(CallerError, match="more than 5,000 cues"):
        parse("00:00:01,000 --> 00:00:02,000\nx\n\n" * 5001)
