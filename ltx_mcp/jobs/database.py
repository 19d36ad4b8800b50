"""Opens the database: durable where it must be, one writer at a time, failures told with path and setting."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, InterfaceError

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.jobs.migrations import migrate

P = ParamSpec("P")
T = TypeVar("T")

BUSY_TIMEOUT_S = 15
CONNECTIONS = 8


class Database:
    """A pool of connections; blocking inside, `do` is the way in for everything async."""

    def __init__(self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self._path = path
        self._engine = _make_engine(path, busy_timeout_s)
        self._limiter: anyio.CapacityLimiter | None = None
        self._peeking: sqlite3.Connection | None = None

    @classmethod
    def open(cls, home: Path, busy_timeout_s: float = BUSY_TIMEOUT_S) -> "Database":
        """The database in `home`, made or brought to today's form. Raises SetupError(storage_failed).

        A writer waits `busy_timeout_s` for another process's transaction.
        """
        path = home / "jobs.sqlite"
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise storage_failed(home, error) from error
        database = cls(path, busy_timeout_s)
        with database.write() as connection:
            migrate(connection)
        return database

    @contextmanager
    def write(self, durable: bool = True) -> Iterator[Connection]:
        """One transaction that nobody else writes beside; `durable` ones survive a power cut."""
        options = {"ltx_begin": "IMMEDIATE", "ltx_durable": durable}
        with self._told(), self._engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot to read from."""
        with self._told(), self._engine.connect() as connection:
            yield connection

    def peek(self, query: str, values: Sequence[Any]) -> list[Any]:
        """Rows of a tiny read, on the caller's own thread: some 40 microseconds, so an event loop may do it.

        Empty when the file is locked just now, which a reader of a WAL file meets only around a recovery.
        """
        with self._told():
            if self._peeking is None:
                self._peeking = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
            try:
                return self._peeking.execute(query, values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                    return []
                raise

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run blocking `work` in a worker thread; a cancelled caller waits for it, so no connection is ever torn."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(CONNECTIONS)
        return await anyio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self._limiter)

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()
        if self._peeking is not None:
            self._peeking.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (DatabaseError, InterfaceError) as error:
            raise storage_failed(self._path, error.orig or error) from error
        except sqlite3.Error as error:  # raised while connecting, before SQLAlchemy wraps it
            raise storage_failed(self._path, error) from error


def storage_failed(path: Path, reason: BaseException) -> SetupError:
    """The error for state that cannot be kept: says where, why, and which setting moves it."""
    return SetupError(
        ErrorCode.STORAGE_FAILED,
        f"{path} cannot be used: {_plain(reason)}.",
        "Free space or mend its permissions, or set LTX_MCP_HOME to a folder on a local disk that can be written.",
    )


def _plain(reason: BaseException) -> str:
    return (reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)).rstrip(".")


def _make_engine(path: Path, busy_timeout_s: float) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"check_same_thread": False, "timeout": busy_timeout_s},
        pool_size=CONNECTIONS,
        max_overflow=0,
    )
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, record: Any) -> None:
    # the driver must not begin by itself: BEGIN IMMEDIATE is ours to say
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    level = "FULL" if options.get("ltx_durable", False) else "NORMAL"
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    connection.exec_driver_sql(f"BEGIN {options.get('ltx_begin', 'DEFERRED')}")
