"""Requests to cancel one job or many: what was never sent ends at once; for the rest the lease owner is told.

The newest are cancelled first, so that no job starts because the one it waited for was cancelled.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import anyio
from sqlalchemy import Connection, select

from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import change, load, record, record_transition, terminal_changes, to_job
from ltx_mcp.jobs.store.schema import jobs

BATCH = 50
"""Jobs per transaction, for which other writers wait."""
DECIDED_S = 3.0
ENDED_BEFORE = "ended"


def request_cancel(connection: Connection, job: Job, now: datetime) -> Job:
    """Record the request in this job, whose row is locked, unless it has one or has ended."""
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
    """The outcome of a request: a value of CancelOutcome, or that the job had ended before."""
    if job.cancel is not None:
        return job.cancel.value
    return CancelOutcome.ASKED.value if job.cancel_requested else ENDED_BEFORE


@dataclass(frozen=True)
class CancelResult:
    """How many jobs had which outcome, and the outcome of those that are still live."""

    outcomes: Mapping[str, int]
    live: Mapping[str, str]


@dataclass(frozen=True)
class Cancellation:
    """Cancels jobs of one caller. `wake_step` wakes a job's step in this process; `changed` returns when one of the
    given jobs has another revision."""

    database: Database
    wake_step: Callable[[str], None]
    changed: Callable[[dict[str, int]], Awaitable[None]]
    now: Callable[[], datetime]

    async def cancel(self, caller: str, job_ids: Sequence[str]) -> CancelResult:
        """Request that these jobs be cancelled, newest first, and return the outcomes; what is not decided within some
        seconds counts as asked."""
        ended: Counter[str] = Counter()
        open_: dict[str, Job] = {}
        for first in range(0, len(job_ids), BATCH):
            for job in await self.database.run_in_thread(self.request, caller, job_ids[first : first + BATCH]):
                self.wake_step(job.id)
                if job.live:
                    open_[job.id] = job
                else:
                    ended[outcome_of(job)] += 1
        live = await self._decided(caller, open_)
        outcomes = ended + Counter(outcome_of(job) for job in live)
        return CancelResult(outcomes, {job.id: outcome_of(job) for job in live if job.live})

    async def _decided(self, caller: str, open_: dict[str, Job]) -> Sequence[Job]:
        """These jobs once the outcome of each is known, or once nothing has changed for DECIDED_S."""
        found = dict(open_)
        while waiting := {job.id: job.revision for job in found.values() if job.live and job.cancel is None}:
            with anyio.move_on_after(DECIDED_S) as patience:
                await self.changed(waiting)
            for job in await self.database.run_in_thread(self._get, caller, list(waiting)):
                found[job.id] = job
            if patience.cancelled_caught:
                break
        return list(found.values())

    # -- blocking -----------------------------------------------------------------------------------------------

    def _get(self, caller: str, job_ids: Sequence[str]) -> Sequence[Job]:
        with self.database.read() as connection:
            found = connection.execute(select(jobs).where(jobs.c.caller == caller, jobs.c.id.in_(job_ids)))
            return [to_job(row._mapping) for row in found]

    def request(self, caller: str, job_ids: Sequence[str]) -> Sequence[Job]:
        """Record the request in all of these jobs in one transaction: in this order, but the newest day first, because
        days are counted one after the other; see m0007_callers."""
        query = select(jobs).where(jobs.c.caller == caller, jobs.c.id.in_(job_ids))
        with self.database.write() as connection:
            locked = connection.execute(query.order_by(jobs.c.id).with_for_update()).all()
            found, days = {row.id: to_job(row._mapping) for row in locked}, {row.id: row.day for row in locked}
            in_order = sorted((job_id for job_id in job_ids if job_id in found), key=days.__getitem__, reverse=True)
            return [request_cancel(connection, found[job_id], self.now()) for job_id in in_order]
