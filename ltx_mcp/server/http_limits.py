"""What one connection may take from `serve --http`: time, open files, a place. uvicorn bounds none of these itself.

Nobody can be told from anybody else on loopback, so a full server never shuts the door: it closes the connection that
has let it wait the longest, and turns a newcomer away only when every other one is being served.
"""

import logging
import sys
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import h11
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger(__name__)

MAX_OPEN_FILES = 65_536
CHECK_INTERVAL_S = 0.5
QUEUE = 512
"""Connections that the OS keeps for us until they are accepted."""
ABORT = "ltx_mcp.abort"
"""Where a request's scope has the call that ends its connection at once."""


@dataclass(frozen=True)
class HttpLimits:
    """`body_timeout_s` is what every body has, and `min_body_bytes_per_s` earns it more."""

    max_connections: int = 512
    max_accepted_at_once: int = 64
    header_timeout_s: float = 10.0
    idle_timeout_s: float = 30.0
    body_timeout_s: float = 20.0
    min_body_bytes_per_s: int = 32_000
    write_timeout_s: float = 60.0


def make_limits() -> HttpLimits:
    """Limits that fit the files this process may have open, of which it gets as many as it can."""
    allowed = _raise_open_files()
    # several rounds of accepting pass before the first connection that is too many is closed
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
    except (OSError, ValueError):  # macOS has a lower limit of its own beneath an endless one
        return soft
    return wanted


class WebServer(uvicorn.Server):
    """uvicorn within `limits`. It ends `grace_s` after it was asked to, whatever is still open then."""

    def __init__(self, app: ASGIApp, limits: HttpLimits, grace_s: int) -> None:
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
                timeout_graceful_shutdown=grace_s,
            )
        )

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Start to accept: few in one go, while the rest wait in the OS's own queue."""
        await super().startup(sockets)
        for each in sockets or ():
            each.listen(QUEUE)


class Connections:
    """The open ones of a server."""

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._open: set[HttpConnection] = set()
        self._is_watched = False

    def add(self, connection: "HttpConnection") -> None:
        """Take it in, at the cost of the one that lets us wait, or else of itself."""
        self._open.add(connection)
        if not self._is_watched:
            self._is_watched = True
            connection.loop.call_later(CHECK_INTERVAL_S, self._check, connection)
        if len(self._open) <= self._limits.max_connections:
            return
        waiting = [(since, each) for each in self._open if each is not connection if (since := each.waiting_since)]
        if waiting:
            logger.warning("All %d connections are in use; silent ones are closed.", self._limits.max_connections)
            self.drop(min(waiting, key=lambda pair: pair[0])[1])
        else:
            logger.warning("All %d connections are busy; new ones are refused.", self._limits.max_connections)
            connection.refuse(b"503 Service Unavailable")
            self._open.discard(connection)

    def drop(self, connection: "HttpConnection") -> None:
        """End it at once."""
        self._open.discard(connection)
        connection.transport.abort()

    def discard(self, connection: "HttpConnection") -> None:
        """It has ended."""
        self._open.discard(connection)

    def _check(self, any_one: "HttpConnection") -> None:
        now = any_one.loop.time()
        for connection in [each for each in self._open if each.is_overdue(now)]:
            if connection.is_sending_body and not connection.transport.is_closing():
                connection.refuse(b"408 Request Timeout")
            else:
                self.drop(connection)
        self._is_watched = bool(self._open)
        if self._is_watched:
            any_one.loop.call_later(CHECK_INTERVAL_S, self._check, any_one)


class HttpConnection(H11Protocol):
    """uvicorn's protocol, which also knows since when it waits for its client."""

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
        await app({**scope, ABORT: self.transport.abort}, receive, send)

    # -- what asyncio and uvicorn call ------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        """A connection, from whose first moment its header is awaited."""
        super().connection_made(transport)
        self._silent_since = self.loop.time()
        self._header_until = self._silent_since + self._limits.header_timeout_s
        self._all.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        self._all.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a header or a body."""
        self._moved_at = self.loop.time()
        if self._is_between:
            self._is_between = False
            self._header_until = self._moved_at + self._limits.header_timeout_s
        self._body_until += len(data) / self._limits.min_body_bytes_per_s
        super().data_received(data)

    def handle_events(self) -> None:
        """Read what came; where it was the end of a header, a body is awaited from now on."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._body_until = self.loop.time() + self._limits.body_timeout_s

    def on_response_complete(self) -> None:
        """An answer was given; another request may come."""
        self._is_between = True
        self._silent_since = self.loop.time()
        self._header_until = self._silent_since + self._limits.idle_timeout_s
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client does not read what it asked for."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._stuck_since = 0.0
        super().resume_writing()

    def shutdown(self) -> None:
        """uvicorn ends; what is closing anyway needs no farewell."""
        if self.transport.is_closing():
            self.transport.abort()
        else:
            super().shutdown()

    # -- what is made of it -----------------------------------------------------------------------------------------

    @property
    def is_sending_body(self) -> bool:
        """Whether the rest of a body is awaited from the client."""
        return self.conn.their_state is h11.SEND_BODY

    @property
    def waiting_since(self) -> float | None:
        """Since when it is the client's turn, by the loop's clock; None while it is ours."""
        if self._stuck_since:
            return self._stuck_since
        if self.is_sending_body:
            is_unread = self.flow.read_paused or self.conn.they_are_waiting_for_100_continue
            return None if is_unread else self._moved_at
        is_served = self.cycle is not None and not self.cycle.response_complete
        return None if is_served else self._silent_since

    def is_overdue(self, now: float) -> bool:
        """Whether the client has had its time."""
        if self.waiting_since is None:
            # a body that we do not read loses no time by it
            self._body_until = max(self._body_until, now + self._limits.body_timeout_s)
            return False
        if self._stuck_since:
            return now > self._stuck_since + self._limits.write_timeout_s
        return now > (self._body_until if self.is_sending_body else self._header_until)

    def refuse(self, status: bytes) -> None:
        """Answer so, where no answer has begun, and end it."""
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            self.transport.write(
                b"HTTP/1.1 " + status + b"\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
        self.transport.close()
