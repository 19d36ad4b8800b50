"""Removes jobs that ended long ago, if the operator wants it: videos, inputs, histories and rows.

Jobs with unsettled money and sources of live jobs stay. Of a request_key it stays what it named: it never orders again.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio.from_thread
from sqlalchemy import ColumnElement, Connection, Table, delete, exists, func, insert, literal_column, select

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.job import ACTIVE_STATES, TERMINAL_STATES
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import day_of
from ltx_mcp.jobs.store.schema import IS_SETTLED, events, job_inputs, jobs, sets, spent, tombstones, uploads

logger = logging.getLogger(__name__)

EVERY_S = 3600.0
BATCH = 200
user = jobs.alias()
"""The jobs that are made from others."""


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
                if cleared := await self.database.run_in_thread(self.clear, now(), anyio.from_thread.check_cancelled):
                    logger.info("%d old jobs were removed", cleared)
            except LtxError as error:
                logger.error("old jobs could not be removed: %s", error)
            await sleep(EVERY_S)

    def clear(self, now: datetime, check: Callable[[], None] = lambda: None) -> int:
        """Remove what ended too long ago; returns how many jobs. Blocking, for a long time where there are many, so
        `check` is called between them and may raise. Raises SetupError(storage_failed)."""
        before, cleared = now - timedelta(days=self.keep_days), 0
        while old := self._old(before):
            for job_id in old:
                check()
                self.files.remove_video(job_id)  # before the row, so that a crash in between leaves nothing behind
            self._remove(old)
            cleared += len(old)
        with self.database.write(durable=False) as connection:
            connection.execute(delete(uploads).where(uploads.c.expires_at < now))
            connection.execute(delete(spent).where(spent.c.day < day_of(before), spent.c.micro == 0))
        self.files.remove_inputs(self._used, before)
        return cleared

    def _old(self, before: datetime) -> list[str]:
        needing = (  # counted row by row: as a join, all inputs would be read for each batch
            select(func.count())
            .select_from(job_inputs.join(user, user.c.id == job_inputs.c.job_id))
            .where(job_inputs.c.name == jobs.c.id, user.c.state.in_(ACTIVE_STATES))
            .scalar_subquery()
        )
        settled: tuple[Any, ...] = (
            literal_column(IS_SETTLED),
            jobs.c.finished_at < before,
            jobs.c.state.in_(TERMINAL_STATES),
        )
        query = select(jobs.c.id).where(*settled, needing == 0).order_by(jobs.c.finished_at).limit(BATCH)
        with self.database.read() as connection:
            return list(connection.execute(query).scalars())

    def _remove(self, job_ids: list[str]) -> None:
        with self.database.write() as connection:
            self.database.lock(connection, "retention")
            _keep_tombstones(connection, jobs, jobs.c.id.in_(job_ids))
            connection.execute(delete(events).where(events.c.job_id.in_(job_ids)))
            of_takes = select(jobs.c.set_id).where(jobs.c.id.in_(job_ids), jobs.c.set_id.is_not(None)).distinct()
            set_ids = connection.execute(of_takes).scalars().all()
            days = connection.execute(select(jobs.c.day).where(jobs.c.id.in_(job_ids)).distinct()).scalars().all()
            for day in sorted(days, reverse=True):  # a day after the other, as they are counted; see m0007_callers
                connection.execute(delete(jobs).where(jobs.c.id.in_(job_ids), jobs.c.day == day))
            is_empty = (sets.c.id.in_(set_ids), ~exists().where(jobs.c.set_id == sets.c.id))
            _keep_tombstones(connection, sets, *is_empty)
            connection.execute(delete(sets).where(*is_empty))

    def _used(self, digests: Sequence[str]) -> set[str]:
        """Those of them that are inputs of remaining jobs."""
        found: set[str] = set()
        for first in range(0, len(digests), BATCH):
            query = select(job_inputs.c.name).where(job_inputs.c.name.in_(digests[first : first + BATCH])).distinct()
            with self.database.read() as connection:
                found.update(connection.execute(query).scalars())
        return found


def _keep_tombstones(connection: Connection, table: Table, *where: ColumnElement[bool]) -> None:
    """Keep what the keys of these rows named, so that no key ever orders twice."""
    kept = select(table.c.caller, table.c.request_key, table.c.id, table.c.fingerprint)
    kept = kept.where(*where, table.c.request_key.is_not(None))
    connection.execute(insert(tombstones).from_select(["caller", "request_key", "name", "fingerprint"], kept))
