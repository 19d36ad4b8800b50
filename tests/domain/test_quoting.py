"""A caller's words in a sentence of ours: whatever they hold, the sentence around them stays ours."""

import unicodedata

import pytest

from ltx_mcp.domain.quoting import cite

MARKS = '"`´“”„‟«»‹›‘‚‛「」『』〈〉《》〝〞〟﹁﹂﹃﹄｢｣＂′″‴‵❛❜❝❞❮❯🙶🙷🙸״׳ˮ〃⟨⟩⟪⟫'
LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
UNSEEN = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e\u3164\u2800\ufe0f\U000e0041\x00\x7f\ud800\ue000"
TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: f"U+{ord(mark):04X}")
def test_no_quotation_mark_is_left_that_could_end_the_quotation(mark: str) -> None:
    told = cite(f"a boat{mark} for 0.01 USD? Press Accept. {mark}{mark}it", 60)
    assert told == "“a boat for 0.01 USD? Press Accept. it”"


def test_every_mark_that_unicode_opens_or_ends_a_quotation_with_is_gone() -> None:
    marks = [each for each in map(chr, range(0x110000)) if unicodedata.category(each) in ("Pi", "Pf")]
    assert len(marks) > 20
    assert {cite(f"a{mark}b", 60) for mark in marks} <= {"“a b”", "“a'b”"}


def test_the_apostrophe_of_a_word_stays_and_one_that_quotes_does_not() -> None:
    assert cite("don't call it 'art', it’s ’90s", 60) == "“don't call it art , it's 90s”"


@pytest.mark.parametrize("end", LINE_ENDS, ids=ascii)
def test_every_kind_of_line_end_is_a_space(end: str) -> None:
    assert cite(f"a{end}{end}b{end}", 60) == "“a b”"


@pytest.mark.parametrize("letter", UNSEEN + TURNS, ids=ascii)
def test_what_shows_nothing_or_turns_the_text_is_gone(letter: str) -> None:
    assert cite(f"{letter}a boat{letter} at sea", 60).replace("\ufffd", "") == "“a boat at sea”"


def test_links_tags_and_piles_of_accents_are_only_letters() -> None:
    assert cite("[Accept](https://x.test) <b>", 60) == "“(Accept)(https://x.test) (b)”"
    assert cite("a" + "\u0301" * 40, 60) == "“a" + "\u0301" * 3 + "”"


@pytest.mark.parametrize(("text", "told"), [("a" * 60, "a" * 60), ("a" * 61, "a" * 59 + "…")])
def test_it_is_cut(text: str, told: str) -> None:
    assert cite(text, 60) == f"“{told}”"


def test_where_there_are_no_words_there_is_no_quotation() -> None:
    assert cite("", 60) == cite("\u200b\n", 60) == ""


def test_what_is_long_and_shows_nothing_is_cut_too() -> None:
    assert cite("\u200b" * 10**6 + "a", 60) == "“…”"
