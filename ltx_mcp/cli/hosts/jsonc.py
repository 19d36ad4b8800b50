"""JSON with comments and trailing commas, edited in place: what is not changed keeps every character.

Of the libraries that keep comments, one needs 11 s a megabyte, another starts a process; hosts' files reach 5 MB.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ltx_mcp.cli.hosts.config import BrokenConfigError, position

STRING = r'"(?:[^"\\]|\\.)*"'
COMMENT = re.compile(
    rf"({STRING}|/\*(?!.*?\*/).*)|(NaN|Infinity)|//[^\r\n]*|/\*.*?\*/",
    re.DOTALL,
)
"""Strings and a comment that does not end, which stay; what only Python takes for JSON; comments."""
COMMA = re.compile(rf"{STRING}|[\[{{,][ \t\r\n]*,|,(?=[ \t\r\n]*[\]}}])", re.DOTALL)
"""A comma before a bracket, and what looks like one and is not: in a string, or where no value stands before it."""
BLANKS = re.compile(r"[ \t\r\n]*")
MARGIN = re.compile(r"[ \t]*")
UNIT = "  "
DECODER = json.JSONDecoder()
BROKEN = {
    "Expecting value": "a value is missing",
    "Expecting property name enclosed in double quotes": 'a name in double quotes, or "}", is missing',
    "Expecting ':' delimiter": '":" is missing',
    "Extra data": "nothing may follow the first value",
}


@dataclass(frozen=True, slots=True)
class Member:
    """A name of an object and its value: where they stand in the text."""

    name: str
    start: int
    value: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """A text, the same with blanks for comments, and with blanks for trailing commas too, which is JSON. `start` is
    where its one value begins."""

    text: str
    bare: str
    strict: str
    start: int

    def decode(self, at: int) -> tuple[Any, int]:
        """The value that begins at `at`, and where it ends."""
        return DECODER.raw_decode(self.strict, at)

    def skip(self, at: int) -> int:
        """Where the next thing that is neither blank nor comment stands."""
        return _past(BLANKS, self.bare, at)

    def members(self, at: int) -> tuple[list[Member], int]:
        """The members of the object at `at`, and where it ends."""
        if self.strict[at] != "{":
            _fail(self.text, at, "an object { … } should stand here")
        members: list[Member] = []
        at = self.skip(at + 1)
        while self.bare[at] != "}":
            name, after = self.decode(at)
            value = self.skip(self.skip(after) + 1)
            _, end = self.decode(value)
            members.append(Member(name, at, value, end))
            at = self.skip(end)
            if self.bare[at] == ",":
                at = self.skip(at + 1)
        return members, at + 1

    def find(self, at: int, name: str) -> Member | None:
        """The member of this name of the object at `at`."""
        found = [member for member in self.members(at)[0] if member.name == name]
        if len(found) > 1:
            _fail(self.text, found[1].start, f'"{name}" stands here a second time')
        return found[0] if found else None

    def get(self, path: Sequence[str]) -> int:
        """Where the value at `path` begins, which is there."""
        at = self.start
        for name in path:
            member = self.find(at, name)
            assert member is not None
            at = member.value
        return at


def read_json(text: str, path: Sequence[str] = ()) -> Any:
    """The value at `path`, or None where there is none. Raises BrokenConfigError with line and column."""
    source = _read(text)
    at = source.start
    for name in path:
        member = source.find(at, name)
        if member is None:
            return None
        at = member.value
    return source.decode(at)[0]


def put_json(text: str, path: Sequence[str], value: Any) -> str:
    """The text with `value` at `path`; where both are objects they are merged name by name."""
    source = _read(text if text.strip() else "{}\n")
    at = source.start
    for number, name in enumerate(path, 1):
        member = source.find(at, name)
        if member is None:
            for missing in reversed(path[number:]):
                value = {missing: value}
            return _insert(source, at, name, value)
        at = member.value
    assert member is not None
    if isinstance(value, dict) and source.strict[at] == "{":
        text = source.text
        for name, each in value.items():
            text = put_json(text, [*path, name], each)
        return text
    old, end = source.decode(at)
    if old == value:
        return source.text
    return source.text[:at] + _written(source, value, _margin(source.text, member.start)) + source.text[end:]


def take_json(text: str, path: Sequence[str]) -> str:
    """The text without the member at `path`, which is there. Comments around it stay."""
    source = _read(text)
    at = source.get(path[:-1])
    members, _ = source.members(at)
    number = [member.name for member in members].index(path[-1])
    member = members[number]
    comma = source.skip(member.end)
    if source.bare[comma] == ",":
        text = _without(text, member.start, comma + 1)
    else:
        text = _without(text, member.start, member.end)
        if number:
            before = source.skip(members[number - 1].end)
            text = text[:before] + text[before + 1 :]
    end = _read(text).decode(at)[1]
    return text if text[at + 1 : end - 1].strip() else text[: at + 1] + text[end - 1 :]


def is_bare(text: str, path: Sequence[str] = ()) -> bool:
    """Whether the object at `path` holds nothing, no comment either."""
    source = _read(text)
    at = source.get(path)
    return text[at : source.decode(at)[1]] == "{}"


def _without(text: str, start: int, stop: int) -> str:
    """Cut, with the line if nothing else is on it; a line end is kept where a comment before may need it."""
    lead = len(text[:start].rstrip(" \t"))
    if text[lead - 1] not in "\r\n":
        return text[:lead] + text[stop:]
    after = _past(MARGIN, text, stop)
    if text[after] not in "\r\n":
        return text[:start] + text[after:]
    return text[: lead - (2 if text[lead - 2 : lead] == "\r\n" else 1)] + text[stop:]


def _insert(source: Source, at: int, name: str, value: Any) -> str:
    """As the first member: no line of another is touched."""
    text = source.text
    members, end = source.members(at)
    shown = json.dumps(name, ensure_ascii=False) + ": "
    comma = "," if members else ""
    line, margin = _line_end(text), _margin(text, at)
    indent = margin + _unit(source)
    if not text[at + 1 : end - 1].strip():
        whole = f"{{{line}{indent}{shown}{_written(source, value, indent)}{line}{margin}}}"
        return text[:at] + whole + text[end:]
    rest = _past(MARGIN, source.bare, at + 1)
    if source.bare[rest] not in "\r\n":
        gap = text[at + 1 : _past(MARGIN, text, at + 1)] or ("" if members else " ")
        piece = gap + shown + json.dumps(value, ensure_ascii=False) + comma
        return text[: at + 1] + piece + text[at + 1 :]
    if members and _begins_line(text, members[0].start):
        indent = _margin(text, members[0].start)
    piece = line + indent + shown + _written(source, value, indent) + comma
    return text[:rest] + piece + text[rest:]


def _written(source: Source, value: Any, indent: str) -> str:
    lines = json.dumps(value, ensure_ascii=False, indent=_unit(source)).split("\n")
    return (_line_end(source.text) + indent).join(lines)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _unit(source: Source) -> str:
    """One step of indentation, as the first member of the whole shows it."""
    first = source.skip(source.start + 1)
    return (_begins_line(source.text, first) and _margin(source.text, first)) or UNIT


def _margin(text: str, at: int) -> str:
    start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    return text[start : _past(MARGIN, text, start)]


def _begins_line(text: str, at: int) -> bool:
    return text[:at].rstrip(" \t").endswith(("\n", "\r"))


def _past(blanks: re.Pattern[str], text: str, at: int) -> int:
    """Where the blanks that begin at `at` end."""
    found = blanks.match(text, at)
    assert found is not None
    return found.end()


def _read(text: str) -> Source:
    """The text, all of which was read. Raises BrokenConfigError."""
    bare = COMMENT.sub(lambda found: found[1] or ("?" if found[2] else " ") * len(found[0]), text)
    strict = COMMA.sub(lambda found: " " if found[0] == "," else found[0], bare)
    start = _past(BLANKS, bare, 0)
    try:
        json.loads(strict)
    except RecursionError as error:
        raise BrokenConfigError("values are nested too deeply") from error
    except json.JSONDecodeError as error:
        _fail(text, *_fault(strict, error))
    return Source(text, bare, strict, start)


def _fault(strict: str, error: json.JSONDecodeError) -> tuple[int, str]:
    """Where what is wrong stands, and what it is."""
    if error.msg == "Expecting ',' delimiter":
        depth = 0
        for mark in reversed(re.sub(STRING, "", strict[: error.pos], flags=re.DOTALL)):
            depth += (mark in "}]") - (mark in "{[")
            if depth < 0:
                break
        return error.pos, f'"," or "{"}" if mark == "{" else "]"}" is missing'
    if error.msg in BROKEN:
        return error.pos, BROKEN[error.msg]
    starts = (found.start() for found in re.finditer(STRING, strict, re.DOTALL) if found.end() > error.pos)
    return min(error.pos, next(starts, error.pos)), "this string does not end as it should"


def _fail(text: str, at: int, why: str) -> NoReturn:
    raise BrokenConfigError(why, position(text, at))
