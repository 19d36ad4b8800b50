"""Every moment a process can die at on the way of an order: real servers, kill -9 at that very point, and the orders
counted where they arrive. Never two of one job; where nobody can know, the job says so and a person settles it.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.conftest import Emulated, on_postgres, on_sqlite
from tests.jobs.moments import (
    LONG_S,
    ORDER,
    SAVED_S,
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
    forbids_another,
    held,
    ltx,
    only_job,
    relay,
    told,
    world,
)
from tests.jobs.test_processes import Look, Server, look, noticed_s, on_database, servers, wait_for

__all__ = ["emulator", "look", "on_database", "relay", "servers", "world"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

Start = Callable[[], Server]


# -- before the order -------------------------------------------------------------------------------------------------


@on_sqlite
def test_a_server_killed_before_the_job_was_written_down_leaves_none_and_the_same_key_orders_once(
    world: EmulatorState, servers: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    first = servers()
    first.call("list_jobs")
    with held(home):
        arguments = animate(first, tmp_path, "fal")
        wait_for(lambda: list(home.glob("inputs/*.png")), SOON_S)  # the job's row comes next
        first.kill()
    assert look.store.page("local", "", 10, None) == []
    second = servers()
    placed = [second.call("animate_image", **arguments)["job_id"] for _ in range(2)]
    check_saved(look, home, placed[0])
    assert (placed[0], len(world.orders)) == (placed[1], 1)


@on_sqlite
def test_a_server_killed_while_a_picture_is_sent_ahead_is_followed_by_one_that_orders_once(
    world: EmulatorState, servers: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    world.faults.append(Fault("fal", "put", "delay", options={"seconds": LONG_S}))
    first = servers()
    arguments = animate(first, tmp_path, "fal")
    wait_for(lambda: world.faults[0].times == 0, SOON_S)
    job = only_job(look)
    assert job.state is State.QUEUED
    first.kill()
    assert world.orders == []
    second = servers()
    check_saved(look, home, job.id)
    assert second.call("animate_image", **arguments)["job_id"] == job.id
    assert len(world.orders) == 1
    assert look.history(job.id).count("holder_died") == 1


@on_sqlite
def test_a_server_killed_just_before_it_writes_down_that_it_will_order_has_not_ordered(
    world: EmulatorState, relay: Relay, servers: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    kept = relay.keep("POST /storage/upload/initiate")
    first = servers()
    animate(first, tmp_path, "fal")
    kept.wait()
    with held(home):
        kept.go.set()
        wait_for(lambda: [call for call in world.calls if call.step == "put"], SOON_S)
        first.kill()
    job = only_job(look)
    assert (job.state, world.orders) == (State.QUEUED, [])
    servers()
    check_saved(look, home, job.id)
    assert len(world.orders) == 1


# -- between the order and its answer ---------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Somebody who takes connections, reads nothing and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def connections(listener: socket.socket) -> int:
    """How many have connected since the last look."""
    found = 0
    try:
        while True:
            listener.accept()[0].close()
            found += 1
    except BlockingIOError:
        return found


@on_sqlite
def test_an_order_nobody_read_is_unknown_and_never_sent_again(
    silent: socket.socket,
    emulator: Emulated,
    servers: Start,
    look: Look,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LTX_MCP_LTX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
    first = servers()
    arguments = {"provider": "ltx", **ORDER}
    begin(first, "generate_video", **arguments)
    job = at(look, State.SUBMITTING)
    first.kill()
    second = servers()
    check_unknown(look, job.id)
    assert forbids_another(told(second, "generate_video", **arguments), job.id)
    assert forbids_another(told(second, "check_job", job_id=job.id, wait_seconds=1), job.id)
    assert second.close() == 0
    assert ltx(home, "work", "--until-idle").returncode == 0
    assert connections(silent) <= 1  # of the first server, which may have died before it came so far
    assert look.history(job.id).count("submitting") == 1


def taken_and_killed(relay: Relay, world: EmulatorState, servers: Start, look: Look, provider: str) -> Job:
    """A job whose order the provider took while its server died before the answer reached it."""
    kept = relay.keep(SUBMITS[provider])
    first = servers()
    begin(first, "generate_video", provider=provider, request_key="shot-1", **ORDER)
    kept.wait()
    job = only_job(look)
    assert (job.state, len(world.orders)) == (State.SUBMITTING, 1)
    first.kill()
    return job


def test_an_order_whose_answer_was_lost_is_unknown_until_a_person_adopts_it_and_its_film_comes(
    world: EmulatorState, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    job = taken_and_killed(relay, world, servers, look, "fal")
    second = servers()
    check_unknown(look, job.id)
    repeated = told(second, "generate_video", provider="fal", request_key="shot-1", **ORDER)
    assert forbids_another(repeated, job.id)
    assert len(world.orders) == 1
    adopted = ltx(home, "jobs", "adopt", "fal", world.orders[0].id, "--job", job.id)
    assert (adopted.returncode, adopted.stderr) == (0, "")
    assert adopted.stdout.splitlines()[0] == f"{job.id} running"
    check_saved(look, home, job.id)
    assert look.job(job.id).bill is ChargeState.BOOKED
    assert len(world.orders) == 1
    again = ltx(home, "jobs", "adopt", "fal", world.orders[0].id, "--job", job.id)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, f"{job.id} succeeded")


@on_sqlite
def test_an_answer_that_came_and_was_not_written_down_leaves_the_order_unknown(
    world: EmulatorState, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    kept = relay.keep(SUBMITS["netwrck"])
    first = servers()
    begin(first, "generate_video", provider="netwrck", **ORDER)
    kept.wait()
    with held(home):
        kept.release()
        first.kill()
    servers()
    check_unknown(look, only_job(look).id)
    assert len(world.orders) == 1


VERDICTS = {
    "not-charged": ("failed", ChargeState.RELEASED, "a person found that it was not charged. It can be ordered again."),
    "charged": (
        "failed",
        ChargeState.BOOKED,
        "a person found that it was charged, without a film. Ask the user before",
    ),
    "retry": ("queued", ChargeState.HELD, ""),
}


@on_sqlite
def test_a_person_settles_each_order_whose_answer_was_lost_and_only_a_retry_orders_again(
    world: EmulatorState, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    first = servers()
    jobs = {}
    for verdict, provider in zip(VERDICTS, ("bytecompute", "netwrck", "fal"), strict=True):
        kept = relay.keep(SUBMITS[provider])
        begin(first, "generate_video", provider=provider, **ORDER | {"prompt": verdict})
        kept.wait()
        jobs[verdict] = next(each for each in look.store.page("local", "", 10, None) if each.prompt == verdict)
    first.kill()
    assert ltx(home, "work", "--until-idle").returncode == 0
    for verdict, (state, bill, words) in VERDICTS.items():
        job_id = jobs[verdict].id
        assert (look.job(job_id).state, look.job(job_id).bill) == (State.UNKNOWN, ChargeState.HELD)
        settled = ltx(home, "jobs", "resolve", job_id, verdict)
        assert (settled.returncode, settled.stderr) == (0, "")
        assert settled.stdout.splitlines()[0] == f"{job_id} {state}"
        assert words in settled.stdout
        if verdict != "retry":
            assert look.job(job_id).bill is bill
            again = ltx(home, "jobs", "resolve", job_id, verdict)
            assert (again.returncode, again.stdout) == (2, "")
            assert f"{job_id} is failed; only a job whose outcome is unknown" in again.stderr
    check_saved(look, home, jobs["retry"].id)
    assert sorted(order.provider for order in world.orders) == ["bytecompute", "fal", "fal", "netwrck"]


# -- an answer that is the film ---------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize("come", ["nothing", "half"])
def test_a_server_killed_while_it_holds_an_answer_that_is_the_film_leaves_one_order_and_it_is_unknown(
    come: str,
    world: EmulatorState,
    relay: Relay,
    servers: Start,
    look: Look,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LTX_MCP_LTX_API", "v1")
    kept = relay.keep("POST /v1/text", after_bytes=40_000 if come == "half" else 0)
    first = servers()
    begin(first, "generate_video", provider="ltx", **ORDER)
    kept.wait()
    job = at(look, State.RUNNING if come == "half" else State.SUBMITTING)
    first.kill()
    second = servers()
    check_unknown(look, job.id)
    assert forbids_another(told(second, "check_job", job_id=job.id, wait_seconds=1), job.id)
    assert second.close() == 0
    assert len(world.orders) == 1
    assert not (home / "videos" / f"{job.id}.mp4").exists()


@on_sqlite
def test_a_film_that_was_the_answer_and_is_here_is_kept_by_the_next_server(
    world: EmulatorState, relay: Relay, servers: Start, look: Look, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX_MCP_LTX_API", "v1")
    first = servers()
    begin(first, "generate_video", provider="ltx", **ORDER)
    job = at(look, State.SAVING)
    with held(home):
        first.kill()
        assert only_job(look).state is State.SAVING
    servers()
    check_saved(look, home, job.id)
    assert len(world.orders) == 1


# -- after the answer -------------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("provider", "step"), [("fal", "stream"), ("ltx", "poll"), ("netwrck", "poll"), ("bytecompute", "poll")]
)
def test_an_order_is_followed_on_when_its_follower_is_killed(
    provider: str, step: str, world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    world.work_s = LONG_S
    first = servers()
    job_id = first.call("generate_video", provider=provider, **ORDER)["job_id"]
    wait_for(lambda: [call for call in world.calls if (call.provider, call.step) == (provider, step)], SOON_S)
    first.kill()
    assert look.job(job_id).state is State.RUNNING
    world.work_s = WORK_S
    servers()
    check_saved(look, home, job_id)
    assert look.history(job_id).count("holder_died") == 1
    assert (len(world.orders), look.job(job_id).bill) == (1, ChargeState.BOOKED)


@on_sqlite
@pytest.mark.parametrize(("provider", "host"), [("fal", "media"), ("bytecompute", "bytecompute")])
def test_a_film_of_which_half_had_come_when_its_server_was_killed_is_brought_whole(
    provider: str, host: str, world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    world.faults += [
        Fault(host, "download", "cut"),
        Fault(host, "download", "delay", options={"seconds": LONG_S}),
    ]
    first = servers()
    job_id = first.call("generate_video", provider=provider, **ORDER)["job_id"]
    wait_for(lambda: world.faults[1].times == 0, SOON_S)
    assert look.job(job_id).state is State.SAVING
    assert [path.stat().st_size > 0 for path in (home / "videos").iterdir()] == [True]
    first.kill()
    servers()
    check_saved(look, home, job_id)
    assert len(world.orders) == 1


# -- taken for dead ---------------------------------------------------------------------------------------------------


@on_postgres
def test_a_server_that_wakes_after_its_lease_ran_out_orders_nothing_and_writes_over_nothing(
    world: EmulatorState,
    relay: Relay,
    servers: Start,
    look: Look,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """One job is at its provider, and the film of the other on its way here, while the first server is stopped."""
    monkeypatch.setenv("LTX_MCP_LOG_LEVEL", "INFO")
    world.faults.append(Fault("netwrck", "order", "never_finishes"))
    kept = relay.keep("/download")
    first = servers()
    followed = first.call("generate_video", provider="netwrck", **ORDER)["job_id"]
    coming = first.call("generate_video", provider="bytecompute", **ORDER)["job_id"]
    kept.wait()
    first.process.send_signal(signal.SIGSTOP)
    try:
        servers()
        wait_for(lambda: all("holder_died" in look.history(job_id) for job_id in (followed, coming)), noticed_s())
        wait_for(lambda: look.job(coming).state is State.SUCCEEDED, SAVED_S)
        whole = (home / "videos" / f"{coming}.mp4").stat()
        capfd.readouterr()
    finally:
        first.process.send_signal(signal.SIGCONT)
    kept.go.set()
    world.orders[0].fault = None
    logged = ""

    def both_left() -> bool:
        nonlocal logged
        logged += capfd.readouterr().err
        return all(f"{job_id} is not ours any more" in logged for job_id in (followed, coming))

    wait_for(both_left, SAVED_S)
    check_saved(look, home, followed, coming)
    assert (home / "videos" / f"{coming}.mp4").stat().st_ino == whole.st_ino
    assert [look.history(job_id).count("succeeded") for job_id in (followed, coming)] == [1, 1]
    assert sorted(order.provider for order in world.orders) == ["bytecompute", "netwrck"]
