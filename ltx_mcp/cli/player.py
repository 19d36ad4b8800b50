"""`--open`: a film in the system's player. Whatever comes of it, the command has done its work."""

import os
import subprocess
import sys
from pathlib import Path

from ltx_mcp.cli.output.streams import say
from ltx_mcp.launch import find_program

OPENERS = {"darwin": ("open",)}
ELSEWHERE = ("xdg-open", "wslview")
PATIENCE_S = 3.0
"""An opener that has not failed by then is showing the film itself."""


def open_film(path: str | None) -> None:
    """Open it, or say on stderr why not. The player has none of our streams."""
    if path is None or not Path(path).exists():
        trouble = "there is no film on this machine"
    else:
        trouble = _open_here(path) if sys.platform == "win32" else _open_with(path)
    if trouble:
        say(f"ltx-mcp: --open: {trouble}.")


def _open_here(path: str) -> str:
    try:
        os.startfile(path)  # type: ignore[attr-defined, unused-ignore]
    except OSError as error:
        return error.strerror or "Windows has no program for it"
    return ""


def _open_with(path: str) -> str:
    names = OPENERS.get(sys.platform, ELSEWHERE)
    opener = next(filter(None, map(find_program, names)), None)
    if opener is None:
        return f"none of {', '.join(names)} is installed" if len(names) > 1 else f"{names[0]} is not there"
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen([opener, path], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        return ""
    except OSError as error:
        return f"{opener} cannot be started: {error.strerror}"
    return f"{Path(opener).name} found no program for it (exit code {code})" if code else ""
