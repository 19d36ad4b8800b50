"""Draws docs/terminal.svg: real commands on a real terminal, run against the emulated providers, so nothing is ordered.

`python docs/recording.py` renews it; a test runs the same commands and compares what they say. Needs pyte.
"""

import contextlib
import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pyte

COMMANDS = (
    "ltx-mcp estimate",
    'ltx-mcp generate "a red kite over the dunes at dawn"',
    "ltx-mcp jobs",
)
TARGET = Path(__file__).with_name("terminal.svg")
COLUMNS, ROWS, TALL = 80, 28, 200
CELL_W, CELL_H, PAD, TOP = 8.4, 18, 16, 38
TICK_MS, TYPED_MS, READ_MS, END_MS = 200, 90, 1600, 5000
WORKED_S = {"--wait": "1.2", "--work": "2.5"}
PAPER, INK = "#10141b", "#d5dbe5"
INKS = {
    "green": "#7ee081",
    "red": "#ff7b72",
    "cyan": "#59c2d6",
    "brown": "#e3b341",
    "brightblack": "#7d8796",
    "3a3a3a": "#343b47",
}

Row = tuple[tuple[str, tuple[str, bool]], ...]


@dataclass(frozen=True)
class Frame:
    """What stands on the screen, and for how long."""

    rows: tuple[Row, ...]
    ms: int


@contextlib.contextmanager
def emulated(folder: Path) -> Iterator[dict[str, str]]:
    """The settings of emulated providers on a free port."""
    command = [sys.executable, "-m", "ltx_mcp", "emulate", "--port", "0", "--films", str(folder / "drawn")]
    command += [word for pair in WORKED_S.items() for word in pair]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        found = {}
        for line in iter(process.stdout.readline, "\n"):
            name, _, value = line.removeprefix("export ").strip().partition("=")
            found[name] = shlex.split(value)[0]
        try:
            yield found
        finally:
            process.terminate()


def run(command: str, home: Path, settings: dict[str, str]) -> Iterator[tuple[float, bytes]]:
    """What a command writes to its terminal, each part with the seconds since it began."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    env = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **settings}
    words = [sys.executable, "-m", "ltx_mcp", *shlex.split(command)[1:]]
    process = subprocess.Popen(words, cwd=home, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    began = time.monotonic()
    with contextlib.suppress(OSError):  # Linux says so when the last writer is gone
        while select.select([ours], [], [], 60)[0] and (part := os.read(ours, 65536)):
            # the library knows no dim letters
            yield time.monotonic() - began, part.replace(b"\x1b[2m", b"\x1b[90m")
    os.close(ours)
    if process.wait():
        raise SystemExit(f"{command} ended with {process.returncode}")


def rows_of(screen: Any) -> tuple[Row, ...]:
    """The screen as runs of letters that look the same."""
    rows = []
    for y in range(screen.lines):
        runs: list[tuple[str, tuple[str, bool]]] = []
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            look = runs[-1][1] if runs and cell.data == " " else (cell.fg, cell.bold)
            if runs and runs[-1][1] == look:
                runs[-1] = (runs[-1][0] + cell.data, look)
            else:
                runs.append((cell.data, look))
        text, look = runs.pop()
        rows.append((*runs, (text.rstrip(), look)))
    return tuple(rows)


def record(home: Path, settings: dict[str, str]) -> tuple[list[Frame], str]:
    """All frames, and what is left to read after each command, as text."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream, frames, told = pyte.ByteStream(screen), [], []

    def show(ms: int) -> None:
        rows = rows_of(screen)
        if frames and frames[-1].rows == rows:
            ms += frames.pop().ms
        frames.append(Frame(rows, ms))

    for command in COMMANDS:
        page = pyte.Screen(COLUMNS, TALL)
        reader = pyte.ByteStream(page)
        stream.feed(b"\x1b[92m$\x1b[0m ")
        show(READ_MS // 2)
        for at in range(0, len(command), 3):
            stream.feed(command[at : at + 3].encode())
            show(TYPED_MS)
        stream.feed(b"\r\n")
        shown_s = 0.0
        for at_s, part in run(command, home, settings):
            if (at_s - shown_s) * 1000 >= TICK_MS:
                show(min(round((at_s - shown_s) * 1000), 1000))
                shown_s = at_s
            stream.feed(part)
            reader.feed(part)
        show(READ_MS)
        told += [f"$ {command}", *(line.rstrip() for line in page.display)]
    stream.feed(b"\x1b[92m$\x1b[0m ")
    show(END_MS)
    return frames, re.sub(r"\n{2,}(?=\$|$)", "\n", "\n".join(told) + "\n").strip()


def svg_row(row: Row) -> str:
    """One row's letters; each run is held to the grid, whatever the font."""
    found, x = [], 0
    for text, (ink, bold) in row:
        if text.strip():
            weight = ' class="b"' if bold else ""
            colour = "" if ink == "default" else f' fill="{INKS.get(ink, INKS.get(ink.removeprefix("bright"), INK))}"'
            place = f'x="{x * CELL_W:.1f}" textLength="{len(text) * CELL_W:.1f}"'
            found.append(f"<text {place}{colour}{weight}>{escape(text)}</text>")
        x += len(text)
    return "".join(found)


def draw(frames: list[Frame], told: str) -> str:
    """The whole picture: each different row once, then every frame beside the one before, and a window that steps."""
    width, height = round(COLUMNS * CELL_W + 2 * PAD), round(ROWS * CELL_H + TOP + PAD)
    ids: dict[str, int] = {}
    groups, steps, at_ms = [], [], 0
    total_ms = sum(frame.ms for frame in frames)
    for n, frame in enumerate(frames):
        uses = []
        for y, row in enumerate(frame.rows):
            if body := svg_row(row):
                uses.append(f'<use href="#r{ids.setdefault(body, len(ids))}" y="{y * CELL_H}"/>')
        groups.append(f'<g transform="translate({n * width})">{"".join(uses)}</g>')
        steps.append(f"{at_ms / total_ms:.3%}{{transform:translateX({-n * width}px)}}")
        at_ms += frame.ms
    rows = "".join(f'<g id="r{n}">{body}</g>' for body, n in ids.items())
    last = f"transform:translateX({-(len(frames) - 1) * width}px)"
    dots = "".join(f'<circle cx="{PAD + 6 + n * 18}" cy="18" r="5.5" fill="#343b47"/>' for n in range(3))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>ltx-mcp at a terminal</title>
<desc>
{escape(told)}
</desc>
<style>
text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;white-space:pre}}
.b{{font-weight:700}}
.reel{{animation:reel {total_ms / 1000:.1f}s step-end infinite}}
@keyframes reel{{{"".join(steps)}}}
@media (prefers-reduced-motion:reduce){{.reel{{animation:none;{last}}}}}
</style>
<defs>{rows}</defs>
<rect width="{width}" height="{height}" rx="10" fill="{PAPER}"/>{dots}
<svg x="{PAD}" y="{TOP}" width="{width - 2 * PAD}" height="{height - TOP}"><g transform="translate(0 13)">
<g class="reel" fill="{INK}">{"".join(groups)}</g></g></svg>
</svg>
"""


def main() -> None:
    """Run everything twice: the emulator draws its film the first time, which nobody wants to watch."""
    with tempfile.TemporaryDirectory() as folder, emulated(Path(folder)) as settings:
        for name in ("rehearsal", "person"):
            home = Path(folder) / name
            home.mkdir()
            frames, told = record(home, settings)
    TARGET.write_text(draw(frames, told), encoding="utf-8")
    seconds = sum(frame.ms for frame in frames) / 1000
    sys.stderr.write(f"{TARGET.name}: {len(frames)} frames, {seconds:.0f} s\n")


if __name__ == "__main__":
    main()
