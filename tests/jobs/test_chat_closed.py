"""Nobody's chat keeps a film: ordered over stdio at the emulated providers, then the server is closed, killed, keyless.

Real processes, as in test_processes.py; here somebody else makes the film, and each order is counted where it arrives.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.job import State
from ltx_mcp.emulator.app import make_state, running, settings
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.conftest import Emulated
from tests.jobs.test_processes import Look, Server, environment, look, processes_of, servers, wait_for
from tests.patience import HANG_S

__all__ = ["look", "servers"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

PROVIDERS = ("fal", "ltx", "netwrck", "bytecompute")
WORK_S = 2.0
SAVED_S = GONE_S = SEEN_S = HANG_S
ORDER = {"prompt": "a pond"}

Start = Callable[[], Server]


@pytest.fixture
def emulator(emulator_films: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    """Emulated providers that take a while, and an environment that leads every process started from here to them."""
    with running(emulator_films, state=make_state(wait_s=0.2, work_s=WORK_S)) as (base_url, world):
        for name, value in settings(base_url).items():
            monkeypatch.setenv(name, value)
        yield base_url, world


@pytest.fixture
def world(emulator: Emulated) -> EmulatorState:
    """What the providers were sent."""
    return emulator[1]


def accepted(look: Look, provider: str, order: Callable[..., dict[str, Any]]) -> str:
    """The id of a job that the provider has just taken and nobody has seen done."""
    placed = order("generate_video", provider=provider, **ORDER)
    job_id: str = placed["job_id"]
    assert (placed["provider"], look.job(job_id).state) == (provider, State.RUNNING)
    return job_id


def check_saved(look: Look, home: Path, job_id: str) -> None:
    """The film lies in the home within a bounded time, whole, with its sheet and its facts."""
    wait_for(lambda: not look.job(job_id).live, SAVED_S)
    job = look.job(job_id)
    assert job.state is State.SUCCEEDED, job.error
    assert job.film is not None
    assert (job.film.width, job.film.height, job.film.duration) == (1920, 1080, 6.0)
    assert {path.name for path in (home / "videos").iterdir()} == {
        f"{job_id}{kind}" for kind in (".jpg", ".json", ".mp4")
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_film_ordered_in_a_chat_that_is_closed_is_saved(
    provider: str, world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    server = servers()
    job_id = accepted(look, provider, server.call)
    assert server.close() == 0
    assert look.job(job_id).live
    assert world.status(world.orders[0]) != "done"
    check_saved(look, home, job_id)
    wait_for(lambda: not processes_of(home), GONE_S)
    assert [order.provider for order in world.orders] == [provider]
    assert look.history(job_id).count("accepted") == 1


def test_a_film_of_a_server_killed_after_the_order_is_saved_by_the_next_worker(
    world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    server = servers()
    job_id = accepted(look, "ltx", server.call)
    server.kill()
    assert look.job(job_id).live
    assert not processes_of(home)
    work = [sys.executable, "-m", "ltx_mcp", "work", "--until-idle"]
    subprocess.run(work, env=environment(home), timeout=SAVED_S, check=True)
    check_saved(look, home, job_id)
    assert len(world.orders) == 1
    assert look.history(job_id).count("submitting") == 1


def test_a_film_of_a_server_killed_after_the_order_is_saved_by_the_next_server(
    world: EmulatorState, servers: Start, look: Look, home: Path
) -> None:
    server = servers()
    job_id = accepted(look, "fal", server.call)
    server.kill()
    servers()  # nobody asks it for anything: it looks by itself
    check_saved(look, home, job_id)
    assert len(world.orders) == 1
    assert look.history(job_id).count("submitting") == 1


def test_a_server_without_the_key_says_what_is_missing_and_leaves_the_job_to_one_that_has_it(
    world: EmulatorState, servers: Start, look: Look, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = servers()
    job_id = accepted(look, "netwrck", first.call)
    first.kill()
    with monkeypatch.context() as without:
        without.delenv("NETWRCK_API_KEY")
        keyless = servers()
        seen = wait_for(lambda: told_of_the_key(keyless.call("check_job", job_id=job_id, wait_seconds=0)), SEEN_S)
        assert seen["state"] == "running"
        assert keyless.call("check_job", job_id=job_id, wait_seconds=WORK_S + 1)["state"] == "running"
        calls = [call.step for call in world.calls]
        assert keyless.close() == 0
    assert look.job(job_id).state is State.RUNNING
    assert not processes_of(home)
    assert [call.step for call in world.calls] == calls
    servers()
    check_saved(look, home, job_id)
    assert len(world.orders) == 1
    assert look.history(job_id).count("submitting") == 1


def told_of_the_key(view: dict[str, Any]) -> dict[str, Any] | None:
    """The view, once its next step names what is missing."""
    return view if "netwrck needs NETWRCK_API_KEY" in view["next"] else None
