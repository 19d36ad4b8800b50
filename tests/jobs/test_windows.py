"""Every moment a process can die at on the way of an order: real servers, kill -9 at that very point, and the orders
counted where they arrive. Never two of one job; where nobody can know, the job says so and a person settles it.
"""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.job import Bill, Job, State
from ltx_mcp.emulator.app import make_world, running, settings
from ltx_mcp.emulator.world import Fault, World
from tests.conftest import Emulated
from tests.jobs.moments import Relay, begin, held, ltx, relayed, told
from tests.jobs.test_processes import Look, Server, look, noticed_s, on_database, processes_of, servers, wait_for

__all__ = ["look", "on_database", "servers"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
"""There a death is noticed only when a lease has run out, so only what depends on leases is tried on both."""

ORDER = {"prompt": "a pond", "resolution": "1080p", "duration": 6, "fps": 25}
SOON_S, SAVED_S, GONE_S = 15.0, 40.0, 15.0
WORK_S = 1.0
LONG_S = 600.0
SUBMITS = {"fal": "POST /fal-ai/", "ltx": "POST /v2/text", "netwrck": "POST /api/", "bytecompute": "POST /v1/generate"}
ADDRESSES = {
    "fal": "LTX_MCP_FAL_QUEUE_URL",
    "ltx": "LTX_MCP_LTX_URL",
    "netwrck": "LTX_MCP_NETWRCK_URL",
    "bytecompute": "LTX_MCP_BYTECOMPUTE_URL",
}

Start = Callable[[], Server]


@pytest.fixture
def emulator(emulator_films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    """Emulated providers, and an environment that leads every process started from here to them."""
    with running(emulator_films, world=make_world(wait_s=0.1, work_s=WORK_S)) as (base_url, world):
        for name, value in settings(base_url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LTX_MCP_INPUT_DIRS", str(tmp_path))
        yield base_url, world


@pytest.fixture
def world(emulator: Emulated) -> World:
    """What the providers were sent."""
    return emulator[1]


@pytest.fixture
def relay(emulator: Emulated, monkeypatch: pytest.MonkeyPatch) -> Iterator[Relay]:
    """A way to all providers on which answers can be kept back."""
    with relayed(emulator[0]) as made:
        for name in ADDRESSES.values():
            monkeypatch.setenv(name, made.url)
        yield made


def only_job(look: Look) -> Job:
    """The one job there is."""
    jobs = look.store.page("local", "", 10, None)
    assert len(jobs) == 1
    return jobs[0]


def at(look: Look, state: State) -> Job:
    """The one job, once it is in this state."""

    def there() -> Job | None:
        jobs = look.store.page("local", state.value, 10, None)
        return jobs[0] if jobs else None

    wait_for(there, SOON_S)
    return only_job(look)


def check_saved(look: Look, home: Path, *job_ids: str) -> None:
    """The films lie in the home within a bounded time, whole, each with its sheet and its facts, and nothing else."""
    wait_for(lambda: all(look.job(job_id).state is State.SUCCEEDED for job_id in job_ids), SAVED_S)
    names = {f"{job_id}{kind}" for job_id in job_ids for kind in (".jpg", ".json", ".mp4")}
    assert {path.name for path in (home / "videos").iterdir()} == names
    for job_id in job_ids:
        film = look.job(job_id).film
        assert film is not None
        assert (film.width, film.height, film.duration) == (1920, 1080, 6.0)
        assert film.size_bytes == (home / "videos" / f"{job_id}.mp4").stat().st_size


def check_unknown(look: Look, job_id: str) -> None:
    """It is known that nothing is known, and the money is held."""
    wait_for(lambda: look.job(job_id).state is State.UNKNOWN, noticed_s())
    job = look.job(job_id)
    assert (job.bill, job.error and job.error.code) == (Bill.HELD, "outcome_unknown")
    assert look.store.budget(job.created_at).held == job.offer.held_usd * 1_000_000


def forbids_another(view: dict[str, Any], job_id: str) -> bool:
    """Whether an answer leads to the same job and says not to order again."""
    same = (view["job_id"], view["state"], view["error"]["code"]) == (job_id, "unknown", "outcome_unknown")
    return same and "Do not order it again" in view["next"]


# -- before the order -------------------------------------------------------------------------------------------------


@on_sqlite
def test_a_server_killed_before_the_job_was_written_down_leaves_nothing_and_the_same_key_orders_once(
    world: World, servers: Start, look: Look, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    first = servers()
    first.call("list_jobs")
    with held(home):
        begin(first, "generate_video", provider="ltx", request_key="shot-1", **ORDER)
        wait_for(lambda: list(scratch.iterdir()), SOON_S)  # it is being placed
        first.kill()
    assert look.store.page("local", "", 10, None) == []
    second = servers()
    placed = [second.call("generate_video", provider="ltx", request_key="shot-1", **ORDER) for _ in range(2)]
    assert placed[0]["job_id"] == placed[1]["job_id"]
    check_saved(look, home, placed[0]["job_id"])
    assert len(world.orders) == 1


def animate(server: Server, folder: Path, provider: str) -> dict[str, Any]:
    """An order of a picture, whose answer is not waited for; its arguments."""
    picture = folder / "pond.png"
    if not picture.exists():
        Image.effect_noise((640, 360), 60).convert("RGB").save(picture)
    arguments = {"image": str(picture), "provider": provider, "request_key": "shot-1", **ORDER}
    begin(server, "animate_image", **arguments)
    return arguments


@on_sqlite
@pytest.mark.parametrize("step", ["upload", "put"])
def test_a_server_killed_while_a_picture_is_sent_ahead_is_followed_by_one_that_orders_once(
    step: str, world: World, servers: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    world.faults.append(Fault("fal", step, "delay", options={"seconds": LONG_S}))
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
    world: World, relay: Relay, servers: Start, look: Look, home: Path, tmp_path: Path
) -> None:
    kept = relay.keep("POST /v1/upload")
    first = servers()
    animate(first, tmp_path, "ltx")
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
@pytest.mark.parametrize("key", ["shot-1", ""])
def test_an_order_nobody_read_is_unknown_and_never_sent_again(
    key: str,
    silent: socket.socket,
    emulator: Emulated,
    servers: Start,
    look: Look,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LTX_MCP_LTX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
    first = servers()
    arguments = {"provider": "ltx", "request_key": key, **ORDER}
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


def taken_and_killed(relay: Relay, world: World, servers: Start, look: Look, provider: str) -> Job:
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
    world: World, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    job = taken_and_killed(relay, world, servers, look, "ltx")
    second = servers()
    check_unknown(look, job.id)
    repeated = told(second, "generate_video", provider="ltx", request_key="shot-1", **ORDER)
    assert forbids_another(repeated, job.id)
    assert len(world.orders) == 1
    adopted = ltx(home, "jobs", "adopt", "ltx", world.orders[0].id, "--job", job.id)
    assert (adopted.returncode, adopted.stderr) == (0, "")
    assert adopted.stdout.splitlines()[0] == f"{job.id} running"
    check_saved(look, home, job.id)
    assert look.job(job.id).bill is Bill.BOOKED
    assert len(world.orders) == 1
    again = ltx(home, "jobs", "adopt", "ltx", world.orders[0].id, "--job", job.id)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, f"{job.id} succeeded")


@on_sqlite
def test_an_answer_that_came_and_was_not_written_down_leaves_the_order_unknown(
    world: World, relay: Relay, servers: Start, look: Look, home: Path
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
    "not-charged": ("failed", Bill.RELEASED, "a person found that it was not charged. It can be ordered again."),
    "charged": ("failed", Bill.BOOKED, "a person found that it was charged, without a film. Ask the user before"),
    "retry": ("queued", Bill.HELD, ""),
}


@on_sqlite
def test_a_person_settles_each_order_whose_answer_was_lost_and_only_a_retry_orders_again(
    world: World, relay: Relay, servers: Start, look: Look, home: Path
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
        assert (look.job(job_id).state, look.job(job_id).bill) == (State.UNKNOWN, Bill.HELD)
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
    come: str, world: World, relay: Relay, servers: Start, look: Look, home: Path, monkeypatch: pytest.MonkeyPatch
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
    world: World, relay: Relay, servers: Start, look: Look, home: Path, monkeypatch: pytest.MonkeyPatch
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
    provider: str, step: str, world: World, servers: Start, look: Look, home: Path
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
    assert (len(world.orders), look.job(job_id).bill) == (1, Bill.BOOKED)


@on_sqlite
@pytest.mark.parametrize(("provider", "host"), [("netwrck", "media"), ("bytecompute", "bytecompute")])
def test_a_film_of_which_half_had_come_when_its_server_was_killed_is_brought_whole(
    provider: str, host: str, world: World, servers: Start, look: Look, home: Path
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


# -- while it leaves --------------------------------------------------------------------------------------------------


def at_once(look: Look, job_id: str, home: Path) -> bool:
    """Nothing is waited for."""
    return True


def when_handed_over(look: Look, job_id: str, home: Path) -> bool:
    """The job is nobody's any more."""
    return "handed_over" in look.history(job_id)


def when_a_worker_began(look: Look, job_id: str, home: Path) -> bool:
    """Another process was started for it."""
    return len(processes_of(home)) > 1


@on_sqlite
@pytest.mark.parametrize("asked", ["stdin", "SIGTERM"])
@pytest.mark.parametrize("moment", [at_once, when_handed_over, when_a_worker_began])
def test_a_server_killed_while_it_hands_over_loses_nothing(
    asked: str,
    moment: Callable[[Look, str, Path], bool],
    world: World,
    servers: Start,
    look: Look,
    home: Path,
) -> None:
    first = servers()
    job_id = first.call("generate_video", provider="fal", **ORDER)["job_id"]
    if asked == "stdin":
        assert first.process.stdin is not None
        first.process.stdin.close()
    else:
        first.process.send_signal(signal.SIGTERM)
    wait_for(lambda: moment(look, job_id, home), SOON_S)
    first.kill()
    servers()
    check_saved(look, home, job_id)
    assert len(world.orders) == 1
    assert look.history(job_id).count("succeeded") == 1


@on_sqlite
def test_a_server_killed_while_it_still_waits_for_an_answer_after_the_handover_leaves_one_order_and_it_is_unknown(
    world: World, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    relay.keep(SUBMITS["bytecompute"])
    first = servers()
    begin(first, "generate_video", provider="bytecompute", **ORDER)
    wait_for(lambda: world.orders, SOON_S)
    assert first.process.stdin is not None
    first.process.stdin.close()
    wait_for(lambda: len(processes_of(home)) > 1, SOON_S)
    job = only_job(look)
    assert job.state is State.SUBMITTING  # it still waits
    first.kill()
    check_unknown(look, job.id)
    wait_for(lambda: not processes_of(home), GONE_S)
    assert len(world.orders) == 1


# -- taken for dead ---------------------------------------------------------------------------------------------------


@on_postgres
def test_a_server_that_wakes_after_its_lease_ran_out_orders_nothing_and_writes_over_nothing(
    world: World, relay: Relay, servers: Start, look: Look, home: Path
) -> None:
    """One job is at the provider, the film of the other on its way here, when the first server is stopped."""
    world.work_s = LONG_S
    first = servers()
    at_provider = first.call("generate_video", provider="netwrck", **ORDER)["job_id"]
    kept = relay.keep("/download")
    coming = first.call("generate_video", provider="bytecompute", **ORDER)["job_id"]
    world.work_s = WORK_S
    ordered = next(order for order in world.orders if order.provider == "netwrck")
    ordered.facts["never"] = True
    kept.wait()
    first.process.send_signal(signal.SIGSTOP)
    try:
        servers()
        for job_id in (at_provider, coming):
            wait_for(lambda: "holder_died" in look.history(job_id), noticed_s())
        check_saved(look, home, coming)
    finally:
        first.process.send_signal(signal.SIGCONT)
