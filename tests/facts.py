"""What a tool answered, as programs read it: its structure, or beside pictures what stands for that in `_meta`."""

from typing import Any

from mcp.types import CallToolResult

from ltx_mcp.server.results import JOB


def facts_of(result: CallToolResult) -> dict[str, Any]:
    """Empty where there are none, as in a refusal."""
    return dict(result.structured_content or (result.meta or {}).get(JOB, {}))


def facts_on_wire(result: dict[str, Any]) -> dict[str, Any]:
    """The same of a result that was not read."""
    return dict(result.get("structuredContent") or result.get("_meta", {}).get(JOB, {}))
