"""A place of its own for the hosts: a home, a cache, and this version of the server, installed and on the PATH."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ltx_mcp.providers.catalog_loader import read_providers, setting_names
from manifests.make import stage_bundle
from tests.hosts.programs import Programs

LONGEST_S = 90
MADE_UP_KEY = "not-a-key"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CONNECTED = "✔ Connected"


class Wrong(Exception):
    """Something is not as it should be."""


def check(holds: object, sentence: str) -> None:
    """Raises Wrong when it does not hold."""
    if not holds:
        raise Wrong(sentence)


def check_connected(told: str, start: str) -> None:
    """Whether a host's list has one line that starts so, and says that it is connected."""
    lines = [line for line in told.splitlines() if line.startswith(start)]
    check(len(lines) == 1 and lines[0].endswith(CONNECTED), f"not connected: {told.strip()[-300:]}")


@dataclass(frozen=True)
class Room:
    """Where everything of one run lies."""

    programs: Programs
    folder: Path
    environment: dict[str, str]

    @property
    def bundle(self) -> Path:
        """What an MCP bundle is packed from."""
        return self.folder / "bundle"

    @property
    def seen(self) -> Path:
        """The variables that the last start of `ltx-mcp` was given, one a line."""
        return self.folder / "seen"

    def run(self, *command: str, cwd: Path | None = None, given: str = "", **more: str) -> str:
        """What a program says, stdout and stderr. Raises Wrong when it fails or takes too long."""
        said = " ".join(command[:4])
        where = self.environment["PATH"]
        try:
            ended = subprocess.run(
                _found(command, where),
                cwd=cwd or self.folder / "work",
                env=self.environment | more,
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                timeout=LONGEST_S,
            )
        except subprocess.TimeoutExpired:
            raise Wrong(f"{said}: no end within {LONGEST_S} s") from None
        told = COLOURS.sub("", ended.stdout)
        check(ended.returncode == 0, f"{said}: exit code {ended.returncode}: {told.strip()[-400:]}")
        return told


def _found(command: tuple[str, ...], path: str) -> list[str]:
    program = shutil.which(command[0], path=path)
    check(program, f"there is no {command[0]}")
    return [str(program), *command[1:]]


def make_room(programs: Programs, folder: Path) -> Room:
    """A room in which the wheel of this source is installed, and nothing older is found.

    uv's own configuration and the machine's index settings stay what they are.
    """
    for name in ("work", "home", "shim", "ltx"):
        (folder / name).mkdir()
    environment = _cleaned() | {
        "PATH": os.pathsep.join(map(str, (folder / "shim", programs.tools, programs.commands, os.environ["PATH"]))),
        "HOME": str(folder / "home"),
        "XDG_CONFIG_HOME": os.environ.get("XDG_CONFIG_HOME", str(Path.home() / ".config")),
        "CLAUDE_CONFIG_DIR": str(folder / "home" / "claude"),
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "GEMINI_CLI_HOME": str(folder / "home"),
        "GEMINI_CLI_NO_RELAUNCH": "true",
        "UV_CACHE_DIR": str(folder / "uv-cache"),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "LTX_MCP_HOME": str(folder / "ltx"),
        "LTX_MCP_PROVIDERS": "local",
        "FAL_KEY": MADE_UP_KEY,
    }
    room = Room(programs, folder, environment)
    stage_bundle(room.bundle)
    installed = folder / "installed"
    room.run("uv", "venv", "--quiet", str(installed))
    room.run("uv", "pip", "install", "--quiet", "--python", str(installed), str(room.bundle))
    watch_starts(room, installed / "bin" / "ltx-mcp")
    return room


def watch_starts(room: Room, program: Path) -> None:
    """Put an `ltx-mcp` first on the path that notes what it is given and becomes the real one."""
    shim = room.folder / "shim" / "ltx-mcp"
    seen, real = shlex.quote(str(room.seen)), shlex.quote(str(program))
    shim.write_text(f'#!/bin/sh\nenv >{seen}\nexec {real} "$@"\n', encoding="utf-8")
    shim.chmod(0o755)


def _cleaned() -> dict[str, str]:
    """No keys and no settings of whoever runs this, and nothing of a host that this runs in."""
    theirs = {name for facts in read_providers() for name in setting_names(facts)}
    ours = ("LTX_", "CLAUDE", "ANTHROPIC", "GEMINI", "GOOGLE", "VIRTUAL_ENV", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if name not in theirs and not name.startswith(ours)}
