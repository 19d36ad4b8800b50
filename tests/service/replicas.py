"""HAProxy in front of several `ltx-mcp serve --http` that share a database, a home and a signing key. Not a test."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ltx_mcp.emulator.app import settings
from tests.conftest import missing
from tests.jobs.test_processes import wait_for
from tests.patience import HANG_S

CONFIG = """
global
    stats socket {folder}/control level admin
defaults
    mode http
    retries 0
    timeout connect 10s
    timeout client 300s
    timeout server 300s
frontend everybody
    bind fd@{listener}
    default_backend replicas
backend replicas
    balance roundrobin
    {backend}
{servers}
"""


def find_daemon(name: str) -> str:
    """The path of a program that need not be on the PATH of an ordinary user."""
    where = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    return shutil.which(name, path=where) or missing(f"{name} is not installed")


class Replica:
    """A server process on a free port, listening when this is made. What it says is at the end of a file."""

    def __init__(self, env: Mapping[str, str], log: Path, port: int = 0) -> None:
        self.log = log
        command = [sys.executable, "-m", "ltx_mcp", "serve", "--http", "--port", str(port)]
        with log.open("ab") as file:
            self._begins_at = file.tell()
            self.process = subprocess.Popen(command, env=dict(env), stderr=file)
        try:
            wait_for(lambda: self._port or self.process.poll() is not None, HANG_S)
            self.port = self._port
            assert self.port, log.read_bytes()[self._begins_at :].decode()
        except BaseException:
            self.close()
            raise

    @property
    def _port(self) -> int:
        """Where it says that it listens; 0 as long as it does not."""
        found = re.search(rb"http://127.0.0.1:(\d+)/mcp", self.log.read_bytes()[self._begins_at :])
        return int(found[1]) if found else 0

    def end(self) -> None:
        """Ask it to end."""
        self.process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


class Balancer:
    """HAProxy, which sends each request to the next of the servers, whoever it comes from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = find_daemon("haproxy")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self, ports: Sequence[int], options: str = "", backend: str = "") -> None:
        """Begin to serve; connections wait until then. `options` are of each server, `backend` of all."""
        names = [f"    server replica{number} 127.0.0.1:{port} {options}" for number, port in enumerate(ports)]
        config = self._folder / "haproxy.cfg"
        listener = self._listener.fileno()
        config.write_text(
            CONFIG.format(folder=self._folder, listener=listener, servers="\n".join(names), backend=backend)
        )
        command = [self._program, "-db", "-q", "-f", str(config)]
        self._process = subprocess.Popen(command, pass_fds=[listener])
        wait_for((self._folder / "control").exists, HANG_S)

    def served(self) -> list[int]:
        """How many requests each server got."""
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(str(self._folder / "control"))
            control.sendall(b"show stat typed\n")
            told = b"".join(iter(lambda: control.recv(1 << 16), b"")).decode()
        return [int(count) for count in re.findall(r"^S\.\S+\.stot\.\d+:\S+:u64:(\d+)$", told, re.MULTILINE)]

    def close(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._listener.close()


@contextmanager
def replicas(folder: Path, database_url: str, emulator_url: str, count: int = 2, **more: str) -> Iterator[Balancer]:
    """So many servers that order at the emulator and are reached at one address."""
    balancer = Balancer(folder)
    ours = {
        "HOME": str(folder / "home"),
        "DATABASE_URL": database_url,
        "PUBLIC_URL": balancer.address,
        "SIGNING_KEY": secrets.token_urlsafe(32),
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LTX_")}
    env = kept | settings(emulator_url) | {f"LTX_MCP_{name}": value for name, value in (ours | more).items()}
    started: list[Replica] = []
    try:
        for number in range(count):
            started.append(Replica(env, folder / f"log{number}"))
        balancer.start([replica.port for replica in started])
        yield balancer
    finally:
        for replica in started:
            replica.close()
        balancer.close()


needs_haproxy = pytest.mark.skipif(os.name == "nt", reason="HAProxy is for POSIX")
