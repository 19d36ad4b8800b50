"""How long calls may wait: clients time out after 5, 60 or 600 seconds without saying so, so each connection begins
with short waits, and has longer ones once its client has shown that it waits.

Over HTTP only clients of older protocols can be recognized, by the name of their connection.
"""

import re
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import anyio
from mcp.types import RequestId

from ltx_mcp.server.auth.principal import principal_of

SHORT_S = 3.0
"""Every known client waits this long: the shortest time-out is 5 s."""
LONGER_S = 4.0
"""A call that succeeded after this time shows that its client waits; a call with a wait of SHORT_S is shorter."""
SPARE = 0.75
"""The fraction of a client's time-out that later calls use."""
MAX_REMEMBERED = 1000
CONNECTION = "mcp-session-id"
"""The header with the name of a connection, which this server gave it (`http_endpoint.py`)."""
NAME_BYTES = 16
NAME = re.compile(f"[0-9a-f]{{{2 * NAME_BYTES}}}")


class Patience:
    """The patience of one connection, in seconds."""

    def __init__(self, now: Callable[[], float] = anyio.current_time) -> None:
        self._now = now
        self._has_waited = False
        self._max_s = inf
        self._calls = 0
        self._began: dict[RequestId | None, float] = {}

    def default_s(self, seconds: float) -> float:
        """How long a call waits that gave no wait_seconds; `seconds` if its client is known to wait."""
        return min(seconds if self._has_waited else SHORT_S, self._max_s)

    def asked_s(self, seconds: float) -> float:
        """How long a call waits that asked for `seconds`."""
        return min(seconds, self._max_s)

    @asynccontextmanager
    async def call(self, request_id: RequestId | None = None) -> AsyncIterator[None]:
        """Learn from one call: whether its client gives up, or it succeeds late without another call in between. A
        client that times out silently makes another call."""
        self._calls += 1
        this = self._calls
        self._began[request_id] = self._now()
        try:
            yield
            began = self._began.get(request_id)
            if began is not None and self._now() - began >= LONGER_S and this == self._calls:
                self._has_waited = True
        except anyio.get_cancelled_exc_class():
            self.given_up(request_id)
            raise
        finally:
            self._began.pop(request_id, None)

    def given_up(self, request_id: RequestId | None) -> None:
        """Learn how long the client waited for a call that it does not wait for any more."""
        began = self._began.pop(request_id, None)
        took_s = 0.0 if began is None else self._now() - began
        if took_s >= SHORT_S:  # sooner, it was a person who cancelled it
            self._max_s = min(self._max_s, max(SHORT_S, took_s * SPARE))


class Patiences:
    """The patience of each connection of a caller; the longest unused is forgotten first. A server that shares its
    database does not hear all calls of a connection, so over HTTP it learns nothing: `is_alone` is False."""

    def __init__(self, *, is_alone: bool) -> None:
        self._is_alone = is_alone
        self._known: OrderedDict[tuple[str, str], Patience] = OrderedDict()

    def of(self, request: Any) -> Patience:
        """The patience of a connection, by one of its HTTP requests (None is stdio); a new one if it is not known."""
        connection = "" if request is None else request.headers.get(CONNECTION, "")
        if request is not None and not (self._is_alone and NAME.fullmatch(connection)):
            return Patience()
        key = (principal_of(request).caller, connection)
        patience = self._known.pop(key, None) or Patience()
        self._known[key] = patience
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return patience
