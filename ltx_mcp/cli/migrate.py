"""`migrate`: brings a large shared database to the form that this version needs, while servers go on."""

import click

from ltx_mcp.cli.common import report_errors
from ltx_mcp.cli.output.messages import say
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
