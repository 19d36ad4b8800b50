"""Who is alive. Where every process shares one kernel each holds a lock on a file, and the kernel lets go at death;
a suspended process still holds its lock, so it is never robbed. Elsewhere `beats.py` has the proof of life.
"""

import hashlib
import platform
import secrets
from pathlib import Path
from typing import Protocol

from filelock import FileLock, Timeout

from ltx_mcp.jobs.store.errors import storage_failed
from ltx_mcp.private import FILE, make_folder


class Liveness(Protocol):
    """This process's own proof of life, and a look at others'. Blocking."""

    worker: str

    def begin(self) -> None:
        """Take a new name and be alive under it. Raises SetupError(storage_failed)."""

    def beat(self) -> None:
        """Still alive; to be called every second or so while work is held."""

    def end(self) -> None:
        """From now on this process counts as dead."""

    def is_dead(self, worker: str) -> bool:
        """Whether the holder of this name is gone for good."""

    def forget(self, worker: str) -> None:
        """Remove the traces of a dead one."""

    def sweep(self) -> None:
        """Remove the traces of all the dead; called once in a process's life."""


def machine() -> str:
    """A short name of this machine, as it stands in the names of its workers."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:6]


def new_worker() -> str:
    """A name nobody has had."""
    return f"w_{machine()}_{secrets.token_hex(8)}"


class FileLockLiveness:
    """Proof of life by locked files in `HOME/workers`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "workers"
        self.worker = ""
        self._lock: FileLock | None = None

    def begin(self) -> None:
        """Take a new name and lock it. Raises SetupError(storage_failed)."""
        try:
            make_folder(self._folder)
            while self._lock is None:
                name = new_worker()
                lock = FileLock(self._path(name), timeout=0, mode=FILE)
                lock.acquire()
                # somebody clearing up may have removed the file between our making and our locking it
                if self._path(name).exists():
                    self.worker, self._lock = name, lock
        except OSError as error:
            raise storage_failed(self._folder, error) from error

    def beat(self) -> None:
        """The kernel does it."""

    def end(self) -> None:
        """Let go; from now on this process counts as dead."""
        if self._lock is not None:
            self._lock.release()
            self._path(self.worker).unlink(missing_ok=True)
            self._lock = None

    def is_dead(self, worker: str) -> bool:
        """Whether the holder of this name is gone for good."""
        if worker == self.worker:
            return False
        path = self._path(worker)
        if not path.exists():
            return True
        lock = FileLock(path, timeout=0, mode=FILE)
        try:
            lock.acquire()
        except Timeout:
            return False
        lock.release()
        return True

    def forget(self, worker: str) -> None:
        """Remove a dead one's file."""
        self._path(worker).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove the files of all the dead; called once in a process's life."""
        for path in self._folder.glob("w_*.lock"):
            if self.is_dead(path.stem):
                path.unlink(missing_ok=True)

    def _path(self, worker: str) -> Path:
        return self._folder / f"{worker}.lock"
