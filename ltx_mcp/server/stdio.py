"""MCP over stdin and stdout, one message per line. Every line with an id gets a response, even an invalid one: the
SDK's own transport drops what it cannot read, and the host waits until it times out."""

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, BinaryIO

import anyio
from anyio import to_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server import MCPServer
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp.types import ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCRequest
from pydantic_core import PydanticSerializationError

from ltx_mcp.domain.quoting import shorten
from ltx_mcp.server.lines import Reading, read_line, refuse_long_line

MAX_LINE_BYTES = 300_000_000
"""Enough for a call with the largest accepted video as data URI."""
MAX_ERROR_BYTES, MAX_ERROR_CHARS = 4000, 1000
"""Errors of the SDK repeat what was sent; longer ones are reduced to the beginning of their message."""
_BUFFER_BYTES = 1 << 18


Incoming = MemoryObjectReceiveStream[SessionMessage | Exception]
Outgoing = MemoryObjectSendStream[SessionMessage]
Serve = Callable[[Incoming, Outgoing], Coroutine[Any, Any, None]]
"""Serves one conversation; its first request determines the protocol version."""


async def serve_stdio(server: MCPServer[Any]) -> None:
    """Serve until stdin ends."""
    # the SDK has no public way to serve over other streams
    core = server._lowlevel_server
    options = core.create_initialization_options()
    async with _opened() as (incoming, outgoing), core.lifespan(core) as state, anyio.create_task_group() as group:
        serve = partial(serve_dual_era_loop, core, lifespan_state=state, init_options=options)
        to_server, passed_on = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        group.start_soon(_respond_to_probes, serve, incoming, outgoing.clone(), to_server)
        await serve(passed_on, outgoing)
        group.cancel_scope.cancel()


async def _respond_to_probes(
    serve: Serve,
    incoming: Incoming,
    outgoing: Outgoing,
    to_server: MemoryObjectSendStream[SessionMessage | Exception],
) -> None:
    """Pass messages on. An initial `server/discover` is answered separately, so that it does not determine the protocol
    version: a client that timed out on it continues with the older handshake."""
    has_begun = False
    async with incoming, outgoing, to_server:
        async for item in incoming:
            request = item.message if isinstance(item, SessionMessage) else None
            if not has_begun and isinstance(request, JSONRPCRequest) and request.method == "server/discover":
                await outgoing.send(await _respond_alone(serve, item))
            else:
                has_begun = has_begun or isinstance(request, JSONRPCRequest)
                await to_server.send(item)
            # free a message of up to 70 MB while waiting for the next
            del item, request


async def _respond_alone(serve: Serve, item: SessionMessage | Exception) -> SessionMessage:
    """The response to one request, as a conversation of its own."""
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](1)
    outgoing, responses = anyio.create_memory_object_stream[SessionMessage](1)
    async with responses, anyio.create_task_group() as group:
        group.start_soon(serve, incoming, outgoing)
        async with to_server:
            await to_server.send(item)
            response = await responses.receive()
    return response


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[Incoming, Outgoing]]:
    source, sink = _claim(0, "rb"), _claim(1, "wb")
    to_server, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_server = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as group:
        group.start_soon(_read_lines, source, to_server, outgoing.clone())
        group.start_soon(_write_lines, sink, from_server)
        yield incoming, outgoing


async def _read_lines(
    source: BinaryIO, to_server: MemoryObjectSendStream[SessionMessage | Exception], to_host: Outgoing
) -> None:
    async with to_server, to_host:
        while (reading := await to_thread.run_sync(_read_next, source)) is not None:
            for error in reading.errors:
                await to_host.send(SessionMessage(error))
            if reading.message is not None:
                await to_server.send(SessionMessage(reading.message))
            # free a message of up to 70 MB while waiting for the next
            del reading


def _read_next(source: BinaryIO, max_bytes: int = MAX_LINE_BYTES) -> Reading | None:
    """The next line; None at the end. Of a line that is too long, only the beginning is kept."""
    line = source.readline(max_bytes + 1)
    if not line:
        return None
    if len(line) <= max_bytes:
        return read_line(line)
    rest = line
    while rest and not rest.endswith(b"\n"):
        rest = source.readline(_BUFFER_BYTES)
    return refuse_long_line(line, max_bytes)


async def _write_lines(sink: BinaryIO, from_server: MemoryObjectReceiveStream[SessionMessage]) -> None:
    async with from_server:
        async for message in from_server:
            await to_thread.run_sync(_write, sink, message)


def _write(sink: BinaryIO, message: SessionMessage) -> None:
    text = _to_json(message.message)
    if isinstance(message.message, JSONRPCError) and len(text) > MAX_ERROR_BYTES:
        error = message.message.error
        short = ErrorData(code=error.code, message=shorten(error.message, MAX_ERROR_CHARS))
        text = _to_json(JSONRPCError(jsonrpc="2.0", id=message.message.id, error=short))
    sink.write(text)
    sink.write(b"\n")
    sink.flush()


def _to_json(message: JSONRPCMessage) -> bytes:
    try:
        return message.model_dump_json(by_alias=True, exclude_unset=True).encode()
    except PydanticSerializationError:
        # file names that are not UTF-8 contain surrogates
        message_json = message.model_dump(by_alias=True, exclude_unset=True)
        return json.dumps(message_json, ensure_ascii=False, default=str).encode("utf-8", "replace")


def _claim(fd: int, mode: str) -> BinaryIO:
    """Take a standard stream for us alone: other readers get end of file, and other output goes to stderr."""
    instead = os.open(os.devnull, os.O_RDONLY) if fd == 0 else os.dup(2)
    own = _duplicate(fd)
    os.dup2(instead, fd)
    os.close(instead)
    if sys.platform == "win32":
        from mcp.os.win32.utilities import rebind_std_handle_to_fd

        rebind_std_handle_to_fd(fd)
    # a thread may still be reading from it when we exit
    return open(own, mode, _BUFFER_BYTES, closefd=False)  # type: ignore[return-value]


def _duplicate(fd: int) -> int:
    """Duplicate it above the three standard streams, one of which may be closed."""
    if sys.platform != "win32":
        from fcntl import F_DUPFD_CLOEXEC, fcntl

        return fcntl(fd, F_DUPFD_CLOEXEC, 3)
    else:
        return os.dup(fd)
