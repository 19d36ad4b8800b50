"""The folder of what was brought from the bucket: the longest unused goes first when it becomes too large."""

import os
import time
from contextlib import suppress
from pathlib import Path

from ltx_mcp.private import make_folder

MAX_BYTES = 2 << 30
IN_USE_S = 3600.0
"""What was asked for within this time stays, whatever the size: work on it may only begin."""
LOOK_AFTER = 16
"""The folder is looked through after every such part of its size that is added."""


class Cache:
    """Shared by the processes of one home. Blocking; a file that cannot be removed stays."""

    def __init__(self, folder: Path, max_bytes: int = MAX_BYTES) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._added_bytes = max_bytes

    def prepare(self) -> None:
        """Make the folder. Raises OSError."""
        make_folder(self.folder)

    def use(self, path: Path) -> bool:
        """Whether the file is there; it then stays for a while."""
        try:
            os.utime(path)
        except FileNotFoundError:
            return False
        return True

    def add(self, path: Path, name: Path, *, is_needed: bool) -> None:
        """Give a file its name here; one that is not needed now may go at once. Raises OSError."""
        size_bytes = path.stat().st_size
        if not is_needed:
            unused_since = time.time() - IN_USE_S
            os.utime(path, (unused_since, unused_since))
        os.replace(path, name)
        self._added_bytes += size_bytes
        if self._added_bytes >= self._max_bytes / LOOK_AFTER:
            self._added_bytes = 0
            self.trim()

    def trim(self) -> None:
        """Remove what is too much."""
        entries = []
        with suppress(OSError), os.scandir(self.folder) as found:
            for each in found:
                with suppress(FileNotFoundError):
                    status = each.stat()
                    entries.append((status.st_mtime, status.st_size, each.path))
        left_bytes, until = sum(size for _, size, _ in entries), time.time() - IN_USE_S
        for used_at, size_bytes, path in sorted(entries):
            if left_bytes <= self._max_bytes or used_at > until:
                return
            with suppress(OSError):
                os.unlink(path)
                left_bytes -= size_bytes
