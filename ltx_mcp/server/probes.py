"""What balancers and orchestrators ask: /healthz (does the process answer?), /readyz (may it be sent calls?).

Both are answered before logins and the check of the Host, which for a kubelet is the address of the pod. They tell
nothing but the state of this process.
"""

from collections.abc import Awaitable, Callable

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltx_mcp.server.app_context import AppContext

HEALTH, READINESS = "/healthz", "/readyz"


class Probes:
    """ASGI middleware around everything. A server that is about to end asks for no further request by a connection."""

    def __init__(self, app: ASGIApp, current_context: Callable[[], AppContext | None]) -> None:
        self._app = app
        self._current_context = current_context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        app_context = self._current_context()
        if app_context is not None and app_context.is_draining:
            send = _closing(send)
        if scope["path"] not in (HEALTH, READINESS):
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await PlainTextResponse("", 405, {"Allow": "GET, HEAD"})(scope, receive, send)
        else:
            hindrance = await _hindrance(app_context) if scope["path"] == READINESS else ""
            answer = PlainTextResponse(hindrance or "ok", 503 if hindrance else 200, {"Cache-Control": "no-store"})
            await answer(scope, receive, send)


async def _hindrance(app_context: AppContext | None) -> str:
    return "not started" if app_context is None else await app_context.hindrance()


def _closing(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def with_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["connection"] = "close"
        await send(message)

    return with_close
