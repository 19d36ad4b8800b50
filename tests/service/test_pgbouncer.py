"""PgBouncer in transaction mode: what a session would keep does not hold there, so each transaction sets it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ltx_mcp.jobs.store import postgres as module
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.errors import DatabaseUnavailableError
from tests.databases import PostgresServer
from tests.service.pgbouncer import pooled


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    with pooled(postgres.new_database()) as address:
        yield address


@pytest.fixture
def database(home: Path, url: str) -> Iterator[Database]:
    opened = Database.open(home, url)
    yield opened
    opened.close()


@pytest.mark.parametrize("kind", ["read", "write", "quick write"])
def test_both_time_outs_hold_in_every_transaction_and_only_there(database: Database, url: str, kind: str) -> None:
    asked = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    with database.read() if kind == "read" else database.write(durable=kind == "write") as connection:
        assert tuple(connection.exec_driver_sql(asked).one()) == ("12s", "10s")
    with psycopg.connect(url, autocommit=True) as stranger:
        assert stranger.execute(asked).fetchone() == ("0", "0")


def test_a_statement_that_takes_too_long_is_ended(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STATEMENT_TIMEOUT_S", 1)
    with pytest.raises(DatabaseUnavailableError) as raised, database.read() as connection:
        connection.exec_driver_sql("SELECT pg_sleep(600)")
    assert "statement timeout" in raised.value.where


def test_a_lock_that_is_not_let_go_is_not_waited_for_long(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 1)
    with database.write() as holder:
        database.lock(holder, "x")
        with pytest.raises(DatabaseUnavailableError) as raised, database.write() as other:
            database.lock(other, "x")
    assert "lock timeout" in raised.value.where
