"""A backup of the database is restored, and the service goes on: what it knows is followed to its film, and what may
have been ordered after the backup is not ordered again."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.jobs.store.database import Database
from tests.conftest import Emulated
from tests.databases import PostgresServer
from tests.facts import facts_of
from tests.jobs.counting import counters, recount
from tests.jobs.test_processes import processes_of, wait_for
from tests.patience import HANG_S
from tests.server.test_http import Served

FAL: dict[str, Any] = {"provider": "fal", "model": "ltx-2.3-fast"}
LIVE = ("queued", "submitting", "running", "saving")


def say_restored(env: Mapping[str, str]) -> tuple[int, str]:
    """The exit code of the command, and what it says."""
    command = [sys.executable, "-m", "ltx_mcp", "restored"]
    ended = subprocess.run(command, env=os.environ | env, capture_output=True, encoding="utf-8", check=False)
    return ended.returncode, ended.stderr


@pytest.fixture
def more(emulator: Emulated, home: Path) -> Iterator[dict[str, str]]:
    """What each server is given besides its database."""
    emulator[1].wait_s, emulator[1].work_s = 0.0, 600.0
    yield settings(emulator[0])
    wait_for(lambda: not processes_of(home), HANG_S)


def test_after_a_restore_nothing_is_ordered_again_and_every_known_order_gets_its_film(
    home: Path, postgres: PostgresServer, emulator: Emulated, more: dict[str, str]
) -> None:
    url, world = postgres.new_database(), emulator[1]

    def state_of(server: Served, job_id: str, wait_seconds: int = 0) -> str:
        view = facts_of(server.call("check_job", job_id=job_id, wait_seconds=wait_seconds, frames=False))
        return str(view["state"])

    first = Served(home, **more, LTX_MCP_DATABASE_URL=url)
    try:
        shot = facts_of(first.call("generate_video", prompt="a heron", **FAL))["job_id"]
        goes_on = facts_of(first.call("animate_image", image=f"{shot}#last", prompt="it lands", **FAL))["job_id"]
        wait_for(lambda: (state_of(first, shot), state_of(first, goes_on)) == ("running", "queued"), HANG_S)
        dump = home / "dump.sql"
        postgres.run_tool("pg_dump", f"--dbname={url}", f"--file={dump}")
        world.work_s = 0.0  # after the backup the first one is made, and the second is ordered
        wait_for(lambda: len(world.orders) == 2, HANG_S)
    finally:
        first.close()

    restored = postgres.new_database()
    postgres.run_tool("psql", "--quiet", f"--dbname={restored}", f"--file={dump}")
    env = more | {"LTX_MCP_DATABASE_URL": restored, "LTX_MCP_HOME": str(home)}
    with psycopg.connect(restored, autocommit=True) as clock:  # the backup was made while a server lived
        clock.execute("UPDATE workers SET beat_at = (extract(epoch FROM now()) + 3600) * 1000000")
        code, said = say_restored(env)
        assert (code, "1 at work on this database" in said) == (3, True), said
        clock.execute("UPDATE workers SET beat_at = 0")
    code, said = say_restored(env)
    assert (code, "1 job may have been ordered since the backup" in said) == (0, True), said
    second = Served(home, **more, LTX_MCP_DATABASE_URL=restored)
    try:
        assert state_of(second, shot, 45) == "succeeded"
        assert state_of(second, goes_on, 5) == "unknown"
        new = facts_of(second.call("generate_video", prompt="a new day", **FAL))["job_id"]
        assert state_of(second, new, 45) == "succeeded"
        assert [order.fields["prompt"] for order in world.orders] == ["a heron", "it lands", "a new day"]
    finally:
        second.close()
    with closing(Database.open(home, restored)) as database, database.read() as connection:
        assert counters(connection) == recount(connection)
