"""Crowds at a real `serve --http`: silent connections, connections of older protocols that nobody closes, large bodies.

What they cost is read from the process's own counters, so that a busy machine changes nothing.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import environment
from tests.jobs.test_processes import wait_for

resource = pytest.importorskip("resource")
pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

OPEN_FILES = 200
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
ACCEPT = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


class Crowded:
    """A server process of few open files, its log in a file."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--port", "0"]
        limited = ["sh", "-c", f'ulimit -n {OPEN_FILES}; exec "$@"', "sh", *command]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(limited, env=environment(folder / "home"), stderr=log)
        wait_for(lambda: "/mcp;" in self.said(), 60)
        found = re.search(r":(\d+)/mcp", self.said())
        assert found
        self.port = int(found[1])

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """The most it ever had."""
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8"))
        assert found
        return int(found[1]) * 1024

    def ask(self, method: str, params: dict[str, Any], **headers: str) -> tuple[int, str]:
        """The status of the answer to an honest client, and the name of its connection."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as client:
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            client.request("POST", "/mcp", body, {**ACCEPT, **headers})
            answer = client.getresponse()
            answer.read()
            return answer.status, answer.getheader("mcp-session-id", "")

    def ping(self, connection: str) -> int:
        return self.ask("ping", {}, **{"Mcp-Session-Id": connection})[0]

    def end_s(self) -> tuple[int, float]:
        """Its exit code, and the seconds of CPU that its end took."""
        before = self.cpu_s()
        self.process.send_signal(signal.SIGTERM)
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        return self.process.returncode, used.ru_utime + used.ru_stime - before

    def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Crowded]:
    server = Crowded(tmp_path)
    yield server
    server.close()


def test_silent_connections_cost_next_to_nothing_and_keep_nobody_out(crowded: Crowded) -> None:
    before = crowded.cpu_s()
    with ExitStack() as silent:
        for _ in range(300):
            silent.enter_context(socket.create_connection(("127.0.0.1", crowded.port), 60))
        for _ in range(5):
            assert crowded.ask("initialize", INITIALIZE)[0] == 200
            time.sleep(0.5)
        assert crowded.cpu_s() - before < 2
        assert len(crowded.said()) < 5_000
        began = time.monotonic()
        code, cpu_s = crowded.end_s()
        assert (code, cpu_s < 0.5, time.monotonic() - began < 30) == (0, True, True)


def test_connections_of_older_clients_that_nobody_closes_leave_nothing_behind(crowded: Crowded) -> None:
    opened = [crowded.ask("initialize", INITIALIZE) for _ in range(50)]
    before = crowded.memory_bytes()
    opened += [crowded.ask("initialize", INITIALIZE) for _ in range(500)]
    assert {status for status, _ in opened} == {200}
    assert len({name for _, name in opened}) == len(opened)
    assert [crowded.ping(name) for name in (opened[0][1], opened[-1][1], "made-up")] == [200, 200, 200]
    assert crowded.memory_bytes() - before < 10_000_000
    code, cpu_s = crowded.end_s()
    assert (code, cpu_s < 1) == (0, True)


def test_many_large_bodies_are_not_all_held_at_once(crowded: Crowded) -> None:
    size = 60_000_000
    piece = b" " * 1_000_000
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{crowded.port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()
    with ExitStack() as opened:
        clients = [opened.enter_context(socket.create_connection(("127.0.0.1", crowded.port))) for _ in range(20)]
        for each in clients:
            each.sendall(head)
            each.setblocking(False)
        _send_what_is_taken(clients, piece, most_bytes=size - 1)
        assert crowded.ask("initialize", INITIALIZE)[0] == 200
        assert crowded.memory_bytes() < 500_000_000


def _send_what_is_taken(clients: list[socket.socket], piece: bytes, most_bytes: int) -> None:
    """Send to all until none takes any more, for some time."""
    left = dict.fromkeys(clients, most_bytes)
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < 2:
        for each in clients:
            try:
                sent = each.send(piece[: left[each]]) if left[each] else 0
            except BlockingIOError:
                continue
            if sent:
                left[each] -= sent
                quiet_since = time.monotonic()
        time.sleep(0.001)
