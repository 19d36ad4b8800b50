"""Editing configurations in place: whatever else they hold, and however it is written, stays."""

import contextlib
import json
import re
import time
import tomllib
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ltx_mcp.cli.hosts.config import BrokenConfigError
from ltx_mcp.cli.hosts.jsonc import put_json, read_json, take_json
from ltx_mcp.cli.hosts.toml import put_toml, read_toml, take_toml

ENTRY = {"command": "/opt/ltx/bin/ltx-mcp", "args": [], "env": {"FAL_KEY": "${FAL_KEY}"}}
WHERE = ("mcpServers", "ltx")
TABLE = ("mcp_servers", "ltx")

unhurried = settings(deadline=None)
names = st.text(st.characters(codec="utf-8"), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
documents = st.dictionaries(names, values, max_size=3)
servers = st.none() | st.dictionaries(names.filter(lambda name: name != "ltx"), values, max_size=3)
randoms = st.randoms(use_true_random=False)
line_ends = st.sampled_from(["\n", "\r\n"])


OURS = {"command": "uvx", "args": ["ltx-mcp==0.1.0"]}
NUMBER = re.compile(r"#\d+#")
EMPTY = re.compile(r"\{\s+\}")
"""An object that holds only blanks becomes `{}`."""


class Writer:
    """Writes JSON as people do: blanks and comments of both kinds anywhere, trailing commas."""

    def __init__(self, random: Random, line: str) -> None:
        self.random, self.line = random, line
        self.count = 0
        self.in_ours: set[str] = set()

    def blank(self) -> str:
        kinds = ("", "", " ", "\t", "  ", self.line, None)
        picked = [self.random.choice(kinds) for _ in range(3)]
        return "".join(self.comment() if kind is None else kind for kind in picked)

    def comment(self) -> str:
        self.count += 1
        inside = self.random.choice(['"ltx": {', "*", "//", "}", "é", ","]) + f" #{self.count}#"
        return self.random.choice([f"//{inside}{self.line}", f"/*{inside}{self.line}*/"])

    def write(self, value: Any) -> str:
        if isinstance(value, dict):
            items = [self.blank() + self.member(name, each) for name, each in value.items()]
            return "{" + self.listed(items) + "}"
        if isinstance(value, list):
            return "[" + self.listed([self.blank() + self.write(each) + self.blank() for each in value]) + "]"
        return json.dumps(value, ensure_ascii=False)

    def member(self, name: str, value: Any) -> str:
        shown = json.dumps(name, ensure_ascii=False) + self.blank() + ":" + self.blank() + self.write(value)
        shown += self.blank()
        if value == OURS:
            self.in_ours = set(NUMBER.findall(shown))
        return shown

    def listed(self, items: list[str]) -> str:
        trailing = "," if items and self.random.random() < 0.3 else ""
        return ",".join(items) + trailing + self.blank()


def written(value: Any, random: Random, line: str) -> str:
    writer = Writer(random, line)
    return writer.blank() + writer.write(value) + writer.blank()


def mixed(document: dict[str, Any], inner: dict[str, Any] | None) -> dict[str, Any]:
    return document if inner is None else {**document, WHERE[0]: inner}


@unhurried
@given(documents, servers, randoms, line_ends)
def test_putting_adds_one_piece_and_taking_it_out_gives_the_text_back(
    document: dict[str, Any], inner: dict[str, Any] | None, random: Random, line: str
) -> None:
    whole = mixed(document, inner)
    text = written(whole, random, line)
    after = put_json(text, WHERE, ENTRY)
    assert read_json(after) == {**whole, WHERE[0]: {**(inner or {}), WHERE[1]: ENTRY}}
    assert put_json(after, WHERE, ENTRY) == after
    back = take_json(after, WHERE)
    if inner is None:
        back = take_json(back, WHERE[:1])
    assert back == text or EMPTY.sub("{}", text) == EMPTY.sub("{}", back)


@unhurried
@given(documents, servers, randoms, line_ends, st.integers(0, 3))
def test_taking_leaves_every_other_value_and_every_comment(
    document: dict[str, Any], inner: dict[str, Any] | None, random: Random, line: str, at: int
) -> None:
    items = list((inner or {}).items())
    whole = mixed(document, dict([*items[:at], (WHERE[1], OURS), *items[at:]]))
    writer = Writer(random, line)
    text = writer.blank() + writer.write(whole) + writer.blank()
    after = take_json(text, WHERE)
    assert read_json(after) == mixed(document, dict(items))
    assert set(NUMBER.findall(text)) - set(NUMBER.findall(after)) <= writer.in_ours


@unhurried
@given(documents, randoms, line_ends)
def test_a_text_with_comments_is_read_as_the_value_it_was_written_from(
    document: dict[str, Any], random: Random, line: str
) -> None:
    assert read_json(written(document, random, line)) == document


@unhurried
@given(st.text(st.sampled_from('{}[]:,"\\/* \n1tx.e-'), max_size=12))
def test_what_strict_json_accepts_is_read_alike_and_nothing_raises_anything_else(text: str) -> None:
    try:
        found = read_json(text)
    except BrokenConfigError:
        with pytest.raises(ValueError):  # noqa: PT011
            json.loads(text)
    else:
        if "/" not in text and ",}" not in text.replace(" ", "") and ",]" not in text.replace(" ", ""):
            assert found == json.loads(text.strip())


@unhurried
@given(documents, servers, st.sampled_from([None, 0, 2, 4, "\t"]))
def test_strict_json_stays_strict(document: dict[str, Any], inner: dict[str, Any] | None, indent: Any) -> None:
    text = json.dumps(mixed(document, inner), indent=indent, ensure_ascii=False)
    after = put_json(text, WHERE, ENTRY)
    assert json.loads(after)[WHERE[0]][WHERE[1]] == ENTRY
    assert json.loads(take_json(after, WHERE)) == {**document, WHERE[0]: inner or {}}


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("", '{\n  "m": {\n    "ltx": 1\n  }\n}\n'),
        ("{}", '{\n  "m": {\n    "ltx": 1\n  }\n}'),
        ('{"m":{}}', '{"m":{\n  "ltx": 1\n}}'),
        ('{"a":1}', '{"m": {"ltx": 1},"a":1}'),
        ('{\n\t"a": 1\n}', '{\n\t"m": {\n\t\t"ltx": 1\n\t},\n\t"a": 1\n}'),
        ('{\r\n    "m": {\r\n    }\r\n}', '{\r\n    "m": {\r\n        "ltx": 1\r\n    }\r\n}'),
        ('{ // c\n  "m": { // d\n    "b": 2 } }', '{ // c\n  "m": { // d\n    "ltx": 1,\n    "b": 2 } }'),
        ('{"m": {/* c */}}', '{"m": { "ltx": 1/* c */}}'),
    ],
)
def test_what_is_put_in_is_indented_as_its_neighbours(text: str, after: str) -> None:
    assert put_json(text, ("m", "ltx"), 1) == after


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('{\n  "a": 1,\n  "ltx": 2\n}', '{\n  "a": 1\n}'),
        ('{\n  "a": 1, // c\n  "ltx": 2, // d\n}', '{\n  "a": 1, // c\n  // d\n}'),
        ('{"ltx": 2, "a": 1}', '{ "a": 1}'),
        ('{"a": 1, "ltx": 2}', '{"a": 1}'),
        ('{"a": 1, // c\n "ltx": 2}', '{"a": 1 // c\n }'),
        ('{ // c\n  "ltx": 2, "a": 1}', '{ // c\n  "a": 1}'),
        ('{\n  /* c */ "ltx": 2,\n  "a": 1\n}', '{\n  /* c */\n  "a": 1\n}'),
        ('{\n  "ltx": 2\n}', "{}"),
    ],
)
def test_taking_out_leaves_what_stands_around(text: str, after: str) -> None:
    assert take_json(text, ["ltx"]) == after


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ('{"a": }', "line 1, column 7", "value"),
        ('{\r\n "a": 1\r\n "b": 2}', "line 3, column 2", '","'),
        ('{"a": 1', "line 1, column 8", '"}"'),
        ('{"a" 1}', "line 1, column 6", '":"'),
        ("{a: 1}", "line 1, column 2", "double quotes"),
        ('{"a": "b\n"}', "line 1, column 7", "string"),
        ("{} {}", "line 1, column 4", "follow"),
        ("{} /* c", "line 1, column 4", "follow"),
        ("[1]", "line 1, column 1", "object"),
        ('{"mcpServers": null}', "line 1, column 16", "object"),
        ('{"mcpServers": {"ltx": 1, "ltx": 2}}', "line 1, column 27", "second time"),
        ('{"a": NaN}', "line 1, column 7", "value"),
    ],
)
def test_broken_json_is_refused_with_its_place(text: str, where: str, why: str) -> None:
    with pytest.raises(BrokenConfigError) as refusal:
        put_json(text, WHERE, ENTRY)
    assert refusal.value.message.startswith(f"{where}: ")
    assert why in refusal.value.message


def test_values_nested_without_end_are_refused() -> None:
    with pytest.raises(BrokenConfigError, match="deeply"):
        read_json("[" * 100_000)


@pytest.mark.parametrize("piece", ["/**/", "//x\n", '"a": "\\n", ', "/*", "\n ", "/*/"])
def test_no_text_takes_long_to_read(piece: str) -> None:
    began = time.process_time()
    with contextlib.suppress(BrokenConfigError):
        put_json("{" + piece * 20_000 + "}", WHERE, ENTRY)
    assert time.process_time() - began < 60  # well under one; what is tried in every way would take hours


def test_five_megabytes_take_seconds_at_most() -> None:
    rows = {f"/home/films/{number}": {"history": ["x" * 40, number, None]} for number in range(40_000)}
    text = json.dumps({"projects": rows}, indent=2)
    assert len(text) > 4_500_000
    began = time.process_time()
    assert take_json(put_json(text, WHERE, ENTRY), WHERE[:1]) == text
    assert time.process_time() - began < 20


# -- TOML ---------------------------------------------------------------------------------------------------------

SECTIONS = [
    "[mcp_servers.films]\ncommand = 'x' # c\n",
    '[mcp_servers."still images"]\nargs = [\n  "a", # one\n  "b",\n]\n',
    '[profiles.slow]\nnote = """\nlines\n"""\n',
    "# only a comment\n",
    "[[skills.config]]\nname = 1\n",
    "[mcp_servers.ltx2]\ncommand = 'ltx-mcp'\n\n[mcp_servers.ltx2.env]\nA = 'b'\n",
]
sections = st.lists(st.sampled_from(SECTIONS), unique=True).map("\n".join)
heads = st.sampled_from(["", 'model = "o4"\n\n', "# ü\n\n", "\n"])


@unhurried
@given(heads, sections, line_ends, st.booleans())
def test_a_table_is_added_at_the_end_and_taken_out_again(head: str, body: str, line: str, ended: bool) -> None:
    text = (head + body if ended else (head + body).rstrip("\n")).replace("\n", line)
    after = put_toml(text, TABLE, ENTRY)
    assert after.startswith(text)
    assert tomllib.loads(after)["mcp_servers"]["ltx"] == ENTRY
    assert put_toml(after, TABLE, ENTRY) == after
    back = take_toml(after, TABLE)
    # a last line that did not end has to be ended before a table
    assert back == text or (not text.endswith("\n") and back in (text + "\n", text + "\r\n"))


@unhurried
@given(sections, st.integers(0, 6), line_ends)
def test_a_table_between_others_is_taken_out_alone(body: str, at: int, line: str) -> None:
    ours = '[mcp_servers.ltx]\ncommand = "ltx-mcp"\n\n[mcp_servers.ltx.env]\nA = "b" # c\n'
    parts = body.split("\n\n[")
    text = "\n\n[".join([*parts[:at], ours[1:], *parts[at:]]) if at and len(parts) > at else f"{ours}\n{body}"
    after = take_toml(text.replace("\n", line), TABLE)
    for each in body.replace("\n\n", "\n").splitlines():
        assert each in after.splitlines()
    assert read_toml(after, TABLE) is None


def test_our_table_is_changed_in_place_with_its_comments() -> None:
    ours = 'a = 1\r\n\r\n[mcp_servers.ltx] # ours\r\n# why\r\ncommand = "old" # here\r\ntimeout = 9\r\n'
    text = ours + "\r\n# next\r\n[b]\r\nc = 2\r\n"
    after = put_toml(text, TABLE, {"command": "new", "args": ["x"]})
    assert tomllib.loads(after)["mcp_servers"]["ltx"] == {"command": "new", "timeout": 9, "args": ["x"]}
    assert after.startswith(
        'a = 1\r\n\r\n[mcp_servers.ltx] # ours\r\n# why\r\ncommand = "new" # here\r\ntimeout = 9\r\n'
    )
    assert after.endswith("\r\n\r\n# next\r\n[b]\r\nc = 2\r\n")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ('mcp_servers = { ltx = { command = "x" } } # c\n', 'mcp_servers = { ltx = { command = "new" } } # c\n'),
        ('mcp_servers.ltx.command = "x" # c\n', 'mcp_servers.ltx.command = "new" # c\n'),
        ('[mcp_servers]\nltx.command = "x" # c\na = 1\n', '[mcp_servers]\nltx.command = "new" # c\na = 1\n'),
    ],
)
def test_an_entry_that_is_no_section_is_changed_in_place(text: str, after: str) -> None:
    assert put_toml(text, TABLE, {"command": "new"}) == after


def test_a_table_that_cannot_be_added_to_is_refused() -> None:
    with pytest.raises(BrokenConfigError, match="by hand"):
        put_toml('mcp_servers = { films = { command = "x" } }\n', TABLE, ENTRY)


def test_an_array_that_an_edit_would_move_is_refused() -> None:
    text = put_toml("[mcp_servers.films]\ncommand = 'x'\n\n[[rules]]\nname = 1\n", TABLE, ENTRY)
    with pytest.raises(BrokenConfigError, match="by hand"):
        take_toml(text, TABLE)
    with pytest.raises(BrokenConfigError, match="by hand"):
        put_toml(text, TABLE, {"command": "new"})


def test_a_text_that_only_looks_like_our_table_is_not_cut() -> None:
    note = 'note = """\n[mcp_servers.ltx]\nx = 1\n[other]\n"""\n'
    assert take_toml(note + '\n[mcp_servers.ltx]\ncommand = "ltx-mcp"\n', TABLE) == note


@pytest.mark.parametrize(
    ("text", "where"),
    [("a = \n", "line 1, column 5"), ("a = 1\n[b\n", "line 2, column 3"), ("a = 1\na = 2\n", "line 2, column 6")],
)
def test_broken_toml_is_refused_with_its_place(text: str, where: str) -> None:
    with pytest.raises(BrokenConfigError) as refusal:
        put_toml(text, TABLE, ENTRY)
    assert refusal.value.message.startswith(f"{where}: ")
