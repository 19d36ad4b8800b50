"""Migrates a database, one numbered step at a time, and refuses one of a newer version.

A released step is never changed: the next change is the next number.
"""

from collections.abc import Callable
from importlib import import_module

from sqlalchemy import Connection, inspect, text

from ltx_mcp.domain.errors import ErrorCode, SetupError

STEPS = (
    "m0001_jobs",
    "m0002_tries",
    "m0003_shared",
    "m0004_live",
    "m0005_prices",
    "m0006_sets",
    "m0007_callers",
    "m0008_scale",
    "m0009_webhooks",
)


def migrate(connection: Connection, until: int | None = None) -> None:
    """Run the missing steps, or those up to the number `until`, inside the caller's transaction.

    Raises SetupError(storage_failed) when the database was written by a newer version.
    """
    if not inspect(connection).has_table("form"):
        connection.execute(text("CREATE TABLE form (version INTEGER NOT NULL)"))
    found = read_version(connection)
    for number, name in enumerate(STEPS[found:until], start=found + 1):
        step: Callable[[Connection], None] = import_module(f"{__name__}.{name}").apply
        step(connection)
        write_version(connection, number)


def beside_of(number: int) -> Callable[[Connection], None] | None:
    """How a large PostgreSQL database takes this step while servers use it; None where the step is quick enough."""
    found: Callable[[Connection], None] | None = getattr(
        import_module(f"{__name__}.{STEPS[number - 1]}"), "apply_beside", None
    )
    return found


def write_version(connection: Connection, number: int) -> None:
    """The database has taken all steps up to this one."""
    connection.execute(text("DELETE FROM form"))
    connection.execute(text("INSERT INTO form (version) VALUES (:version)"), {"version": number})


def read_version(connection: Connection) -> int:
    """How many steps the database has taken; 0: it is empty. Raises SetupError(storage_failed) for a newer one."""
    if not inspect(connection).has_table("form"):
        return 0
    found: int = connection.execute(text("SELECT max(version) FROM form")).scalar() or 0
    if found > len(STEPS):
        raise SetupError(
            ErrorCode.STORAGE_FAILED,
            f"The database is at form {found}, written by a newer ltx-mcp; this one knows {len(STEPS)}.",
            "Upgrade ltx-mcp, or set LTX_MCP_HOME to another folder.",
        )
    return found
