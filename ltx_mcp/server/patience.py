"""How long calls may wait: clients time out after 5, 60 or 600 seconds without saying so, so each connection begins
with short waits, and has longer ones once its client has shown that it waits.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import anyio
from mcp.server.mcpserver import Context

from ltx_mcp.server.auth.current import current_caller

SHORT_S = 3.0
"""Every known client waits this long: the shortest time-out is 5 s."""
LONGER_S = 4.0
"""A call that succeeded after this time shows that its client waits; a call with a wait of SHORT_S is shorter."""
SPARE = 0.75
"""The fraction of a client's time-out that later calls use."""
MAX_REMEMBERED = 1000


class Patience:
    """The patience of one connection, in seconds."""

    def __init__(self, now: Callable[[], float] = anyio.current_time) -> None:
        self._now = now
        self._has_waited = False
        self._max_s = inf
        self._calls = 0

    def default_s(self, seconds: float) -> float:
        """How long a call waits that gave no wait_seconds; `seconds` if its client is known to wait."""
        return min(seconds if self._has_waited else SHORT_S, self._max_s)

    def asked_s(self, seconds: float) -> float:
        """How long a call waits that asked for `seconds`."""
        return min(seconds, self._max_s)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Learn from one call: whether it is cancelled, or succeeds late without another call in between. A client that
        times out silently makes another call."""
        self._calls += 1
        this, began = self._calls, self._now()
        try:
            yield
        except anyio.get_cancelled_exc_class():
            took_s = self._now() - began
            if took_s >= SHORT_S:  # sooner, it was a person who cancelled it
                self._max_s = min(self._max_s, max(SHORT_S, took_s * SPARE))
            raise
        if self._now() - began >= LONGER_S and this == self._calls:
            self._has_waited = True


class Patiences:
    """The patience of each connection of a caller; the longest unused is forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Patience] = OrderedDict()

    def of(self, context: Context[Any]) -> Patience:
        """The patience of a call's connection; a new one if the connection is not known."""
        request = context.request_context.request
        session = "" if request is None else request.headers.get("mcp-session-id")
        if session is None:
            return Patience()
        name = (current_caller(), session)
        patience = self._known.pop(name, None) or Patience()
        self._known[name] = patience
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return patience
