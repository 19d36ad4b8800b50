"""Words of others, a caller's or a provider's, as far as they may stand in a sentence of ours: on one line, cut, and
without anything that a terminal would obey, that turns the direction of reading or that nobody sees.
"""

import re
import unicodedata
from collections.abc import Collection
from itertools import islice

MAX_SHOWN_CHARS = 80
MAX_SHOWN_NAMES = 10
MAX_PROVIDER_CHARS = 300
"""So much of what a provider says is repeated."""
_MAX_READ_CHARS = 1 << 16
# what terminals obey: sequences that begin with ESC or with its one-byte form, a title or a link to its end
_ESCAPES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x9c|\x1b\\\\)?"
    "|\x1b[ -/]*[0-~]?"
)
# letters by category that show nothing, and what only varies the look of the one before
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
_JOINERS = "\u200c\u200d"
"""Invisible, and part of what is written: of Persian words and of many emoji."""
_QUOTING = (
    *("QUOTATION MARK", "APOSTROPHE", "CORNER BRACKET", "ANGLE BRACKET", "PRIME", "GRAVE ACCENT", "ACUTE ACCENT"),
    *("COMMA ORNAMENT", "TURNED COMMA", "GERESH", "GERSHAYIM", "SALTILLO", "DITTO MARK", "HALF RING"),
)
"""Whatever the name of a letter says of these is taken for a mark that may end a quotation."""
_APOSTROPHES = "'’"
_MARKUP = str.maketrans("<>[]", "()()")
"""What a host that renders Markdown or HTML would take for a link or a tag."""
_MAX_MARKS = 3
"""Of accents on one letter; more of them are drawn over the lines above and below."""


def shorten(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """A text on one line, cut with an ellipsis; one that is short and plain stays as it is."""
    shown = text if len(text) <= max_chars else f"{text[: max_chars - 1]}…"
    return shown if shown.isprintable() else _plain(shown)


def plain_line(text: str) -> str:
    """On one line with single spaces, and without what shows nothing; cut only where nobody would read on."""
    return " ".join(_plain(_UNSEEN.sub("", text[:_MAX_READ_CHARS])).split())


def one_line(text: str, max_chars: int = MAX_PROVIDER_CHARS) -> str:
    """The same, cut with an ellipsis."""
    line = plain_line(text)
    return line if len(line) <= max_chars else f"{line[: max_chars - 1]}…"


def quote(text: str, max_chars: int = MAX_SHOWN_CHARS) -> str:
    """A value as it was given, in the quotation marks of Python."""
    return repr(shorten(text, max_chars))


def cite(text: str, max_chars: int = MAX_PROVIDER_CHARS) -> str:
    """The words of others between “ and ”, with no other quotation mark left in them: they cannot end their quotation
    and speak for us. Empty where there are none."""
    seen = plain_line(text[: 8 * max_chars])
    cited = " ".join("".join(_unquoted(seen, at) for at in range(len(seen))).split())
    if not cited and len(text) <= 8 * max_chars:
        return ""
    is_cut = len(cited) > max_chars or len(text) > 8 * max_chars
    return f"“{cited[: max_chars - 1].rstrip()}…”" if is_cut else f"“{cited}”"


def list_names(names: Collection[str], max_names: int = MAX_SHOWN_NAMES) -> str:
    """The first of somebody's names, each cut, and how many more there are."""
    shown = ", ".join(map(shorten, islice(names, max_names)))
    return f"{shown} and {len(names) - max_names:,} more" if len(names) > max_names else shown


def _plain(text: str) -> str:
    return "".join(map(_visible, _ESCAPES.sub("", text)))


def _visible(letter: str) -> str:
    """One letter as it may be shown, a space, or nothing; half of a pair that was cut is told."""
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
        is_pile = len(before) == _MAX_MARKS and all(unicodedata.category(each)[0] == "M" for each in before)
        return "" if is_pile else letter
    if letter in _APOSTROPHES and text[at - 1 : at].isalpha() and text[at + 1 : at + 2].isalpha():
        return "'"
    if category in ("Pi", "Pf") or any(word in unicodedata.name(letter, "") for word in _QUOTING):
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
