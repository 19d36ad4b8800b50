"""After kill -9 of the process that had ordered, a command that only looks is enough: the film comes all the same."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.jobs.test_chat_closed import accepted, check_saved, emulator, world
from tests.jobs.test_processes import Look, Server, environment, look, processes_of, servers, wait_for
from tests.patience import HANG_S

__all__ = ["emulator", "look", "servers", "world"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

SMALL = ["--provider", "local", "--resolution", "720p", "--fps", "24", "--no-generate-audio"]


def ltx(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ltx_mcp", *arguments]
    env = environment(home) | more
    return subprocess.run(command, env=env, capture_output=True, encoding="utf-8", timeout=HANG_S)


@pytest.mark.parametrize("command", ["jobs", "jobs show JOB", "jobs --watch", "generate dunes"])
def test_the_film_of_a_killed_server_is_fetched_once_somebody_looks(
    command: str, world: EmulatorState, servers: Callable[[], Server], look: Look, home: Path
) -> None:
    server = servers()
    job_id = accepted(look, "fal", server.call)
    server.kill()
    wait_for(lambda: not processes_of(home), HANG_S)
    arguments = command.replace("JOB", job_id).split()
    ended = ltx(home, *arguments, *(SMALL if "generate" in command else []))
    assert ended.returncode == 0, ended.stderr
    wait_for(lambda: not look.job(job_id).live, HANG_S)
    wait_for(lambda: not processes_of(home), HANG_S)
    assert (home / "videos" / f"{job_id}.mp4").exists()
    assert (len(world.orders), look.history(job_id).count("submitting")) == (1, 1)


def test_without_the_key_it_says_what_would_go_on_with_it(
    world: EmulatorState, servers: Callable[[], Server], look: Look, home: Path
) -> None:
    server = servers()
    job_id = accepted(look, "fal", server.call)
    server.kill()
    told = ltx(home, "jobs", FAL_KEY="").stderr
    assert f"Nobody works on {job_id}: fal needs FAL_KEY. With that set, ltx-mcp work --until-idle does." in told
    assert not processes_of(home)
    for _ in range(3):  # one worker is enough
        assert ltx(home, "jobs").stderr == ""
    check_saved(look, home, job_id)
