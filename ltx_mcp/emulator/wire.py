"""HTTP around the emulated providers: each step is recorded, and has the fault it was told to have.

A provider's file gives handlers that behave; what goes wrong on the wire is done here, for all of them alike.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ltx_mcp.emulator.films import Films
from ltx_mcp.emulator.world import Call, Fault, World

Handler = Callable[[Request], Awaitable[Response]]
Refuse = Callable[[Fault], Response]
"""How one provider words the refusal a fault asks for; `options` may hold status, type, message, retry_after."""

PAGE = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
CREDENTIALS = ("authorization", "x-api-key", "cookie")


@dataclass(frozen=True)
class Emulator:
    """What a provider's file builds its routes from. `base_url` is where this emulator is reached, without a slash."""

    world: World
    films: Films
    base_url: str

    def route(self, provider: str, step: str, path: str, method: str, handler: Handler, refuse: Refuse) -> Route:
        """One documented call of a provider, with its name as a step."""

        async def answered(request: Request) -> Response:
            fault = self.world.take(provider, step)
            response = await _with_fault(fault, request, handler, refuse)
            secret = any(name in request.headers for name in CREDENTIALS) or "api_key" in request.query_params
            self.world.calls.append(
                Call(provider, step, request.method, request.url.path, response.status_code, secret, self.world.now())
            )
            return response

        return Route(path, answered, methods=[method])


async def _with_fault(fault: Fault | None, request: Request, handler: Handler, refuse: Refuse) -> Response:
    if fault is None:
        return await handler(request)
    options = fault.options
    match fault.kind:
        case "status" | "locked" | "content" | "refuse":
            return refuse(fault)
        case "drop_before":
            return Dropped()
        case "drop_after":
            await handler(request)
            return Dropped()
        case "html":
            return HTMLResponse(PAGE, options.get("status", 502))
        case "html_after":
            await handler(request)
            return HTMLResponse(PAGE, options.get("status", 200))
        case "delay":
            await anyio.sleep(options.get("seconds", 1.0))
            return await handler(request)
        case "truncated":
            whole = await handler(request)
            return Response(bytes(whole.body)[: len(whole.body) // 2], whole.status_code, media_type="application/json")
        case "body":
            await handler(request)
            return Response(
                options["body"], options.get("status", 200), media_type=options.get("type", "application/json")
            )
        case "wrong_type":
            return HTMLResponse(PAGE, 200)
        case "cut":
            return await _cut(await handler(request))
    raise ValueError(f"no fault is called {fault.kind!r}")


async def _cut(whole: Response) -> Response:
    """The first half of a body whose whole length is announced; then the connection is gone."""
    body = await _body(whole)

    async def half() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]

    headers = {name: value for name, value in whole.headers.items() if name != "content-length"}
    return Cut(half(), whole.status_code, headers | {"content-length": str(len(body))})


async def _body(whole: Response) -> bytes:
    """What a response would send, whatever kind it is."""
    sent: list[bytes] = []

    async def collect(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def nothing() -> Any:
        await anyio.sleep_forever()

    await whole({"type": "http", "method": "GET", "headers": []}, nothing, collect)
    return b"".join(sent)


class Dropped(Response):
    """No answer: the connection is cut."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Cut it."""
        scope["cut"]()
        await anyio.sleep(0.01)


class Cut(StreamingResponse):
    """An answer that stops before its end."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is, then cut the connection."""
        try:
            await self.stream_response(send)
        finally:
            await anyio.sleep(0.05)
            scope["cut"]()
            await anyio.sleep(0.01)
