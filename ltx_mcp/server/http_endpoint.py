"""The endpoint of MCP over HTTP as ASGI middleware: POST only, since no call needs more than its own request.

A client of an older protocol gets a name for its connection, in the header that these protocols have for sessions. It
opens nothing here, so any server takes any name: it only tells which calls come from the same client.
"""

import secrets

from mcp.server.transport_security import TransportSecurityMiddleware
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltx_mcp.server.patience import CONNECTION, NAME_BYTES

VERSION = "mcp-protocol-version"
"""Sent with every request but the first of a connection, and with the first one by the newest clients."""


class McpEndpoint:
    """Before the SDK's endpoint at `path`. Other methods than POST are answered with 405: there a GET would wait for
    messages that never come."""

    def __init__(self, app: ASGIApp, path: str, guard: TransportSecurityMiddleware) -> None:
        self._app = app
        self._path = path
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
        elif scope["method"] != "POST":
            refused = await self._guard.validate_request(Request(scope))
            await (refused or Response(status_code=405, headers={"Allow": "POST"}))(scope, receive, send)
        else:
            await self._app(scope, receive, _named(send) if _is_first(Headers(scope=scope)) else send)


def _is_first(headers: Headers) -> bool:
    """Whether this may be the first request of an older client."""
    return CONNECTION not in headers and VERSION not in headers


def _named(send: Send) -> Send:
    async def with_name(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 200:
            MutableHeaders(scope=message)[CONNECTION] = secrets.token_hex(NAME_BYTES)
        await send(message)

    return with_name
