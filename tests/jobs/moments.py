"""Moments in a job's life that a real process can be stopped or killed at: an answer kept back, a database held; and
what is to be true afterwards. Not a test.
"""

import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.emulator.app import make_state, running, settings
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.conftest import Emulated
from tests.facts import facts_on_wire
from tests.jobs.test_processes import Look, Server, environment, noticed_s, processes_of, wait_for
from tests.patience import HANG_S

MAX_S = 2 * HANG_S

ORDER = {"prompt": "a pond", "resolution": "1080p", "duration": 6, "fps": 25}
SOON_S = SAVED_S = GONE_S = HANG_S
WORK_S = 1.0
LONG_S = 600.0
SUBMITS = {"fal": "POST /fal-ai/", "ltx": "POST /v2/text", "netwrck": "POST /api/", "bytecompute": "POST /v1/generate"}
ADDRESSES = {
    "fal": "LTX_MCP_FAL_QUEUE_URL",
    "fal files": "LTX_MCP_FAL_REST_URL",
    "ltx": "LTX_MCP_LTX_URL",
    "netwrck": "LTX_MCP_NETWRCK_URL",
    "bytecompute": "LTX_MCP_BYTECOMPUTE_URL",
}


@dataclass
class Kept:
    """Answers that are kept back: those to requests whose first line has `marker`, as often as `times` says."""

    marker: bytes
    times: int = 1
    after_bytes: int = 0
    here: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Event = field(default_factory=threading.Event)
    read: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Until one more answer is here, and so whatever was asked for is done at the provider."""
        assert self.here.acquire(timeout=HANG_S), "nobody answered"

    def release(self) -> None:
        """Pass on what was kept back, and wait until the asker has read it and hung up."""
        self.go.set()
        assert self.read.wait(HANG_S), "nobody read it"


class Relay:
    """Passes on what is said to a provider and what it says, but for the answers that are to be kept back."""

    def __init__(self, target: str) -> None:
        self._target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._kept: list[Kept] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def keep(self, marker: str, *, times: int = 1, after_bytes: int = 0) -> Kept:
        """Keep the next answers to such requests back, all of them or all but the first bytes."""
        self._kept.append(Kept(marker.encode(), times, after_bytes))
        return self._kept[-1]

    def close(self) -> None:
        """Cut all connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._listener.close()
        for kept in self._kept:
            kept.go.set()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                asker, _ = self._listener.accept()
                provider = socket.create_connection(self._target)
                self._open += [asker, provider]
                due: list[Kept] = []
                for work in (self._ask, self._answer):
                    threading.Thread(target=work, args=(asker, provider, due), daemon=True).start()

    def _ask(self, asker: socket.socket, provider: socket.socket, due: list[Kept]) -> None:
        with suppress(OSError):
            while data := asker.recv(1 << 16):
                line = data.partition(b"\r\n")[0]
                for kept in self._kept:
                    if kept.marker in line and kept.times:
                        kept.times -= 1
                        due.append(kept)
                provider.sendall(data)
        for kept in due:
            kept.read.set()
        with suppress(OSError):
            provider.shutdown(socket.SHUT_RDWR)

    def _answer(self, asker: socket.socket, provider: socket.socket, due: list[Kept]) -> None:
        passed = 0
        with suppress(OSError):
            while data := provider.recv(1 << 14):
                if due and not due[-1].go.is_set() and passed + len(data) > due[-1].after_bytes:
                    due[-1].here.release()
                    due[-1].go.wait(MAX_S)
                passed += len(data)
                asker.sendall(data)
        with suppress(OSError):
            asker.shutdown(socket.SHUT_RDWR)


@contextmanager
def relayed(target: str) -> Iterator[Relay]:
    """A relay to this address."""
    relay = Relay(target)
    try:
        yield relay
    finally:
        relay.close()


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Nobody else can write to the database of this home."""
    connection = sqlite3.connect(home / "jobs.sqlite", isolation_level=None, timeout=HANG_S)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def begin(server: Server, tool: str, **arguments: Any) -> None:
    """Call a tool and do not wait for its answer."""
    message = {"jsonrpc": "2.0", "id": "begun", "method": "tools/call"}
    server._send(message | {"params": {"name": tool, "arguments": arguments}})


def told(server: Server, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a call is told, whether or not it counts as an error."""
    return facts_on_wire(server.request("tools/call", {"name": tool, "arguments": arguments}))


def ltx(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `ltx-mcp` on this home."""
    command = [sys.executable, "-m", "ltx_mcp", *arguments]
    pipe = subprocess.PIPE
    return subprocess.run(command, env=environment(home), stdout=pipe, stderr=pipe, encoding="utf-8", timeout=HANG_S)


@pytest.fixture
def emulator(emulator_films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulated]:
    """Emulated providers, and an environment that leads every process started from here to them."""
    with running(emulator_films, state=make_state(wait_s=0.1, work_s=WORK_S)) as (base_url, world):
        for name, value in settings(base_url).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LTX_MCP_INPUT_DIRS", str(tmp_path))
        yield base_url, world


@pytest.fixture
def world(emulator: Emulated) -> EmulatorState:
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


def check_saved(look: Look, home: Path, *job_ids: str, film: tuple[int, int, float] = (1920, 1080, 6.0)) -> None:
    """The films lie in the home within a bounded time, whole, each with its sheet and its facts, and nothing else.
    `film`: the width, height and seconds of the last."""
    wait_for(lambda: all(look.job(job_id).state is State.SUCCEEDED for job_id in job_ids), SAVED_S)
    names = {f"{job_id}{kind}" for job_id in job_ids for kind in (".jpg", ".json", ".mp4")}
    assert {path.name for path in (home / "videos").iterdir()} == names
    for job_id in job_ids:
        found = look.job(job_id).film
        assert found is not None
        wanted = film if job_id == job_ids[-1] else (1920, 1080, 6.0)
        assert (found.width, found.height, found.duration) == wanted
        assert found.size_bytes == (home / "videos" / f"{job_id}.mp4").stat().st_size


def check_unknown(look: Look, job_id: str) -> None:
    """It is known that nothing is known, and the money is held."""
    wait_for(lambda: look.job(job_id).state is State.UNKNOWN, noticed_s())
    job = look.job(job_id)
    assert (job.bill, job.error and job.error.code) == (ChargeState.HELD, "outcome_unknown")
    assert look.store.budget(job.created_at).held == job.offer.at_most_usd * 1_000_000


def forbids_another(view: dict[str, Any], job_id: str) -> bool:
    """Whether an answer leads to the same job and says not to order again."""
    same = (view["job_id"], view["state"], view["error"]["code"]) == (job_id, "unknown", "outcome_unknown")
    return same and "Do not order it again" in view["next"]


def animate(server: Server, folder: Path, provider: str) -> dict[str, Any]:
    """An order of a picture, whose answer is not waited for; its arguments."""
    picture = folder / "pond.png"
    if not picture.exists():
        Image.effect_noise((640, 360), 60).convert("RGB").save(picture)
    arguments = {"image": str(picture), "provider": provider, "request_key": "shot-1", **ORDER}
    begin(server, "animate_image", **arguments)
    return arguments


def others(home: Path, server: Server) -> list[int]:
    """All processes on this home but the server."""
    if sys.platform != "linux":
        pytest.skip("looks at processes through /proc")
    return [pid for pid in processes_of(home) if pid != server.process.pid]
