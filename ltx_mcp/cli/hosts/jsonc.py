"""JSON with comments and trailing commas, edited in place: what is not changed keeps every character.

Of the libraries that keep comments, one needs 11 s a megabyte, another starts a process; hosts' files reach 5 MB.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from ltx_mcp.cli.hosts.config import BrokenConfigError, position

BLANK = re.compile(r"[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
BESIDE = re.compile(r"[ \t]+|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
PLAIN = re.compile(r"(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])", re.ASCII)
UNIT = "  "


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


STRICT = json.JSONDecoder(parse_constant=_no_constant)
"""Reads what holds no comment, much faster than the functions below; they find what is wrong with the rest."""


@dataclass(frozen=True, slots=True)
class Member:
    """A name of an object and its value: where they stand in the text."""

    name: str
    start: int
    value: int
    end: int


def read_json(text: str, path: Sequence[str] = ()) -> Any:
    """The value at `path`, or None where there is none. Raises BrokenConfigError with line and column."""
    at = _root(text)
    for name in path:
        member = _find(text, at, name)
        if member is None:
            return None
        at = member.value
    return _plain(text, at)


def put_json(text: str, path: Sequence[str], value: Any) -> str:
    """The text with `value` at `path`; where both are objects they are merged name by name."""
    text = text if text.strip() else "{}\n"
    return _put(text, _root(text), path, value)


def take_json(text: str, path: Sequence[str]) -> str:
    """The text without the member at `path`, which is there. Comments around it stay."""
    at = _root(text)
    for name in path[:-1]:
        at = _found(text, at, name).value
    members, _ = _object(text, at)
    number = [member.name for member in members].index(path[-1])
    member = members[number]
    comma = _skip(text, member.end)
    if text[comma] == ",":
        text = _without(text, member.start, comma + 1)
    else:
        text = _without(text, member.start, member.end)
        if number:
            before = _skip(text, members[number - 1].end)
            text = text[:before] + text[before + 1 :]
    _, end = _object(text, at)
    return text if text[at + 1 : end - 1].strip() else text[: at + 1] + text[end - 1 :]


def is_bare(text: str, path: Sequence[str] = ()) -> bool:
    """Whether the object at `path` holds nothing, no comment either."""
    at = _root(text)
    for name in path:
        at = _found(text, at, name).value
    return text[at : _end(text, at)] == "{}"


def _without(text: str, start: int, stop: int) -> str:
    """Cut, with the line if nothing else is on it; a line end is kept where a comment before may need it."""
    lead = start
    while text[lead - 1] in " \t":
        lead -= 1
    if text[lead - 1] not in "\r\n":
        return text[:lead] + text[stop:]
    after = _margin_end(text, stop)
    if text[after] not in "\r\n":
        return text[:start] + text[after:]
    return text[: lead - (2 if text[lead - 2 : lead] == "\r\n" else 1)] + text[stop:]


def _put(text: str, at: int, path: Sequence[str], value: Any) -> str:
    member = _find(text, at, path[0])
    if member is None:
        for name in reversed(path[1:]):
            value = {name: value}
        return _insert(text, at, path[0], value)
    if len(path) > 1:
        return _put(text, member.value, path[1:], value)
    if isinstance(value, dict) and text[member.value] == "{":
        for name, each in value.items():
            text = _put(text, member.value, [name], each)
        return text
    if _plain(text, member.value) == value:
        return text
    shown = _written(text, value, _margin(text, member.start))
    return text[: member.value] + shown + text[member.end :]


def _insert(text: str, at: int, name: str, value: Any) -> str:
    """As the first member: no line of another is touched."""
    members, end = _object(text, at)
    inside = text[at + 1 : end - 1]
    shown = json.dumps(name, ensure_ascii=False) + ": "
    comma = "," if members else ""
    line, margin = _line_end(text), _margin(text, at)
    indent = margin + _unit(text)
    if not inside.strip():
        whole = f"{{{line}{indent}{shown}{_written(text, value, indent)}{line}{margin}}}"
        return text[:at] + whole + text[end:]
    rest = _past(BESIDE, text, at + 1)
    if text[rest : rest + 1] not in ("\r", "\n"):
        gap = text[at + 1 : _margin_end(text, at + 1)] or ("" if members else " ")
        piece = gap + shown + json.dumps(value, ensure_ascii=False) + comma
        return text[: at + 1] + piece + text[at + 1 :]
    if members and _begins_line(text, members[0].start):
        indent = _margin(text, members[0].start)
    piece = line + indent + shown + _written(text, value, indent) + comma
    return text[:rest] + piece + text[rest:]


def _written(text: str, value: Any, indent: str) -> str:
    lines = json.dumps(value, ensure_ascii=False, indent=_unit(text)).split("\n")
    return (_line_end(text) + indent).join(lines)


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _unit(text: str) -> str:
    """One step of indentation, as the first member of the whole shows it."""
    members, _ = _object(text, _skip(text, 0))
    return (members and _begins_line(text, members[0].start) and _margin(text, members[0].start)) or UNIT


def _margin(text: str, at: int) -> str:
    start = max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1
    return text[start : _margin_end(text, start)]


def _margin_end(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t"):
        at += 1
    return at


def _begins_line(text: str, at: int) -> bool:
    return text[:at].rstrip(" \t").endswith(("\n", "\r"))


# -- reading ------------------------------------------------------------------------------------------------------


def _root(text: str) -> int:
    """Where the one value of the text begins, after all of it was read."""
    start = _skip(text, 0)
    try:
        end = _skip(text, _end(text, start))
    except RecursionError as error:
        raise BrokenConfigError("values are nested too deeply") from error
    if end < len(text):
        _fail(text, end, "nothing may follow the first value")
    return start


def _skip(text: str, at: int) -> int:
    return _past(BLANK, text, at)


def _past(pieces: re.Pattern[str], text: str, at: int) -> int:
    """Where a run of `pieces` from `at` on ends: one after the other, so that none is tried in a second way."""
    while found := pieces.match(text, at):
        at = found.end()
    return at


def _string(text: str, at: int) -> tuple[str, int] | None:
    """The string that begins at `at`, and where it ends; None where none does, or where it is broken."""
    if text[at : at + 1] != '"':
        return None
    try:
        found, end = STRICT.raw_decode(text, at)
    except ValueError:
        return None
    return str(found), end


def _end(text: str, at: int) -> int:
    """Where the value that begins at `at` ends."""
    first = text[at : at + 1]
    if first in ("{", "["):
        try:
            return STRICT.raw_decode(text, at)[1]
        except ValueError:
            return (_object if first == "{" else _array)(text, at)[1]
    if first == '"':
        string = _string(text, at)
        return string[1] if string else _fail(text, at, "this string does not end as it should")
    found = PLAIN.match(text, at)
    return found.end() if found else _fail(text, at, "a value is missing")


def _object(text: str, at: int) -> tuple[list[Member], int]:
    """The members of the object at `at`, and where it ends."""
    if text[at : at + 1] != "{":
        _fail(text, at, "an object { … } should stand here")
    members: list[Member] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != "}":
        name, after = _string(text, at) or _fail(text, at, 'a name in double quotes, or "}", is missing')
        colon = _skip(text, after)
        if text[colon : colon + 1] != ":":
            _fail(text, colon, '":" is missing')
        value = _skip(text, colon + 1)
        end = _end(text, value)
        members.append(Member(name, at, value, end))
        at = _after(text, end, "}")
    return members, at + 1


def _array(text: str, at: int) -> tuple[list[int], int]:
    """Where the values of the array at `at` begin, and where it ends."""
    values: list[int] = []
    at = _skip(text, at + 1)
    while text[at : at + 1] != "]":
        values.append(at)
        at = _after(text, _end(text, at), "]")
    return values, at + 1


def _after(text: str, end: int, close: str) -> int:
    """Behind a value: past its comma, or at the bracket that closes."""
    at = _skip(text, end)
    if text[at : at + 1] == ",":
        return _skip(text, at + 1)
    if text[at : at + 1] != close:
        _fail(text, at, f'"," or "{close}" is missing')
    return at


def _find(text: str, at: int, name: str) -> Member | None:
    found = [member for member in _object(text, at)[0] if member.name == name]
    if len(found) > 1:
        _fail(text, found[1].start, f'"{name}" stands here a second time')
    return found[0] if found else None


def _found(text: str, at: int, name: str) -> Member:
    member = _find(text, at, name)
    assert member is not None
    return member


def _plain(text: str, at: int) -> Any:
    if text[at] == "{":
        return {member.name: _plain(text, member.value) for member in _object(text, at)[0]}
    if text[at] == "[":
        return [_plain(text, value) for value in _array(text, at)[0]]
    return json.loads(text[at : _end(text, at)])


def _fail(text: str, at: int, why: str) -> NoReturn:
    raise BrokenConfigError(why, position(text, at))
