"""The database: connection pool, transactions, quick reads and errors. SQLite and PostgreSQL have a file each."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar

import anyio.to_thread
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, InterfaceError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from ltx_mcp.jobs.home import DATABASE, open_home
from ltx_mcp.jobs.store.errors import DatabaseUnavailableError, storage_failed
from ltx_mcp.jobs.store.migrations import migrate
from ltx_mcp.private import create_private

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_S = 15
CONNECTIONS = 8
DEADLOCK_TRIES = 3
OUR_MISTAKES = (DataError, IntegrityError, ProgrammingError)
"""Bugs in our statements, which are not failures of the database."""


class Dialect(Protocol):
    """What differs between kinds of databases. `shared`: processes of several machines may use it; `tick_s`: how often
    it may be polled for changes."""

    shared: bool
    tick_s: float

    def make_engine(self, connections: int) -> Engine:
        """The pool."""

    def lock(self, connection: Connection, name: str) -> None:
        """Hold an exclusive lock of this name until the transaction ends."""

    async def quick_read(self, query: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Rows of a small query with `?` for values, many times a second. Empty while nothing can be read."""

    def failed(self, error: Exception) -> DatabaseUnavailableError:
        """The error for a database that cannot be used."""

    def is_undone(self, error: BaseException | None) -> bool:
        """Whether a failed transaction was rolled back for certain and may succeed the next time."""

    def close(self) -> None:
        """What the pool does not close by itself; it is called before the pool closes."""


class Database:
    """Blocking; async code goes through `run_in_thread`."""

    def __init__(self, kind: Dialect, connections: int = CONNECTIONS) -> None:
        self.kind = kind
        self._connections = connections
        self._engine = kind.make_engine(connections)
        self._limiter: anyio.CapacityLimiter | None = None

    @classmethod
    def open(
        cls, home: Path, url: str = "", connections: int = CONNECTIONS, busy_timeout_s: float = BUSY_TIMEOUT_S
    ) -> "Database":
        """The database at `url`, or else in `home`, created or migrated. Raises SetupError(storage_failed), as
        OldFormError for a large one that a person has to migrate.

        A writer waits `busy_timeout_s` for another process's transaction.
        """
        try:
            open_home(home)
            if not url:
                create_private(home / DATABASE)  # the files that SQLite puts beside it get its mode
        except OSError as error:
            raise storage_failed(home, error) from error
        database = cls(_make_kind(home, url, busy_timeout_s), connections)
        try:
            if not (database.kind.shared and database._is_migrated()):
                with database.write() as connection:
                    database.lock(connection, "migrate")
                    migrate(connection)
        except BaseException:
            database.close()
            raise
        return database

    def _is_migrated(self) -> bool:
        from ltx_mcp.jobs.store.large import is_migrated

        with self.read() as connection:
            return is_migrated(connection)

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[Connection]:
        """One transaction, on SQLite with no other writer. A `durable` one survives a power cut."""
        committed: list[Callable[[], None]] = []
        options = {"ltx_write": True, "ltx_durable": durable, "ltx_committed": committed}
        with (
            self._database_errors(),
            self._engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            yield connection
        for tell in committed:
            tell()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection to read from."""
        with self._database_errors(), self._engine.connect() as connection:
            yield connection

    def lock(self, connection: Connection, name: str) -> None:
        """Hold an exclusive lock of this name until the transaction ends."""
        self.kind.lock(connection, name)

    async def quick_read(self, query: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Rows of a small query; see Dialect."""
        return await self.kind.quick_read(query, values)

    async def run_in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking `work` in a worker thread; a cancelled caller waits for it, so no connection is left half-used.

        Work that the database has rolled back because of a deadlock is run again.
        """
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._connections)
        for left in reversed(range(DEADLOCK_TRIES)):
            try:
                return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._limiter)
            except DatabaseUnavailableError as error:
                if not left or not self.kind.is_undone(error.__cause__):
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close all connections."""
        self.kind.close()
        self._engine.dispose()

    @contextmanager
    def _database_errors(self) -> Iterator[None]:
        try:
            yield
        except OUR_MISTAKES:
            raise
        except (DatabaseError, InterfaceError, PoolTimeout, sqlite3.Error) as error:
            # while connecting, the driver raises its own error, which SQLAlchemy does not wrap
            raise self.kind.failed(error) from error


def once_committed(connection: Connection, tell: Callable[[], None]) -> None:
    """Call `tell` when this transaction of `Database.write` is committed; never if it is rolled back."""
    connection.get_execution_options().get("ltx_committed", []).append(tell)


def _make_kind(home: Path, url: str, busy_timeout_s: float) -> Dialect:
    if url:
        from ltx_mcp.jobs.store.postgres import Postgres

        return Postgres(url)
    from ltx_mcp.jobs.store.sqlite import Sqlite

    return Sqlite(home / DATABASE, busy_timeout_s)
