"""How long calls may wait: clients give up after 5, 60 or 600 seconds and do not say so, so each connection begins
short, and waits longer once it has shown that it can.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import anyio
from mcp.server.mcpserver import Context

SHORT_S = 3.0
"""What every client waits that was seen: the most impatient give up after 5 s."""
LONGER_S = 4.0
"""A call that took so long and was answered shows that its client waits. A wait of SHORT_S does not, with what it takes
besides."""
SPARE = 0.75
"""The part of the time a client gave us that later calls use of it."""
MAX_REMEMBERED = 1000


class Patience:
    """That of one connection. All times are in seconds."""

    def __init__(self, now: Callable[[], float] = anyio.current_time) -> None:
        self._now = now
        self._has_waited = False
        self._max_s = inf
        self._calls = 0

    def default_s(self, seconds: float) -> float:
        """How long a call waits that did not say it, where `seconds` would be well."""
        return min(seconds if self._has_waited else SHORT_S, self._max_s)

    def asked_s(self, seconds: float) -> float:
        """How long a call waits that asked for `seconds`."""
        return min(seconds, self._max_s)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Learn from one call: by being cancelled, or by being answered late, before anything else was asked for. A
        client that gives up without a word goes on with another call."""
        self._calls += 1
        this, began = self._calls, self._now()
        try:
            yield
        except anyio.get_cancelled_exc_class():
            took_s = self._now() - began
            if took_s >= SHORT_S:  # sooner it was a person, who stopped it
                self._max_s = min(self._max_s, max(SHORT_S, took_s * SPARE))
            raise
        if self._now() - began >= LONGER_S and this == self._calls:
            self._has_waited = True


class Patiences:
    """Those of all connections of a server, the longest unused forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Patience] = OrderedDict()

    def of(self, context: Context[Any]) -> Patience:
        """That of the connection of a call; a new one where it cannot be told from others."""
        request = context.request_context.request
        name = "" if request is None else request.headers.get("mcp-session-id")
        if name is None:
            return Patience()
        patience = self._known.pop(name, None) or Patience()
        self._known[name] = patience
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return patience
