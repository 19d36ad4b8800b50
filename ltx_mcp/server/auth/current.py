"""The caller of the request that is being served.

Not every handler of the SDK gets the request's context, so a middleware keeps the caller in a ContextVar. It is set
anew for each message, in the task that serves it: a session has one task for the requests of all its callers.
"""

import re
from contextvars import ContextVar
from typing import Any

from mcp.server.context import CallNext, ServerRequestContext

from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.log_context import LogContext, log_context, logging_about
from ltx_mcp.server.auth.principal import principal_of

_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,40}", re.ASCII)
_caller = ContextVar("caller", default=LOCAL)


def current_caller() -> str:
    """Whose jobs this request is about; LOCAL where nobody logs in."""
    return _caller.get()


async def know_caller(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
    """Server middleware: serve each message for the caller of the HTTP request that brought it."""
    caller = principal_of(ctx.request).caller
    token = _caller.set(caller)
    try:
        with logging_about(LogContext(_request_of(ctx.request_id), caller=caller)):
            return await call_next(ctx)
    finally:
        _caller.reset(token)


def _request_of(given: Any) -> str:
    """What the log calls a message: the HTTP request that brought it, and the id that its client gave it, which may be
    anything."""
    request_id = str(given) if given is not None and _PLAIN_ID.fullmatch(str(given)) else ""
    return "/".join(filter(None, (log_context().request, request_id)))
