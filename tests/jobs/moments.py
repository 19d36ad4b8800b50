"""Moments in a job's life that a real process can be stopped or killed at: an answer kept back, a database held. Not a
test.
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

from tests.jobs.test_processes import Server, environment

MOST_S = 120.0


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
        assert self.here.acquire(timeout=30), "nobody answered"

    def release(self) -> None:
        """Pass on what was kept back, and wait until the asker has read it and hung up."""
        self.go.set()
        assert self.read.wait(30), "nobody read it"


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
                    due[-1].go.wait(MOST_S)
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
    connection = sqlite3.connect(home / "jobs.sqlite", isolation_level=None, timeout=10)
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
    answer = server.request("tools/call", {"name": tool, "arguments": arguments})
    structured: dict[str, Any] = answer["structuredContent"]
    return structured


def ltx(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `ltx-mcp` on this home."""
    command = [sys.executable, "-m", "ltx_mcp", *arguments]
    pipe = subprocess.PIPE
    return subprocess.run(command, env=environment(home), stdout=pipe, stderr=pipe, encoding="utf-8", timeout=60)


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """A real file system of this size at `folder`; the test is skipped where nobody lets us mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "ltx-mcp-test", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> None:
    """Let nothing be written on the small disk at `folder` any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """Fill the disk that `folder` lies on but for this much; the file that fills it."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
            file.flush()
    with ballast.open("rb+") as file:
        file.truncate(max(0, ballast.stat().st_size - leave_bytes))
    return ballast
