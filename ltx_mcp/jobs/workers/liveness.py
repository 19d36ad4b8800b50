"""Which processes are alive. On one machine each holds a lock on a file, which the OS releases when the process dies; a
suspended process keeps its lock, so its jobs are not taken over. For several machines see `heartbeat.py`.
"""

import hashlib
import platform
import secrets
from math import inf
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from ltx_mcp.jobs.store.errors import storage_failed
from ltx_mcp.private import FILE, make_folder


class Liveness(Protocol):
    """Proves that this process is alive, and checks others. Blocking. `idle_s`: within what time a process without work
    has to `beat`."""

    worker: str
    idle_s: float

    def begin(self) -> None:
        """Become alive under a new name. Raises SetupError(storage_failed)."""

    def beat(self) -> None:
        """Renew the proof; called every second or so while jobs are claimed, and else within `idle_s`."""

    def end(self) -> None:
        """From now on this process counts as dead."""

    def is_dead(self, worker: str) -> bool:
        """Whether the process of this name has ended."""

    def forget(self, worker: str) -> None:
        """Remove the traces of a dead process."""

    def sweep(self) -> None:
        """Remove the traces of all dead processes; called once per process."""


def machine() -> str:
    """A short name of this machine, as in the names of its workers."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def new_worker() -> str:
    """A unique name."""
    return f"w_{machine()}_{secrets.token_hex(8)}"


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of this file. Blocking."""
    if not path.exists():
        return False
    try:
        with FileLock(path, timeout=0, mode=FILE):
            return False
    except Timeout:
        return True


class FileLockLiveness:
    """Liveness by locked files in `HOME/workers`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "workers"
        self.worker = ""
        self.idle_s = inf
        self._lock: FileLock | None = None

    def begin(self) -> None:
        try:
            make_folder(self._folder)
            while self._lock is None:
                name = new_worker()
                lock = FileLock(self._path(name), timeout=0, mode=FILE)
                try:
                    lock.acquire()
                except Timeout:
                    continue  # somebody looks whether it is alive, before it is
                # a sweep may have removed the file after we made it and before we locked it
                if self._path(name).exists():
                    self.worker, self._lock = name, lock
        except OSError as error:
            raise storage_failed(self._folder, error) from error

    def beat(self) -> None:
        """Nothing to do: the OS holds the lock."""

    def end(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._path(self.worker).unlink(missing_ok=True)
            self._lock = None

    def is_dead(self, worker: str) -> bool:
        if worker == self.worker:
            return False
        return not is_locked(self._path(worker))

    def forget(self, worker: str) -> None:
        self._path(worker).unlink(missing_ok=True)

    def sweep(self) -> None:
        for path in self._folder.glob("w_*.lock"):
            if self.is_dead(path.stem):
                path.unlink(missing_ok=True)

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"
