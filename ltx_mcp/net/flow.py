"""A video's bytes on their way into a file: how many may come, how fast they must, and whether there is room."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import anyio
from anyio import to_thread

from ltx_mcp.domain.offer import CEILING_BYTES
from ltx_mcp.private import open_private

MIN_BYTES_S, WINDOW_S = 1_000.0, 60.0
"""Slower than this over a minute is a stall. The slowest connection that people still wait at (a crowded hotel, EDGE)
is some ten times as fast, and what it has brought is continued by the next try."""
MARGIN_BYTES = 1 << 20
"""Room for what is written beside a video: its contact sheet, its sidecar, its row."""
_ROOM_CHECK_BYTES = 64 << 20


class EndlessError(Exception):
    """More came than any video of this order has."""


class TricklingError(Exception):
    """So little came that this try has failed."""


@dataclass(frozen=True)
class Bounds:
    """The limits of one try to fetch a video. `room` raises where the disk has no room for so many bytes more;
    `expected_bytes` are assumed where an answer does not say its length."""

    max_bytes: int = CEILING_BYTES
    expected_bytes: int = 0
    room: Callable[[int], None] | None = None
    min_bytes_s: float = MIN_BYTES_S
    window_s: float = WINDOW_S


WIDEST = Bounds()


async def pour(
    chunks: AsyncIterator[bytes],
    out: Path,
    bounds: Bounds,
    *,
    length: int | None,
    restart: bool = True,
    report: Callable[[float], None] | None = None,
) -> None:
    """Write what comes to `out`, from its beginning or after what it has, reporting the part of `length` that is there.

    Raises EndlessError, and then removes `out`; TricklingError; or what `bounds.room` raises.
    """
    with await to_thread.run_sync(open_private, out, "wb" if restart else "ab") as file:
        if not await _fill(chunks, file, bounds, length, report):
            file.close()  # before it is removed: Windows does not remove an open file
            out.unlink(missing_ok=True)
            raise EndlessError


async def _fill(
    chunks: AsyncIterator[bytes],
    file: BinaryIO,
    bounds: Bounds,
    length: int | None,
    report: Callable[[float], None] | None,
) -> bool:
    """False where there is more than there may be."""
    have = checked = file.tell()
    if length is not None and have + length > bounds.max_bytes:
        return False
    await _check_room(bounds, bounds.expected_bytes if length is None else length)
    pace = _Pace(bounds, anyio.current_time())
    async for chunk in chunks:
        have += len(chunk)
        if have > bounds.max_bytes:
            return False
        pace.count(len(chunk), anyio.current_time())
        if have - checked > _ROOM_CHECK_BYTES:
            await _check_room(bounds, 0)
            checked = have
        await to_thread.run_sync(file.write, chunk)
        if report and length:
            report(min(1.0, have / length))
    return True


async def _check_room(bounds: Bounds, coming_bytes: int) -> None:
    if bounds.room is not None:
        await to_thread.run_sync(bounds.room, coming_bytes + MARGIN_BYTES)


class _Pace:
    """How much came in this window. Silence needs no check of its own: reading times out by itself."""

    def __init__(self, bounds: Bounds, now: float) -> None:
        self._bounds = bounds
        self._since, self._came = now, 0

    def count(self, size_bytes: int, now: float) -> None:
        self._came += size_bytes
        seconds = now - self._since
        if seconds < self._bounds.window_s:
            return
        if self._came < self._bounds.min_bytes_s * self._bounds.window_s:
            raise TricklingError
        self._since, self._came = now, 0
