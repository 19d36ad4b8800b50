"""What a principal may do, decided by the method and the name that are carried out: headers may say anything."""

from collections.abc import Collection
from typing import Any

from mcp.server.context import CallNext, ServerMiddleware, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_REQUEST, CallToolResult, TextContent
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.server.auth.principal import ORDER, SCOPE_KEY, STRANGER, Principal, principal_of

REFUSALS = "ltx_mcp.refusals"
"""Where the door finds, in the ASGI scope of a request, why it was refused inside."""
READING = frozenset(
    {
        *("initialize", "ping", "server/discover", "logging/setLevel", "completion/complete", "subscriptions/listen"),
        *("tools/list", "prompts/list", "prompts/get", "resources/list", "resources/templates/list", "resources/read"),
        *("resources/subscribe", "resources/unsubscribe", "tasks/get"),
    }
)
"""Methods that change nothing; whatever is not among them needs ORDER, so that a new one is never free by mistake."""
REFUSED = f"This login may look, but not order or cancel: its token lacks the scope {ORDER}."
NOT_LOGGED_IN = "Nobody has logged in."


def make_scope_check(reading_tools: Collection[str], *, has_login: bool) -> ServerMiddleware[Any]:
    """Server middleware: refuse what the principal of a request may not do. `reading_tools` change nothing; without
    `has_login` everyone may do everything."""
    names = frozenset(reading_tools)

    async def check_scopes(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
        principal = _logged_in(ctx.request) if has_login else principal_of(ctx.request)
        if not principal.may_read:
            return _refuse(ctx, NOT_LOGGED_IN)
        if principal.may_order or _only_reads(ctx, names):
            return await call_next(ctx)
        return _refuse(ctx, REFUSED)

    return check_scopes


def _logged_in(request: Any) -> Principal:
    """Whom the door let in. A message that came by no request of a client is nobody's."""
    found = None if request is None else request.scope.get(SCOPE_KEY)
    return found if isinstance(found, Principal) else STRANGER


def _only_reads(ctx: ServerRequestContext[Any, Any], reading_tools: frozenset[str]) -> bool:
    if ctx.method == "tools/call":
        name = (ctx.params or {}).get("name")
        return isinstance(name, str) and name in reading_tools
    return ctx.method in READING or ctx.method.startswith("notifications/")


def _refuse(ctx: ServerRequestContext[Any, Any], why: str) -> CallToolResult:
    """Where the protocol has it so, the door makes it a 403 with a challenge; else a call is answered in words that
    reach the model."""
    text = f"{ErrorCode.INSUFFICIENT_SCOPE}: {why}"
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        if ctx.request is not None:
            ctx.request.scope.get(REFUSALS, []).append(why)
    elif ctx.method == "tools/call":
        return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)
    raise MCPError(INVALID_REQUEST, text)
