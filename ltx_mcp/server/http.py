"""The server over streamable HTTP, and its videos."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecurityMiddleware, TransportSecuritySettings
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltx_mcp.presentation.config import LOOPBACK
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.auth.door import Door
from ltx_mcp.server.auth.logins import Logins
from ltx_mcp.server.auth.unsigned_logs import leave_out_signatures
from ltx_mcp.server.http_bodies import BodyBudget
from ltx_mcp.server.http_endpoint import McpEndpoint
from ltx_mcp.server.probes import Probes
from ltx_mcp.server.video_route import HidesQuery, add_video_route

MAX_BODY_BYTES = 72_000_000
"""Enough for a call with the largest accepted image as data URI."""
MAX_BODIES_BYTES = 2 * MAX_BODY_BYTES
PATH = "/mcp"
NOT_OUR_HOST = (
    "This server does not answer to the Host of this request, only to names of this machine. Where it is reached by "
    "another name, as behind a proxy, start it with LTX_MCP_PUBLIC_URL set to that address."
)


def make_app(
    server: MCPServer[Any],
    current_context: Callable[[], AppContext | None],
    public_url: str = "",
    logins: Logins | None = None,
) -> Starlette:
    """MCP at /mcp and videos at /videos, both only under this machine's names and that of `public_url`, and with
    `logins` only for those who log in."""
    leave_out_signatures()
    allowed = _allowed(public_url)
    guard = TransportSecurityMiddleware(allowed)
    add_video_route(server, current_context, guard)
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        transport_security=allowed,
        max_request_body_size=MAX_BODY_BYTES,
        stateless_http=True,
    )
    app.add_middleware(HidesQuery)
    app.add_middleware(McpEndpoint, path=PATH, guard=guard)
    app.add_middleware(NamesItsAddress)
    app.add_middleware(BodyBudget, max_body_bytes=MAX_BODY_BYTES, max_bytes=MAX_BODIES_BYTES)
    if logins is not None:
        app.add_middleware(Door, logins=logins, public_url=public_url)
    app.add_middleware(Probes, current_context=current_context)
    return app


class NamesItsAddress:
    """ASGI middleware: the response to an unknown Host names the setting that would allow it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_refused = False

        async def send_or_explain(message: Message) -> None:
            nonlocal is_refused
            if message["type"] == "http.response.start" and message["status"] == 421:
                is_refused = True
                await PlainTextResponse(NOT_OUR_HOST, status_code=421)(scope, receive, send)
            elif not is_refused:
                await send(message)

        await self._app(scope, receive, send_or_explain if scope["type"] == "http" else send)


def _allowed(public_url: str) -> TransportSecuritySettings:
    """Against DNS rebinding: a page of another site may resolve its own name to this machine."""
    names = [f"[{name}]" if ":" in name else name for name in LOOPBACK]
    hosts = [form for name in names for form in (name, f"{name}:*")]
    origins = [f"http://{host}" for host in hosts]
    if public_url:
        public = urlsplit(public_url)
        hosts.append(public.netloc)
        origins.append(f"{public.scheme}://{public.netloc}")
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=origins)
