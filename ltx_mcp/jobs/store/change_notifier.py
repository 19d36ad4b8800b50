"""Notifies waiting calls when any process has changed a job: one cheap query per tick for all of them.

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
    """The waiting calls of one process. `revisions` returns the revisions of many jobs at once."""

    def __init__(self, revisions: Callable[[Sequence[str]], Awaitable[dict[str, int]]], tick_s: float) -> None:
        self._revisions = revisions
        self._tick_s = tick_s
        self._waiters: set[_Waiter] = set()
        self._has_leader = False
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Poll now: this process itself changed something."""
        self._woken.set()

    async def change(self, seen: dict[str, int]) -> None:
        """Return once any of these jobs has another revision than the one `seen`."""
        waiter = _Waiter(seen)
        self._waiters.add(waiter)
        try:
            while not waiter.changed:
                if self._has_leader:
                    await waiter.woken.wait()
                    waiter.woken = anyio.Event()
                else:
                    await self._lead(waiter)
        finally:
            self._waiters.discard(waiter)
            if not self._has_leader and self._waiters:
                next(iter(self._waiters)).woken.set()  # another waiter must become the leader

    async def _lead(self, waiter: _Waiter) -> None:
        """Poll for all waiters until the leader's own job changes or its call is cancelled."""
        self._has_leader = True
        try:
            while True:
                await self._poll()
                if waiter.changed:
                    return
                with anyio.move_on_after(self._tick_s):
                    await self._woken.wait()
                self._woken = anyio.Event()
        finally:
            self._has_leader = False

    async def _poll(self) -> None:
        found = await self._revisions(list({job_id for each in self._waiters for job_id in each.seen}))
        for each in self._waiters:
            if any(found.get(job_id, revision) != revision for job_id, revision in each.seen.items()):
                each.changed = True
                each.woken.set()
