"""A caller's words inside a sentence of ours, where they cannot end their quotation, begin a line or hide a letter."""

import unicodedata

QUOTING = (
    *("QUOTATION MARK", "APOSTROPHE", "CORNER BRACKET", "ANGLE BRACKET", "PRIME", "GRAVE ACCENT", "ACUTE ACCENT"),
    *("COMMA ORNAMENT", "TURNED COMMA", "GERESH", "GERSHAYIM", "SALTILLO", "DITTO MARK", "HALF RING"),
)
"""Whatever the name of a letter says of these is taken for a mark that may end a quotation."""
APOSTROPHES = "'’"
MARKUP = str.maketrans("<>[]", "()()")
"""What a host that renders Markdown or HTML would take for a link or a tag."""
UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters by category that show nothing."""
VARIANTS = ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
MAX_MARKS = 3
"""Of accents on one letter; more of them are drawn over the lines above and below."""


def quoted(text: str, most: int) -> str:
    """The words on one line between “ and ”, cut to `most` letters; no other quotation mark is left in them."""
    seen = text[: 8 * most]
    words = " ".join("".join(_neutral(seen, at) for at in range(len(seen))).split())
    is_cut = len(words) > most or len(seen) < len(text)
    return f"“{words[: most - 1].rstrip()}…”" if is_cut else f"“{words}”"


def _neutral(text: str, at: int) -> str:
    """One letter as it may be shown, a space, or nothing."""
    letter = text[at]
    category = unicodedata.category(letter)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    if category.startswith("C") or letter in UNSEEN or any(low <= ord(letter) <= high for low, high in VARIANTS):
        return ""
    if category.startswith("M"):
        before = text[max(0, at - MAX_MARKS) : at]
        return (
            "" if len(before) == MAX_MARKS and all(unicodedata.category(each)[0] == "M" for each in before) else letter
        )
    if letter in APOSTROPHES and text[at - 1 : at].isalpha() and text[at + 1 : at + 2].isalpha():
        return "'"
    if category in ("Pi", "Pf") or any(word in unicodedata.name(letter, "") for word in QUOTING):
        return " "
    return letter.translate(MARKUP)
