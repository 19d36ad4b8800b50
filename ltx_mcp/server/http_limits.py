"""Limits the connections of `serve --http` in number and time, which uvicorn does not do itself.

Clients on loopback cannot be distinguished, so a full server closes the connection that has kept it waiting the
longest, and refuses a new one only when every other one is being served.
"""

import logging
import secrets
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ltx_mcp.log_context import LogContext, set_log_context

logger = logging.getLogger(__name__)

MAX_OPEN_FILES = 65_536
CHECK_INTERVAL_S = 0.5
QUEUE = 512
"""Connections that the OS queues until they are accepted."""
REQUEST_BYTES = 6
"""Of the name that the log gives a request."""
ABORT = "ltx_mcp.abort"
"""The key in a request's scope of the function that ends its connection at once."""


@dataclass(frozen=True)
class HttpLimits:
    """A body may take `body_timeout_s`, and longer while it has `min_body_bytes_per_s`."""

    max_connections: int = 512
    max_accepted_at_once: int = 64
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 30.0
    body_timeout_s: float = 20.0
    min_body_bytes_per_s: int = 32_000
    write_timeout_s: float = 60.0


def make_limits() -> HttpLimits:
    """Limits that fit the number of open files allowed, after that was raised as far as possible."""
    allowed = _raise_open_files()
    # several rounds of accepting pass before the first excess connection is closed
    return HttpLimits(min(512, allowed // 2), max(1, min(64, allowed // 16)))


def _raise_open_files() -> int:
    if sys.platform == "win32":
        return MAX_OPEN_FILES
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_OPEN_FILES
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS has a lower limit of its own when the limit is infinite
        return soft
    return wanted


class WebServer(uvicorn.Server):
    """uvicorn within `limits`. It ends when `leave` is called."""

    def __init__(self, app: ASGIApp, limits: HttpLimits) -> None:
        logging.getLogger("uvicorn.access").addFilter(_drop_query)
        protocol = partial(HttpConnection, limits, Connections(limits))
        super().__init__(
            uvicorn.Config(
                app,
                http=cast(Any, protocol),
                ws="none",
                backlog=limits.max_accepted_at_once,
                log_config=None,
                lifespan="on",
                timeout_keep_alive=max(1, round(limits.idle_timeout_s)),
            )
        )

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to our own handler: uvicorn's would end at once, and cut streams that are open."""
        with super().capture_signals() if sys.platform == "win32" else nullcontext():
            yield

    def leave(self, grace_s: int) -> None:
        """Accept nothing more, and end once all is answered, or after `grace_s`."""
        self.config.timeout_graceful_shutdown = grace_s
        self.should_exit = True

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start to accept, a few at a time, while the rest wait in the OS's queue."""
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(QUEUE)


def _drop_query(record: logging.LogRecord) -> bool:
    """A signature may stand in the query of a request, or a token that does not belong there."""
    if isinstance(record.args, tuple):
        record.args = tuple(each.partition("?")[0] if isinstance(each, str) else each for each in record.args)
    return True


class Connections:
    """The open connections of a server."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._open: set[HttpConnection] = set()
        self._is_watched = False

    def add(self, connection: "HttpConnection") -> None:
        """Add a connection. If there are too many, close one that keeps us waiting, or else refuse this one."""
        self._open.add(connection)
        if not self._is_watched:
            self._is_watched = True
            connection.loop.call_later(CHECK_INTERVAL_S, self._check, connection)
        if len(self._open) <= self._limits.max_connections:
            return
        waiting = [(since, other) for other in self._open if other is not connection if (since := other.waiting_since)]
        if waiting:
            logger.warning("All %d connections are in use; silent ones are closed.", self._limits.max_connections)
            self.drop(min(waiting, key=lambda pair: pair[0])[1])
        else:
            logger.warning("All %d connections are busy; new ones are refused.", self._limits.max_connections)
            connection.refuse(b"503 Service Unavailable")
            self._open.discard(connection)

    def drop(self, connection: "HttpConnection") -> None:
        """End a connection at once."""
        self._open.discard(connection)
        connection.transport.abort()

    def discard(self, connection: "HttpConnection") -> None:
        """Forget a connection that ended."""
        self._open.discard(connection)

    def _check(self, any_one: "HttpConnection") -> None:
        now = any_one.loop.time()
        for connection in [connection for connection in self._open if connection.is_overdue(now)]:
            if connection.is_sending_body and not connection.transport.is_closing():
                connection.refuse(b"408 Request Timeout")
            else:
                self.drop(connection)
        self._is_watched = bool(self._open)
        if self._is_watched:
            any_one.loop.call_later(CHECK_INTERVAL_S, self._check, any_one)


class HttpConnection(H11Protocol):
    """uvicorn's protocol, which also knows how long it has been waiting for its client."""

    def __init__(self, limits: HttpLimits, connections: Connections, /, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self.app = cast(Any, partial(self._serve, cast(ASGIApp, self.app)))
        self._limits = limits
        self._all = connections
        self._silent_since = self._moved_at = self.loop.time()
        self._header_until = self._body_until = 0.0
        self._stuck_since = 0.0
        self._is_between = False

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        set_log_context(LogContext(request=secrets.token_hex(REQUEST_BYTES)))
        await app({**scope, ABORT: self.transport.abort}, receive, send)

    def connection_made(self, transport: Any) -> None:
        """Start to wait for a header."""
        super().connection_made(transport)
        self._silent_since = self.loop.time()
        self._header_until = self._silent_since + self._limits.header_timeout_s
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._moved_at = self.loop.time()
        if self._is_between:
            self._is_between = False
            self._header_until = self._moved_at + self._limits.header_timeout_s
        self._body_until += len(data) / self._limits.min_body_bytes_per_s
        super().data_received(data)

    def handle_events(self) -> None:
        """Process what was received; after a header, start to wait for a body."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._body_until = self.loop.time() + self._limits.body_timeout_s

    def on_response_complete(self) -> None:
        """Start to wait for another request."""
        self._is_between = True
        self._silent_since = self.loop.time()
        self._header_until = self._silent_since + self._limits.idle_timeout_s
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read the response."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stuck_since = 0.0
        super().resume_writing()

    def shutdown(self) -> None:
        """uvicorn ends; abort a connection that is closing already."""
        if self.transport.is_closing():
            self.transport.abort()
        else:
            super().shutdown()

    @property
    def is_sending_body(self) -> bool:
        """Whether the rest of a body is expected from the client."""
        return self.conn.their_state is h11.SEND_BODY

    @property
    def waiting_since(self) -> float | None:
        """Since when we wait for the client, by the loop's clock; None while we do not."""
        if self._stuck_since:
            return self._stuck_since
        if self.is_sending_body:
            is_unread = self.flow.read_paused or self.conn.they_are_waiting_for_100_continue
            return None if is_unread else self._moved_at
        is_served = self.cycle is not None and not self.cycle.response_complete
        return None if is_served else self._silent_since

    def is_overdue(self, now: float) -> bool:
        """Whether the client has exceeded its time."""
        if self.waiting_since is None:
            # while we do not read the body, its time does not pass
            self._body_until = max(self._body_until, now + self._limits.body_timeout_s)
            return False
        if self._stuck_since:
            return now > self._stuck_since + self._limits.write_timeout_s
        return now > (self._body_until if self.is_sending_body else self._header_until)

    def refuse(self, status: bytes) -> None:
        """Send this status, unless a response has begun, and close the connection."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        self.transport.close()
