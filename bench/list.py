"""How many bytes the list of tools costs every conversation, as sent on the wire."""

import json
import tempfile
from pathlib import Path
from typing import Any

from bench.table import Row, Table, count
from bench.wire import HANDSHAKE, MODERN, OURS, Era, Server
from tests.tool_list import BUDGETS

INPUT_PARTS = ("name", "description", "inputSchema")
OTHER_PARTS = ("title", "annotations", "outputSchema")


def measure() -> Table:
    """Both eras: the whole message, and the part of it that models read before they call."""
    messages = {era: json.loads(_line(era)) for era in (HANDSHAKE, MODERN)}
    tools = messages[MODERN]["result"]["tools"]
    rows = []
    for which, (names, whole, inputs) in BUDGETS.items():
        rows += [Row(f"{which}, {era}", [_message(told, names)], count, whole) for era, told in messages.items()]
        counted = [tool for tool in tools if tool["name"] in names]
        rows.append(Row(f"{which}, names, descriptions, inputs", [_size(counted, INPUT_PARTS)], count, inputs))
    rows.extend(Row(f"  of all, {part}", [_size(tools, (part,))], count) for part in (*INPUT_PARTS, *OTHER_PARTS))
    rows.extend(Row(f"  {tool['name']}", [len(_compact(tool))], count) for tool in tools)
    return Table(f"list: bytes of tools/list, {len(tools)} tools", rows)


def _line(era: Era) -> bytes:
    with tempfile.TemporaryDirectory() as folder, Server(OURS, Path(folder), era) as server:
        server.hello()
        server.send("tools/list", {})
        return server.read_line().rstrip(b"\n")


def _message(told: dict[str, Any], names: list[str]) -> int:
    """Bytes of the answer with these tools alone."""
    listed = [tool for tool in told["result"]["tools"] if tool["name"] in names]
    return len(_compact(told | {"result": told["result"] | {"tools": listed}}))


def _size(tools: list[dict[str, Any]], parts: tuple[str, ...]) -> int:
    """Bytes of these parts of all tools, written the way the wire writes them."""
    return len(_compact([{part: tool[part] for part in parts if part in tool} for tool in tools]))


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
