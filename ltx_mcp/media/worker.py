"""The parent's handle on the child process (child.py) in which pictures and films are decoded and drawn.

A codec may crash, hang or eat memory over hostile bytes: here it takes a child along, never the server. Both sides
speak JSON lines over the child's stdin and stdout. This part imports no codec.
"""

import asyncio
import contextlib
import json
import os
import subprocess
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from ltx_mcp import launch
from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.forms import TARGETS
from ltx_mcp.domain.media import Moment
from ltx_mcp.media.facts import (
    MEMORY_MIB,
    ChildFailed,
    EditOrder,
    FilmFacts,
    FrameFacts,
    FrameFormat,
    MediumFacts,
    PictureFacts,
    RenderNotes,
    RenderOrder,
    SheetFacts,
    Tell,
)
from ltx_mcp.settings import environment

_MAX_LINE = 1 << 20
_PICTURE_S = 60.0
_FILM_S = 120.0
_RENDER_S = 120.0
_RENDER_S_PER_PIXEL = 7e-8  # about twenty times what two cores need
_REWRITE_S = 1800.0  # a film of 20 s in 4K is decoded and encoded anew on a slow machine
_BROKEN_PIPE = (
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)
# Nothing else of the environment reaches the child: no key can leak from where no key is.
_PASSED_ON = (
    "PATH", "HOME", "USERPROFILE", "LOCALAPPDATA", "TMPDIR", "TEMP", "TMP", "LANG", "SYSTEMROOT", "WINDIR",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
)  # fmt: skip
_PATHS = ("path", "out", "image", "end_image", "sound", "video")


class Child:
    """One child process, living as long as its `async with` block; one `run` at a time."""

    def __init__(self, memory_mib: int = MEMORY_MIB) -> None:
        self._memory_mib = memory_mib
        self._process: Process | None = None
        self._lines: BufferedByteReceiveStream | None = None
        self._killed = False
        self._runs = 0

    async def __aenter__(self) -> "Child":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def is_alive(self) -> bool:
        """Whether it can still be given work."""
        return not self._killed and self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts the process; it limits itself before it reads its first order."""
        command = launch.command("ltx_mcp.media.child", "--memory-mib", str(self._memory_mib))
        no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        # A session of its own: a signal to the server's group must not reach a render before the server hands over.
        # Shielded: a start that is cancelled half way kills the process, but leaves nobody to wait for its end.
        with anyio.CancelScope(shield=True):
            self._process = await anyio.open_process(
                command, stderr=None, creationflags=no_window, start_new_session=True, **_surroundings()
            )
            assert self._process.stdout is not None
            self._lines = BufferedByteReceiveStream(self._process.stdout)

    async def run(
        self, what: str, arguments: dict[str, Any], timeout_s: float, tell: Tell | None = None
    ) -> dict[str, Any]:
        """The result of one piece of work, which may raise, or ChildFailed. Cancelling it kills the child."""
        self._runs += 1
        answer: dict[str, Any] | None = None
        try:
            with anyio.fail_after(timeout_s):
                await self._send({"id": self._runs, "what": what, "arguments": _absolute(arguments)})
                answer = await self._receive(tell)
        except TimeoutError:
            raise ChildFailed(f"The work on the {what} was stopped after {timeout_s:g} s.") from None
        except _BROKEN_PIPE:
            by_itself = not self._killed
            raise ChildFailed(f"The process working on the {what} {await self._fate()}.", ended=by_itself) from None
        finally:
            if answer is None:
                await self.close()
        if "error" in answer:
            raise _to_error(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def kill(self) -> None:
        """Ends the process at once, without waiting for it."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """Ends the process and waits until it is gone, even when the caller is being cancelled."""
        self.kill()
        if self._process is not None:
            with anyio.CancelScope(shield=True):
                await self._process.aclose()

    async def _send(self, order: dict[str, Any]) -> None:
        if self._process is None or self._process.stdin is None:
            raise anyio.ClosedResourceError
        await self._process.stdin.send(json.dumps(order).encode() + b"\n")

    async def _receive(self, tell: Tell | None) -> dict[str, Any]:
        assert self._lines is not None
        while True:
            line = await self._lines.receive_until(b"\n", _MAX_LINE)
            answer = _read_line(line)
            if answer.get("id") != self._runs:
                continue
            if "progress" not in answer:
                return answer
            if tell:
                tell(answer["progress"])

    async def _fate(self) -> str:
        """How the process ended, in words."""
        assert self._process is not None
        if self._killed:
            return "was stopped"
        with anyio.move_on_after(2):
            await self._process.wait()
        status = self._process.returncode
        if status is None or status >= 0:
            return f"ended too early, with status {status}"
        return f"was ended by signal {-status}" + (", perhaps for lack of memory" if status == -9 else "")


class Media:
    """What the rest of the program uses: short work in one warm child; what writes a film, in a child of its own.

    Needs a running asyncio loop, but no task group; `close` at shutdown.
    """

    def __init__(self, warm_s: float = 20, memory_mib: int = MEMORY_MIB) -> None:
        self._warm_s, self._memory_mib = warm_s, memory_mib
        self._lock = anyio.Lock()
        self._warm: Child | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def look_at_picture(self, path: str | Path) -> PictureFacts:
        """The facts of a whole picture. CallerError (input_failed) where it is none."""
        try:
            return PictureFacts(**await self._call("picture", {"path": str(path)}, _PICTURE_S))
        except ChildFailed as failure:
            raise _undecodable("picture", failure) from failure

    async def convert_picture(self, path: str | Path, out: Path, target: str) -> None:
        """Writes the picture to `out` as jpeg or png, upright and without transparency."""
        await self._call("convert", {"path": str(path), "out": str(out), "target": target}, _PICTURE_S)

    async def look_at_medium(self, path: str | Path, kind: Literal["video", "audio"]) -> MediumFacts:
        """The facts of a whole film, or a whole sound, be it a film's. CallerError (input_failed) where it is none."""
        try:
            return MediumFacts(**await self._call("medium", {"path": str(path), "kind": kind}, _FILM_S))
        except ChildFailed as failure:
            raise _undecodable(kind, failure) from failure

    async def convert_medium(self, path: str | Path, out: Path, target: str) -> MediumFacts:
        """Writes a film as `mp4/h264` or a sound, be it a film's, as `m4a/aac`; gives the facts of what was written.

        What is encoded that way already is copied. CallerError (input_failed) where it cannot be read.
        """
        arguments = {"path": str(path), "out": str(out), "target": target}
        try:
            return MediumFacts(**await self._write("conversion", arguments, out, _REWRITE_S))
        except ChildFailed as failure:
            raise _undecodable("audio" if target == TARGETS["audio"] else "video", failure) from failure

    async def measure_film(self, path: str | Path) -> FilmFacts:
        """The facts of a film. LtxError (bad_reply) where it is none."""
        return FilmFacts(**await self._call("measure", {"path": str(path)}, _FILM_S))

    async def make_sheet(self, path: str | Path, out: Path) -> SheetFacts:
        """Writes a film's contact sheet to `out`, a JPEG of at most 60,000 bytes."""
        return SheetFacts(**await self._call("sheet", {"path": str(path), "out": str(out)}, _FILM_S))

    async def take_frame(
        self, path: str | Path, moment: Moment, out: Path, fmt: FrameFormat = "jpeg", max_edge: int | None = None
    ) -> FrameFacts:
        """Writes the frame shown at a moment to `out`. CallerError (invalid_request) outside the film."""
        arguments = {"path": str(path), "moment": moment, "out": str(out), "fmt": fmt, "max_edge": max_edge}
        return FrameFacts(**await self._call("frame", arguments, _FILM_S))

    async def render(self, order: RenderOrder, out: Path, tell: Tell | None = None) -> RenderNotes:
        """Draws a preview into `out`; one that fails or is cancelled leaves no file."""
        limit_s = _RENDER_S + order.frames * order.width * order.height * _RENDER_S_PER_PIXEL
        arguments = {"order": asdict(order), "out": str(out)}
        return RenderNotes(**await self._write("render", arguments, out, limit_s, tell))

    async def edit(self, order: EditOrder, out: Path, tell: Tell | None = None) -> RenderNotes:
        """Writes the lengthened or partly redrawn film to `out`, an MP4; one that fails or is cancelled leaves no file.

        CallerError: invalid_request for a section outside the film, input_failed for a film that cannot be read.
        """
        arguments = {"order": asdict(order), "out": str(out)}
        return RenderNotes(**await self._write("edit", arguments, out, _REWRITE_S, tell))

    async def close(self) -> None:
        """Ends the warm child; a call it is working on fails."""
        self._stop_clock()
        child, self._warm = self._warm, None
        if child is not None:
            await child.close()

    async def _write(
        self, what: str, arguments: dict[str, Any], out: Path, timeout_s: float, tell: Tell | None = None
    ) -> dict[str, Any]:
        """The result of work that writes `out`, in a child of its own."""
        result: dict[str, Any] | None = None
        try:
            async with Child(self._memory_mib) as child:
                result = await child.run(what, arguments, timeout_s, tell)
        finally:
            if result is None:
                out.unlink(missing_ok=True)
        return result

    async def _call(self, what: str, arguments: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        async with self._lock:
            self._stop_clock()
            was_warm = self._warm is not None and self._warm.is_alive
            try:
                return await self._ask(what, arguments, timeout_s)
            except ChildFailed as failure:
                # A child that was warm may have died while idle: a fresh one tells whether the work is to blame.
                if not (was_warm and failure.ended):
                    raise
                return await self._ask(what, arguments, timeout_s)
            finally:
                self._start_clock()

    async def _ask(self, what: str, arguments: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        if self._warm is None or not self._warm.is_alive:
            await self.close()
            self._warm = Child(self._memory_mib)
            await self._warm.start()
        return await self._warm.run(what, arguments, timeout_s)

    def _start_clock(self) -> None:
        if self._warm is not None and self._warm.is_alive:
            self._idle = asyncio.get_running_loop().call_later(self._warm_s, self._warm.kill)

    def _stop_clock(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


def _surroundings() -> dict[str, Any]:
    passed = {k: v for k, v in environment().items() if k.upper() in _PASSED_ON or k.startswith("LC_")}
    # Each arena reserves address space, which is what the child's memory limit counts.
    return launch.surroundings(launch.FOLDER, passed | {"MALLOC_ARENA_MAX": "2"})


def _absolute(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same with absolute paths: the child works in another folder."""
    return {
        name: _absolute(each) if isinstance(each, dict) else os.path.abspath(each) if name in _PATHS and each else each
        for name, each in arguments.items()
    }


def _read_line(line: bytes) -> dict[str, Any]:
    """The child's message; noise written before it took hold of its stdout is passed over."""
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _undecodable(kind: str, failure: ChildFailed) -> CallerError:
    message = f"The {kind} could not be decoded here: {failure.message[0].lower()}{failure.message[1:]}"
    return CallerError(ErrorCode.INPUT_FAILED, message, f"Send a smaller or another {kind}.")


def _to_error(problem: dict[str, str]) -> LtxError:
    if problem["kind"] == ChildFailed.__name__:
        return ChildFailed(problem["message"])
    kind = CallerError if problem["kind"] == CallerError.__name__ else LtxError
    return kind(ErrorCode(problem["code"]), problem["message"], problem["hint"])
