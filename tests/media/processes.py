"""The child processes of the tests in this folder, as the kernel lists them, and waits for what they do."""

import os
from collections.abc import Callable
from pathlib import Path

import anyio

from tests.patience import HANG_S


def children_of(parent: int) -> list[int]:
    """The workers among a process's children that are alive or not yet waited for."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split() if entry.name.isdigit() else []
            if fields and int(fields[1]) == parent and b"ltx_mcp.media" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def workers() -> list[int]:
    return children_of(os.getpid())


def exists(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False


async def until(condition: Callable[[], object], limit_s: float = HANG_S) -> None:
    with anyio.fail_after(limit_s):
        while not condition():
            await anyio.sleep(0.01)


async def writing_end(pipe: Path) -> int:
    """The other end of a named pipe, once somebody reads from it."""
    with anyio.fail_after(HANG_S):
        while True:
            try:
                return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                await anyio.sleep(0.01)
