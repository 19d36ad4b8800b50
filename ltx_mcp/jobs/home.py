"""The home belongs to one user: one that others can read is closed to them, or refused with the reason.

A folder that holds anything that is not ours is never changed.
"""

import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.private import FOLDER, HAS_MODES, OTHERS, close_to_others, is_open, make_folder

FOLDERS = ("videos", "inputs", "incoming", "cache", "workers")
DATABASE = "jobs.sqlite"
FILES = (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", f"{DATABASE}-journal", "worker.log", "kept-keys")
SHARED = ("/tmp", "/var/tmp", "/dev/shm")
NOBODYS = frozenset({"lost+found"})
"""What a new disk already contains."""


def open_home(home: Path) -> None:
    """Create the home, or close it and our files in it to others. Raises SetupError(storage_failed) or OSError."""
    make_folder(home)
    if reason := find_trouble(home):
        raise _refused(home, reason)
    if stands_open(home):
        try:
            home.chmod(FOLDER)
        except OSError as error:
            raise _refused(home, f"others can get at it, and it cannot be closed: {error.strerror}") from error
        if stands_open(home):
            raise _refused(home, "others can get at it, and its disk keeps no modes")
    if any(is_open(path) for path in _samples(home)):
        _close_all(home)


def find_trouble(home: Path) -> str:
    """Why an existing home must not be used; empty if it may."""
    if sys.platform == "win32":
        return ""
    else:
        return _find_trouble(home, os.geteuid())


def _find_trouble(home: Path, user: int) -> str:
    link, status = os.lstat(home), os.stat(home)
    if link.st_uid not in (user, 0) and stat.S_ISLNK(link.st_mode):
        return f"it is a link of {_name(link.st_uid)}"
    if status.st_uid != user:
        return f"it belongs to {_name(status.st_uid)}, and this runs as {_name(user)}"
    if not status.st_mode & OTHERS:
        return ""
    if home.resolve() in {Path(each).resolve() for each in (*SHARED, tempfile.gettempdir())}:
        return "everybody on this machine uses it"
    if not any(os.path.lexists(home / name) for name in (*FOLDERS, *FILES)):
        strange = sorted(set(os.listdir(home)) - NOBODYS)
        if strange:
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            return f"others can get at it (mode {mode}), and it holds what is not ltx-mcp's, such as {strange[0][:80]}"
    return ""


def stands_open(home: Path) -> bool:
    """Whether others can read it, or the folder that it links to."""
    return HAS_MODES and bool(os.stat(home).st_mode & OTHERS)


def _refused(home: Path, reason: str) -> SetupError:
    return SetupError(
        ErrorCode.STORAGE_FAILED,
        f"{home} cannot be the home: {reason}.",
        "Set LTX_MCP_HOME to a folder that is this user's alone, or that is not there yet.",
    )


def _name(uid: int) -> str:
    if sys.platform != "win32":
        import pwd

        with suppress(KeyError):
            return pwd.getpwuid(uid).pw_name
    return f"user {uid}"


def _samples(home: Path) -> Iterator["os.PathLike[str]"]:
    """Enough to know whether an older version left files open: the first entry of each folder, which is closed last."""
    yield from (home / name for name in (*FOLDERS, *FILES))
    for folder in (home / name for name in FOLDERS):
        yield from islice(_entries(folder), 1)


def _close_all(home: Path) -> None:
    for folder in (home / name for name in FOLDERS):
        for entry in reversed(list(_entries(folder))):
            close_to_others(entry)
        close_to_others(folder)
    for name in reversed(FILES):
        close_to_others(home / name)


def _entries(folder: Path) -> Iterator["os.DirEntry[str]"]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries
