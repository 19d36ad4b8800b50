"""TOML edited in place: the sections of one server are added, changed or cut, and every other character stays.

Each change is read back and compared; a form of writing that this cannot edit is refused.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import Any

from ltx_mcp.cli.hosts.config import BrokenConfigError

WHERE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
LINE = re.compile(r"[^\n]*\n|[^\n]+")
BY_HAND = "it is written in a form that cannot be edited safely; edit it by hand"


def read_toml(text: str, path: Sequence[str] = ()) -> Any:
    """The value at `path`, or None where there is none. Raises BrokenConfigError with line and column."""
    try:
        found: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        told = WHERE.fullmatch(str(error))
        where = (int(told[2]), int(told[3])) if told and told[2] else None
        raise BrokenConfigError(told[1] if told else str(error), where) from error
    for name in path:
        if not isinstance(found, dict):
            raise BrokenConfigError(f"{path[0]} is not a table")
        if name not in found:
            return None
        found = found[name]
    return found


def put_toml(text: str, path: Sequence[str], value: dict[str, Any]) -> str:
    """The text with the table `value` at `path`, merged name by name with what is there."""
    before, old = read_toml(text), read_toml(text, path)
    if old is None:
        line = _line_end(text)
        gap = "" if not text else line if text.endswith("\n") else line * 2
        new = text + gap + line.join([*write_toml(path, value), ""])
    elif merged(old, value) == old:
        return text
    else:
        spans = list(_spans(text, path))
        if len(spans) != 1:
            raise BrokenConfigError(BY_HAND)
        start, stop = spans[0]
        new = text[:start] + _changed(text[start:stop], path, value, _line_end(text)) + text[stop:]
    return _checked(new, _with(before, path, value if old is None else merged(old, value)), path[0])


def take_toml(text: str, path: Sequence[str]) -> str:
    """The text without the table at `path`, which is there."""
    before = read_toml(text)
    new = text
    for start, stop in reversed(list(_spans(text, path))):
        # the blank line that stood before the section goes with it
        head = new[:start]
        for line in ("\r\n", "\n"):
            if head.endswith(line * 2) or head == line:
                head = head[: -len(line)]
                break
        new = head + new[stop:]
    return _checked(new, _with(before, path, None), path[0])


def write_toml(path: Sequence[str], value: dict[str, Any]) -> list[str]:
    """The lines of a table."""
    return [f"[{'.'.join(path)}]", *(f"{name} = {_written(each)}" for name, each in value.items())]


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Both, name by name; `new` wins."""
    both = dict(old)
    for name, value in new.items():
        there = both.get(name)
        both[name] = merged(there, value) if isinstance(there, dict) and isinstance(value, dict) else value
    return both


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_written(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _with(data: dict[str, Any], path: Sequence[str], value: dict[str, Any] | None) -> dict[str, Any]:
    """`data` with the table at `path` set, or without it and without tables that this leaves empty."""
    name, *rest = path
    inner = _with(data.get(name, {}), rest, value) if rest else value
    others = {key: each for key, each in data.items() if key != name}
    return {**others, name: inner} if inner else others


def _checked(text: str, expected: dict[str, Any], table: str) -> str:
    """The new text, if it says what it should. An empty `table` says nothing."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BrokenConfigError(BY_HAND) from error
    if not found.get(table):
        found.pop(table, None)
    if found != expected:
        raise BrokenConfigError(BY_HAND)
    return text


def _spans(text: str, path: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where the sections at and below `path` stand: from the heading to the last line that says something."""
    at, start, stop = 0, -1, -1
    for line in LINE.findall(text):
        heading = _heading(line)
        if heading is not None:
            is_ours = heading[: len(path)] == tuple(path)
            if start >= 0 and not is_ours:
                yield start, stop
                start = -1
            elif is_ours and start < 0:
                start = at
        at += len(line)
        if line.strip() and not line.lstrip().startswith("#"):
            stop = at
    if start >= 0:
        yield start, stop


def _heading(line: str) -> tuple[str, ...] | None:
    if not line.lstrip().startswith("["):
        return None
    try:
        inner: Any = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return None
    names = []
    while isinstance(inner, dict) and inner:
        name, inner = next(iter(inner.items()))
        names.append(name)
    return tuple(names)


def _changed(section: str, path: Sequence[str], value: dict[str, Any], line: str) -> str:
    """The sections of our own table with `value` merged in; comments in them stay."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(section.replace("\r\n", "\n"))
        table: Any = document
        for name in path:
            table = table[name]
        _merge(table, value)
    except TOMLKitError as error:
        raise BrokenConfigError(BY_HAND) from error
    return tomlkit.dumps(document).replace("\n", line)


def _merge(table: Any, value: dict[str, Any]) -> None:
    for name, each in value.items():
        if isinstance(each, dict) and isinstance(table.get(name), dict):
            _merge(table[name], each)
        elif table.get(name) != each:
            table[name] = each
