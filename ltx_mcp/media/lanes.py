"""Work of one kind goes through one lane of child processes, and no lane waits for another.

A lane bounds how many children it has at a time, and each of them how much memory it may use.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.messages import ChildFailed, ProcessLimits, ReportProgress, Sandbox

if TYPE_CHECKING:
    from ltx_mcp.media.client import MediaProcess

QUICK_MIB = 1024
_MAX_CHILDREN = 8
_NOTHING = Sandbox()


@dataclass(frozen=True)
class Work:
    """One piece of work: what is done, with what, which files it reads, and the file it writes, if any."""

    what: str
    arguments: dict[str, Any]
    limits: ProcessLimits
    reads: tuple[Path, ...] = ()
    out: Path | None = None


@dataclass(frozen=True)
class Sizes:
    """How many children each lane has at most, by what the machine has."""

    quick: int
    patient: int
    videos: int
    images: int
    conversions: int
    renders: int

    @classmethod
    def of(cls, cores: int) -> "Sizes":
        """Two cores have 2, 1, 2, 1, 2 and 2; 64 have 8, 4, 8, 4, 8 and 8."""
        many = max(2, min(_MAX_CHILDREN, cores // 2))
        few = max(2, min(_MAX_CHILDREN, cores // 8))
        return cls(quick=many, patient=many // 2, videos=many, images=many // 2, conversions=few, renders=few)


class Lane:
    """Up to `max_children` children. One that stays warm ends when it had nothing to do for `warm_s`; 0: each does one
    piece of work.

    Warm children may use the folders of `sandbox` from the start; work elsewhere takes a new one. Needs a running
    asyncio loop, but no task group.
    """

    def __init__(
        self,
        make_child: "Callable[[Sandbox], MediaProcess]",
        max_children: int,
        warm_s: float = 0,
        sandbox: Sandbox = _NOTHING,
    ) -> None:
        self._make_child, self._max_children, self._warm_s = make_child, max_children, warm_s
        self._sandbox = sandbox
        self._turns = anyio.Semaphore(max_children)
        self._idle: dict[MediaProcess, asyncio.TimerHandle] = {}
        self._busy: set[MediaProcess] = set()
        self._closed = False

    async def run(
        self, work: Work, report: ReportProgress | None = None, patience_s: float | None = None
    ) -> dict[str, Any]:
        """The result of the work. Raises what that raises, or ChildFailed; a file that it did not finish is removed.

        CallerError (rate_limited) where its turn does not come within `patience_s`.
        """
        result: dict[str, Any] | None = None
        try:
            async with self._turn(patience_s):
                result = await self._run_warm_or_new(work, report)
        finally:
            if result is None and work.out is not None:
                work.out.unlink(missing_ok=True)
        return result

    async def close(self) -> None:
        """Ends all children; the calls they work on fail, and so do those that wait for their turn."""
        self._closed = True
        for timer in self._idle.values():
            timer.cancel()
        children = [*self._idle, *self._busy]
        self._idle.clear()
        for child in children:
            await child.aclose()

    @asynccontextmanager
    async def _turn(self, patience_s: float | None) -> AsyncGenerator[None, None]:
        try:
            with anyio.fail_after(patience_s):
                await self._turns.acquire()
        except TimeoutError:
            raise CallerError(
                ErrorCode.RATE_LIMITED,
                "too many pictures, videos and sounds are being looked at here just now.",
                "Nothing was ordered. Send the same call again in a minute.",
            ) from None
        try:
            yield
        finally:
            self._turns.release()

    async def _run_warm_or_new(self, work: Work, report: ReportProgress | None) -> dict[str, Any]:
        warm = await self._take_warm(work)
        if warm is not None:
            try:
                return await self._run_in(warm, work, report)
            except ChildFailed as failure:
                # It may have died while idle: a new one shows whether the work is the cause.
                if not failure.ended or failure.late:
                    raise
        return await self._run_in(self._make_child(self._sandbox_for(work)), work, report)

    async def _run_in(self, child: "MediaProcess", work: Work, report: ReportProgress | None) -> dict[str, Any]:
        if self._closed:
            raise ChildFailed(f"The work on the {work.what} was stopped.")
        self._busy.add(child)
        try:
            return await child.run(work.what, work.arguments, work.limits, report)
        finally:
            self._busy.discard(child)
            if self._warm_s and child.is_alive and not self._closed:
                self._idle[child] = asyncio.get_running_loop().call_later(self._warm_s, child.kill)
            else:
                await child.aclose()

    async def _take_warm(self, work: Work) -> "MediaProcess | None":
        """The child that was busy last of those that may open what this work needs."""
        fit = next((child for child in reversed(self._idle) if child.is_alive and _allows(child.sandbox, work)), None)
        if fit is not None:
            self._idle.pop(fit).cancel()
        for child in list(self._idle):
            is_in_the_way = fit is None and len(self._idle) + len(self._busy) >= self._max_children
            if not child.is_alive or is_in_the_way:
                self._idle.pop(child).cancel()
                await child.aclose()
        return fit

    def _sandbox_for(self, work: Work) -> Sandbox:
        """A child for one piece of work gets its files; one that stays warm the folders they are in."""
        reads: list[str | Path] = list(work.reads)
        writes: list[str | Path] = [] if work.out is None else [work.out.parent]
        if self._warm_s:
            reads = [*filter(os.path.isdir, self._sandbox.reads), *(path.parent for path in work.reads)]
            writes = [*filter(os.path.isdir, self._sandbox.writes), *writes]
        return replace(self._sandbox, reads=_absolute(reads), writes=_absolute(writes))


def _absolute(paths: Sequence[str | Path]) -> tuple[str, ...]:
    """The paths as a child finds them, wherever it works."""
    return tuple(dict.fromkeys(os.path.abspath(path) for path in paths))


def _allows(sandbox: Sandbox, work: Work) -> bool:
    can_read = all(any(path.is_relative_to(tree) for tree in (*sandbox.reads, *sandbox.writes)) for path in work.reads)
    return can_read and (work.out is None or any(work.out.is_relative_to(tree) for tree in sandbox.writes))
