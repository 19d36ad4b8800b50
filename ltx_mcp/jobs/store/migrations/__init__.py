"""Migrates a database, one numbered step at a time, and refuses one of a newer version.

A released step is never changed: the next change is the next number.
"""

from collections.abc import Callable
from importlib import import_module

from sqlalchemy import Connection, inspect, text

from ltx_mcp.domain.errors import ErrorCode, SetupError

STEPS = ("m0001_jobs", "m0002_tries", "m0003_shared", "m0004_live", "m0005_prices", "m0006_sets", "m0007_callers")


def migrate(connection: Connection) -> None:
    """Run the missing steps inside the caller's transaction.

    Raises SetupError(storage_failed) when the database was written by a newer version.
    """
    found = _version(connection)
    if found > len(STEPS):
        raise SetupError(
            ErrorCode.STORAGE_FAILED,
            f"The database is at form {found}, written by a newer ltx-mcp; this one knows {len(STEPS)}.",
            "Upgrade ltx-mcp, or set LTX_MCP_HOME to another folder.",
        )
    for number, name in enumerate(STEPS[found:], start=found + 1):
        step: Callable[[Connection], None] = import_module(f"{__name__}.{name}").apply
        step(connection)
        connection.execute(text("DELETE FROM form"))
        connection.execute(text("INSERT INTO form (version) VALUES (:version)"), {"version": number})


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table("form"):
        connection.execute(text("CREATE TABLE form (version INTEGER NOT NULL)"))
        return 0
    return connection.execute(text("SELECT max(version) FROM form")).scalar() or 0
