"""Words of others are shown on one line, cut, and without anything a terminal or a reader would obey."""

import pytest

from ltx_mcp.domain.quoting import list_names, quote, shorten


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a pond", "a pond"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("a\nb\tc\u2028d", "a b c d"),
        ("a\x1b[31mb\x00", "ab "),
        ("\u202eevas", "evas"),
        ("cut \ud83d", "cut \ufffd"),
        ("👩\u200d🚀 می\u200cخواهم", "👩\u200d🚀 می\u200cخواهم"),
    ],
)
def test_a_text_is_cut_and_neutral(text: str, shown: str) -> None:
    assert shorten(text) == shown
    assert quote(text) == repr(shown)


def test_ten_names_and_how_many_more() -> None:
    assert list_names(["a", "b"]) == "a, b"
    assert list_names([f"n{number}" for number in range(10)]).endswith("n8, n9")
    many = list_names([f"{number}" + "x" * 100 for number in range(100_000)])
    assert many.endswith(" and 99,990 more")
    assert len(many) < 900
