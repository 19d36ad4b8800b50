"""Real processes on one home: killed, closed, ended, many at once, on both databases. Never two renders of a job,
never a lost one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from ltx_mcp.domain.job import Event, Job, State
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.workers.heartbeat import LEASE_S
from tests.conftest import ENDS_S
from tests.facts import facts_on_wire
from tests.media.films import Recipe, make
from tests.patience import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(os.name == "nt", reason="POSIX signals")]

SMALL = {"resolution": "720p", "fps": 24, "generate_audio": False}
LONG = {"resolution": "2160p", "duration": 20, "fps": 50}
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


DATABASE = "LTX_MCP_DATABASE_URL"


@pytest.fixture(autouse=True)
def on_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All processes of a test, and the looks at what they did, use its database."""
    if database_url:
        monkeypatch.setenv(DATABASE, database_url)


def environment(home: Path | str) -> dict[str, str]:
    return {**os.environ, "LTX_MCP_HOME": str(home)}


def noticed_s() -> float:
    """How long a death may go unnoticed: a file's lock is gone at once, a row's lease has to run out."""
    return LEASE_S + HANG_S if os.environ.get(DATABASE) else HANG_S


class Server:
    """A server process spoken to line by line, so that it can be killed at any moment."""

    def __init__(
        self,
        home: Path | str,
        most_file_bytes: int | None = None,
        *,
        command: Sequence[str] = (sys.executable, "-m", "ltx_mcp"),
        folder: Path | None = None,
        more: Mapping[str, str] | None = None,
    ) -> None:
        if most_file_bytes is not None:
            command = ["sh", "-c", f"ulimit -f {most_file_bytes // 512}; exec {sys.executable} -m ltx_mcp"]
        pipe = subprocess.PIPE
        env = {**environment(home), **(more or {})}
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, cwd=folder, start_new_session=True)
        self._id = 0
        self.request("initialize", INITIALIZE)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._id += 1
        self._send({"jsonrpc": "2.0", "id": self._id, "method": method, "params": params})
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if message.get("id") == self._id:
                result: dict[str, Any] = message["result"]
                return result
        raise AssertionError("the server ended")

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = self.request("tools/call", {"name": tool, "arguments": arguments})
        assert not answer.get("isError"), answer
        return facts_on_wire(answer)

    def close(self) -> int:
        """Close stdin, as a host does, and wait for the end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(HANG_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(HANG_S)


@pytest.fixture
def servers(home: Path) -> Any:
    """Starts servers on the test's home; every one of them is gone at the end, and so is every worker."""
    started: list[Server] = []

    def start() -> Server:
        started.append(Server(home))
        return started[-1]

    yield start
    for server in started:
        for stream in (server.process.stdin, server.process.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:
                pass
        try:
            server.process.wait(HANG_S)
        except subprocess.TimeoutExpired:
            server.kill()
    wait_for(lambda: not processes_of(home), HANG_S)


def processes_of(home: Path) -> list[int]:
    """Every process of this machine that works on this home, the media children among them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environ = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"LTX_MCP_HOME={home}".encode() in environ.split(b"\0") and b"ltx_mcp" in command:
            found.append(int(entry.name))
    return found


def media_children(parent: int) -> list[int]:
    if sys.platform != "linux":
        pytest.skip("looks at processes through /proc")
    children = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(pid) for pid in children.read_text().split()]


def wait_for(condition: Callable[[], Any], seconds: float) -> Any:
    """The first true value of `condition`; a bounded wait for other processes, which no clock of ours can turn."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


class Look:
    """A look into the home from outside."""

    def __init__(self, home: Path) -> None:
        self.database = Database.open(home, os.environ.get(DATABASE, ""))
        self.store = Store(self.database)

    def job(self, job_id: str) -> Job:
        job = self.store.get(job_id)
        assert job is not None
        return job

    def history(self, job_id: str) -> list[str]:
        return [event.what for event in self.store.history(job_id)]

    def events(self, job_id: str) -> list[Event]:
        return self.store.history(job_id)


@pytest.fixture
def look(home: Path) -> Any:
    opened = Look(home)
    yield opened
    opened.database.close()


Start = Callable[[], Server]


def test_a_killed_servers_render_is_drawn_again_by_the_next_one(servers: Start, look: Look, home: Path) -> None:
    first = servers()
    job_id = first.call("generate_video", prompt="a pond", duration=10)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    renderers = media_children(first.process.pid)
    first.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in renderers), HANG_S)
    servers()  # nobody asks it for anything: it looks by itself
    wait_for(lambda: "holder_died" in look.history(job_id), noticed_s())
    wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, HANG_S)
    assert look.history(job_id).count("started") == 2
    assert sorted(path.suffix for path in (home / "videos").iterdir()) == [".jpg", ".json", ".mp4"]


def test_a_killed_servers_film_is_joined_again_by_the_next_one(
    servers: Start, look: Look, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LTX_MCP_INPUT_DIRS", str(tmp_path))
    clip = make(tmp_path / "clip.mp4", Recipe(size=(1280, 720), frames=250, seconds=10))
    first = servers()
    job_id = first.call("join_videos", videos=[str(clip)] * 4, fps=24)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    clip.unlink()  # what was given was kept
    first.kill()
    servers()
    wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, noticed_s() + HANG_S)
    history = look.history(job_id)
    assert (history.count("holder_died"), history.count("started")) == (1, 2)
    assert not list((home / "videos").glob("*part*"))
    film = look.job(job_id).film
    assert film is not None
    assert film.frames == 4 * 10 * 24


def test_two_servers_render_twelve_jobs_once_each_and_never_more_at_a_time_than_slots(
    servers: Start, look: Look
) -> None:
    both = [servers(), servers()]
    ids = [both[n % 2].call("generate_video", prompt=f"pond {n}", **SMALL)["job_id"] for n in range(12)]

    def has_ended(job_id: str) -> bool:
        return not look.job(job_id).live

    for job_id in ids:
        wait_for(partial(has_ended, job_id), HANG_S)
    assert {look.job(job_id).state for job_id in ids} == {State.SUCCEEDED}
    assert [look.history(job_id).count("started") for job_id in ids] == [1] * 12
    spans = []
    for job_id in ids:
        at = {event.what: event.at for event in look.events(job_id)}
        spans += [(at["submitting"], 1), (at["succeeded"], -1)]
    most = current = 0
    for _, change in sorted(spans):
        current += change
        most = max(most, current)
    assert most == 2


def test_closing_stdin_in_the_middle_of_a_render_loses_nothing(servers: Start, look: Look, home: Path) -> None:
    server = servers()
    job_id = server.call("generate_video", prompt="a pond", **SMALL, duration=20)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    assert server.close() == 0
    wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, HANG_S)
    assert look.history(job_id).count("started") == 2  # it did not wait for the film
    wait_for(lambda: not processes_of(home), HANG_S)


def test_sigterm_in_the_middle_of_a_render_loses_nothing(servers: Start, look: Look, home: Path) -> None:
    server = servers()
    job_id = server.call("generate_video", prompt="a pond", **SMALL, duration=20)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(HANG_S) == 0
    wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, HANG_S)
    assert look.history(job_id).count("started") == 2
    wait_for(lambda: not processes_of(home), HANG_S)


def test_a_host_that_kills_the_process_group_after_closing_stdin_loses_nothing(servers: Start, look: Look) -> None:
    server = servers()
    job_id = server.call("generate_video", prompt="a pond", duration=10)["job_id"]
    server.close()
    try:
        os.killpg(server.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, HANG_S)


def test_a_suspended_server_is_not_robbed(servers: Start, look: Look) -> None:
    first = servers()
    job_id = first.call("generate_video", prompt="a pond", duration=10)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    first.process.send_signal(signal.SIGSTOP)
    try:
        second = servers()
        view = second.call("check_job", job_id=job_id, wait_seconds=4)
        assert view["state"] == "running"
    finally:
        first.process.send_signal(signal.SIGCONT)
    wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, HANG_S)
    assert look.history(job_id).count("started") == 1


def test_a_request_key_holds_across_a_restart(servers: Start) -> None:
    order = {"prompt": "a pond", "request_key": "shot-1", **SMALL}
    first = servers()
    job_id = first.call("generate_video", **order)["job_id"]
    wait_for(lambda: first.call("check_job", job_id=job_id, wait_seconds=45)["state"] == "succeeded", HANG_S)
    first.close()
    again = servers().call("generate_video", **order)
    assert again["job_id"] == job_id
    assert "already had this job" in again["next"]


PLACE = """
import sys, anyio
from ltx_mcp.cli.common import open_jobs
from ltx_mcp.domain.arguments import GenerateVideo
async def main():
    async with open_jobs() as jobs:
        print("ready", flush=True)
        sys.stdin.read()
        print((await jobs.order(GenerateVideo(prompt="a pond"), "local")).job.id, flush=True)
anyio.run(main)
"""


def test_eight_processes_placing_one_request_at_once_get_one_job(home: Path, look: Look) -> None:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", PLACE]
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment(home)) for _ in range(8)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    ids = {process.communicate(timeout=HANG_S)[0].decode().strip() for process in started}
    assert len(ids) == 1
    assert look.history(ids.pop()) == ["placed"]


def test_cancelling_a_render_does_not_wait_for_it_and_leaves_nothing(servers: Start, look: Look, home: Path) -> None:
    server = servers()
    job_id = server.call("generate_video", prompt="a pond", **LONG)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    renderers = media_children(server.process.pid)
    began = time.monotonic()
    answer = server.call("cancel_job", job_id=job_id)
    assert time.monotonic() - began < ENDS_S
    assert (answer["state"], answer["cancel"]) == ("cancelled", "stopped")
    assert list((home / "videos").iterdir()) == []
    assert not any(Path(f"/proc/{pid}").exists() for pid in renderers)


def test_a_job_held_by_another_process_can_be_cancelled(servers: Start, look: Look) -> None:
    job_id = servers().call("generate_video", prompt="a pond", **LONG)["job_id"]
    wait_for(lambda: (look.job(job_id).progress or 0) > 0, HANG_S)
    answer = servers().call("cancel_job", job_id=job_id)
    assert (answer["state"], answer["cancel"]) == ("cancelled", "stopped")


@asynccontextmanager
async def over_stdio(home: Path) -> AsyncIterator[Client]:
    server = StdioServerParameters(command=sys.executable, args=["-m", "ltx_mcp"], env=environment(home))
    async with Client(server) as client:
        yield client


async def test_cancelling_a_call_never_touches_the_job(home: Path, look: Look) -> None:
    async with over_stdio(home) as client:
        placed = await client.call_tool("generate_video", {"prompt": "a pond", **SMALL, "duration": 20})
        job_id = placed.structured_content["job_id"]
        with anyio.move_on_after(0.5):
            await client.call_tool("check_job", {"job_id": job_id, "wait_seconds": 45})
        wait_for(lambda: look.job(job_id).state is State.SUCCEEDED, HANG_S)
    assert "cancel_wanted" not in look.history(job_id)
