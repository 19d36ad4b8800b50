"""Commands with both outputs on one terminal, as a person sees them."""

import contextlib
import os
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import environment
from tests.patience import HANG_S

ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
MOVE = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|([^\x1b])", re.DOTALL)
LINK = re.compile(r"\x1b\]8;[^;]*;([^\x1b]+)\x1b\\")


class Screen:
    """A command on a terminal of its own, `columns` wide."""

    def __init__(self, home: Path, *arguments: str, columns: int = 80, cwd: Path | None = None, **more: str) -> None:
        import pty

        self._ours, theirs = pty.openpty()
        self.resize(columns)
        habits = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"} | more
        env = {name: value for name, value in environment(home, **habits).items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ltx_mcp", *arguments],
            cwd=cwd,
            env=env,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.raw = b""

    def resize(self, columns: int) -> None:
        """Make the terminal this wide; who is on it is told by the system."""
        import fcntl
        import termios

        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))

    def until(self, seen: Callable[[str], object]) -> str:
        """All that was written, as soon as it is as it should be."""
        end = time.monotonic() + HANG_S
        while not seen(self.written):
            assert time.monotonic() < end, self.written
            assert self._read() or seen(self.written), self.written
        return self.written

    def type(self, keys: str) -> None:
        """What a person types."""
        os.write(self._ours, keys.encode())

    def end(self) -> int:
        """The exit code, once nothing more is written."""
        while self._read():
            pass
        return self.process.wait(HANG_S)

    def hang_up(self) -> None:
        """The terminal is gone, as when its window is closed."""
        os.close(self._ours)
        self._ours = -1

    def close(self) -> None:
        """Leave nothing."""
        self.process.kill()
        self.process.wait()
        if self._ours >= 0:
            os.close(self._ours)

    @property
    def written(self) -> str:
        """All of it, with what steers and colours."""
        return self.raw.decode(errors="replace").replace("\r\n", "\n")

    @property
    def text(self) -> str:
        """All of it, without what steers and colours: what was erased is still in it."""
        return ESCAPE.sub("", self.written)

    @property
    def left(self) -> list[str]:
        """The lines as they stand at the end, on a terminal high enough for all of them."""
        lines, row, column = [""], 0, 0
        for count, move, sign in MOVE.findall(self.raw.decode(errors="replace")):
            if sign == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif sign == "\r":
                column = 0
            elif sign:
                lines[row] = lines[row][:column].ljust(column) + sign + lines[row][column + 1 :]
                column += 1
            elif move == "A":
                row = max(0, row - int(count or 1))
            elif move == "K":
                lines[row] = ""
        return [line.rstrip() for line in lines]

    def _read(self) -> bool:
        """More, as soon as it comes; not when the command ended."""
        assert select.select([self._ours], [], [], HANG_S)[0], self.written
        part = b""
        with contextlib.suppress(OSError):  # Linux says so when the last writer is gone
            part = os.read(self._ours, 65536)
        self.raw += part
        return bool(part)
