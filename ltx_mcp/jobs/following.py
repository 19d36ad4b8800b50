"""Waiting for a job, or for all takes of a set: whoever waits is told of each change, whatever process makes it."""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet, jobs_of
from ltx_mcp.jobs.store.change_notifier import ChangeNotifier
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import has_ended
from ltx_mcp.jobs.waits import Waits

HEARTBEAT_S = 10.0
NOT_SUBMITTED = frozenset({State.QUEUED, State.SUBMITTING})

Followed = TypeVar("Followed", Job, JobSet)
OnProgress = Callable[[Followed], Awaitable[None]]


class Following:
    """Follows the jobs of one process. `queue_ahead` says how many must end before a queued one can start."""

    def __init__(
        self, store: Store, watch: ChangeNotifier, waits: Waits, queue_ahead: Callable[[Job], Awaitable[int]]
    ) -> None:
        self._store = store
        self._watch = watch
        self._waits = waits
        self._queue_ahead = queue_ahead

    async def wait_for_submission(
        self,
        followed: Followed,
        wait_s: float,
        on_progress: OnProgress[Followed],
        max_s: float = math.inf,
        submission_wait_s: float = math.inf,
    ) -> Followed:
        """Wait until the provider has answered the order or the job is known to be waiting its turn, at most
        `submission_wait_s`; then for the job's end, until `wait_s` from now. All of it within `max_s`. Of a set, all
        takes are waited for."""
        began, wait_s = anyio.current_time(), min(wait_s, max_s)
        with self._waits.at_most(min(max(submission_wait_s, wait_s), max_s)):
            await self.until(followed, self._is_submission_known, on_progress)
        return await self.wait(await self.reload(followed), began + wait_s - anyio.current_time(), on_progress)

    async def wait(self, followed: Followed, seconds: float, on_progress: OnProgress[Followed]) -> Followed:
        """The job, or all takes of the set, at the end, or as it is after `seconds`."""
        if seconds > 0:
            with self._waits.at_most(seconds):
                await self.until(followed, has_ended, on_progress)
        return await self.reload(followed)

    async def until(
        self,
        followed: Followed,
        done: Callable[[Job], Awaitable[bool]],
        on_progress: OnProgress[Followed] | None = None,
    ) -> None:
        """Return when all are `done`; `on_progress` is called at each change, and at least every HEARTBEAT_S."""
        while True:
            if on_progress is not None:
                await on_progress(followed)
            jobs = jobs_of(followed)
            if all([await done(job) for job in jobs]):
                return
            with anyio.move_on_after(HEARTBEAT_S):
                await self._watch.change({job.id: job.revision for job in jobs})
            followed = await self.reload(followed)

    async def _is_submission_known(self, job: Job) -> bool:
        return job.state not in NOT_SUBMITTED or bool(job.blocked_by) or await self._queue_ahead(job) > 0

    async def reload(self, followed: Followed) -> Followed:
        """It as it is now."""
        return await self._store.run_in_thread(self._store.reload, followed)
