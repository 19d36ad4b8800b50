"""How a waiting call learns that a job changed, whichever process changed it: one cheap query a tick for all of them.

Nothing runs while nobody waits.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import anyio


@dataclass(eq=False)
class _Waiter:
    seen: dict[str, int]
    changed: bool = False
    woken: anyio.Event = field(default_factory=anyio.Event)


class ChangeNotifier:
    """Waiting callers of one process. `revisions` answers for many jobs at once."""

    def __init__(self, revisions: Callable[[Sequence[str]], Awaitable[dict[str, int]]], tick_s: float) -> None:
        self._revisions = revisions
        self._tick_s = tick_s
        self._waiters: set[_Waiter] = set()
        self._led = False
        self._news = anyio.Event()

    def wake(self) -> None:
        """Look now: this process itself changed something."""
        self._news.set()

    async def change(self, seen: dict[str, int]) -> None:
        """Return once any of these jobs has another revision than the one `seen`."""
        waiter = _Waiter(seen)
        self._waiters.add(waiter)
        try:
            while not waiter.changed:
                if self._led:
                    await waiter.woken.wait()
                    waiter.woken = anyio.Event()
                else:
                    await self._lead(waiter)
        finally:
            self._waiters.discard(waiter)
            if not self._led and self._waiters:
                next(iter(self._waiters)).woken.set()  # somebody has to tick on

    async def _lead(self, waiter: _Waiter) -> None:
        """Tick for everybody until the leader's own job changes or its call is cancelled."""
        self._led = True
        try:
            while True:
                await self._look()
                if waiter.changed:
                    return
                with anyio.move_on_after(self._tick_s):
                    await self._news.wait()
                self._news = anyio.Event()
        finally:
            self._led = False

    async def _look(self) -> None:
        found = await self._revisions(list({job_id for each in self._waiters for job_id in each.seen}))
        for each in self._waiters:
            if any(found.get(job_id, revision) != revision for job_id, revision in each.seen.items()):
                each.changed = True
                each.woken.set()
