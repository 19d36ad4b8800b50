"""SQLite: a file in HOME, one writer at a time, synced to disk where it must be."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from ltx_mcp.jobs.filesystem import check_disk
from ltx_mcp.jobs.store.errors import DatabaseUnavailableError, storage_failed

TICK_S = 0.08


class Sqlite:
    """One file. A write transaction takes the lock at its start, so what it has read cannot change."""

    shared = False
    tick_s = TICK_S

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        check_disk(path.parent)
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._reader: sqlite3.Connection | None = None

    def make_engine(self, connections: int) -> Engine:
        """The pool."""
        engine = create_engine(
            URL.create("sqlite", database=str(self._path)),  # not parsed as a URL: a path may have % and ?
            connect_args={"check_same_thread": False, "timeout": self._busy_timeout_s},
            pool_size=connections,
            max_overflow=0,
            hide_parameters=True,
        )
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        return engine

    def lock(self, connection: Connection, name: str) -> None:
        """Nothing to do: there is one writer."""

    async def quick_read(self, query: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """In the event loop, because it takes some 40 microseconds. Empty while the file is locked, which a reader in
        WAL mode only meets during a recovery."""
        try:
            if self._reader is None:
                self._reader = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
            return self._reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return []
            raise self.failed(error) from error

    def failed(self, error: Exception) -> DatabaseUnavailableError:
        """The error with the file and the reason."""
        reason = error.orig if isinstance(error, DBAPIError) else None
        failed = storage_failed(self._path, reason or error, DatabaseUnavailableError)
        assert isinstance(failed, DatabaseUnavailableError)
        return failed

    def is_undone(self, error: BaseException | None) -> bool:
        """Never: writers wait for each other."""
        return False

    def close(self) -> None:
        """Close the connection of `quick_read`."""
        if self._reader is not None:
            self._reader.close()


def _on_connect(connection: Any, record: Any) -> None:
    # the driver must not begin transactions by itself: we need BEGIN IMMEDIATE
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    level = "FULL" if options.get("ltx_durable", False) else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("ltx_write") else "BEGIN DEFERRED")
