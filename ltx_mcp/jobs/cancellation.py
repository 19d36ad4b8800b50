"""Wishes to cancel, one or many: what was never sent ends at once, of the rest the holder is told.

Of many the newest come first, so that no job begins because the one that it waited for was cancelled.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio
from sqlalchemy import Connection, literal_column, select

from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import change, load, record, record_transition, terminal_changes, to_job
from ltx_mcp.jobs.store.schema import IS_LIVE, jobs

BATCH = 50
"""In one transaction: others who write wait for it."""
DECIDED_S = 3.0
ENDED_BEFORE = "ended"


def request_cancel(connection: Connection, job: Job, now: datetime) -> Job:
    """Leave the wish at this job, whose row is locked, unless it has one or has ended."""
    if not job.live or job.cancel_requested:
        return job
    this_job = (jobs.c.id == job.id,)
    if job.state is State.QUEUED:
        never = {"state": State.CANCELLED, "cancel": CancelOutcome.NEVER_SENT, "bill": ChargeState.RELEASED}
        change(connection, this_job, terminal_changes(State.CANCELLED, now) | never | {"cancel_requested": True})
        return record_transition(connection, job.id, State.CANCELLED, now, "cancelled", {"bill": ChargeState.RELEASED})
    late = {"cancel": CancelOutcome.NOT_POSSIBLE} if job.state is State.SAVING else {}
    change(connection, this_job, {"cancel_requested": True} | late)
    record(connection, job.id, now, "cancel_wanted", {})
    return load(connection, job.id)


def outcome_of(job: Job) -> str:
    """What a wish came to: a word of CancelOutcome, or that the job had ended before."""
    if job.cancel is not None:
        return job.cancel.value
    return CancelOutcome.ASKED.value if job.cancel_requested else ENDED_BEFORE


@dataclass(frozen=True)
class CancelResult:
    """What cancelling many came to: how many by outcome, and those that are still under way."""

    outcomes: Mapping[str, int]
    live: Mapping[str, str]


class Cancellation:
    """Of one caller's jobs. `told` tells their holders in this process, `changed` returns when one of some jobs has."""

    def __init__(
        self,
        database: Database,
        wake_step: Callable[[str], None],
        changed: Callable[[dict[str, int]], Awaitable[None]],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._wake_step = wake_step
        self._changed = changed
        self._now = now

    async def find(self, caller: str, states: Sequence[str]) -> Mapping[str, str]:
        """The state of each live job in one of these states, newest first."""
        return await self._database.run_in_thread(self._find, caller, states)

    async def cancel(self, caller: str, job_ids: Sequence[str]) -> CancelResult:
        """Wish these jobs cancelled, newest first, and say what came of it; what is not decided within some seconds
        counts as asked."""
        ended: Counter[str] = Counter()
        open_: dict[str, Job] = {}
        for first in range(0, len(job_ids), BATCH):
            for job in await self._database.run_in_thread(self._request, caller, job_ids[first : first + BATCH]):
                self._wake_step(job.id)
                if job.live:
                    open_[job.id] = job
                else:
                    ended[outcome_of(job)] += 1
        live = await self._decided(caller, open_)
        outcomes = ended + Counter(outcome_of(job) for job in live)
        return CancelResult(outcomes, {job.id: outcome_of(job) for job in live if job.live})

    async def _decided(self, caller: str, open_: dict[str, Job]) -> Sequence[Job]:
        """These jobs when it is known of each what came of the wish, or when nothing has changed for a while."""
        found = dict(open_)
        while waiting := {job.id: job.revision for job in found.values() if job.live and job.cancel is None}:
            with anyio.move_on_after(DECIDED_S) as patience:
                await self._changed(waiting)
            for job in await self._database.run_in_thread(self._get, caller, list(waiting)):
                found[job.id] = job
            if patience.cancelled_caught:
                break
        return list(found.values())

    # -- blocking -----------------------------------------------------------------------------------------------

    def _find(self, caller: str, states: Sequence[str]) -> Mapping[str, str]:
        query = select(jobs.c.id, jobs.c.state).where(jobs.c.caller == caller, literal_column(IS_LIVE))
        query = query.where(jobs.c.state.in_(states)).order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
        with self._database.read() as connection:
            return {row.id: row.state for row in connection.execute(query)}

    def _get(self, caller: str, job_ids: Sequence[str]) -> Sequence[Job]:
        with self._database.read() as connection:
            found = connection.execute(select(jobs).where(jobs.c.caller == caller, jobs.c.id.in_(job_ids)))
            return [to_job(row._mapping) for row in found]

    def _request(self, caller: str, job_ids: Sequence[str]) -> Sequence[Job]:
        query = select(jobs).where(jobs.c.caller == caller, jobs.c.id.in_(job_ids))
        with self._database.write() as connection:
            locked = connection.execute(query.order_by(jobs.c.id).with_for_update())
            found = {row.id: to_job(row._mapping) for row in locked}
            return [request_cancel(connection, found[job_id], self._now()) for job_id in job_ids if job_id in found]
