"""Liveness for processes that share only a database: each renews a row of its own, by the database's clock.

A process that was silent for LEASE_S counts as dead and its jobs are taken over; if it is alive after all, its fencing
token keeps it from writing, and the answer to an order that it sent still counts.
"""

import platform
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, delete, insert, select, text, update

from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import Moment, workers
from ltx_mcp.jobs.workers.liveness import new_worker

BEAT_S = 5.0
LEASE_S = 30.0
IDLE_S = LEASE_S / 3
"""A process without work is to be known too, and its own silence must not keep it from judging others."""
KEPT = timedelta(hours=1)
CLOCK = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS at").columns(at=Moment)
UP_SINCE = text("SELECT CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000000 AS BIGINT) AS at").columns(
    at=Moment
)


class HeartbeatLiveness:
    """Liveness by a row in `workers`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.worker = ""
        self.idle_s = IDLE_S
        self._beaten_at: datetime | None = None
        self._next_s = 0.0
        self._judges_from: datetime | None = None

    def begin(self) -> None:
        name = new_worker()
        with self._database.write(durable=False) as connection:
            self._write(connection, name)
        self.worker = name

    def beat(self) -> None:
        """Renew the row, every BEAT_S at most. Raises SetupError(storage_failed)."""
        if not self.worker or monotonic() < self._next_s:
            return
        with self._database.write(durable=False) as connection:
            self._write(connection, self.worker)

    def _write(self, connection: Connection, name: str) -> None:
        now: datetime = connection.execute(CLOCK).scalar_one()
        renewed = update(workers).where(workers.c.name == name).values(beat_at=now)
        if connection.execute(renewed).rowcount == 0:
            connection.execute(insert(workers).values(name=name, host=platform.node(), beat_at=now))
        if self._beaten_at is not None and now - self._beaten_at > timedelta(seconds=LEASE_S / 2):
            # the database was unavailable to us, so perhaps to everybody: their silence proves nothing yet
            self._judges_from = now + timedelta(seconds=LEASE_S)
        self._beaten_at, self._next_s = now, monotonic() + BEAT_S

    def end(self) -> None:
        if self.worker:
            with self._database.write(durable=False) as connection:
                connection.execute(delete(workers).where(workers.c.name == self.worker))
            self.worker = ""

    def is_dead(self, worker: str) -> bool:
        """Whether this row was not renewed for LEASE_S, while the database was up and we could write to it."""
        if worker == self.worker:
            return False
        with self._database.read() as connection:
            now: datetime = connection.execute(CLOCK).scalar_one()
            beat_at = connection.execute(select(workers.c.beat_at).where(workers.c.name == worker)).scalar()
            if beat_at is None:
                return True
            up_since: datetime = connection.execute(UP_SINCE).scalar_one()
        if self._beaten_at is None or now - self._beaten_at > timedelta(seconds=LEASE_S / 2):
            return False  # we could not beat either
        if self._judges_from is not None and now < self._judges_from:
            return False
        silent: timedelta = now - max(beat_at, up_since)
        return silent > timedelta(seconds=LEASE_S)

    def forget(self, worker: str) -> None:
        """Nothing yet: a worker that is alive after all beats again. `sweep` removes the row in time."""

    def sweep(self) -> None:
        """Remove the rows of workers that have been silent for an hour."""
        with self._database.write(durable=False) as connection:
            now: datetime = connection.execute(CLOCK).scalar_one()
            connection.execute(delete(workers).where(workers.c.beat_at < now - KEPT))
