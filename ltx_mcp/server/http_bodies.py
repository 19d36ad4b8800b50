"""Limits large request bodies and video downloads at the same time.

When the limit is reached, the slowest client is disconnected for the next one; if none is slow, the next one gets 503.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

import anyio
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ltx_mcp.server.http_limits import ABORT

SMALL_BODY_BYTES = 64_000
TURN_TIMEOUT_S = 20.0
MAX_DOWNLOADS = 32
SLOW_BYTES_PER_S = 256_000
NEW_S = 5.0
"""No client is regarded as slow before this."""
RETRY = {"Retry-After": "5"}


@dataclass
class Transfer:
    """A body or a file being transferred."""

    scope: Scope
    began_at: float
    moved_bytes: int = 0
    reserved_bytes: int = 0

    def bytes_per_s(self, now: float) -> float:
        """The average rate."""
        age_s = now - self.began_at
        return self.moved_bytes / age_s if age_s > NEW_S else inf


def cut_slowest(transfers: Collection[Transfer]) -> Transfer | None:
    """Disconnect the slowest client, if it is slow."""
    now = anyio.current_time()
    slowest = min(transfers, key=lambda transfer: transfer.bytes_per_s(now), default=None)
    if slowest is None or slowest.bytes_per_s(now) >= SLOW_BYTES_PER_S or ABORT not in slowest.scope:
        return None
    slowest.scope[ABORT]()
    return slowest


class BodyBudget:
    """ASGI middleware: bodies of more than SMALL_BODY_BYTES have at most `max_bytes` together, from their first byte
    until the response. Further ones wait unread, for at most `timeout_s`. What serves paths below `small` reads no more
    than SMALL_BODY_BYTES itself, so nobody waits for that."""

    def __init__(
        self, app: ASGIApp, max_body_bytes: int, max_bytes: int, timeout_s: float = TURN_TIMEOUT_S, small: str = ""
    ) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._small = small
        self._held_bytes = 0
        self._turn = anyio.Lock()
        self._freed = anyio.Event()
        self._arriving: dict[int, Transfer] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        announced = _announced_bytes(scope, self._max_body_bytes)
        is_small = bool(self._small) and scope["type"] == "http" and scope["path"].startswith(self._small)
        # a body that is too large is refused by its length, so it needs no memory
        if is_small or not SMALL_BODY_BYTES < announced <= self._max_body_bytes:
            await self._app(scope, receive, send)
            return
        with anyio.move_on_after(self._timeout_s) as waiting:
            await self._reserve(announced)
        if waiting.cancelled_caught:
            busy = PlainTextResponse("Too many large requests at once; try again in a few seconds.", 503, RETRY)
            await busy(scope, receive, send)
            return
        await self._serve(Transfer(scope, anyio.current_time(), 0, announced), receive, send)

    async def _serve(self, body: Transfer, receive: Receive, send: Send) -> None:
        async def counted() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                body.moved_bytes += len(message.get("body", b""))
                if not message.get("more_body", False):
                    self._complete(body)
            return message

        self._arriving[id(body)] = body
        try:
            await self._app(body.scope, counted, send)
        finally:
            self._arriving.pop(id(body), None)
            self._free(body.reserved_bytes)

    async def _reserve(self, size_bytes: int) -> None:
        async with self._turn:
            while self._held_bytes + size_bytes > self._max_bytes:
                self._freed = anyio.Event()
                with anyio.move_on_after(NEW_S) as waiting:
                    await self._freed.wait()
                if waiting.cancelled_caught:
                    cut_slowest(self._arriving.values())
            self._held_bytes += size_bytes

    def _free(self, size_bytes: int) -> None:
        self._held_bytes -= size_bytes
        self._freed.set()

    def _complete(self, body: Transfer) -> None:
        """Free what was reserved beyond the body's size, which may not have been announced."""
        self._arriving.pop(id(body), None)
        surplus = max(0, body.reserved_bytes - body.moved_bytes)
        body.reserved_bytes -= surplus
        self._free(surplus)


def _announced_bytes(scope: Scope, unknown: int) -> int:
    if scope["type"] != "http":
        return 0
    headers = Headers(scope=scope)
    if "transfer-encoding" in headers:
        return unknown
    text = headers.get("content-length", "")
    return int(text) if text.isdecimal() else 0


class FileTransfers:
    """The files being sent. A player that was disconnected continues where it was."""

    def __init__(self, max_downloads: int = MAX_DOWNLOADS) -> None:
        self._max = max_downloads
        self._open: dict[int, Transfer] = {}

    async def send(self, file: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file, if the limit allows it."""
        if len(self._open) >= self._max:
            cut = cut_slowest(self._open.values())
            if cut is None:
                busy = PlainTextResponse("Too many videos are being sent; try again in a few seconds.", 503, RETRY)
                await busy(scope, receive, send)
                return
            self._open.pop(id(cut), None)
        download = Transfer(scope, anyio.current_time())

        async def counted(message: Message) -> None:
            await send(message)
            download.moved_bytes += len(message.get("body", b""))

        self._open[id(download)] = download
        try:
            await file(scope, receive, counted)
        finally:
            self._open.pop(id(download), None)


class VideoResponse(FileResponse):
    """A video that counts as one of `downloads`."""

    def __init__(self, downloads: FileTransfers, path: Any, headers: Mapping[str, str]) -> None:
        super().__init__(path, headers=headers, media_type="video/mp4")
        self._downloads = downloads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._downloads.send(super().__call__, scope, receive, send)
