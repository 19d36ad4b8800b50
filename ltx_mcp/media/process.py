"""The child process in which pictures and films are decoded and drawn; worker.py is its parent's side."""

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
from ltx_mcp.domain.media_info import MediaInfo, VideoInfo
from ltx_mcp.media.messages import (
    MEMORY_MIB,
    ChildFailed,
    Confinement,
    EditOrder,
    FrameFacts,
    ProcessLimits,
    RenderNotes,
    RenderOrder,
    ReportProgress,
    Room,
    SheetFacts,
)
from ltx_mcp.media.sandbox import confine, limit

Work = Callable[[dict[str, Any], ReportProgress], Any]


def _picture(arguments: dict[str, Any], tell: ReportProgress) -> MediaInfo:
    from ltx_mcp.media.picture import probe_image

    return probe_image(**arguments)


def _convert(arguments: dict[str, Any], tell: ReportProgress) -> MediaInfo:
    from ltx_mcp.media.picture import convert_picture

    return convert_picture(arguments["path"], Path(arguments["out"]), arguments["target"])


def _medium(arguments: dict[str, Any], tell: ReportProgress) -> MediaInfo:
    from ltx_mcp.media.probe import probe_media

    return probe_media(**arguments)


def _convert_medium(arguments: dict[str, Any], tell: ReportProgress) -> MediaInfo:
    from ltx_mcp.media.convert import convert_medium

    return convert_medium(arguments["path"], Path(arguments["out"]), arguments["target"])


def _measure(arguments: dict[str, Any], tell: ReportProgress) -> VideoInfo:
    from ltx_mcp.media.measure import measure_film

    return measure_film(**arguments)


def _sheet(arguments: dict[str, Any], tell: ReportProgress) -> SheetFacts:
    from ltx_mcp.media.measure import make_sheet

    return make_sheet(arguments["path"], Path(arguments["out"]))


def _frame(arguments: dict[str, Any], tell: ReportProgress) -> FrameFacts:
    from ltx_mcp.media.measure import take_frame

    return take_frame(**arguments | {"out": Path(arguments["out"])})


def _render(arguments: dict[str, Any], tell: ReportProgress) -> RenderNotes:
    from ltx_mcp.media.preview.render import render

    return render(RenderOrder(**arguments["order"]), Path(arguments["out"]), tell)


def _edit(arguments: dict[str, Any], tell: ReportProgress) -> RenderNotes:
    from ltx_mcp.media.preview.edit import edit

    return edit(EditOrder(**arguments["order"]), Path(arguments["out"]), tell)


_WORK: dict[str, Work] = {
    "picture": _picture,
    "convert": _convert,
    "medium": _medium,
    "conversion": _convert_medium,
    "measure": _measure,
    "sheet": _sheet,
    "frame": _frame,
    "render": _render,
    "edit": _edit,
}
_MODULES = {
    "picture": "picture",
    "convert": "picture",
    "medium": "probe",
    "conversion": "convert",
    "measure": "measure",
    "sheet": "measure",
    "frame": "measure",
    "render": "preview.render",
    "edit": "preview.edit",
}


def main() -> None:
    """The child: answers orders from stdin until stdin ends, and then ends at once, whatever it is doing."""
    wire = _claim_stdout()
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory-mib", type=int, default=MEMORY_MIB)
    _limit_self(parser.parse_args().memory_mib)
    line = sys.stdin.buffer.readline()
    if not line:
        return
    first = json.loads(line)
    holds = _confine(first)
    orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(orders,), daemon=True).start()
    works = _WORK | {"confinement": lambda arguments, tell: holds}
    _answer(first, works, wire)
    while True:
        _answer(json.loads(orders.get()), works, wire)


def _confine(first: dict[str, Any]) -> Confinement:
    """Shuts itself in before the first strange byte is read, and before there is a second thread, which could stay out.

    The codecs are loaded before: with their libraries, wherever those lie. What fails there fails in the work again.
    """
    room = Room(**first["room"])
    with contextlib.suppress(Exception):
        if first["what"] in _MODULES:
            importlib.import_module(f"ltx_mcp.media.{_MODULES[first['what']]}")
    _stand_back(room.niceness)
    return confine(room)


def _stand_back(niceness: int) -> None:
    if hasattr(os, "nice"):
        os.nice(niceness)
    # Where the kernel shares the processor out among sessions, each of one process here, that alone would be in vain.
    with contextlib.suppress(OSError), open("/proc/self/autogroup", "w", encoding="ascii") as file:
        file.write(str(niceness))


def _claim_stdout() -> BinaryIO:
    """The real stdout, for answers alone; everything else that is printed goes to stderr."""
    wire = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return wire


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


def _read_orders(orders: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        orders.put(line)
    # The parent closed the pipe, or is dead.
    os._exit(0)


def _answer(order: dict[str, Any], works: dict[str, Work], wire: BinaryIO) -> None:
    def say(message: dict[str, Any]) -> None:
        wire.write(json.dumps({"id": order["id"]} | message).encode() + b"\n")

    # Until here it was started and given its libraries, which is not the work's fault where it takes long.
    say({"begun": True})
    try:
        limit(ProcessLimits(**order["limits"]))
        facts = works[order["what"]](order["arguments"], lambda part: say({"progress": round(part, 4)}))
    except Exception as error:  # noqa: BLE001 (whatever it is, the parent must hear of it)
        say({"error": _to_problem(error)})
    else:
        say({"result": asdict(facts)})


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
