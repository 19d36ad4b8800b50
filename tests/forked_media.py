"""The media process, forked from one that has imported the codecs: in a fast test, most of its short life would be the
start of Python.

Its streams, folder, environment, limits, confinement and end are those of a real one. Tests of the media process
itself, and all tests of a run with `--all`, start it as the program does. Not a test.
"""

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from tests.patience import HANG_S

ROOT = Path(__file__).parents[1]
CODE = "from tests.forked_media import serve; serve({!r})"
_MAX_ORDER = 1 << 16


class SocketStream:
    """The bytes of a connected socket. anyio's own stream breaks the loop where a wait is cancelled in the moment in
    which something arrives."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Some bytes, at least one. Raises EndOfStream."""
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                data = self._connection.recv(max_bytes)
            except BlockingIOError:
                await anyio.wait_readable(self._connection)
            except OSError as error:
                raise anyio.BrokenResourceError from error
            else:
                if data:
                    return data
                raise anyio.EndOfStream

    async def send(self, item: bytes) -> None:
        """All of it."""
        await anyio.lowlevel.checkpoint()
        rest = memoryview(item)
        while rest:
            try:
                rest = rest[self._connection.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._connection)
            except OSError as error:
                raise anyio.BrokenResourceError from error

    async def aclose(self) -> None:
        """Close it; whoever waits for it is told."""
        if self._connection.fileno() >= 0:
            anyio.notify_closing(self._connection)
            self._connection.close()
        await anyio.lowlevel.checkpoint()


class ForkedProcess:
    """What the program uses of `anyio.abc.Process`; the child's status comes through a pipe, and its end closes it."""

    def __init__(self, stream: SocketStream, status: int, pid: int) -> None:
        self.stdin = self.stdout = stream
        self.pid = pid
        self._pipe = status
        self._status: int | None = None

    @property
    def returncode(self) -> int | None:
        """As subprocess gives it; None while the child runs."""
        if self._status is None:
            try:
                told = os.read(self._pipe, 8)
            except BlockingIOError:
                return None
            os.close(self._pipe)
            self._status = int(told or b"-9")
        return self._status

    async def wait(self) -> int:
        """The status at the end of the child."""
        while (status := self.returncode) is None:
            await anyio.wait_readable(self._pipe)
        return status

    def kill(self) -> None:
        """End it at once."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    async def aclose(self) -> None:
        """Close its streams and wait for its end."""
        await self.stdin.aclose()
        self.kill()
        await self.wait()


@contextmanager
def forking() -> Iterator[str]:
    """A process that forks media processes, by the address of its socket; it ends with the caller."""
    with tempfile.TemporaryDirectory(prefix="ltx-mcp-fork-") as folder:
        address = f"{folder}/socket"
        command = [sys.executable, "-c", CODE.format(address)]
        started = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        with started:
            assert started.stdin is not None
            assert started.stdout is not None
            assert started.stdout.readline() == b"ready\n"
            yield address
            started.stdin.close()
            started.wait(HANG_S)


def open_process_at(address: str) -> Any:
    """What stands for `anyio.open_process` where the media process is started."""

    async def open_process(
        command: Sequence[str], *, cwd: str, env: dict[str, str], umask: int, **_: Any
    ) -> ForkedProcess:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        order = {"arguments": command[command.index("-m") + 2 :], "cwd": cwd, "env": env, "umask": umask}
        pipe, theirs = os.pipe()
        os.set_blocking(pipe, False)
        socket.send_fds(connection, [json.dumps(order).encode()], [theirs, 2])
        os.close(theirs)
        stream = SocketStream(connection)
        return ForkedProcess(stream, pipe, int(await stream.receive(8)))

    return open_process


def serve(address: str) -> None:
    """Import what the media process works with, then fork one for each order; until stdin ends."""
    import av  # noqa: F401
    import PIL.Image

    from ltx_mcp.media import process

    PIL.Image.init()
    for module in sorted({module for module, _ in process._WORK.values()}):
        __import__(f"ltx_mcp.media.{module}")
    gc.collect()
    gc.freeze()  # else each process would look through all of it once more
    waking, woken = socket.socketpair()
    for end in (waking, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(woken.fileno())
    running: dict[int, int] = {}
    with socket.socket(socket.AF_UNIX) as listening, selectors.DefaultSelector() as ready:
        listening.bind(address)
        listening.listen(128)
        for source in (0, waking, listening):
            ready.register(source, selectors.EVENT_READ)
        print("ready", flush=True)
        while True:
            for key, _ in ready.select():
                if key.fileobj == 0:
                    return
                if key.fileobj is waking:
                    waking.recv(1 << 12)
                    _report_ends(running)
                elif _fork(listening, running):
                    process.main()
                    os._exit(0)


def _fork(listening: socket.socket, running: dict[int, int]) -> bool:
    """Whether this is the child, which has become what the order says."""
    connection, _ = listening.accept()
    order, descriptors, _, _ = socket.recv_fds(connection, _MAX_ORDER, 2)
    status, stderr = descriptors
    if pid := os.fork():
        running[pid] = status
        connection.sendall(b"%08d" % pid)
        connection.close()
        os.close(stderr)
        return False
    _become(json.loads(order), connection, stderr)
    os.closerange(3, 256)
    return True


def _become(order: dict[str, Any], connection: socket.socket, stderr: int) -> None:
    """The process that was ordered; it says nothing before it is given work, and so not before its number is read."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for number, descriptor in enumerate((connection.fileno(), connection.fileno(), stderr)):
        os.dup2(descriptor, number)
    connection.detach()
    os.umask(order["umask"])
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["child", *order["arguments"]]


def _report_ends(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        os.write(running[pid], str(os.waitstatus_to_exitcode(status)).encode())
        os.close(running.pop(pid))
