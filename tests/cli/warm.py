"""`ltx-mcp` in a process of its own that need not be started: it is forked from one that has imported everything.

In the fast tests most of a command's time would be the start of Python. Its arguments, environment, folder, streams,
signals and end are those of a real process; only that nothing is imported any more is not, so tests of that, and all
tests of a run with `--all`, start it as a person does. Not a test.
"""

import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from runpy import run_module

from tests.forked_media import open_process_at

CODE = "from tests.cli.warm import serve; serve({}, {!r})"
ROOT = Path(__file__).parents[2]
is_wanted = True
media_at = ""
"""Where the media processes of what is forked here are forked; started where this is empty."""


def can_run(env: dict[str, str]) -> bool:
    """Whether a forked process would be as a new one: what Python itself reads was read long ago."""
    strange = {name for name in env.keys() | os.environ.keys() if name.startswith("PYTHON")}
    return os.name != "nt" and all(env.get(name) == os.environ.get(name) for name in strange)


def run(arguments: list[str], folder: Path, env: dict[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` would with both streams captured and nothing to read."""
    line = _server()[0]
    order = json.dumps({"arguments": arguments, "env": env, "folder": str(folder)}).encode()
    streams = [os.pipe(), os.pipe()]
    with open(os.devnull, "rb") as nothing:
        socket.send_fds(line, [len(order).to_bytes(8, "big")], [nothing.fileno(), streams[0][1], streams[1][1]])
    line.sendall(order)
    for _, end in streams:
        os.close(end)
    pid = _read_number(line)
    out, err = _read([start for start, _ in streams], pid, time.monotonic() + timeout_s)
    return subprocess.CompletedProcess(arguments, os.waitstatus_to_exitcode(_read_number(line)), out, err)


def _read(starts: list[int], pid: int, end: float) -> list[str]:
    """Everything that comes until nobody holds the streams any more; the process is killed when time is up."""
    read = {start: b"" for start in starts}
    with selectors.DefaultSelector() as ready:
        for start in starts:
            ready.register(start, selectors.EVENT_READ)
        while ready.get_map() and (found := ready.select(max(0.0, end - time.monotonic()))):
            for key, _ in found:
                if data := os.read(key.fd, 1 << 16):
                    read[key.fd] += data
                else:
                    ready.unregister(key.fd)
        late = bool(ready.get_map())
    for start in starts:
        os.close(start)
    if late:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return [data.decode().replace("\r\n", "\n").replace("\r", "\n") for data in read.values()]


def _read_number(line: socket.socket) -> int:
    return int.from_bytes(line.recv(8, socket.MSG_WAITALL), "big")


@cache
def _server() -> "tuple[socket.socket, subprocess.Popen[bytes]]":
    """The process that forks, and the way to it; it ends when the way is closed, with this process."""
    ours, theirs = socket.socketpair()
    with theirs:
        started = subprocess.Popen(
            [sys.executable, "-c", CODE.format(theirs.fileno(), media_at)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    return ours, started


def serve(descriptor: int, media_at: str) -> None:
    """Import everything, then fork a process for each order and tell its number and its end."""
    import ltx_mcp

    for module in walk_packages(ltx_mcp.__path__, "ltx_mcp."):
        if not module.name.endswith((".__main__", ".media.process")):
            import_module(module.name)
    if media_at:
        vars(import_module("ltx_mcp.media.client"))["open_process"] = open_process_at(media_at)
    gc.collect()
    gc.freeze()  # else each forked process would look through all of it once more when it ends
    line = socket.socket(fileno=descriptor)
    while True:
        head, streams, _, _ = socket.recv_fds(line, 8, 3)
        if not head:
            return
        order = json.loads(line.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL))
        pid = os.fork()
        if not pid:
            line.close()
            _become(order["arguments"], order["env"], order["folder"], streams)
            return
        for stream in streams:
            os.close(stream)
        line.sendall(pid.to_bytes(8, "big"))
        line.sendall(os.waitpid(pid, 0)[1].to_bytes(8, "big"))


def _become(arguments: list[str], env: dict[str, str], folder: str, streams: list[int]) -> None:
    """`python -m ltx_mcp` in this process."""
    encoding = sys.stdout.encoding
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding=encoding, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    sys.path[0] = folder
    sys.argv = ["ltx-mcp", *arguments]
    run_module("ltx_mcp", run_name="__main__", alter_sys=True)
