"""A process dies in the middle of a set, at every point of placing it and while its takes are ordered: all of it is
there or nothing, and no take is ordered twice.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.conftest import Emulated
from tests.jobs.moments import SAVED_S, SUBMITS, Relay, emulator, ltx, relay, world
from tests.jobs.test_processes import Look, environment, look, noticed_s, on_database, wait_for
from tests.patience import HANG_S

__all__ = ["emulator", "look", "on_database", "relay", "world"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

ORDER = """
import os, signal, sys, anyio
from sqlalchemy import Engine, event
from ltx_mcp.cli.common import open_jobs
from ltx_mcp.domain.arguments import GenerateVideo

deadly, worked = sys.argv[1], sys.argv[2] == "work"
seen = []

def die_at(moment):
    seen.append(moment)
    if moment + str(seen.count(moment)) == deadly:
        os.kill(os.getpid(), signal.SIGKILL)

def before_statement(connection, cursor, statement, values, context, many):
    for table in ("sets", "jobs", "events"):
        if statement.startswith(f"INSERT INTO {table} "):
            die_at(table)

def before_commit(connection):
    if "sets" in seen:
        die_at("commit")

event.listen(Engine, "before_cursor_execute", before_statement)
event.listen(Engine, "commit", before_commit)

async def main():
    wanted = GenerateVideo(prompt="a pond", provider="fal", takes=3, request_key="pond")
    async with open_jobs(work=worked) as jobs:
        print((await jobs.order_or_ask(wanted, "local", None, can_ask=False)).followed.id, flush=True)
        if worked:
            await anyio.sleep_forever()
anyio.run(main)
"""


def order(home: Path, deadly: str = "never", *, work: bool = False) -> subprocess.Popen[str]:
    """A process that orders three takes under one key; it is killed at that moment."""
    command = [sys.executable, "-c", ORDER, deadly, "work" if work else "place"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(home), encoding="utf-8")


def printed(process: subprocess.Popen[str]) -> str:
    """What it says until it has ended."""
    return process.communicate(timeout=HANG_S)[0].strip()


@pytest.mark.parametrize("deadly", ["jobs1", "jobs3", "events2", "commit1"])
def test_of_a_set_whose_placing_was_killed_there_is_nothing_and_its_key_places_all_of_it(
    world: EmulatorState, home: Path, look: Look, deadly: str
) -> None:
    killed = order(home, deadly)
    assert (printed(killed), killed.returncode) == ("", -signal.SIGKILL)
    assert look.store.page("local", "", 10, None) == []
    job_set = look.store.find(printed(order(home)))
    assert isinstance(job_set, JobSet)
    assert [job.id for job in look.store.page("local", "", 10, None)] == [take.id for take in reversed(job_set.takes)]
    assert world.orders == []


@pytest.fixture
def killed_set(relay: Relay, world: EmulatorState, home: Path, look: Look) -> JobSet:
    """A set of which the provider took the first order it was sent, while the process died before the answer came."""
    kept = relay.keep(SUBMITS["fal"])
    process = order(home, work=True)
    assert process.stdout is not None
    set_id = process.stdout.readline().strip()
    kept.wait()
    process.kill()
    process.stdout.close()
    process.wait(HANG_S)
    relay.close()
    job_set = look.store.find(set_id)
    assert isinstance(job_set, JobSet)
    return job_set


def test_of_a_set_whose_ordering_was_killed_each_take_is_ordered_once(
    emulator: Emulated,
    killed_set: JobSet,
    world: EmulatorState,
    home: Path,
    look: Look,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LTX_MCP_FAL_QUEUE_URL", "LTX_MCP_FAL_REST_URL"):
        monkeypatch.setenv(name, emulator[0])
    assert printed(order(home)) == killed_set.id
    assert ltx(home, "work", "--until-idle").returncode == 0
    wait_for(lambda: not look.store.reload(killed_set).live, SAVED_S + noticed_s())
    ended = look.store.reload(killed_set)
    assert {take.state for take in ended.takes} <= {State.SUCCEEDED, State.UNKNOWN}
    lost = [take for take in ended.takes if take.state is State.UNKNOWN]
    assert lost
    assert {take.bill for take in lost} == {ChargeState.HELD}
    assert [look.history(take.id).count("submitting") for take in ended.takes] == [1, 1, 1]
    assert len(world.orders) <= 3
    assert len(world.orders) >= 1 + sum(take.state is State.SUCCEEDED for take in ended.takes)
