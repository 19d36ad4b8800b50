"""What callers say, kept short before the SDK tells it back, logs it or looks it up."""

from dataclasses import replace
from typing import Any

from mcp.server.context import CallNext, ServerRequestContext

from ltx_mcp.domain.quoting import MAX_SHOWN_CHARS, shorten

NAMES = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
"""What a request names; nothing that there is has a name of more than MAX_SHOWN_CHARS."""


async def shorten_names(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """A name that is too long for anything is cut, so that the refusal tells no more of it than that."""
    name = NAMES.get(ctx.method, "")
    given = (ctx.params or {}).get(name)
    if isinstance(given, str) and given != (short := shorten(given)):
        ctx = replace(ctx, params={**(ctx.params or {}), name: short})
    if len(ctx.method) > MAX_SHOWN_CHARS:
        ctx = replace(ctx, method=shorten(ctx.method))
    return await call_next(ctx)
