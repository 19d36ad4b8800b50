"""Checks the database of a home for `doctor`: nothing is created, migrated or repaired. Blocking."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from sqlalchemy import Connection, inspect, select, text

from ltx_mcp.domain.job import ACTIVE_STATES, ChargeState, State
from ltx_mcp.jobs.filesystem import DOUBTFUL, file_system_of
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.migrations import STEPS
from ltx_mcp.jobs.store.schema import jobs
from ltx_mcp.jobs.webhooks.view import WebhookStatus, WebhooksView
from ltx_mcp.jobs.workers.ownerless import beating, locked

BUSY_S = 2.0
SOUND_S = 2.0


@dataclass(frozen=True)
class DatabaseReport:
    """What the database holds. `form`: how many of the `newest` migrations it has; `unsound`: what SQLite found broken;
    `unknown`: jobs whose outcome a person must settle; `workers`: how many processes are alive."""

    kind: str
    form: int = 0
    newest: int = len(STEPS)
    unsound: str = ""
    live: int = 0
    unknown: tuple[str, ...] = ()
    workers: int = 0


def check_database(home: Path, database_url: str = "") -> DatabaseReport | None:
    """The state of a home's database; None if there is none yet. Raises SetupError when it cannot be used."""
    found = _open(home, database_url)
    return found and _read(*found)


def read_webhooks(home: Path, database_url: str = "") -> Sequence[WebhookStatus]:
    """The webhooks that are registered in it; none where it has another form. Raises SetupError."""
    if (found := _open(home, database_url)) is None:
        return ()
    with closing(found[0]) as database:
        with database.read() as connection:
            known = inspect(connection).has_table("form")
            form = connection.execute(text("SELECT max(version) FROM form")).scalar() if known else 0
        return WebhooksView(database).list() if form == len(STEPS) else ()


def _open(home: Path, database_url: str) -> tuple[Database, Path | str] | None:
    if database_url:
        from ltx_mcp.jobs.store.postgres import Postgres, read_url

        url = read_url(database_url)
        place = f"{url.database or ''} at {url.host or url.query.get('host', 'localhost')}"
        return Database(Postgres(database_url)), place
    path = home / "jobs.sqlite"
    if not path.exists():
        return None
    from ltx_mcp.jobs.store.sqlite import Sqlite

    return Database(Sqlite(path, BUSY_S)), path


def _read(database: Database, place: Path | str) -> DatabaseReport:
    """A path means SQLite. An empty write transaction comes first: it fails when the file is locked or read-only."""
    file = place if isinstance(place, Path) else None
    try:
        with database.write(durable=False) as connection:
            database.lock(connection, "doctor")
        unsound = "" if file is None else _unsound(file)
        with database.read() as connection:
            shown = text("SHOW server_version")
            version = connection.execute(shown).scalar_one() if file is None else sqlite3.sqlite_version
            kind = f"{'PostgreSQL' if file is None else 'SQLite'} {version}, {place}"
            known = inspect(connection).has_table("form")
            form = (connection.execute(text("SELECT max(version) FROM form")).scalar() or 0) if known else 0
            if form != len(STEPS):
                return DatabaseReport(kind, form, unsound=unsound)
            live = connection.execute(select(jobs.c.id).where(jobs.c.state.in_(ACTIVE_STATES))).all()
            alive = beating(connection) if file is None else locked(file.parent)
            return DatabaseReport(kind, form, len(STEPS), unsound, len(live), _unsettled(connection), len(alive))
    finally:
        database.close()


def _unsettled(connection: Connection) -> tuple[str, ...]:
    unknown = select(jobs.c.id).where(jobs.c.state == State.UNKNOWN, jobs.c.bill == ChargeState.HELD)
    return tuple(row.id for row in connection.execute(unknown.order_by(jobs.c.created_at)))


def _unsound(file: Path) -> str:
    """What SQLite's quick check finds within SOUND_S; empty if nothing."""
    until = monotonic() + SOUND_S
    connection = sqlite3.connect(file, timeout=0)
    connection.set_progress_handler(lambda: monotonic() > until, 10_000)
    try:
        said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        return "" if said == "ok" else said
    except sqlite3.OperationalError as error:
        return "" if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    finally:
        connection.close()


def doubtful_disk(home: Path) -> str:
    """The file system of a home that only one machine at a time may use; else empty."""
    kind = file_system_of(home)
    return kind if kind in DOUBTFUL else ""
