"""Makes texts of callers and providers safe for our sentences: on one line, shortened, and without terminal escapes,
changes of reading direction and invisible characters. Also numbers as people read them.
"""

import re
import unicodedata
from collections.abc import Collection
from itertools import islice

MAX_SHOWN_CHARS = 80
MAX_SHOWN_NAMES = 10
MAX_PROVIDER_CHARS = 300
"""How much of a provider's text is repeated."""
_MAX_READ_CHARS = 1 << 16
# terminal sequences that begin with ESC or its one-byte form; titles and links to their end
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x9c|\x1b\\\\)?"
    "|\x1b[ -/]*[0-~]?"
)
# letters by category that are invisible, and variation selectors
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_JOINERS = "\u200c\u200d"
"""Invisible, but part of the text in Persian and in many emoji."""
_QUOTING = (
    *("QUOTATION MARK", "APOSTROPHE", "CORNER BRACKET", "ANGLE BRACKET", "PRIME", "GRAVE ACCENT", "ACUTE ACCENT"),
    *("COMMA ORNAMENT", "TURNED COMMA", "GERESH", "GERSHAYIM", "SALTILLO", "DITTO MARK", "HALF RING"),
)
"""A character with one of these in its Unicode name is treated as a possible end of a quotation."""
_APOSTROPHES = "'’"
_MARKUP = str.maketrans("<>[]", "()()")
"""What a host that renders Markdown or HTML would treat as a link or a tag."""
_MAX_MARKS = 3
"""Accents on one letter; more would cover the lines above and below."""


def shorten(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """A text on one line, shortened with an ellipsis; a short plain one is unchanged."""
    shown = text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"
    return shown if shown.isprintable() else _plain(shown)


def plain_line(text: str) -> str:
    """On one line with single spaces and without invisible characters; shortened only beyond 64 KiB."""
    return " ".join(_plain(_UNSEEN.sub("", text[:_MAX_READ_CHARS])).split())


def one_line(text: str, max_chars: int = MAX_PROVIDER_CHARS) -> str:
    """The same, shortened with an ellipsis."""
    line = plain_line(text)
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def quote(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """A value as it was given, in Python's quotation marks."""
    return repr(shorten(text, max_chars))


def cite(text: str, max_chars: int = MAX_PROVIDER_CHARS) -> str:
    """A text of others between “ and ”, without other quotation marks: it cannot end its quotation and pass for ours.
    Empty if nothing is left."""
    seen = plain_line(text[: 8 * max_chars])
    cited = " ".join("".join(_unquoted(seen, at) for at in range(len(seen))).split())
    if not cited and len(text) <= 8 * max_chars:
        return ""
    is_cut = len(cited) > max_chars or len(text) > 8 * max_chars
    return f"“{cited[: max_chars - 1].rstrip()}…”" if is_cut else f"“{cited}”"


def list_names(names: Collection[str], max_names: int = MAX_SHOWN_NAMES) -> str:
    """The first names, each shortened, and how many more there are."""
    shown = ", ".join(map(shorten, islice(names, max_names)))
    return f"{shown} and {len(names) - max_names:,} more" if len(names) > max_names else shown


def _plain(text: str) -> str:
    return "".join(map(_visible, _ESCAPES.sub("", text)))


def _visible(letter: str) -> str:
    """One letter as it may be shown, a space, or nothing; half of a surrogate pair becomes U+FFFD."""
    if letter.isprintable() or letter in _JOINERS:
        return letter
    category = unicodedata.category(letter)
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return "" if category in ("Cf", "Co", "Cn") else " "


def _unquoted(text: str, at: int) -> str:
    """One letter of a citation."""
    letter = text[at]
    category = unicodedata.category(letter)
    if letter in _JOINERS:
        return ""
    if category.startswith("M"):
        before = text[max(0, at - _MAX_MARKS) : at]
        is_pile = len(before) == _MAX_MARKS and all(unicodedata.category(mark)[0] == "M" for mark in before)
        return "" if is_pile else letter
    if letter in _APOSTROPHES and text[at - 1 : at].isalpha() and text[at + 1 : at + 2].isalpha():
        return "'"
    if category in ("Pi", "Pf") or any(name in unicodedata.name(letter, "") for name in _QUOTING):
        return " "
    return letter.translate(_MARKUP)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def clock(seconds: float) -> str:
    """As on a player: 0:42, 1:05:09."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
