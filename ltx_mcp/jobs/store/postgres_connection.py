"""A connection to PostgreSQL that does not wait forever: when a server or network falls silent in the middle of a
statement, the server's own time limits do not help.
"""

from collections.abc import Generator
from time import monotonic
from typing import Any, TypeVar

import psycopg

SILENCE_S = 15

T = TypeVar("T")


class WatchedConnection(psycopg.Connection[Any]):
    """Fails when nothing was received for SILENCE_S."""

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """As in the driver, which returns from its socket regularly (before 3.2.11 without saying so)."""
        return super().wait(self._watched(gen), *args, **kwargs)

    def _watched(self, gen: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        last = monotonic()
        try:
            state = next(gen)
            while True:
                ready = yield state
                if ready:
                    last = monotonic()
                elif monotonic() - last > SILENCE_S:
                    gen.close()
                    self.pgconn.finish()
                    raise psycopg.OperationalError(f"nothing came for {SILENCE_S} s")
                state = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
