"""Hands jobs over when a process ends: one detached worker per home finishes them."""

import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
from filelock import FileLock, Timeout

from ltx_mcp import launch
from ltx_mcp.private import FILE, make_folder, open_private

RETRY_S = 0.5
MAX_LOG_BYTES = 1 << 20
DETACHED_PROCESS = 0x00000008


def start_worker(home: Path, environment: Mapping[str, str]) -> None:
    """Start `ltx-mcp work --until-idle`: it outlives this process, its terminal and its process group.

    Its working directory is the home, so paths in `environment` must be absolute. It logs to `worker.log` there.
    """
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": DETACHED_PROCESS}
    log = home / "worker.log"
    with open_private(log, "ab" if log.exists() and log.stat().st_size < MAX_LOG_BYTES else "wb") as log_file:
        process = subprocess.Popen(
            launch.command("ltx_mcp", "work", "--until-idle", "--home", str(home)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log_file,
            close_fds=True,
            **launch.surroundings(home, {**environment, "LTX_MCP_HOME": str(home)}),
            **apart,
        )
    process.returncode = 0  # nobody waits for it, on purpose: keep Popen from warning that it still runs


def idle_lock(home: Path) -> Path:
    """The lock file of the one `work --until-idle` process of this home."""
    return home / "workers" / "until-idle.lock"


async def alone(home: Path, work: Callable[[], Awaitable[None]], idle: Callable[[], Awaitable[bool]]) -> bool:
    """Do `work` as the only idle worker of this home; false when another one has finished everything.

    A worker that is about to end may not see the newest jobs, so this one waits for it instead of returning.
    """
    make_folder(home / "workers")
    lock = FileLock(idle_lock(home), timeout=0, mode=FILE)
    while True:
        try:
            with lock:
                await work()
                return True
        except Timeout:
            if await idle():
                return False
            await anyio.sleep(RETRY_S)
