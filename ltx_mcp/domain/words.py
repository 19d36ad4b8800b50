"""Numbers as a person says them, and words of others as far as they may be shown again."""

import re
from collections.abc import Collection
from itertools import islice
from unicodedata import category

MAX_SHOWN_CHARS = 80
MAX_SHOWN_NAMES = 10
_JOINERS = "\u200c\u200d"
"""Invisible, and part of what is written: of Persian words and of many emoji."""

MOST_SIGNS = 300
"""So much of what a provider says is repeated."""
_MOST_READ = 1 << 16
# what terminals obey: sequences that begin with ESC or with its one-byte form, a title or a link to its end
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x9c|\x1b\\\\)?"
    "|\x1b[ -/]*[0-~]?"
)
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_QUOTES = re.compile('["\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\u301d-\u301f\uff02]')


def one_line(text: str, most: int = MOST_SIGNS) -> str:
    """Text of others on one line of at most `most` signs, without anything that a terminal would obey, that turns the
    direction of reading or that nobody sees."""
    text = _UNSEEN.sub("", _ESCAPES.sub("", text[:_MOST_READ]))
    line = " ".join("".join(map(_shown, text)).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _shown(sign: str) -> str:
    if sign.isprintable():
        return sign
    return {"Cf": "", "Cs": "\N{REPLACEMENT CHARACTER}"}.get(category(sign), " ")


def quoted(text: str, most: int = MOST_SIGNS) -> str:
    """Words of others between quotation marks that they cannot close; empty where there are none."""
    line = _QUOTES.sub("'", one_line(text, most))
    return f"“{line}”" if line else ""


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def clock(seconds: float) -> str:
    """As on a player: 0:42, 1:05:09."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shorten(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """A text of somebody else on one line: without control signs, cut with an ellipsis."""
    shown = text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"
    return shown if shown.isprintable() else "".join(map(_neutral, shown))


def quote(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """The same in quotation marks."""
    return repr(shorten(text, max_chars))


def list_names(names: Collection[str], max_names: int = MAX_SHOWN_NAMES) -> str:
    """The first of somebody's names, each cut, and how many more there are."""
    shown = ", ".join(map(shorten, islice(names, max_names)))
    return f"{shown} and {len(names) - max_names:,} more" if len(names) > max_names else shown


def _neutral(sign: str) -> str:
    if sign.isprintable() or sign in _JOINERS:
        return sign
    return " " if sign.isspace() else "\N{REPLACEMENT CHARACTER}"
