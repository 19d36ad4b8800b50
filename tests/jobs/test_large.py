"""A large database of version 0.1.0 on PostgreSQL: servers do not change it while they start; `ltx-mcp migrate` does,
while older ones go on."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DataError

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.jobs.store import large, migrations
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.large import OldFormError, migrate_large
from ltx_mcp.jobs.store.migrations import m0008_scale
from ltx_mcp.jobs.store.postgres import Postgres, lock_key
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock
from tests.databases import PostgresServer
from tests.jobs.counting import counters, recount
from tests.jobs.test_first_version import ROWS, STEPS_OF_0_1_0
from tests.jobs.test_store import New

JOBS, EVENTS_EACH, WRITERS = 2_000, 3, 2
INPUTS = json.dumps([{"role": "image", "sha256": "a" * 64, "format": "png"}, {"role": "video", "job_id": "job_1"}])


@pytest.fixture
def url(home: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Such a database."""
    monkeypatch.setattr(large, "LARGE", JOBS)
    monkeypatch.setattr(m0008_scale, "BATCH", 300)
    made = postgres.new_database()
    with monkeypatch.context() as then:
        then.setattr(migrations, "STEPS", migrations.STEPS[:STEPS_OF_0_1_0])
        Database.open(home, made).close()
    with closing(Database(Postgres(made))) as database, database.write() as connection:
        row = ROWS["jobs"][0] | {"cancel_wanted": False, "inputs": INPUTS, "request_key": None}
        copied = {"id": "'job_' || i", "fingerprint": "'f' || i"}
        values = ", ".join(copied.get(name, f":{name}") for name in row)
        rows = f"INSERT INTO jobs ({', '.join(row)}) SELECT {values} FROM generate_series(1, {JOBS}) AS i"
        connection.execute(text(rows), row)
        connection.execute(
            text(
                "INSERT INTO events (job_id, at, what, detail) SELECT 'job_' || i, e, 'e' || e, '{}' "
                f"FROM generate_series(1, {JOBS}) AS i, generate_series(1, {EVENTS_EACH}) AS e ORDER BY e, i"
            )
        )
    return made


class OlderServer:
    """Writes what a server of that version writes, until it is told to stop."""

    def __init__(self, url: str, number: int) -> None:
        self._url, self._number = url, number
        self.written = 0
        self.began = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Jobs, each with its event, and moves of others."""
        row: dict[str, Any] = ROWS["jobs"][0] | {"cancel_wanted": False, "inputs": INPUTS, "request_key": None}
        job = f"INSERT INTO jobs ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})"
        event = "INSERT INTO events (job_id, at, what, detail) VALUES (:id, 0, 'placed', '{}')"
        with closing(Database(Postgres(self._url))) as database:
            while not stop.is_set():
                job_id = f"job_old_{self._number}_{self.written}"
                with database.write() as connection:
                    connection.execute(text(job), row | {"id": job_id})
                    connection.execute(text(event), {"id": job_id})
                    connection.execute(text("UPDATE jobs SET revision = revision + 1 WHERE id = 'job_7'"))
                self.written += 1
                self.began.set()


@pytest.fixture
def older(url: str) -> Iterator[list[OlderServer]]:
    """Older servers at work."""
    servers, stop = [OlderServer(url, number) for number in range(WRITERS)], threading.Event()
    with ThreadPoolExecutor(WRITERS) as pool:
        work = [pool.submit(server.run, stop) for server in servers]
        try:
            for server in servers:
                server.began.wait()
            yield servers
        finally:
            stop.set()
    for each in work:
        each.result()  # none of them failed


def test_a_server_says_what_to_do_and_changes_nothing(home: Path, url: str) -> None:
    with pytest.raises(OldFormError, match=r"form 3.*ltx-mcp migrate"):
        Database.open(home, url)
    with closing(Database(Postgres(url))) as database, database.read() as connection:
        assert connection.execute(text("SELECT max(version) FROM form")).scalar() == STEPS_OF_0_1_0


def test_it_is_migrated_while_older_servers_write_and_nothing_is_lost(
    home: Path, url: str, older: list[OlderServer], new_job: New, clock: Clock
) -> None:
    before = sum(server.written for server in older)
    assert migrate_large(url, lambda line: None) == STEPS_OF_0_1_0
    until = [server.written for server in older]
    assert sum(until) > before
    with closing(Database.open(home, url)) as database:
        placed = Store(database).place(new_job(), clock()).job
        assert [event.what for event in Store(database).history("job_7")] == ["e1", "e2", "e3"]
        assert [event.what for event in Store(database).history(placed.id)] == ["placed"]
        for server, number in zip(older, until, strict=True):
            assert Store(database).get(f"job_old_{server._number}_{number - 1}") is not None
        with database.write() as connection:
            database.lock(connection, "migrate")
            connection.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))  # the older ones wait a moment
            jobs = connection.execute(text("SELECT count(*) FROM jobs WHERE id <> :id"), {"id": placed.id}).scalar_one()
            events = connection.execute(text("SELECT count(*), count(DISTINCT id) FROM events")).one()
            assert events[0] == events[1] == JOBS * EVENTS_EACH + (jobs - JOBS) + 1
            inputs = text("SELECT name, count(*) FROM job_inputs GROUP BY name ORDER BY name")
            assert connection.execute(inputs).all() == [("a" * 64, jobs), ("job_1", jobs)]
            assert counters(connection) == recount(connection)


def test_it_ends_in_the_form_that_an_empty_one_gets(home: Path, url: str, postgres: PostgresServer) -> None:
    migrate_large(url, lambda line: None)
    assert form_of(url) == form_of(opened(home, postgres.new_database()))


def opened(home: Path, url: str) -> str:
    Database.open(home, url).close()
    return url


def form_of(url: str) -> object:
    """Its tables with the types of their columns and their indexes, and its triggers."""
    with closing(Database(Postgres(url))) as database, database.read() as connection:
        look = inspect(connection)
        tables = {
            name: (
                {(each["name"], str(each["type"]), each["nullable"]) for each in look.get_columns(name)},
                {(each["name"], tuple(each["column_names"])) for each in look.get_indexes(name)},
                look.get_pk_constraint(name),
                sorted(str(each["referred_table"]) for each in look.get_foreign_keys(name)),
                look.get_check_constraints(name),
            )
            for name in look.get_table_names()
        }
        names = text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname")
        identity = text(
            "SELECT is_identity, identity_generation FROM information_schema.columns WHERE table_name = 'events'"
        )
        return tables, connection.execute(names).scalars().all(), sorted(map(str, connection.execute(identity).all()))


def test_what_was_broken_off_goes_on_where_it_was(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as then:
        then.setattr(m0008_scale, "EXCHANGE", (*m0008_scale.EXCHANGE[:-3], "SELECT 1 / 0"))
        with pytest.raises(DataError, match="division by zero"):
            migrate_large(url, lambda line: None)
    said: list[str] = []
    migrate_large(url, said.append)
    assert said == [f"form {number} of {len(migrations.STEPS)}" for number in range(8, len(migrations.STEPS) + 1)]
    with closing(Database.open(home, url)) as database:
        assert len(Store(database).history("job_7")) == EVENTS_EACH


def test_two_at_once_do_not_both_migrate_it(url: str) -> None:
    with closing(Database(Postgres(url))) as database, database.read() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": lock_key("migrate beside")})
        with pytest.raises(SetupError, match="Another ltx-mcp migrate"):
            migrate_large(url, lambda line: None)
