"""Waits of calls for what happens to jobs, which can all be ended early: each then answers with what is so by now."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class Waits:
    """The waits of one process. Once they were ended, a new one ends at once."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self._have_ended = False

    @contextmanager
    def at_most(self, seconds: float) -> Iterator[anyio.CancelScope]:
        """Leave the block after `seconds`, or when the waits are ended."""
        with anyio.move_on_after(0 if self._have_ended else seconds) as scope:
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)

    @property
    def count(self) -> int:
        """How many there are now."""
        return len(self._scopes)

    def end(self) -> None:
        """End all that there are, and those to come."""
        self._have_ended = True
        for scope in self._scopes:
            scope.cancel()
