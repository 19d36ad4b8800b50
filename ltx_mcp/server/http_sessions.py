"""Limits the sessions of clients of older protocols: for a new one too many, the one unused for the longest ends. Its
client gets 404, after which the protocol has it start a new session.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_SESSIONS = 200
MAX_SESSIONS_IN_USE = 300
"""A session with a request in progress, such as an open stream, is not ended for a new one: beyond this many of them
the SDK responds with 503."""
SESSION_IDLE_TIMEOUT_S = 30 * 60.0
HEADER = b"mcp-session-id"


class Sessions:
    """ASGI middleware before the SDK's endpoint at `path`. It recognizes sessions by their header, and ends one with
    DELETE, as its client would."""

    def __init__(self, app: ASGIApp, path: str, max_sessions: int = MAX_SESSIONS) -> None:
        self._app = app
        self._path = path
        self._max = max_sessions
        self._in_use: dict[bytes, int] = {}
        """How many requests each session has in progress; the longest unused session first."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        session = _session_in(scope["headers"])
        if session not in self._in_use:
            await self._serve_new(scope, receive, send)
            return
        self._take(session)
        try:
            await self._app(scope, receive, send)
        finally:
            self._release(session)

    async def _serve_new(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request whose answer may open a session."""
        session = b""

        async def watched(message: Message) -> None:
            nonlocal session
            if message["type"] == "http.response.start" and message["status"] == 200:
                session = _session_in(message["headers"])
                if session:
                    self._take(session)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if session:
                self._release(session)
        if session:
            await self._end_unused(scope)

    def _take(self, session: bytes) -> None:
        self._in_use[session] = self._in_use.pop(session, 0) + 1

    def _release(self, session: bytes) -> None:
        self._in_use[session] = self._in_use.pop(session, 1) - 1

    async def _end_unused(self, scope: Scope) -> None:
        while len(self._in_use) > self._max:
            unused = next((session for session, count in self._in_use.items() if not count), None)
            if unused is None:
                return
            del self._in_use[unused]
            kept = [(name, value) for name, value in scope["headers"] if name in (b"host", b"origin")]
            request = {**scope, "method": "DELETE", "headers": [*kept, (HEADER, unused)]}
            await self._app(request, _receive_nothing, _send_to_nobody)


def _session_in(headers: list[tuple[bytes, bytes]]) -> bytes:
    return next((value for name, value in headers if name.lower() == HEADER), b"")


async def _receive_nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send_to_nobody(message: Message) -> None:
    """The response is not needed."""
