"""A server that is asked to end in each state a job can be in: another process takes over soon, and
what was half done is done once, by somebody.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx_mcp.domain.job import State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.conftest import ENDS_S
from tests.jobs.moments import (
    GONE_S,
    LONG_S,
    ORDER,
    SOON_S,
    SUBMITS,
    WORK_S,
    Relay,
    animate,
    at,
    begin,
    check_saved,
    check_unknown,
    emulator,
    only_job,
    others,
    relay,
    world,
)
from tests.jobs.test_processes import Look, Server, look, processes_of, servers, wait_for
from tests.patience import HANG_S

__all__ = ["emulator", "look", "relay", "servers", "world"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

Start = Callable[[], Server]


def ask_to_end(server: Server, how: str) -> float:
    """Ask it; when that was."""
    if how == "stdin":
        assert server.process.stdin is not None
        server.process.stdin.close()
    else:
        server.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def put_in(state: State, server: Server, world: EmulatorState, folder: Path) -> None:
    """Place an order that stays in this state for as long as this server lives."""
    if state is State.QUEUED:
        world.faults.append(Fault("fal", "put", "delay", options={"seconds": LONG_S}))
        animate(server, folder, "fal")
        wait_for(lambda: world.faults[0].times == 0, SOON_S)
        return
    if state is State.RUNNING:
        world.work_s = LONG_S
    if state is State.SAVING:
        world.faults.append(Fault("media", "download", "delay", options={"seconds": LONG_S}))
    begin(server, "generate_video", provider="fal", **ORDER)
    if state is State.SAVING:
        wait_for(lambda: world.faults[0].times == 0, SOON_S)


@pytest.mark.parametrize("how", ["stdin", "SIGTERM"])
@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.SAVING])
def test_a_server_asked_to_end_is_gone_soon_and_its_job_goes_on(
    state: State, how: str, world: EmulatorState, servers: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    server = servers()
    put_in(state, server, world, tmp_path)
    job = at(look, state)
    began = ask_to_end(server, how)
    assert server.process.wait(HANG_S) == 0
    assert time.monotonic() - began < ENDS_S
    assert not list(home.glob("videos/*.mp4"))
    world.work_s = WORK_S
    check_saved(look, home, job.id)
    assert len(world.orders) == 1
    wait_for(lambda: not processes_of(home), GONE_S)


@pytest.mark.parametrize("how", ["stdin", "SIGTERM"])
def test_a_server_asked_to_end_while_it_waits_for_an_answer_hands_over_and_writes_the_answer_down(
    how: str, world: EmulatorState, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    kept = relay.keep(SUBMITS["fal"])
    server = servers()
    begin(server, "generate_video", provider="fal", **ORDER)
    kept.wait()
    job = at(look, State.SUBMITTING)
    began = ask_to_end(server, how)
    wait_for(lambda: others(home, server), SOON_S)
    assert time.monotonic() - began < ENDS_S
    assert server.process.poll() is None
    kept.release()
    assert server.process.wait(HANG_S) == 0
    check_saved(look, home, job.id)
    assert len(world.orders) == 1
    assert "unknown" not in look.history(job.id)
    assert "handed_over" not in look.history(job.id)[: look.history(job.id).index("accepted")]
    wait_for(lambda: not processes_of(home), GONE_S)


# -- killed while it leaves -----------------------------------------------------------------------------------------


Moment = Callable[[Look, str, list[int]], bool]
MOMENTS: dict[str, Moment] = {
    "at once": lambda look, job_id, others: True,
    "nobody has the job": lambda look, job_id, others: "handed_over" in look.history(job_id),
    "a worker was started": lambda look, job_id, others: bool(others),
}


@pytest.mark.parametrize(
    ("asked", "moment"),
    [
        ("stdin", "at once"),
        ("stdin", "nobody has the job"),
        ("stdin", "a worker was started"),
        ("SIGTERM", "nobody has the job"),
    ],
)
def test_a_server_killed_while_it_hands_over_loses_nothing(
    asked: str, moment: str, world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    first = servers()
    job_id = first.call("generate_video", provider="fal", **ORDER)["job_id"]
    if asked == "stdin":
        assert first.process.stdin is not None
        first.process.stdin.close()
    else:
        first.process.send_signal(signal.SIGTERM)
    wait_for(lambda: MOMENTS[moment](look, job_id, others(home, first)), SOON_S)
    first.kill()
    servers()
    check_saved(look, home, job_id)
    assert len(world.orders) == 1
    assert look.history(job_id).count("succeeded") == 1


def test_a_server_killed_while_it_still_waits_for_an_answer_after_the_handover_leaves_one_order_and_it_is_unknown(
    world: EmulatorState, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    relay.keep(SUBMITS["bytecompute"])
    first = servers()
    begin(first, "generate_video", provider="bytecompute", **ORDER)
    wait_for(lambda: world.orders, SOON_S)
    assert first.process.stdin is not None
    first.process.stdin.close()
    wait_for(lambda: others(home, first), SOON_S)
    job = only_job(look)
    assert job.state is State.SUBMITTING  # it still waits
    first.kill()
    check_unknown(look, job.id)
    wait_for(lambda: not processes_of(home), GONE_S)
    assert len(world.orders) == 1
