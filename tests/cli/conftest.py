"""What the tests of the commands share: running one in a folder of its own, looking into its home, a film made once."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, AnyStr

import anyio
import pytest

from ltx_mcp.cli.common import open_jobs
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.jobs.workers.liveness import FileLockLiveness
from tests.cli import warm
from tests.jobs.test_processes import Look
from tests.patience import HANG_S

Ended = subprocess.CompletedProcess[str]
Command = Callable[..., Ended]
Place = Callable[..., str]

MAKING = ["generate", "animate", "from-audio", "extend", "retake", "reframe", "join"]
COMMANDS = ["serve", "work", *MAKING, "film", "estimate", "models", "jobs", "top", "cancel", "open", "rm"]
COMMANDS += [
    "login",
    "logout",
    "token",
    "webhooks",
    "migrate",
    "restored",
    "doctor",
    "install",
    "uninstall",
    "emulate",
    "completion",
]
SMALL = ["--resolution", "720p", "--fps", "24", "--no-generate-audio"]
LONG = ["--duration", "20", "--no-generate-audio"]
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|4[0-7]|48|9[0-7])[;m]")
TOOL = re.compile(r"\b(list_jobs|check_job|estimate_cost|generate_video|animate_image)\b|ltx://|\w+_\w+=")

LONG_S = 60
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals and terminals")


def environment(home: Path, **more: str) -> dict[str, str]:
    """Ours, without the settings and terminal habits of whoever runs the tests."""
    strange = ("LTX_", "FORCE_COLOR", "NO_COLOR", "PYTHONIOENCODING")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return {**kept, "LTX_MCP_HOME": str(home), **more}


def first_line(stream: IO[AnyStr] | None) -> AnyStr:
    """What a process says first."""
    assert stream is not None
    assert select.select([stream], [], [], HANG_S)[0], "it says nothing"
    return stream.readline()


def insist(process: subprocess.Popen[str], number: signal.Signals) -> None:
    """Ask a process to end each 5 ms until it did."""
    end = time.monotonic() + HANG_S
    while process.poll() is None and time.monotonic() < end:
        process.send_signal(number)
        time.sleep(0.005)


def command_in(folder: Path) -> Command:
    """Runs `ltx-mcp` in `folder`, with its home below it."""

    def run(*arguments: str, **more: str) -> Ended:
        env = environment(folder / "home", **more)
        if warm.is_wanted and warm.can_run(env):
            return warm.run([*arguments], folder, env, HANG_S)
        return subprocess.run(
            [sys.executable, "-m", "ltx_mcp", *arguments],
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=HANG_S,
        )

    return run


@pytest.fixture(scope="session", autouse=True)
def start(request: pytest.FixtureRequest, forked_media: str) -> None:
    """Commands are started as a person does where all tests run."""
    warm.is_wanted = not request.config.getoption("--all")
    warm.media_at = forked_media


@pytest.fixture
def ltx(tmp_path: Path) -> Command:
    return command_in(tmp_path)


@pytest.fixture
def idle(home: Path) -> Iterator[FileLockLiveness]:
    """A process that could work on the jobs and does not, as soon as it begins: no command starts another one then."""
    worker = FileLockLiveness(home)
    yield worker
    worker.end()


@pytest.fixture
def queued(tmp_path: Path, home: Path, idle: FileLockLiveness, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Places an order that nobody works on yet."""
    monkeypatch.chdir(tmp_path)

    def place(prompt: str, caller: str = "local", **arguments: Any) -> str:
        small: dict[str, Any] = {"resolution": "720p", "fps": 24, "generate_audio": False}

        async def order() -> str:
            async with open_jobs(home=str(home)) as jobs:
                asked = GenerateVideo(prompt=prompt, **small | arguments)
                return (await jobs.order(asked, caller)).job.id

        job_id = anyio.run(order)
        if not idle.worker:
            idle.begin()
        return job_id

    return place


@pytest.fixture
def look(home: Path) -> Iterator[Look]:
    opened = Look(home)
    yield opened
    opened.database.close()


class Film:
    """One film made by `generate`, for the tests that only look."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.ltx = command_in(folder)
        # the key keeps it one order, however long ago the film was made
        self.order = ["generate", "a red kite\nover the dunes", "--request-key", "kite", *SMALL]
        self.ended = self.ltx(*self.order)
        self.path = Path(self.ended.stdout.removesuffix("\n"))
        self.job_id = self.path.stem


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    return Film(tmp_path_factory.mktemp("film"))
