"""Starts a stdio server and talks raw JSON lines to it, in either protocol era: no client library in the figures."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
OURS, BARE, BARE_WITHOUT_RICH = "ltx_mcp", "bench.bare", "bench.bare_without_rich"
MAX_S = 150.0  # no server lives longer than this, whatever happens

Era = Literal["2025-11-25", "2026-07-28"]
HANDSHAKE: Era = "2025-11-25"
MODERN: Era = "2026-07-28"
_CLIENT = {"name": "bench", "version": "1"}
_META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True)
class Told:
    """A notification and when it came, in seconds since 1970."""

    at: float
    message: dict[str, Any]


class Server:
    """One server process, from spawn to end. `spawned_at` is on the clock of time.perf_counter."""

    def __init__(self, module: str, home: Path, era: Era = HANDSHAKE, more: Mapping[str, str] | None = None) -> None:
        self._era = era
        self._asked = 0
        self.told: list[Told] = []
        self.spawned_at = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=environment(home) | dict(more or {}),
        )
        self._guard = threading.Timer(MAX_S, self._process.kill)
        self._guard.daemon = True
        self._guard.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        # killed, it starts no worker for jobs that a broken measurement left behind
        if kind is not None:
            self.kill()
        else:
            self.close()

    def close(self) -> None:
        """End it the way a host does: close its stdin and wait."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reap()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._reap()

    def _reap(self) -> None:
        self._process.wait()
        self._guard.cancel()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()

    def hello(self) -> None:
        """The first exchange of the era."""
        if self._era == MODERN:
            self.ask("server/discover", {})
            return
        self.ask("initialize", {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": _CLIENT})
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result of one request."""
        return self.receive(self.send(method, params))

    def send(self, method: str, params: dict[str, Any]) -> int:
        """Ask without waiting for the answer; returns the request's number."""
        self._asked += 1
        meta = params.get("_meta", {}) | (_META if self._era == MODERN else {})
        full = params | ({"_meta": meta} if meta else {})
        self._write({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": full})
        return self._asked

    def receive(self, number: int) -> dict[str, Any]:
        """The result of request `number`; notifications that come before it are kept in `told`."""
        while True:
            message = json.loads(self.read_line())
            if message.get("id") == number and "method" not in message:
                if "error" in message:
                    raise SystemExit(f"The server refused: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self.told.append(Told(time.time(), message))

    def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured answer of a tool."""
        return structured(self.ask("tools/call", {"name": tool, "arguments": arguments}))

    def read_line(self) -> bytes:
        """The next message as it came."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("The server ended without an answer.")
        return line

    def _write(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        self._process.stdin.flush()


def structured(result: dict[str, Any]) -> dict[str, Any]:
    """The structure of a tool's result, which stands in `_meta` beside pictures; a refusal ends the measurement."""
    if result.get("isError"):
        raise SystemExit(f"A tool refused: {result['content']}")
    content: dict[str, Any] = result.get("structuredContent") or result["_meta"]["ltx-mcp/job"]
    return content


def environment(home: Path) -> dict[str, str]:
    """This process's, without settings or keys of ours: nothing here may cost, and every run is the same.

    Compiled modules are written, as in an installed package.
    """
    dropped = ("PYTHONDONTWRITEBYTECODE", "LTX_MCP_HOME")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith("LTX") and not name.endswith("_KEY")
    }
    path = os.pathsep.join(entry for entry in (str(ROOT), kept.get("PYTHONPATH", "")) if entry)
    return kept | {"LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": str(home.parent), "PYTHONPATH": path}


@contextmanager
def listed(module: str, home: Path, era: Era = HANDSHAKE, more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """A server that has answered its first tools/list; `more` goes into its environment."""
    with Server(module, home, era, more) as server:
        server.hello()
        server.ask("tools/list", {})
        yield server


def cancel_all(server: Server) -> None:
    """Leave no job under way, so that a server that ends hands nothing over."""
    for job in server.call("list_jobs", limit=100)["jobs"]:
        if job["state"] in ("queued", "submitting", "running", "saving"):
            server.call("cancel_job", job_id=job["job_id"])
