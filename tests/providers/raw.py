"""A server of bare bytes on loopback, for what no well-behaved server says. Not a test."""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Request:
    """A request that came in whole."""

    head: str
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name."""
        lines = [line.partition(":") for line in self.head.split("\r\n")[1:] if line]
        return {name.strip().lower(): value.strip() for name, _, value in lines}


@dataclass
class Line:
    """One connection: what may be done with it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    kept: list[Request]

    async def read(self) -> Request:
        """The whole request, kept."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        request = Request(head.removesuffix("\r\n\r\n"), b"")
        body = await self.reader.readexactly(int(request.headers.get("content-length", "0")))
        self.kept.append(Request(request.head, body))
        return self.kept[-1]

    async def say(self, data: bytes) -> None:
        """These bytes, now."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Cut the connection as a crash would: RST, not FIN."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Deed = Callable[[Line], Awaitable[None]]


@dataclass
class Raw:
    """A listening server: its address, how many connected, and what they sent."""

    url: str
    connections: int = 0
    requests: list[Request] = field(default_factory=list)


@asynccontextmanager
async def serving(deed: Deed, trust: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    """Does `deed` with each connection, then closes it."""
    made = Raw("")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        made.connections += 1
        with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await deed(Line(reader, writer, made.requests))
        writer.close()

    listener = await asyncio.start_server(serve, LOOPBACK, ssl=trust, limit=1 << 26)
    made.url = f"{'https' if trust else 'http'}://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answer(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """A whole answer, or one that announces another length."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {size}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(data: bytes) -> Deed:
    """Reads the request, then says this."""

    async def deed(line: Line) -> None:
        await line.read()
        await line.say(data)

    return deed


async def reset_at_once(line: Line) -> None:
    """Cuts the connection before a byte was read."""
    line.reset()


async def reset_after(line: Line) -> None:
    """Reads the whole request, then cuts the connection."""
    await line.read()
    line.reset()


async def close_after(line: Line) -> None:
    """Reads the whole request, then hangs up politely."""
    await line.read()


async def never_reads(line: Line) -> None:
    """Takes the connection and nothing from it."""
    await anyio.sleep_forever()


async def never_answers(line: Line) -> None:
    """Reads the whole request and says nothing."""
    await line.read()
    await anyio.sleep_forever()


def dribbles(status: int) -> Deed:
    """Begins an answer of this status and never ends it."""

    async def deed(line: Line) -> None:
        await line.read()
        await line.say(answer(status, b"{", length=1 << 20))
        for _ in range(6000):
            await line.say(b" ")
            await anyio.sleep(0.01)

    return deed
