"""Files and folders that this user alone can read, whatever the umask. Windows has no modes; there the folder's own
rules hold."""

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

FILE, FOLDER, OTHERS = 0o600, 0o700, 0o077
HAS_MODES = sys.platform != "win32"


def open_private(path: Path, mode: str) -> BinaryIO:
    """Opened for bytes; made, or else closed to others."""
    return cast(BinaryIO, open(path, mode, opener=_opened))


def create_private(path: Path) -> None:
    """An empty file, unless there is one."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE))


def make_folder(path: Path) -> None:
    """A folder with all above it that is missing. One that is there stays as it is."""
    missing = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    for each in reversed(missing):
        each.mkdir(mode=FOLDER, exist_ok=True)
    path.mkdir(mode=FOLDER, exist_ok=True)  # raises where it is no folder


def is_open(path: "os.PathLike[str]") -> bool:
    """Whether others can do anything with it; not where it is not there, or is a link."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return HAS_MODES and not stat.S_ISLNK(status.st_mode) and bool(status.st_mode & OTHERS)


def close_to_others(path: "os.PathLike[str]") -> None:
    """As far as it is ours."""
    if is_open(path):
        with suppress(OSError):
            os.chmod(path, stat.S_IMODE(os.lstat(path).st_mode) & ~OTHERS)


def _opened(path: str, flags: int) -> int:
    descriptor = os.open(path, flags, FILE)
    if sys.platform != "win32":
        mode = os.fstat(descriptor).st_mode
        if mode & OTHERS:
            with suppress(OSError):
                os.fchmod(descriptor, stat.S_IMODE(mode) & ~OTHERS)
    return descriptor
