"""PostgreSQL: one database for the processes of several machines. Connections that broke are made anew."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.jobs.database import OutOfReachError

TICK_S = 0.1
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
SILENCE_S = 15
"""How long a connection may be silent in the middle of a statement before it counts as broken."""
DEADLOCK = "40P01"
NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")


class Postgres:
    """The database at a `postgresql://` address. What must be alone takes an advisory lock."""

    shared = True
    tick_s = TICK_S

    def __init__(self, url: str, busy_timeout_s: float) -> None:
        self._url = read_url(url)
        self._busy_timeout_s = busy_timeout_s
        self._engine: Engine | None = None

    def make_engine(self, connections: int) -> Engine:
        """The pool; a connection is tried before it is used, so that a restart costs nobody an error."""
        limits = {"statement_timeout": STATEMENT_TIMEOUT_S, "lock_timeout": self._busy_timeout_s}
        try:
            self._engine = create_engine(
                self._url,
                connect_args={
                    "connect_timeout": CONNECT_TIMEOUT_S,
                    "application_name": "ltx-mcp",
                    "options": " ".join(f"-c {name}={round(seconds * 1000)}" for name, seconds in limits.items()),
                    "keepalives_idle": SILENCE_S,
                    "tcp_user_timeout": SILENCE_S * 1000,
                    "prepare_threshold": None,  # poolers in between may hand the next statement to another session
                },
                pool_size=connections,
                max_overflow=0,
                pool_pre_ping=True,
                pool_timeout=STATEMENT_TIMEOUT_S,
            )
        except ModuleNotFoundError as error:
            raise SetupError(
                ErrorCode.STORAGE_FAILED,
                "LTX_MCP_DATABASE_URL names a PostgreSQL database, and its driver psycopg is not installed.",
                "Install ltx-mcp[postgres].",
            ) from error
        event.listen(self._engine, "begin", _on_begin)
        return self._engine

    def lock(self, connection: Connection, name: str) -> None:
        """An advisory lock that ends with the transaction."""
        key = int.from_bytes(hashlib.sha256(f"ltx-mcp {name}".encode()).digest()[:8], signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    async def peek(self, query: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """In a thread of its own, because the database is at the end of a wire; nothing while it is out of reach."""
        import anyio.to_thread

        return await anyio.to_thread.run_sync(self._peek, query.replace("?", "%s"), tuple(values))

    def _peek(self, query: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        assert self._engine is not None
        try:
            with self._engine.connect() as connection:
                return list(connection.exec_driver_sql(query, values))
        except DBAPIError:
            return []

    def failed(self, error: Exception) -> OutOfReachError:
        """The place without the password, the first line of what the driver said, and what a caller can do."""
        reason = str(error.orig if isinstance(error, DBAPIError) else error).strip().partition("\n")[0]
        return OutOfReachError(
            ErrorCode.STORAGE_FAILED,
            f"The database {self._url.database or ''} at {_place(self._url)} cannot be used: {reason.rstrip('.')}.",
            "Jobs under way are not lost. Try the same call again in a minute: a repeated request is still one job. "
            "LTX_MCP_DATABASE_URL says which database it is.",
        )

    def is_undone(self, error: BaseException | None) -> bool:
        """After a deadlock one of the two is undone as a whole."""
        return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", "") == DEADLOCK

    def close(self) -> None:
        """Nothing is kept outside the pool."""


def read_url(url: str) -> URL:
    """The address for psycopg. Raises SetupError, without showing what may hold a password."""
    try:
        read = make_url(url)
    except (ArgumentError, ValueError):
        read = None
    if read is None or read.drivername not in ("postgresql", "postgres"):
        raise SetupError(
            ErrorCode.INVALID_REQUEST,
            "LTX_MCP_DATABASE_URL cannot be used; give an address such as postgresql://user:password@host:5432/name.",
        )
    return read.set(drivername="postgresql+psycopg")


def _place(url: URL) -> str:
    host = url.host or url.query.get("host", "localhost")
    return f"{host}:{url.port}" if url.port else str(host)


def _on_begin(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("ltx_write") and not options.get("ltx_durable", True):
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
