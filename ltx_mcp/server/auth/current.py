"""The caller of the request that is being served.

Not every handler of the SDK gets the request's context, so a middleware keeps the caller in a ContextVar. It is set
anew for each message, in the task that serves it: a session has one task for the requests of all its callers.
"""

from contextvars import ContextVar
from typing import Any

from mcp.server.context import CallNext, ServerRequestContext

from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.server.auth.principal import principal_of

_caller = ContextVar("caller", default=LOCAL)


def current_caller() -> str:
    """Whose jobs this request is about; LOCAL where nobody logs in."""
    return _caller.get()


async def know_caller(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """Server middleware: serve each message for the caller of the HTTP request that brought it."""
    token = _caller.set(principal_of(ctx.request).caller)
    try:
        return await call_next(ctx)
    finally:
        _caller.reset(token)
