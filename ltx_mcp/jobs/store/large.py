"""Large databases that several servers share: none of them migrates one while it starts, because that takes longer than
their time limits, and everybody would wait. A person calls `ltx-mcp migrate`; until then servers say so."""

from collections.abc import Callable

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.pool import NullPool

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.jobs.store.errors import DatabaseUnavailableError
from ltx_mcp.jobs.store.migrations import STEPS, beside_of, migrate, read_version, write_version
from ltx_mcp.jobs.store.postgres import Postgres, address_of, lock_key, read_url

LARGE = 20_000
"""Jobs, from which on a database is large."""
Say = Callable[[str], None]


class OldFormError(DatabaseUnavailableError):
    """A large database of an older form, which has to be migrated first."""


def is_migrated(connection: Connection) -> bool:
    """Whether nothing needs to be done. Raises OldFormError where a server must not do it itself."""
    found = read_version(connection)
    if found == len(STEPS):
        return True
    if 0 < found < len(STEPS) and _is_large(connection):
        raise OldFormError(
            ErrorCode.STORAGE_FAILED,
            f"The database that keeps the jobs is at form {found}, and this version needs form {len(STEPS)}; it is too "
            "large to be changed while servers wait for it.",
            "The operator runs: ltx-mcp migrate. Older servers may go on meanwhile. This one is ready once that is "
            "done.",
        )
    return False


def migrate_large(url: str, say: Say) -> int:
    """Bring the shared database at `url` to the newest form, without a time limit and while servers use it; returns the
    form that it had. What was broken off goes on where it was. Raises SetupError."""
    read = read_url(url)
    address_of(read)  # what SQLAlchemy says of an address may hold its password
    try:
        engine = create_engine(read, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            _check_alone(connection)
            first = read_version(connection)
            for number in range(first + 1, len(STEPS) + 1):
                say(f"form {number} of {len(STEPS)}")
                _migrate_to(connection, number)
            return first
    except (OperationalError, InterfaceError) as error:
        raise Postgres(url).failed(error) from error


def _is_large(connection: Connection) -> bool:
    few = text("SELECT count(*) FROM (SELECT 1 FROM jobs LIMIT :most) AS few")
    return connection.execute(few, {"most": LARGE}).scalar() == LARGE


def _check_alone(connection: Connection) -> None:
    """Not by the lock that servers take while they start: who waits for that holds up an index that is being made."""
    query = text("SELECT pg_try_advisory_lock(:key)")
    if not connection.execute(query, {"key": lock_key("migrate beside")}).scalar_one():
        raise SetupError(
            ErrorCode.STORAGE_FAILED,
            "Another ltx-mcp migrate is at work on this database.",
            "Wait until it has ended.",
        )


def _migrate_to(connection: Connection, number: int) -> None:
    """One step: beside the servers where it knows how, else in one transaction."""
    if (apply_beside := beside_of(number)) is not None:
        apply_beside(connection)
    connection.exec_driver_sql("BEGIN")
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_key("migrate")})
        if apply_beside is None:
            migrate(connection, until=number)
        else:
            write_version(connection, number)
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
