"""What an operator does to a database: `migrate` brings a large shared one to the form that this version needs, while
servers go on; `restored` says that it comes from a backup."""

from datetime import UTC, datetime

import click

from ltx_mcp.cli.common import report_errors
from ltx_mcp.cli.output.messages import say
from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.presentation.config import read_edge


@click.command(short_help="Bring the shared database to the form of this version.")
def migrate() -> None:
    """Bring the database of LTX_MCP_DATABASE_URL to the form that this version needs.

    Servers go on meanwhile, those of older versions too. It may take minutes, has no time limit, and can be started
    again when it was broken off. Give it the address of PostgreSQL itself, not that of a pooler. A small database, and
    one without an address, is migrated by whoever opens it first.
    """
    with report_errors():
        _migrate()


def _migrate() -> None:
    from ltx_mcp.jobs.store.database import Database
    from ltx_mcp.jobs.store.large import migrate_large
    from ltx_mcp.jobs.store.migrations import STEPS

    settings = read_edge()[0]
    newest = len(STEPS)
    if not settings.database_url:
        Database.open(settings.home).close()
        say(f"{settings.home} is at form {newest}.")
        return
    found = migrate_large(settings.database_url, say)
    say(f"The database was at form {newest}." if found == newest else f"The database is at form {newest} now.")


@click.command(short_help="Say that the database was restored from a backup.")
def restored() -> None:
    """Say that the database was restored from a backup, before any server starts on it.

    What had not been ordered when the backup was made may have been ordered since. It is not sent again: its outcome is
    unknown and its price stays held, until ltx-mcp jobs resolve or jobs adopt says what became of it. Orders that the
    backup knows are followed as ever, and previews are drawn again.
    """
    with report_errors():
        _restored()


def _restored() -> None:
    from ltx_mcp.jobs.recovery import RecoveryStore
    from ltx_mcp.jobs.store.database import Database
    from ltx_mcp.jobs.workers.ownerless import alive_workers

    settings, catalog = read_edge()
    database = Database.open(settings.home, settings.database_url)
    try:
        if alive := alive_workers(database, settings.home):
            raise SetupError(
                ErrorCode.INVALID_REQUEST,
                f"{len(alive)} at work on this database: they may have ordered already.",
                "End all servers and workers, wait half a minute, and then say this before you start them.",
            )
        repeatable = frozenset(facts.name for facts in catalog.providers if facts.repeatable)
        found = RecoveryStore(database).doubt_unsent(repeatable, datetime.now(UTC))
    finally:
        database.close()
    say(
        f"{found:,} job{'s' if found > 1 else ''} may have been ordered since the backup: the outcome is unknown, and "
        "nothing is sent again. ltx-mcp jobs --caller all --state unknown lists them."
        if found
        else "Nothing was waiting to be ordered when the backup was made."
    )
