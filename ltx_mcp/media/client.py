"""The parent's side of the child process (process.py) in which media files are decoded and drawn.

A codec may crash, hang or use up memory on hostile bytes: then it ends the child, never the server. Both sides speak
JSON lines over the child's stdin and stdout. This side imports no codec.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
from anyio import open_process
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from ltx_mcp import launch
from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.media_info import MediaInfo, VideoInfo
from ltx_mcp.domain.media_reference import FramePosition
from ltx_mcp.media.lanes import QUICK_MIB, Lane, Sizes, Work
from ltx_mcp.media.messages import (
    MEMORY_MIB,
    MIB,
    ChildFailed,
    Confinement,
    ContactSheet,
    EditOrder,
    ExtractedFrame,
    FrameFormat,
    JoinNotes,
    JoinOrder,
    ProcessLimits,
    ReframeOrder,
    RenderNotes,
    RenderOrder,
    ReportProgress,
    Sandbox,
    SheetRow,
)
from ltx_mcp.settings import environment

logger = logging.getLogger(__name__)

_MAX_LINE = 1 << 20
_SIGXCPU = 24
_START_S = 30.0
_FIRST_PATIENCE_S, _SECOND_PATIENCE_S = 25.0, 10.0
# A call is answered within MAX_WAIT_S: with the wait for a turn, both probes of an input stay well below that even
# on a very busy machine. Where processor time has no limit, the limit by the clock is lower.
_QUICK = ProcessLimits(wall_s=4, cpu_s=1, file_bytes=0)
_PATIENT = ProcessLimits(wall_s=25 if sys.platform != "win32" else 10, cpu_s=9, file_bytes=0)
_VIDEO = ProcessLimits(wall_s=120, cpu_s=240, file_bytes=256 * MIB)
_CONVERT_IMAGE = ProcessLimits(wall_s=60, cpu_s=60, file_bytes=512 * MIB)
_RENDER = ProcessLimits(wall_s=120, open_files=512)
_RENDER_S_PER_PIXEL = 7e-8  # about twenty times what two cores need
# A video of 20 s in 4K is decoded and encoded again on a slow machine.
_TRANSCODE = ProcessLimits(wall_s=1800, cpu_s=7200, file_bytes=4096 * MIB, open_files=512)
_JOIN = ProcessLimits(wall_s=1800, file_bytes=4096 * MIB, open_files=512)
_JOIN_S_PER_CLIP = 300.0  # a clip of 20 s in 4K on a slow machine
_BROKEN_PIPE = (
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
)
# Nothing else of the environment reaches the child, so no key can leak from it.
_PASSED_ON = (
    "PATH", "HOME", "USERPROFILE", "LOCALAPPDATA", "TMPDIR", "TEMP", "TMP", "LANG", "SYSTEMROOT", "WINDIR",
    "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
)  # fmt: skip
# `opentelemetry-instrument` starts its SDK in every Python from there; the child has nothing to tell, and no network.
_INSTRUMENTS = os.path.join("opentelemetry", "instrumentation", "auto_instrumentation")


class MediaProcess:
    """One child process, from its first `run` until it is closed; one `run` at a time.

    Where the OS allows it, the child can open only what is in its `sandbox`.
    """

    def __init__(self, sandbox: Sandbox, memory_mib: int = MEMORY_MIB) -> None:
        self.sandbox = sandbox
        self._memory_mib = memory_mib
        self._process: Process | None = None
        self._lines: BufferedByteReceiveStream | None = None
        self._killed = False
        self._runs = 0

    @property
    def is_alive(self) -> bool:
        """Whether it can still be given work."""
        return not self._killed and self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Starts the process; it limits itself before it reads its first request."""
        command = launch.command("ltx_mcp.media.process", "--memory-mib", str(self._memory_mib))
        no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        # Its own session: a signal to the server's group must not reach a render before the server hands over.
        # Shielded: a start that is cancelled half way kills the process, but nothing then waits for its end.
        with anyio.CancelScope(shield=True):
            self._process = await open_process(
                command, stderr=None, creationflags=no_window, start_new_session=True, **_surroundings()
            )
            assert self._process.stdout is not None
            self._lines = BufferedByteReceiveStream(self._process.stdout)

    async def run(
        self, what: str, arguments: dict[str, Any], limits: ProcessLimits, report: ReportProgress | None = None
    ) -> dict[str, Any]:
        """The result of one piece of work. Raises what that raises, or ChildFailed. Cancelling it kills the child."""
        self._runs += 1
        answer: dict[str, Any] | None = None
        try:
            if self._process is None and not self._killed:
                await self.start()
            with anyio.fail_after(_START_S):
                await self._send(what, arguments, limits)
                await self._receive(None)
            with anyio.fail_after(limits.wall_s):
                answer = await self._receive(report)
        except TimeoutError:
            raise ChildFailed(f"The work on the {what} was stopped after {limits.wall_s:g} s.", late=True) from None
        except _BROKEN_PIPE:
            by_itself, how = not self._killed, await self._how_it_ended()
            late = self._process is not None and self._process.returncode == -_SIGXCPU
            raise ChildFailed(f"The process working on the {what} {how}.", ended=by_itself, late=late) from None
        finally:
            if answer is None:
                await self.aclose()
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

    async def aclose(self) -> None:
        """Ends the process and waits until it is gone, even when the caller is being cancelled."""
        self.kill()
        if self._process is not None:
            with anyio.CancelScope(shield=True):
                await self._process.aclose()

    async def _send(self, what: str, arguments: dict[str, Any], limits: ProcessLimits) -> None:
        if self._process is None or self._process.stdin is None:
            raise anyio.ClosedResourceError
        request = {"id": self._runs, "what": what, "arguments": arguments, "limits": asdict(limits)}
        if self._runs == 1:
            request["sandbox"] = asdict(self.sandbox)
        await self._process.stdin.send(json.dumps(request).encode() + b"\n")

    async def _receive(self, report: ReportProgress | None) -> dict[str, Any]:
        assert self._lines is not None
        while True:
            line = await self._lines.receive_until(b"\n", _MAX_LINE)
            answer = _read_line(line)
            if answer.get("id") != self._runs:
                continue
            if "progress" not in answer:
                return answer
            if report:
                report(answer["progress"])

    async def _how_it_ended(self) -> str:
        """How the process ended, in words."""
        assert self._process is not None
        if self._killed:
            return "was stopped"
        with anyio.move_on_after(2):
            await self._process.wait()
        status = self._process.returncode
        if status is None or status >= 0:
            return f"ended too early, with status {status}"
        if status == -_SIGXCPU:
            return "used up the processor time that the work may take"
        return f"was ended by signal {-status}" + (", perhaps for lack of memory" if status == -9 else "")


class MediaClient:
    """What the rest of the program uses. Callers' inputs, conversions, renders and videos that were made each have
    their own lane, and none waits for another.

    Needs a running asyncio loop, but no task group; `close` at shutdown. Callers' inputs are in folders of
    `inputs_in`, videos and what is made of them in `films_in`; files elsewhere cost a new child. `probe_limits` are
    what the first and the second probe of an input may use.
    """

    def __init__(
        self,
        warm_s: float = 20,
        memory_mib: int = MEMORY_MIB,
        sizes: Sizes | None = None,
        inputs_in: tuple[Path, ...] = (),
        films_in: tuple[Path, ...] = (),
        probe_limits: tuple[ProcessLimits, ProcessLimits] = (_QUICK, _PATIENT),
    ) -> None:
        sizes = sizes or Sizes.of(os.cpu_count() or 1)
        self._first_limits, self._second_limits = probe_limits
        child = partial(MediaProcess, memory_mib=memory_mib)
        quick = partial(MediaProcess, memory_mib=min(memory_mib, QUICK_MIB))
        inputs, videos = tuple(map(str, inputs_in)), tuple(map(str, films_in))
        self._quick = Lane(quick, sizes.quick, warm_s, Sandbox(inputs))
        self._patient = Lane(child, sizes.patient, sandbox=Sandbox(niceness=10))
        self._videos = Lane(child, sizes.videos, warm_s, Sandbox(videos, videos, niceness=0))
        self._images = Lane(child, sizes.images)
        self._conversions = Lane(child, sizes.conversions)
        self._renders = Lane(child, sizes.renders)

    async def probe_image(self, path: str | Path) -> MediaInfo:
        """What is read of a complete image. CallerError: input_failed for any other file, rate_limited if too many
        calls wait."""
        return await self._probe(_reading("picture", path, self._first_limits), "picture")

    async def probe_media(self, path: str | Path, kind: Literal["video", "audio"]) -> MediaInfo:
        """What is read of a complete video, or a complete audio, which may be a video's. CallerError as above."""
        return await self._probe(_reading("medium", path, self._first_limits, kind=kind), kind)

    async def probe_video(self, path: str | Path, kind: Literal["video", "audio"] = "video") -> MediaInfo:
        """The same of a video or an audio that was made, which does not wait for callers' inputs. CallerError
        (input_failed)."""
        return await _read(self._videos, _reading("medium", path, _VIDEO, kind=kind), kind)

    async def convert_image(self, path: str | Path, out: Path, target: str, size: tuple[int, int]) -> None:
        """Writes the image to `out` as jpeg or png in this size, upright and without transparency."""
        width, height = size
        await self._images.run(
            _reading("convert", path, _CONVERT_IMAGE, out, target=target, width=width, height=height)
        )

    async def convert_media(self, path: str | Path, out: Path, kind: Literal["video", "audio"]) -> MediaInfo:
        """Writes a video as MP4 with H.264, or an audio, which may be a video's, as M4A with AAC.

        What is encoded that way already is copied. CallerError (input_failed) where it cannot be read.
        """
        return await _read(self._conversions, _reading("conversion", path, _TRANSCODE, out, kind=kind), kind)

    async def measure_film(self, path: str | Path) -> VideoInfo:
        """The figures of a video. LtxError (bad_reply) for any other file."""
        return VideoInfo(**await self._videos.run(_reading("measure", path, _VIDEO)))

    async def make_sheet(self, path: str | Path, out: Path) -> ContactSheet:
        """Writes a video's contact sheet to `out`, a JPEG of at most 60,000 bytes."""
        return ContactSheet(**await self._videos.run(_reading("sheet", path, _VIDEO, out)))

    async def make_set_sheet(self, rows: Sequence[SheetRow], out: Path) -> ContactSheet:
        """Writes the contact sheet of a set to `out`, a JPEG of at most 90,000 bytes. At least one row has a sheet."""
        sheets = tuple(Path(os.path.abspath(row.sheet)) for row in rows if row.sheet)
        arguments = {"rows": [asdict(row) for row in rows], "out": os.path.abspath(out)}
        return ContactSheet(**await self._videos.run(Work("set_sheet", arguments, _VIDEO, sheets, out)))

    async def take_frame(
        self, path: str | Path, moment: FramePosition, out: Path, fmt: FrameFormat = "jpeg", max_edge: int | None = None
    ) -> ExtractedFrame:
        """Writes the frame shown at a moment to `out`. CallerError (invalid_request) outside the video."""
        work = _reading("frame", path, _VIDEO, out, moment=moment, fmt=fmt, max_edge=max_edge)
        return ExtractedFrame(**await self._videos.run(work))

    async def render(self, order: RenderOrder, out: Path, report: ReportProgress | None = None) -> RenderNotes:
        """Draws a preview into `out`; one that fails or is cancelled leaves no file."""
        pixels = order.frames * order.width * order.height
        limits = replace(_RENDER, wall_s=_RENDER.wall_s + pixels * _RENDER_S_PER_PIXEL, file_bytes=pixels + 64 * MIB)
        return RenderNotes(**await self._renders.run(_drawing("render", order, limits, out), report))

    async def edit(self, order: EditOrder, out: Path, report: ReportProgress | None = None) -> RenderNotes:
        """Writes the lengthened or partly redrawn video to `out`, an MP4; one that fails or is cancelled leaves no
        file.

        CallerError: invalid_request for a section outside the video, input_failed for a video that cannot be read.
        """
        return RenderNotes(**await self._renders.run(_drawing("edit", order, _TRANSCODE, out), report))

    async def reframe(self, order: ReframeOrder, out: Path, report: ReportProgress | None = None) -> RenderNotes:
        """Writes the video in another shape to `out`, an MP4; one that fails or is cancelled leaves no file.

        CallerError (input_failed) for a video that cannot be read.
        """
        return RenderNotes(**await self._renders.run(_drawing("reframe", order, _TRANSCODE, out), report))

    async def join(self, order: JoinOrder, out: Path, report: ReportProgress | None = None) -> JoinNotes:
        """Writes the film that the clips make to `out`, an MP4; one that fails or is cancelled leaves no file.

        CallerError: invalid_request for a section outside its video or captions that cannot be read, input_failed for
        a video that cannot be read.
        """
        paths = [os.path.abspath(clip.path) for clip in order.clips]
        clips = tuple(replace(clip, path=path) for clip, path in zip(order.clips, paths, strict=True))
        limits = replace(_JOIN, wall_s=_JOIN.wall_s + len(clips) * _JOIN_S_PER_CLIP)
        work = _drawing("join", replace(order, clips=clips), limits, out)
        work = replace(work, reads=(*work.reads, *map(Path, dict.fromkeys(paths))))
        return JoinNotes.of(await self._renders.run(work, report))

    async def make_poster(self, path: str | Path, out: Path) -> ExtractedFrame:
        """Writes the frame that shows most of a video to `out`, a JPEG."""
        return ExtractedFrame(**await self._videos.run(_reading("poster", path, _VIDEO, out)))

    async def confinement(self) -> Confinement:
        """What the OS keeps the children from here."""
        return Confinement(**await self._quick.run(Work("confinement", {}, _QUICK)))

    async def close(self) -> None:
        """Ends all children; the calls they work on fail."""
        for lane in (self._quick, self._patient, self._videos, self._images, self._conversions, self._renders):
            await lane.close()

    async def _probe(self, work: Work, kind: str) -> MediaInfo:
        """In two rounds, so that what takes long delays nobody whose input does not."""
        asked_at = anyio.current_time()
        try:
            return _to_info(await self._quick.run(work, patience_s=_FIRST_PATIENCE_S))
        except ChildFailed as failure:
            waited_s = anyio.current_time() - asked_at
            logger.debug("a second look at the %s: %s", kind, failure)
        patience_s = max(_SECOND_PATIENCE_S - waited_s, 1)
        return await _read(self._patient, replace(work, limits=self._second_limits), kind, patience_s)


async def _read(lane: Lane, work: Work, kind: str, patience_s: float | None = None) -> MediaInfo:
    try:
        return _to_info(await lane.run(work, patience_s=patience_s))
    except ChildFailed as failure:
        raise _undecodable(kind, failure) from failure


def _to_info(result: dict[str, Any]) -> MediaInfo:
    """The record from its JSON, which has no tuples."""
    return MediaInfo(**result | {"traits": tuple(result["traits"])})


def _reading(what: str, path: str | Path, limits: ProcessLimits, out: Path | None = None, **arguments: Any) -> Work:
    """Work on one file."""
    path = Path(os.path.abspath(path))
    if out is not None:
        out = Path(os.path.abspath(out))
        arguments["out"] = str(out)
    return Work(what, {"path": str(path)} | arguments, limits, (path,), out)


def _drawing(
    what: str, order: RenderOrder | EditOrder | ReframeOrder | JoinOrder, limits: ProcessLimits, out: Path
) -> Work:
    """Work on the files that the order names."""
    names = ("image", "end_image", "sound", "video")
    paths = {name: os.path.abspath(path) for name in names if (path := getattr(order, name, None)) is not None}
    out = Path(os.path.abspath(out))
    return Work(what, {"order": asdict(order) | paths, "out": str(out)}, limits, tuple(map(Path, paths.values())), out)


def _surroundings() -> dict[str, Any]:
    passed = {k: v for k, v in environment().items() if k.upper() in _PASSED_ON or k.startswith("LC_")}
    # Each arena reserves address space, which the child's memory limit counts.
    given = launch.surroundings(launch.FOLDER, passed | {"MALLOC_ARENA_MAX": "2"})
    entries = given["env"]["PYTHONPATH"].split(os.pathsep)
    given["env"]["PYTHONPATH"] = os.pathsep.join(entry for entry in entries if not entry.endswith(_INSTRUMENTS))
    return given


def _read_line(line: bytes) -> dict[str, Any]:
    """The child's message; output from before it claimed its stdout is ignored."""
    try:
        answer = json.loads(line)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _undecodable(kind: str, failure: ChildFailed) -> CallerError:
    message = f"The {kind} could not be decoded here: {failure.message[0].lower()}{failure.message[1:]}"
    hint = f"Send a smaller or another {kind}."
    if failure.late:
        message = f"The {kind} takes longer to be looked at than the 10 s that are allowed."
        hint = f"Save it anew in a plain form, or send a smaller or shorter {kind}."
    return CallerError(ErrorCode.INPUT_FAILED, message, hint)


def _to_error(problem: dict[str, str]) -> LtxError:
    if problem["kind"] == ChildFailed.__name__:
        return ChildFailed(problem["message"])
    kind = CallerError if problem["kind"] == CallerError.__name__ else LtxError
    return kind(ErrorCode(problem["code"]), problem["message"], problem["hint"])
