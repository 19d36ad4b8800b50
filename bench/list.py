"""How many bytes the list of tools costs every conversation, as sent on the wire."""

import json
import tempfile
from pathlib import Path
from typing import Any

from bench.table import Row, Table, count
from bench.wire import HANDSHAKE, MODERN, OURS, Era, Server

WHOLE, INPUTS = 13_500, 7_500
INPUT_PARTS = ("name", "description", "inputSchema")
OTHER_PARTS = ("title", "annotations", "outputSchema")


def measure() -> Table:
    """Both eras: the whole message, and the part of it that models read before they call."""
    lines = {era: _line(era) for era in (HANDSHAKE, MODERN)}
    rows = [Row(f"{era} whole message", [len(line)], count, WHOLE) for era, line in lines.items()]
    tools = json.loads(lines[MODERN])["result"]["tools"]
    rows.append(Row("names, descriptions, input schemas", [_size(tools, INPUT_PARTS)], count, INPUTS))
    rows.extend(Row(f"  of all, {part}", [_size(tools, (part,))], count) for part in (*INPUT_PARTS, *OTHER_PARTS))
    rows.extend(Row(f"  {tool['name']}", [len(_compact(tool))], count) for tool in tools)
    return Table(f"list: bytes of tools/list, {len(tools)} tools", rows)


def _line(era: Era) -> bytes:
    with tempfile.TemporaryDirectory() as folder, Server(OURS, Path(folder), era) as server:
        server.hello()
        server.send("tools/list", {})
        return server.read_line().rstrip(b"\n")


def _size(tools: list[dict[str, Any]], parts: tuple[str, ...]) -> int:
    """Bytes of these parts of all tools, written the way the wire writes them."""
    return len(_compact([{part: tool[part] for part in parts if part in tool} for tool in tools]))


def _compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
