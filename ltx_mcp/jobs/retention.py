"""Removes jobs that ended long ago, if the operator wants it: videos, inputs, histories and rows.

Jobs with unsettled money, sources of live jobs and the rows of every request_key stay: the same key always returns the
same job or set.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, select

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.job import ACTIVE_STATES, TERMINAL_STATES, ChargeState
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import day_of
from ltx_mcp.jobs.store.schema import events, jobs, sets, spent, uploads

logger = logging.getLogger(__name__)

EVERY_S = 3600.0
BATCH = 200


@dataclass(frozen=True)
class Retention:
    """Clears one database and one home."""

    database: Database
    files: FileStore
    keep_days: int

    async def run(self, now: Callable[[], datetime], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Clear every hour."""
        while True:
            try:
                if cleared := await self.database.run_in_thread(self.clear, now()):
                    logger.info("%d old jobs were removed", cleared)
            except LtxError as error:
                logger.error("old jobs could not be removed: %s", error)
            await sleep(EVERY_S)

    def clear(self, now: datetime) -> int:
        """Remove what ended too long ago; returns how many jobs. Blocking; raises SetupError(storage_failed)."""
        before, cleared = now - timedelta(days=self.keep_days), 0
        while old := self._old(before):
            for job_id in old:
                self.files.remove_video(job_id)  # before the row, so that a crash in between leaves nothing behind
            self._remove(old)
            cleared += len(old)
        with self.database.write(durable=False) as connection:
            connection.execute(delete(uploads).where(uploads.c.expires_at < now))
            connection.execute(delete(spent).where(spent.c.day < day_of(before), spent.c.micro == 0))
        self.files.remove_inputs(self._used(), before)
        return cleared

    def _old(self, before: datetime) -> list[str]:
        has_history = exists().where(events.c.job_id == jobs.c.id)
        settled = (
            jobs.c.state.in_(TERMINAL_STATES),
            jobs.c.bill != ChargeState.HELD,
            jobs.c.finished_at < before,
            has_history,
        )
        with self.database.read() as connection:
            live = connection.execute(select(jobs.c.inputs).where(jobs.c.state.in_(ACTIVE_STATES))).scalars()
            needed = {given["job_id"] for given in _each(live)}
            query = select(jobs.c.id).where(*settled, jobs.c.id.not_in(needed)).limit(BATCH)
            return list(connection.execute(query).scalars())

    def _remove(self, job_ids: list[str]) -> None:
        with self.database.write() as connection:
            self.database.lock(connection, "retention")
            connection.execute(delete(events).where(events.c.job_id.in_(job_ids)))
            is_of_key = exists().where(sets.c.id == jobs.c.set_id, sets.c.request_key.is_not(None))
            has_no_key = (jobs.c.request_key.is_(None), ~is_of_key)
            of_takes = select(jobs.c.set_id).where(jobs.c.id.in_(job_ids), jobs.c.set_id.is_not(None)).distinct()
            set_ids = connection.execute(of_takes).scalars().all()
            days = connection.execute(select(jobs.c.day).where(jobs.c.id.in_(job_ids)).distinct()).scalars()
            for day in sorted(days, reverse=True):  # a day after the other, as they are counted; see m0007_callers
                connection.execute(delete(jobs).where(jobs.c.id.in_(job_ids), jobs.c.day == day, *has_no_key))
            has_take = exists().where(jobs.c.set_id == sets.c.id)
            connection.execute(delete(sets).where(sets.c.id.in_(set_ids), ~has_take))

    def _used(self) -> set[str]:
        """The digests of all inputs of the remaining jobs."""
        with self.database.read() as connection:
            return {given["sha256"] for given in _each(connection.execute(select(jobs.c.inputs)).scalars())}


def _each(inputs: Iterable[list[dict[str, Any]]]) -> Iterable[dict[str, Any]]:
    return (given for row in inputs for given in row)
