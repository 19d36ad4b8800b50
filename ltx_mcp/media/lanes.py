"""Who waits for whom: work of one kind goes through one lane of child processes, and no lane waits for another.

A lane bounds how many children it has at a time, and each of them how much memory it may use.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.messages import MEMORY_MIB, ChildFailed, ProcessLimits, ReportProgress, Room

if TYPE_CHECKING:
    from ltx_mcp.media.client import MediaProcess

QUICK_MIB = 1024
_MAX_CHILDREN = 8


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
    films: int
    pictures: int
    conversions: int
    renders: int

    @classmethod
    def of(cls, cores: int) -> "Sizes":
        """Two cores have 2, 1, 2, 1, 2 and 2; 64 have 8, 4, 8, 4, 8 and 8."""
        many = max(2, min(_MAX_CHILDREN, cores // 2))
        few = max(2, min(_MAX_CHILDREN, cores // 8))
        return cls(quick=many, patient=many // 2, films=many, pictures=many // 2, conversions=few, renders=few)

    def most_mib(self, memory_mib: int = MEMORY_MIB) -> int:
        """What all children together may use."""
        return self.quick * min(QUICK_MIB, memory_mib) + memory_mib * (
            self.patient + self.films + self.pictures + self.conversions + self.renders
        )


@dataclass(frozen=True)
class Trees:
    """Folders that warm children of a lane may use from their first work on; what else is asked for takes a new one."""

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()


class Lane:
    """Up to `most` children. One that stays warm ends when it had nothing to do for `warm_s`; 0: each does one work.

    Needs a running asyncio loop, but no task group.
    """

    def __init__(
        self,
        make_child: "Callable[[Room], MediaProcess]",
        most: int,
        warm_s: float = 0,
        niceness: int = 5,
        trees: Trees | None = None,
    ) -> None:
        self._make_child, self._most, self._warm_s, self._niceness = make_child, most, warm_s, niceness
        self._trees = trees or Trees()
        self._turns = anyio.Semaphore(most)
        self._idle: dict[MediaProcess, asyncio.TimerHandle] = {}
        self._busy: set[MediaProcess] = set()
        self._closed = False

    async def run(
        self, work: Work, tell: ReportProgress | None = None, patience_s: float | None = None
    ) -> dict[str, Any]:
        """The result of the work, which may raise, or ChildFailed; a file that it did not finish is removed.

        CallerError (rate_limited) where its turn does not come within `patience_s`.
        """
        result: dict[str, Any] | None = None
        try:
            async with self._turn(patience_s):
                result = await self._tried(work, tell)
        finally:
            if result is None and work.out is not None:
                work.out.unlink(missing_ok=True)
        return result

    async def close(self) -> None:
        """Ends all children; calls they are working on fail, and so do those that wait for their turn."""
        self._closed = True
        for clock in self._idle.values():
            clock.cancel()
        children = [*self._idle, *self._busy]
        self._idle.clear()
        for child in children:
            await child.close()

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

    async def _tried(self, work: Work, tell: ReportProgress | None) -> dict[str, Any]:
        warm = await self._take_warm(work)
        if warm is not None:
            try:
                return await self._given(warm, work, tell)
            except ChildFailed as failure:
                # It may have died while idle: a fresh one tells whether the work is to blame.
                if not failure.ended or failure.late:
                    raise
        return await self._given(self._make_child(self._room(work)), work, tell)

    async def _given(self, child: "MediaProcess", work: Work, tell: ReportProgress | None) -> dict[str, Any]:
        if self._closed:
            raise ChildFailed(f"The work on the {work.what} was stopped.")
        self._busy.add(child)
        try:
            return await child.run(work.what, work.arguments, work.limits, tell)
        finally:
            self._busy.discard(child)
            if self._warm_s and child.is_alive and not self._closed:
                self._idle[child] = asyncio.get_running_loop().call_later(self._warm_s, child.kill)
            else:
                await child.close()

    async def _take_warm(self, work: Work) -> "MediaProcess | None":
        """The child that was busy last, of those that may open what this work needs."""
        fit = next((each for each in reversed(self._idle) if each.is_alive and _has_room(each.room, work)), None)
        if fit is not None:
            self._idle.pop(fit).cancel()
        for child in list(self._idle):
            is_in_the_way = fit is None and len(self._idle) + len(self._busy) >= self._most
            if not child.is_alive or is_in_the_way:
                self._idle.pop(child).cancel()
                await child.close()
        return fit

    def _room(self, work: Work) -> Room:
        """A child for one work gets its files; one that stays warm the folders they lie in."""
        out = () if work.out is None else (work.out.parent,)
        reads = work.reads
        if self._warm_s:
            reads = (*_there(self._trees.reads), *(path.parent for path in reads))
            out = (*_there(self._trees.writes), *out)
        return Room(_texts(reads), _texts(out), self._niceness)


def absolute(path: str | Path) -> Path:
    """The path as a child finds it, wherever it works."""
    return Path(os.path.abspath(path))


def _there(folders: Sequence[Path]) -> list[Path]:
    return [folder for folder in folders if folder.is_dir()]


def _texts(paths: Sequence[Path]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(absolute(path)) for path in paths))


def _has_room(room: Room, work: Work) -> bool:
    can_read = all(any(path.is_relative_to(tree) for tree in (*room.reads, *room.writes)) for path in work.reads)
    return can_read and (work.out is None or any(work.out.is_relative_to(tree) for tree in room.writes))
