"""HTTP around the emulated providers: each step is recorded, and fails as the fault that is due says.

A provider's file gives handlers that behave; what goes wrong on the wire is done here, for all of them alike.
"""

import gzip
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ltx_mcp.emulator.emulator_state import Call, EmulatedOrder, EmulatorState, Fault
from ltx_mcp.emulator.inputs import Inputs
from ltx_mcp.emulator.videos import Videos

Handler = Callable[[Request], Awaitable[Response]]
StartLater = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]
Refuse = Callable[[Fault], Response]
"""How one provider words the refusal a fault asks for; `options` may hold status, type, message, retry_after."""

PAGE = "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
KINDS = frozenset(
    {"status", "locked", "content", "refuse", "drop_before", "drop_after", "cut", "truncated", "body", "wrong_type"}
    | {"html", "html_after", "delay", "packed"}
)
"""What may go wrong at every step but `order`."""
ORDER_KINDS = frozenset(
    {"fails", "content", "refused", "unknown_state", "never_finishes", "smaller_film", "url_expires", "adjusts"}
    | {"json_download"}
)
"""What may become of an order."""
CREDENTIALS = ("authorization", "x-api-key", "cookie")


class RequestRefused(Exception):
    """A request that ends here, with the response it gets. Every handler may raise it."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


@dataclass(frozen=True)
class Emulator:
    """What a provider's file builds its routes from. `base_url` is where this emulator is reached, without a slash;
    `start_later` does something beside the calls, as long as the emulator runs."""

    state: EmulatorState
    videos: Videos
    inputs: Inputs
    base_url: str
    start_later: StartLater = lambda work: None

    def route(self, provider: str, step: str, path: str, method: str, handler: Handler, refuse: Refuse) -> Route:
        """One documented call of a provider, with its name as a step. The body of a `put` is a file by the time it is
        handled: `request.state.file`."""

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestRefused as refused:
                return refused.response

        async def respond(request: Request) -> Response:
            # a connection closed on unread bytes is reset, and an early refusal lost with it
            if step == "put":
                request.state.file = await self.inputs.store(request.stream())
            else:
                await request.body()
            fault = self.state.take_fault(provider, step)
            response = await _with_fault(fault, request, handle, refuse)
            secret = any(name in request.headers for name in CREDENTIALS) or "api_key" in request.query_params
            self.state.calls.append(
                Call(
                    provider,
                    step,
                    request.method,
                    request.url.path,
                    response.status_code,
                    secret,
                    self.state.now(),
                    getattr(request.state, "account", ""),
                )
            )
            return response

        return Route(path, respond, methods=[method])

    def video_url(self, order: EmulatedOrder) -> str:
        """Where the video of an order can be downloaded."""
        return f"{self.base_url}/media/{order.media_id}.mp4"

    async def wait_for_end(self, request: Request, order: EmulatedOrder) -> None:
        """Hold a request until its order has ended. Raises RequestRefused where the client leaves before."""
        while self.state.is_in_flight(order):
            if await request.is_disconnected():
                raise RequestRefused(Response(status_code=499))
            await anyio.sleep(0.02)


async def _with_fault(fault: Fault | None, request: Request, handler: Handler, refuse: Refuse) -> Response:
    if fault is None:
        return await handler(request)
    options = fault.options
    match fault.kind:
        case "status" | "locked" | "content" | "refuse":
            return refuse(fault)
        case "drop_before":
            return Cut()
        case "html":
            return HTMLResponse(PAGE, options.get("status", 502))
        case "wrong_type":
            return HTMLResponse(PAGE, 200)
        case "delay":
            await anyio.sleep(options.get("seconds", 1.0))
    response = await handler(request)
    match fault.kind:
        case "drop_after":
            return Cut()
        case "html_after":
            return HTMLResponse(PAGE, options.get("status", 200))
        case "truncated":
            sent = await _collect(response, request)
            return Response(sent.body[: len(sent.body) // 2], sent.status, media_type="application/json")
        case "body":
            content_type = options.get("type", "application/json")
            return Response(options["body"], options.get("status", 200), media_type=content_type)
        case "packed":
            return _gzipped(await _collect(response, request))
        case "cut":
            return await _cut(response, request)
        case "delay":
            return response
    raise ValueError(f"no fault is called {fault.kind!r}")


@dataclass
class _Sent:
    """What a response sends."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def _gzipped(sent: _Sent) -> Response:
    """The same packed with gzip, which nobody asked for."""
    response = Response(gzip.compress(sent.body), sent.status, {"Content-Encoding": "gzip"})
    kept = [(name, value) for name, value in sent.headers if name != b"content-length"]
    response.raw_headers = [*response.raw_headers, *kept]
    return response


async def _cut(response: Response, request: Request) -> Response:
    """The first half of a body whose complete length is announced, or a stream's first event; then nothing."""
    if isinstance(response, StreamingResponse):
        first = await anext(aiter(response.body_iterator))
        body = first.encode() if isinstance(first, str) else bytes(first)
        return Cut(_Sent(response.status_code, list(response.raw_headers), body))
    sent = await _collect(response, request)
    return Cut(_Sent(sent.status, sent.headers, sent.body[: len(sent.body) // 2]))


async def _collect(response: Response, request: Request) -> _Sent:
    """What a response would send to this request, whatever kind it is."""
    sent = _Sent(response.status_code, [], b"")

    async def collect(message: Any) -> None:
        if message["type"] == "http.response.start":
            sent.status, sent.headers = message["status"], list(message["headers"])
        sent.body += message.get("body", b"")

    async def receive_nothing() -> Any:
        await anyio.sleep_forever()

    scope = {"type": "http", "method": request.method, "headers": request.scope["headers"]}
    await response(scope, receive_nothing, collect)
    return sent


class Cut(Response):
    """A connection that is cut: at once, or after a part of an answer."""

    def __init__(self, sent: _Sent | None = None) -> None:
        super().__init__()
        self.status_code = sent.status if sent else 0
        self._sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is, then cut the connection."""
        if self._sent:
            await send({"type": "http.response.start", "status": self._sent.status, "headers": self._sent.headers})
            await send({"type": "http.response.body", "body": self._sent.body, "more_body": True})
            await anyio.sleep(0.05)
        scope["cut"]()
        await anyio.sleep(0.01)
