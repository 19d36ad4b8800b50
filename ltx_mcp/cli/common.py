"""What the commands share: exit codes, errors in one line, and open Jobs that hand over when the command ends."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.domain.job import State
from ltx_mcp.server.edge import make_config, read_edge

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

T = TypeVar("T")

USAGE, REFUSED, STILL_RUNNING, FAILED, UNKNOWN = 2, 3, 4, 5, 6
USAGE_CODES = frozenset({ErrorCode.INVALID_REQUEST, ErrorCode.NOT_SUPPORTED, ErrorCode.JOB_NOT_FOUND})
EXIT = {State.SUCCEEDED: 0, State.FAILED: FAILED, State.CANCELLED: FAILED, State.UNKNOWN: UNKNOWN}
CALLER = "local"


@contextmanager
def told() -> Iterator[None]:
    """An expected failure is one line on stderr and an exit code, not a traceback."""
    try:
        yield
    except LtxError as error:
        print(f"ltx-mcp: {error.code}: {error}", file=sys.stderr)
        raise SystemExit(USAGE if error.code in USAGE_CODES else REFUSED) from error


@asynccontextmanager
async def open_jobs(*, work: bool = False, home: str = "") -> "AsyncIterator[Jobs]":
    """The jobs of this machine; with `work` they are worked on here, and handed over when this ends before them."""
    from ltx_mcp.jobs.handover import start_worker
    from ltx_mcp.jobs.service import Jobs

    settings, market = read_edge(home)
    jobs = await Jobs.open(make_config(settings, market, paths=True))
    async with anyio.create_task_group() as group:
        if work:
            await jobs.start(group)
        try:
            yield jobs
        finally:
            left = await jobs.stop()
            if left and work:
                start_worker(settings.home)


def run(command: Callable[[], Awaitable[T]]) -> T:
    """Run an async command to its end, telling failures."""
    with told():
        result: Any = anyio.run(command)
    return result  # type: ignore[no-any-return]
