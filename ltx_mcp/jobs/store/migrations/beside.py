"""Changing a large PostgreSQL database while servers use it, on a connection whose every statement is a transaction of
its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

LOCK_S = 5
"""Whoever waits for a lock on a table makes all others wait behind him: rather fail, and be started again."""


def index_beside(connection: Connection, name: str, on: str, *, unique: bool = False) -> None:
    """Make an index while rows change. One that was broken off is made anew."""
    is_valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{}')"
    found = connection.exec_driver_sql(is_valid.format(name)).scalar()
    if found is False:
        connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
    if not found:
        connection.exec_driver_sql(f"CREATE {'UNIQUE ' if unique else ''}INDEX CONCURRENTLY {name} ON {on}")


@contextmanager
def short(connection: Connection) -> Iterator[None]:
    """One transaction of several statements that take a moment each."""
    connection.exec_driver_sql("BEGIN")
    try:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout TO '{LOCK_S}s'")
        yield
    except BaseException:
        connection.exec_driver_sql("ROLLBACK")
        raise
    connection.exec_driver_sql("COMMIT")
