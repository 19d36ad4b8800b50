"""Opening, migrating, syncing and losing the database, on SQLite and on PostgreSQL; disks that no database likes."""

import gc
import logging
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import LiteralString

import anyio
import anyio.to_thread
import psycopg
import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import ProgrammingError

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.jobs.filesystem import check_disk, find_file_system
from ltx_mcp.jobs.store import errors, postgres_connection, schema
from ltx_mcp.jobs.store import postgres as module
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.large import migrate_large
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.workers import heartbeat
from ltx_mcp.jobs.workers.heartbeat import HeartbeatLiveness
from tests.conftest import ENDS_S, Clock
from tests.databases import OTHERS, PostgresServer
from tests.jobs.test_processes import wait_for
from tests.jobs.test_store import New
from tests.patience import HANG_S

# -- opening ----------------------------------------------------------------------------------------------------


def test_the_migrations_make_what_the_schema_says(database: Database) -> None:
    with database.read() as connection:
        look = inspect(connection)
        found = {name: {each["name"] for each in look.get_columns(name)} for name in schema.metadata.tables}
        indexes = {each["name"] for name in found for each in look.get_indexes(name)}
    tables = schema.metadata.tables.items()
    assert found == {name: {column.name for column in table.columns} for name, table in tables}
    assert {str(index.name) for table in schema.metadata.tables.values() for index in table.indexes} <= indexes


def test_an_older_program_refuses_a_newer_database(home: Path, database_url: str) -> None:
    database = Database.open(home, database_url)
    with database.write() as connection:
        connection.execute(text("UPDATE form SET version = 99"))
    database.close()
    with pytest.raises(SetupError, match="newer ltx-mcp") as caught:
        Database.open(home, database_url)
    assert caught.value.code is ErrorCode.STORAGE_FAILED


def test_opening_again_keeps_what_is_there(home: Path, database_url: str, new_job: New, clock: Clock) -> None:
    first = Database.open(home, database_url)
    job = Store(first).place(new_job(), clock()).job
    first.close()
    second = Database.open(home, database_url)
    assert Store(second).get(job.id) == job
    second.close()


def test_many_that_open_a_new_database_at_once_make_it_once(home: Path, database_url: str) -> None:
    start = threading.Barrier(8)

    def opened(_: int) -> Database:
        start.wait()
        return Database.open(home, database_url)

    with ThreadPoolExecutor(8) as pool:
        for database in pool.map(opened, range(8)):
            database.close()


def test_a_corrupt_file_is_told_with_its_path_and_the_setting(home: Path) -> None:
    home.mkdir()
    (home / "jobs.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(SetupError, match="LTX_MCP_HOME") as caught:
        Database.open(home)
    assert str(home / "jobs.sqlite") in caught.value.message


def test_an_intent_is_synced_to_disk_and_progress_is_not(database: Database) -> None:
    shared = database.kind.shared
    question, expected = ("SHOW synchronous_commit", "on off") if shared else ("PRAGMA synchronous", "2 1")
    levels = []
    for durable in (True, False):
        with database.write(durable=durable) as connection:
            levels.append(str(connection.execute(text(question)).scalar()))
    assert " ".join(levels) == expected


def test_a_wrong_statement_of_ours_is_not_told_as_a_database_out_of_reach(home: Path, postgres: PostgresServer) -> None:
    database = Database.open(home, postgres.new_database())
    with pytest.raises(ProgrammingError), database.read() as connection:
        connection.execute(text("SELECT nothing FROM nowhere"))
    database.close()


# -- PostgreSQL out of reach ------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["u:s3cret@127.0.0.1:9/db", "u:s3cret@[::1]:9/db", "u:s3cret%20word@127.0.0.1:9/db"])
def test_a_database_that_is_not_there_is_told_without_place_or_password(home: Path, to: str) -> None:
    with pytest.raises(errors.DatabaseUnavailableError, match="Jobs under way are not lost") as caught:
        Database.open(home, f"postgresql://{to}")
    assert ":9: connection" in caught.value.where
    assert ":9" not in str(caught.value)
    assert "s3cret" not in f"{caught.value} {caught.value.where}"


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/db",
        "postgresql://u:s3cret@h:port/db",
        "postgresql://u:s3cret@h/db?sslmod=require",
        "postgresql://u:s3cret%00@h/db",
    ],
)
@pytest.mark.parametrize("way", ["server", "migrate"])
def test_an_address_of_another_kind_is_refused_without_showing_it(home: Path, url: str, way: str) -> None:
    with pytest.raises(SetupError, match="postgresql://user:password") as caught:
        Database.open(home, url) if way == "server" else migrate_large(url, lambda line: None)
    assert "s3cret" not in str(caught.value)


def test_a_space_in_an_address_reaches_the_server_as_one(home: Path, postgres: PostgresServer) -> None:
    url = f"{postgres.new_database()}&options=-c%20work_mem%3D77kB"
    with closing(Database.open(home, url)) as database, database.read() as connection:
        assert connection.exec_driver_sql("SHOW work_mem").scalar() == "77kB"


def test_a_missing_driver_is_told_with_what_installs_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for opens in (partial(Database.open, home), partial(migrate_large, say=lambda line: None)):
        with pytest.raises(SetupError, match="psycopg") as caught:
            opens(url="postgresql://u@127.0.0.1:9/db")
        assert "pip install" in caught.value.hint


@pytest.mark.anyio
async def test_a_quick_read_finds_nothing_while_all_connections_are_in_use(
    home: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POOL_TIMEOUT_S", 0.1)
    with closing(Database.open(home, postgres.new_database(), connections=1)) as database:
        with database.read():
            assert await database.quick_read("SELECT 1", ()) == []
        assert list(await database.quick_read("SELECT 1", ())) == [(1,)]


@pytest.mark.parametrize("noticed", [True, False])
def test_connections_survive_a_restart_of_the_server(
    home: Path, postgres: PostgresServer, new_job: New, clock: Clock, noticed: bool
) -> None:
    database = Database.open(home, postgres.new_database())
    job = Store(database).place(new_job(), clock()).job
    postgres.stop()
    if noticed:
        with pytest.raises(errors.DatabaseUnavailableError):
            Store(database).get(job.id)
    postgres.start()
    assert Store(database).get(job.id) == job
    database.close()


def test_a_server_that_falls_silent_is_not_waited_for(
    home: Path, postgres: PostgresServer, new_job: New, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connection, "SILENCE_S", 1)
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 2)
    database = Database.open(home, postgres.new_database())
    job = Store(database).place(new_job(), clock()).job
    began = time.monotonic()
    with postgres.frozen(), pytest.raises(errors.DatabaseUnavailableError):
        Store(database).get(job.id)
    assert time.monotonic() - began < ENDS_S
    assert Store(database).get(job.id) == job
    database.close()


# -- who is alive -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_read_that_nobody_waits_for_leaves_no_connection_behind(home: Path, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    database = Database.open(home, url)
    with psycopg.connect(url, autocommit=True) as other, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")

        def wait_until(query: LiteralString) -> None:
            wait_for(lambda: other.execute(query).fetchone() == (True,), HANG_S)

        other.execute("SELECT pg_advisory_lock(7)")
        async with anyio.create_task_group() as group:
            group.start_soon(database.quick_read, "SELECT pg_advisory_lock(7)", ())
            await anyio.to_thread.run_sync(wait_until, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            group.cancel_scope.cancel()
        database.close()
        other.execute("SELECT pg_advisory_unlock(7)")
        wait_until(f"SELECT ({OTHERS}) = 0")
        gc.collect()
    assert [str(each.message) for each in told] == []


@pytest.fixture
def shared(home: Path, postgres: PostgresServer) -> Iterator[Database]:
    """A database of several machines."""
    opened = Database.open(home, postgres.new_database())
    yield opened
    opened.close()


def age(database: Database, worker: str, seconds: float) -> None:
    """Let a worker's last beat be this long ago."""
    with database.write() as connection:
        connection.execute(
            text("UPDATE workers SET beat_at = beat_at - :us WHERE name = :name"),
            {"us": round(seconds * 1e6), "name": worker},
        )


def up_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "UP_SINCE", text("SELECT CAST(0 AS BIGINT) AS at").columns(at=schema.Moment))


def test_a_worker_is_dead_when_its_row_was_silent_for_the_lease(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_for_an_hour(monkeypatch)
    first, second = HeartbeatLiveness(shared), HeartbeatLiveness(shared)
    first.begin()
    second.begin()
    age(shared, first.worker, heartbeat.LEASE_S - 1)
    assert not second.is_dead(first.worker)
    age(shared, first.worker, 2)
    assert second.is_dead(first.worker)


def test_a_worker_that_ended_or_never_was_is_dead(shared: Database) -> None:
    first, second = HeartbeatLiveness(shared), HeartbeatLiveness(shared)
    first.begin()
    second.begin()
    name = first.worker
    first.end()
    assert second.is_dead(name)
    assert not second.is_dead(second.worker)


def test_nobody_is_dead_for_the_time_the_database_was_down(shared: Database) -> None:
    first, second = HeartbeatLiveness(shared), HeartbeatLiveness(shared)
    first.begin()
    second.begin()
    age(shared, first.worker, 3600)  # and the server of these tests was started a moment ago
    assert not second.is_dead(first.worker)


def test_who_was_cut_off_himself_does_not_judge_before_a_lease_is_over(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_for_an_hour(monkeypatch)
    first, second = HeartbeatLiveness(shared), HeartbeatLiveness(shared)
    first.begin()
    second.begin()
    age(shared, first.worker, 3600)
    assert second._beaten_at is not None
    second._beaten_at -= timedelta(seconds=heartbeat.LEASE_S)
    second._next_s = 0
    second.beat()
    assert not second.is_dead(first.worker)


def test_who_could_not_beat_himself_for_a_while_does_not_judge(
    shared: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    up_for_an_hour(monkeypatch)
    first, second = HeartbeatLiveness(shared), HeartbeatLiveness(shared)
    first.begin()
    second.begin()
    age(shared, first.worker, 3600)
    assert second.is_dead(first.worker)
    assert second._beaten_at is not None
    second._beaten_at -= timedelta(seconds=heartbeat.LEASE_S)
    assert not second.is_dead(first.worker)


def test_a_beat_renews_the_row_and_a_buried_one_comes_back(shared: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    up_for_an_hour(monkeypatch)
    first, second = HeartbeatLiveness(shared), HeartbeatLiveness(shared)
    first.begin()
    second.begin()
    age(shared, first.worker, 3600)
    assert second.is_dead(first.worker)
    second.forget(first.worker)
    first._next_s = 0
    first.beat()
    assert not second.is_dead(first.worker)
    age(shared, first.worker, 7200)
    second.sweep()
    first._next_s = 0
    first.beat()
    assert not second.is_dead(first.worker)


def test_rows_of_the_long_dead_are_swept(shared: Database) -> None:
    first, second = HeartbeatLiveness(shared), HeartbeatLiveness(shared)
    first.begin()
    second.begin()
    age(shared, first.worker, 3601)
    second.sweep()
    with shared.read() as connection:
        assert connection.execute(text("SELECT name FROM workers")).scalars().all() == [second.worker]


# -- disks ------------------------------------------------------------------------------------------------------

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:29 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
32 31 0:30 / /home/local\\040disk rw,relatime - ext4 /dev/vdb rw
33 22 0:31 / /mnt/c rw - 9p C:\\134 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/ltx", "ext4"),
        ("/home/ann/.local/share/ltx-mcp", "nfs4"),
        ("/home/local disk/ltx", "ext4"),
        ("/mnt/c/Users", "9p"),
        ("/homework", "ext4"),
    ],
)
def test_the_disk_a_path_lies_on_is_found(path: str, kind: str) -> None:
    assert find_file_system(Path(path), MOUNTS) == kind


def test_a_home_on_a_network_disk_is_refused_with_both_ways_out(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {tmp_path} rw - nfs4 server:/x rw\n")
    with pytest.raises(SetupError, match=r"network disk \(nfs4\)") as caught:
        check_disk(tmp_path / "home", mounts)
    assert "LTX_MCP_HOME" in caught.value.hint
    assert "LTX_MCP_DATABASE_URL" in caught.value.hint


def test_a_home_on_a_doubtful_disk_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / {tmp_path} rw - 9p C:\\134 rw\n")
    with caplog.at_level(logging.WARNING):
        check_disk(tmp_path / "home", mounts)
    assert "9p disk" in caplog.text


def test_a_shared_database_may_have_its_home_on_any_disk(
    home: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr("ltx_mcp.jobs.store.sqlite.check_disk", refuse)
    Database.open(home, postgres.new_database()).close()


def test_a_home_that_cannot_be_made_is_told_with_path_and_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SetupError, match="LTX_MCP_HOME") as caught:
        Database.open(tmp_path / "file" / "home")
    assert str(tmp_path / "file" / "home") in caught.value.message
