"""PostgreSQL: one database for processes of several machines. Broken connections are replaced."""

import hashlib
import logging
from collections.abc import Sequence
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.jobs.store.errors import DatabaseUnavailableError

logger = logging.getLogger(__name__)

TICK_S = 0.1
CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_S, STATEMENT_TIMEOUT_S = 10, 12
POOL_TIMEOUT_S = 10
"""How long to wait for a server that does not answer: longer than its own time limits."""
DEADLOCK = "40P01"
LOG_EVERY_S = 60.0


class Postgres:
    """The database at a `postgresql://` URL. Exclusive sections take an advisory lock."""

    shared = True
    tick_s = TICK_S

    def __init__(self, url: str) -> None:
        self._url = read_url(url)
        self._engine: Engine | None = None
        self._is_closed = False
        self._log_at = 0.0

    def make_engine(self, connections: int) -> Engine:
        """The pool; a connection is tested before use, so that a restart of the server causes no error."""
        address = address_of(self._url)
        from ltx_mcp.jobs.store.postgres_connection import WatchedConnection

        self._engine = create_engine(
            self._url,
            creator=lambda: WatchedConnection.connect(
                address,
                connect_timeout=CONNECT_TIMEOUT_S,
                application_name="ltx-mcp",
                prepare_threshold=None,  # a pooler may run the next statement in another session
            ),
            pool_size=connections,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=POOL_TIMEOUT_S,
            hide_parameters=True,
        )
        event.listen(self._engine, "begin", _on_begin)
        event.listen(self._engine, "checkin", self._on_checkin)
        return self._engine

    def lock(self, connection: Connection, name: str) -> None:
        """An advisory lock that ends with the transaction."""
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key(name)})

    async def quick_read(self, query: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """In a thread, because the database is remote; empty while it is unavailable."""
        import anyio.to_thread

        question = query.replace("?", "%s"), tuple(values)
        return await anyio.to_thread.run_sync(self._quick_read, *question, abandon_on_cancel=True)

    def _quick_read(self, query: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        assert self._engine is not None
        try:
            with self._engine.connect() as connection:
                return list(connection.exec_driver_sql(query, values))
        except (DBAPIError, PoolTimeout):
            return []

    def failed(self, error: Exception) -> DatabaseUnavailableError:
        """For the caller, what to do; the place and the driver's message only go to the operator."""
        failed = DatabaseUnavailableError(
            ErrorCode.STORAGE_FAILED,
            "The database that keeps the jobs is out of reach just now.",
            "Jobs under way are not lost. Try the same call again in a minute: a repeated request is still one job.",
        )
        reason = "all connections are in use" if isinstance(error, PoolTimeout) else _first_line(error)
        failed.where = f"LTX_MCP_DATABASE_URL, {self._url.database or ''} at {_place(self._url)}: {reason}"
        if monotonic() >= self._log_at:
            self._log_at = monotonic() + LOG_EVERY_S
            logger.error("%s", failed.where)
        return failed

    def is_undone(self, error: BaseException | None) -> bool:
        """After a deadlock one of the two transactions is rolled back."""
        return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", "") == DEADLOCK

    def close(self) -> None:
        """From now on a connection that comes back, of a read that was not waited for, is closed."""
        self._is_closed = True

    def _on_checkin(self, connection: object, entry: ConnectionPoolEntry) -> None:
        if self._is_closed:
            entry.invalidate()


def lock_key(name: str) -> int:
    """The number of the advisory lock of this name."""
    return int.from_bytes(hashlib.sha256(f"ltx-mcp {name}".encode()).digest()[:8], signed=True)


def read_url(url: str) -> URL:
    """The URL for psycopg. Raises SetupError without the URL, which may have a password."""
    try:
        read = make_url(url)
    except (ArgumentError, ValueError):
        read = None
    if read is None or read.drivername not in ("postgresql", "postgres"):
        raise _unusable()
    return read.set(drivername="postgresql+psycopg")


def address_of(url: URL) -> str:
    """The same as its driver reads it. Raises SetupError, also where there is no driver; what the driver says of an
    address may hold its password."""
    try:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict
    except ModuleNotFoundError as error:
        raise SetupError(
            ErrorCode.STORAGE_FAILED,
            "LTX_MCP_DATABASE_URL names a PostgreSQL database, and its driver psycopg is not installed.",
            "Install it here: pip install 'psycopg[binary]'.",
        ) from error
    server, mark, options = url.set(drivername="postgresql").render_as_string(hide_password=False).partition("?")
    # SQLAlchemy leaves a space as it is, or makes it a plus: libpq refuses the one and takes the other as a plus
    address = server.replace(" ", "%20") + mark + options.replace("+", "%20")
    try:
        conninfo_to_dict(address)
    except ProgrammingError:
        raise _unusable() from None
    return address


def _unusable() -> SetupError:
    return SetupError(
        ErrorCode.INVALID_REQUEST,
        "LTX_MCP_DATABASE_URL cannot be used; give an address such as postgresql://user:password@host:5432/name.",
    )


def _first_line(error: Exception) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error).strip().partition("\n")[0]


def _place(url: URL) -> str:
    host = url.host or url.query.get("host", "localhost")
    return f"{host}:{url.port}" if url.port else str(host)


def _on_begin(connection: Connection) -> None:
    """Set what holds for a transaction in it: a pooler may run the next one in another session, and takes no options
    when it is connected to."""
    options = connection.get_execution_options()
    values = {"statement_timeout": f"{STATEMENT_TIMEOUT_S}s", "lock_timeout": f"{LOCK_TIMEOUT_S}s"}
    if options.get("ltx_write") and not options.get("ltx_durable", True):
        values["synchronous_commit"] = "off"
    connection.exec_driver_sql("; ".join(f"SET LOCAL {name} TO '{value}'" for name, value in values.items()))
