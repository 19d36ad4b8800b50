"""TOML edited by tomlkit, which keeps every character it does not change. Each change is read back and compared."""

import re
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ltx_mcp.cli.hosts.config import BrokenConfigError

if TYPE_CHECKING:
    from tomlkit import TOMLDocument

PLACE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
FIRST_BLANK_LINE = re.compile(r"\A\r?\n")
LAST_BLANK_LINE = re.compile(r"(?:\A|(?<=\n))\r?\n\Z")
LONE_LF = re.compile(r"(?<!\r)\n")
BY_HAND = "it is written in a form that cannot be edited safely; edit it by hand"


def read_toml(text: str, path: Sequence[str] = ()) -> Any:
    """The value at `path`, or None where there is none. Raises BrokenConfigError with line and column."""
    try:
        found: Any = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        place = PLACE.fullmatch(str(error))
        where = (int(place[2]), int(place[3])) if place and place[2] else None
        raise BrokenConfigError(place[1] if place else str(error), where) from error
    for name in path:
        if not isinstance(found, dict):
            raise BrokenConfigError(f"{path[0]} is not a table")
        if name not in found:
            return None
        found = found[name]
    return found


def put_toml(text: str, path: tuple[str, str], value: dict[str, Any]) -> str:
    """The text with the table `value` at `path`, merged name by name with what is there."""
    expected = read_toml(text, path)
    if expected is None:
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return _checked(text, text + gap + write_toml(path, value), path, value)
    document = _parse(text)
    table: Any = document[path[0]][path[1]]
    behind = _cut_behind(table)
    _merge(table, value)
    _last_items(table).extend(behind)
    _merge(expected, value)
    return _checked(text, document.as_string(), path, expected)


def take_toml(text: str, path: tuple[str, str]) -> str:
    """The text without the table at `path`, which is there, and without one blank line. Comments behind it stay."""
    document = _parse(text)
    _take(document.body, path)
    left = document.as_string()
    if text.startswith(left):  # nothing stood behind it
        left = LAST_BLANK_LINE.sub("", left)
    return _checked(text, left, path, None)


def write_toml(path: tuple[str, str], value: dict[str, Any]) -> str:
    """The text of a table."""
    import tomlkit

    table = tomlkit.table()
    for name, each in value.items():
        if isinstance(each, dict):
            inline = tomlkit.inline_table()
            inline.update(each)
            each = inline
        table[name] = each
    return tomlkit.dumps({path[0]: {path[1]: table}})


def _parse(text: str) -> "TOMLDocument":
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise BrokenConfigError(BY_HAND) from error
    if document.as_string() != text:
        # tomlkit 0.15 moves an array of tables that stands between the parts of another table
        raise BrokenConfigError(BY_HAND)
    return document


def _merge(table: Any, value: dict[str, Any]) -> None:
    """Put `value` into a table of tomlkit or a dict, name by name."""
    for name, each in value.items():
        if isinstance(each, dict) and isinstance(table.get(name), dict):
            _merge(table[name], each)
        elif table.get(name) != each:
            table[name] = each


def _take(items: list[Any], path: Sequence[str]) -> None:
    """Leave of the table at `path` what stands behind it; `items` are those of a document or a table."""
    from tomlkit.items import Table, Whitespace

    for at, (key, item) in enumerate(items):
        if not isinstance(item, Table) or key.key != path[0]:
            continue
        if path[1:]:
            _take(item.value.body, path[1:])
        else:
            # as blanks, because a comment would give a table of tables a heading
            behind = "".join(each.as_string() for _, each in _cut_behind(item))
            items[at] = (None, Whitespace(FIRST_BLANK_LINE.sub("", behind)))


def _cut_behind(table: Any) -> list[Any]:
    """Take out the blank lines and comments at the end of a table: they belong to what follows."""
    items = _last_items(table)
    start = len(items)
    while start and items[start - 1][0] is None:
        start -= 1
    behind = items[start:]
    del items[start:]
    return behind


def _last_items(table: Any) -> list[Any]:
    """The items of a table, or of the last table inside it."""
    from tomlkit.items import AoT, Table

    while table.value.body and isinstance(last := table.value.body[-1][1], AoT | Table):
        table = last.body[-1] if isinstance(last, AoT) else last
    items: list[Any] = table.value.body
    return items


def _checked(before: str, after: str, path: tuple[str, str], value: dict[str, Any] | None) -> str:
    """The text `after`, if it has `value` at `path` and else says what `before` does. An empty table says nothing."""
    if "\r\n" in before and not LONE_LF.search(before):
        after = LONE_LF.sub("\r\n", after)
    try:
        documents = [tomllib.loads(text) for text in (before, after)]
    except tomllib.TOMLDecodeError as error:
        raise BrokenConfigError(BY_HAND) from error
    tables = [document.pop(path[0], {}) for document in documents]
    found = [table.pop(path[1], None) for table in tables]
    if found[1] != value or documents[0] != documents[1] or tables[0] != tables[1]:
        raise BrokenConfigError(BY_HAND)
    return after
