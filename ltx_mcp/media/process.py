"""The child process in which media files are decoded and drawn; client.py is its parent's side."""

import argparse
import contextlib
import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.media.messages import (
    MEMORY_MIB,
    ChildFailed,
    Confinement,
    EditOrder,
    JoinOrder,
    ProcessLimits,
    ReframeOrder,
    RenderOrder,
    ReportProgress,
    Sandbox,
)
from ltx_mcp.media.sandbox import confine, limit

_WORK = {
    "picture": ("image", "probe_image"),
    "convert": ("image", "convert_image"),
    "medium": ("probe", "probe_media"),
    "conversion": ("convert", "convert_media"),
    "measure": ("measure", "measure_film"),
    "sheet": ("measure", "make_sheet"),
    "set_sheet": ("set_sheet", "make_set_sheet"),
    "frame": ("measure", "take_frame"),
    "render": ("preview.render", "render"),
    "edit": ("preview.edit", "edit"),
    "reframe": ("preview.reframe", "reframe"),
    "join": ("join.film", "join"),
    "poster": ("join.poster", "make_poster"),
}
"""For each kind of work, the function and its module: none is imported before it is needed."""
_ORDERS: dict[str, Callable[..., Any]] = {
    "render": RenderOrder,
    "edit": EditOrder,
    "reframe": ReframeOrder,
    "join": lambda **fields: JoinOrder.of(fields),
}


def main() -> None:
    """The child: answers requests from stdin until stdin ends, and then ends at once, whatever it is doing."""
    stdout = _claim_stdout()
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory-mib", type=int, default=MEMORY_MIB)
    _limit_self(parser.parse_args().memory_mib)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    first = json.loads(line)
    confinement = _confine(first)
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    _answer(first, confinement, stdout)
    while True:
        _answer(json.loads(requests.get()), confinement, stdout)


def _confine(first: dict[str, Any]) -> Confinement:
    """Confines itself before it reads the first untrusted byte, and before it has a second thread, which would not be
    confined.

    The codecs are loaded first, with their libraries, wherever those are. What fails here fails again in the work.
    """
    sandbox = Sandbox(**first["sandbox"])
    with contextlib.suppress(Exception):
        _function(first["what"])
    _lower_priority(sandbox.niceness)
    return confine(sandbox)


def _lower_priority(niceness: int) -> None:
    if hasattr(os, "nice"):
        os.nice(niceness)
    # Where the kernel divides processor time among sessions, each of one process here, nice alone has no effect.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write(str(niceness))


def _claim_stdout() -> BinaryIO:
    """The real stdout, for answers alone; everything else that is printed goes to stderr."""
    stdout = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return stdout


def _limit_self(memory_mib: int) -> None:
    # The parent decides when the child ends; a service manager signals every process of the service.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform != "win32":
        import resource

        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (memory_mib << 20, memory_mib << 20))


def _read_requests(requests: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        requests.put(line)
    # The parent closed the pipe or died.
    os._exit(0)


def _answer(request: dict[str, Any], confinement: Confinement, stdout: BinaryIO) -> None:
    def send(message: dict[str, Any]) -> None:
        stdout.write(json.dumps({"id": request["id"]} | message).encode() + b"\n")

    # Until here the process was started and loaded its libraries: the time that takes is not the work's.
    send({"begun": True})
    try:
        limit(ProcessLimits(**request["limits"]))
        if request["what"] == "confinement":
            result = confinement
        else:
            result = _do(request["what"], request["arguments"], lambda part: send({"progress": round(part, 4)}))
    except Exception as error:  # noqa: BLE001 (whatever it is, it must be reported to the parent)
        send({"error": _to_problem(error)})
    else:
        send({"result": asdict(result)})


def _do(what: str, arguments: dict[str, Any], report: ReportProgress) -> Any:
    if "out" in arguments:
        arguments["out"] = Path(arguments["out"])
    if what in _ORDERS:
        return _function(what)(_ORDERS[what](**arguments["order"]), arguments["out"], report)
    return _function(what)(**arguments)


def _function(what: str) -> Any:
    module, name = _WORK[what]
    return getattr(importlib.import_module(f"ltx_mcp.media.{module}"), name)


def _to_problem(error: Exception) -> dict[str, str]:
    if not isinstance(error, LtxError):
        # The log may be full, or gone.
        with contextlib.suppress(OSError):
            traceback.print_exception(error, file=sys.stderr)
        error = _explained(error)
    return {"code": error.code, "message": error.message, "hint": error.hint, "kind": type(error).__name__}


def _explained(error: Exception) -> LtxError:
    if isinstance(error, MemoryError):
        return ChildFailed("It needs more memory than the process for pictures and films may use.")
    if isinstance(error, OSError):
        return LtxError(ErrorCode.STORAGE_FAILED, f"The file could not be written: {error.strerror}.")
    return LtxError(ErrorCode.INTERNAL_ERROR, "The work on a picture or film failed here; the log has the details.")


if __name__ == "__main__":
    main()
