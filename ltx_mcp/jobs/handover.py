"""When a process ends and its jobs do not: one detached worker per home finishes them."""

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

    It works in the home, so paths in `environment` are absolute. What it has to say goes to `worker.log` there.
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
    process.returncode = 0  # nobody waits for it, on purpose: Popen must not warn that it still runs


def idle_lock(home: Path) -> Path:
    """What the one worker of this home that ends when nothing is left to do has locked."""
    return home / "workers" / "until-idle.lock"


async def alone(home: Path, work: Callable[[], Awaitable[None]], idle: Callable[[], Awaitable[bool]]) -> bool:
    """Do `work` as the one idle worker of this home; false when another one left nothing to do.

    A worker that is just about to end may not see the newest jobs, so this one waits for it rather than leave.
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
