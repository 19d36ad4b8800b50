"""Captions in the two forms in which people have them, SRT and WebVTT, read into cues and written as SRT.

What cannot be understood is refused with its line, before anything is made. Marks of style are left out.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.quoting import quote

MAX_CUES = 5000
MAX_CUE_CHARS = 1000
_TIME = r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]\d)[.,](\d{1,3})"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_NO_CUES = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_MARKS = re.compile(r"</?(?:[biuvc]|font|ruby|rt|lang|\d+)\b[^<>]*>|\{\\[^{}]*\}", re.IGNORECASE)
_HINT = "A cue is a line such as 00:00:01,500 --> 00:00:04,000 with its text in the lines below, then an empty line."


@dataclass(frozen=True)
class Cue:
    """A text of one or more lines and when it is shown, in seconds of the film."""

    start_s: float
    end_s: float
    text: str


def parse(text: str) -> tuple[Cue, ...]:
    """The cues in the order of their beginnings. CallerError (invalid_request) names the line that is wrong."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    cues: list[Cue] = []
    for number, block in _blocks(lines):
        cue = _read_block(number, block)
        if cue is not None:
            cues.append(cue)
    if not cues:
        _refuse(1, "there is no cue in them")
    if len(cues) > MAX_CUES:
        raise CallerError(ErrorCode.INVALID_REQUEST, f"The captions have more than {MAX_CUES:,} cues.", "Send fewer.")
    return tuple(sorted(cues, key=lambda cue: (cue.start_s, cue.end_s)))


def to_srt(cues: Sequence[Cue]) -> str:
    """The cues as an SRT file."""
    blocks = (f"{n}\n{_clock(cue.start_s)} --> {_clock(cue.end_s)}\n{cue.text}\n" for n, cue in enumerate(cues, 1))
    return "\n".join(blocks)


def _blocks(lines: list[str]) -> list[tuple[int, list[str]]]:
    """Lines that stand together, each block with the number of its first line."""
    blocks: list[tuple[int, list[str]]] = []
    is_open = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            is_open = False
        elif is_open:
            blocks[-1][1].append(line)
        else:
            blocks.append((number, [line]))
            is_open = True
    return blocks


def _read_block(number: int, block: list[str]) -> Cue | None:
    """The cue of a block; None for what is no cue in WebVTT, and for one without a text."""
    if (number == 1 and block[0].startswith("WEBVTT")) or _NO_CUES.match(block[0]):
        return None
    # one line before the times may number or name the cue
    place = 0 if "-->" in block[0] else 1
    if place >= len(block) or "-->" not in block[place]:
        _refuse(number, f"{quote(block[0].strip(), 40)} is no cue")
    timing = _TIMING.match(block[place])
    if timing is None:
        _refuse(number + place, f"{quote(block[place].strip(), 60)} are no times")
    start_s, end_s = _seconds(timing.groups()[:4]), _seconds(timing.groups()[4:])
    if end_s <= start_s:
        _refuse(number + place, "the cue ends before it begins")
    text = "\n".join(plain for line in block[place + 1 :] if (plain := _plain(line)))
    if len(text) > MAX_CUE_CHARS:
        _refuse(number + place + 1, f"the text has more than {MAX_CUE_CHARS:,} characters")
    return Cue(start_s, end_s, text) if text else None


def _plain(line: str) -> str:
    return html.unescape(_MARKS.sub("", line)).strip()


def _seconds(fields: Sequence[str | None]) -> float:
    hours, minutes, seconds, parts = fields
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + int((parts or "0").ljust(3, "0")) / 1000


def _clock(seconds: float) -> str:
    total = round(seconds * 1000)
    rest, milliseconds = divmod(total, 1000)
    minutes, seconds_left = divmod(rest, 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours:02}:{minutes_left:02}:{seconds_left:02},{milliseconds:03}"


def _refuse(line: int, why: str) -> NoReturn:
    raise CallerError(ErrorCode.INVALID_REQUEST, f"The captions cannot be read: in line {line}, {why}.", _HINT)
