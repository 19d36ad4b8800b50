"""Real server processes that may be killed at any moment, callers that outlive them, and the emulator beside them all.

Spoken to in raw JSON lines, many calls at a time. What was right or wrong about a run is judged elsewhere.
"""

import json
import random
import re
import shlex
import shutil
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
from anyio.abc import Process, TaskGroup
from anyio.streams.buffered import BufferedByteReceiveStream

from bench.wire import ROOT, environment
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import RenderOrder

NAMES, MAX_SHOWN = re.compile(r"job_\w+"), 200
START_S, MAX_LINE_BYTES = 30.0, 1 << 24
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
SIZES, DURATIONS, SOUNDS = ("1920x1080", "1280x720"), (4, 6, 8, 10), ("sound", "silent")
TINY = RenderOrder("A tiny film that stands for a large one", 192, 108, 25, 1, True)


class Died(Exception):
    """The server ended before it answered."""


@dataclass(frozen=True)
class Answer:
    """What a tool answered; `code` is empty unless it refused. `at_s` is when, by the monotonic clock."""

    code: str
    text: str
    content: Mapping[str, Any]
    took_s: float
    at_s: float = field(default_factory=time.monotonic)


def read_answer(message: Mapping[str, Any], took_s: float) -> Answer:
    """What the answer to a tool's call says."""
    if "error" in message:
        return Answer("json_rpc", str(message["error"]), {}, took_s)
    result = message["result"]
    text = " ".join(part.get("text", "") for part in result["content"])
    code = text.partition(":")[0] if result.get("isError") else ""
    return Answer(code, text, result.get("structuredContent") or {}, took_s)


@dataclass
class Tally:
    """All calls that were made; of how many the server died before it answered, and what the others were answered."""

    calls: int = 0
    deaths: int = 0
    answers: list[tuple[str, Answer]] = field(default_factory=list)

    async def count(self, tool: str, call: Awaitable[Answer]) -> Answer:
        """The answer of one call. Raises Died."""
        self.calls += 1
        try:
            answer = await call
        except Died:
            self.deaths += 1
            raise
        self.answers.append((tool, answer))
        return answer


@dataclass
class _Asked:
    answered: anyio.Event = field(default_factory=anyio.Event)
    message: dict[str, Any] | None = None


class Server:
    """One server process. Calls may be made at once; they wait until it has said hello."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._asked: dict[int, _Asked] = {}
        self._writing = anyio.Lock()
        self._ready = anyio.Event()
        self._last = 0
        self.dead = False

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    async def listen(self) -> None:
        """Hand every answer to who waits for it, until the process ends."""
        assert self._process.stdout is not None
        lines = BufferedByteReceiveStream(self._process.stdout)
        with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.ClosedResourceError, anyio.BrokenResourceError):
            while True:
                message = json.loads(await lines.receive_until(b"\n", MAX_LINE_BYTES))
                asked = self._asked.pop(message.get("id", 0), None)
                if asked is not None and "method" not in message:
                    asked.message = message
                    asked.answered.set()
        self.dead = True
        self._ready.set()
        for each in self._asked.values():
            each.answered.set()

    async def hello(self) -> None:
        """The first exchange."""
        with suppress(Died):
            await self._request("initialize", HELLO)
            await self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self._ready.set()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """One tool's answer. Raises Died."""
        began = time.monotonic()
        await self._ready.wait()
        message = await self._request("tools/call", {"name": tool, "arguments": dict(arguments)})
        return read_answer(message, time.monotonic() - began)

    async def kill(self) -> None:
        """kill -9, and the funeral."""
        with suppress(ProcessLookupError):
            self._process.kill()
        with anyio.CancelScope(shield=True):
            await self._process.wait()

    async def _request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        number, asked = self._last, _Asked()
        self._asked[number] = asked
        await self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        if not self.dead:
            await asked.answered.wait()
        if asked.message is None:
            raise Died
        return asked.message

    async def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            async with self._writing:
                await self._process.stdin.send(json.dumps(message).encode() + b"\n")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError) as error:
            raise Died from error


class Fleet:
    """Some servers on one home, each replaced when it is killed. `kills` are the moments of the killings."""

    def __init__(self, env: Mapping[str, str], log: Path, group: TaskGroup, rng: random.Random) -> None:
        self._env = dict(env)
        self._log = log
        self._group = group
        self._rng = rng
        self.servers: list[Server] = []
        self.kills: list[datetime] = []
        self.started = 0
        self.tally = Tally()

    @property
    def logs(self) -> list[Path]:
        """What they said."""
        return [self._log]

    async def start(self, processes: int) -> None:
        """Put so many servers in place of those there are."""
        await self.end()
        self.servers = [await self._start() for _ in range(processes)]

    async def strike(self) -> None:
        """Kill a random server, and put a fresh one in its place at once."""
        place = self._rng.randrange(len(self.servers))
        self.kills.append(datetime.now(UTC))
        await self.servers[place].kill()
        self.servers[place] = await self._start()

    async def end(self) -> None:
        """Kill all there are: none may start a worker that outlives the run."""
        with anyio.CancelScope(shield=True):
            for server in self.servers:
                self.kills.append(datetime.now(UTC))
                await server.kill()
        self.servers = []

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """One call at any of the servers. Raises Died."""
        return await self.tally.count(tool, self._rng.choice(self.servers).call(tool, arguments))

    async def _start(self) -> Server:
        self.started += 1
        command = [sys.executable, "-m", "ltx_mcp"]
        with self._log.open("ab") as log:
            process = await anyio.open_process(command, env=self._env, cwd=ROOT, stderr=log)
        server = Server(process)
        self._group.start_soon(server.listen)
        self._group.start_soon(server.hello)
        return server


@dataclass(frozen=True)
class Emulator:
    """The emulator's process, by its control addresses."""

    url: str
    settings: Mapping[str, str]
    client: httpx.AsyncClient

    async def orders(self) -> list[dict[str, Any]]:
        """Every order it took."""
        orders: list[dict[str, Any]] = (await self._get("orders"))["orders"]
        return orders

    async def calls(self) -> list[dict[str, Any]]:
        """Every request that came in."""
        calls: list[dict[str, Any]] = await self._get("calls")
        return calls

    async def faults(self) -> list[dict[str, Any]]:
        """Every fault it was told of; `times` is how often it is still due."""
        faults: list[dict[str, Any]] = await self._get("faults")
        return faults

    async def break_at(self, provider: str, step: str, kind: str, options: Mapping[str, Any]) -> None:
        """Have one thing go wrong, once."""
        fault = {"provider": provider, "step": step, "kind": kind, "options": dict(options)}
        (await self.client.post(f"{self.url}/control/faults", json=fault)).raise_for_status()

    async def set_work(self, seconds: float) -> None:
        """How long orders are worked on from now on, those that were taken before among them."""
        (await self.client.post(f"{self.url}/control/times", json={"work_s": seconds})).raise_for_status()

    async def mend(self) -> None:
        """Nothing goes wrong any more."""
        (await self.client.delete(f"{self.url}/control/faults")).raise_for_status()

    async def _get(self, what: str) -> Any:
        return (await self.client.get(f"{self.url}/control/{what}", timeout=60)).raise_for_status().json()


@asynccontextmanager
async def emulated(films: Path, log: Path, wait_s: float, work_s: float) -> AsyncIterator[Emulator]:
    """`ltx-mcp emulate` in a process of its own, with tiny films, so that the load is not their decoding."""
    await _lay_out(films)
    times = ["--wait", str(wait_s), "--work", str(work_s)]
    command = [sys.executable, "-m", "ltx_mcp", "emulate", "--port", "0", "--films", str(films), *times]
    with log.open("ab") as told:
        process = await anyio.open_process(command, env=environment(films), cwd=ROOT, stdin=None, stderr=told)
    try:
        settings = await _read_settings(process)
        async with httpx.AsyncClient(trust_env=False) as client:
            yield Emulator(settings["LTX_MCP_FAL_QUEUE_URL"], settings, client)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        with anyio.CancelScope(shield=True):
            await process.wait()


async def _read_settings(process: Process) -> dict[str, str]:
    """What it prints for a shell, up to the blank line."""
    assert process.stdout is not None
    text = b""
    with anyio.fail_after(START_S):
        while not text.endswith(b"\n\n"):
            text += await process.stdout.receive()
    return dict(line.split("=", 1) for line in shlex.split(text.decode()) if line != "export")


async def _lay_out(films: Path) -> None:
    """One tiny film under the name of every size that is ordered here."""
    films.mkdir(parents=True)
    media = MediaClient()
    try:
        await media.render(TINY, films / "tiny.mp4")
    finally:
        await media.close()
    for size in SIZES:
        for duration in DURATIONS:
            for sound in SOUNDS:
                shutil.copyfile(films / "tiny.mp4", films / f"{size}-25fps-{duration}s-{sound}.mp4")


def server_environment(home: Path, emulator: Emulator, more: Mapping[str, str]) -> dict[str, str]:
    """What every server of a fleet is started with; what a killed one leaves lying about goes with the run. More jobs
    are in flight than one caller may have."""
    passing = home.parent / "tmp"
    passing.mkdir(exist_ok=True)
    return (
        environment(home)
        | dict(emulator.settings)
        | {"TMPDIR": str(passing), "LTX_MCP_MAX_LIVE_JOBS": "100000"}
        | dict(more)
    )


def strange_lines(logs: Sequence[Path]) -> list[str]:
    """What servers wrote that no fault explains: the last line of each traceback, and errors."""
    found = []
    for log in logs:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        within = False
        for line in lines:
            if line.startswith("Traceback") or "+ Exception Group Traceback" in line:
                within = True
            elif within and line and not line[0].isspace():
                found.append(line)
                within = False
            elif line.startswith("ERROR"):
                found.append(line)
    return [NAMES.sub("job_…", line)[:MAX_SHOWN] for line in found]
