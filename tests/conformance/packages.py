"""The npm packages that judge us: their versions, and where they are installed once. They bring their own Node."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

PACKAGES = {
    "@modelcontextprotocol/conformance": "0.2.0-alpha.12",
    "@modelcontextprotocol/inspector": "2.12.0",
    "node": "22.23.3",
}
QUIET = ("--no-audit", "--no-fund", "--silent")


@dataclass(frozen=True)
class Programs:
    """Command lines, to be followed by arguments."""

    suite: tuple[str, ...]
    inspector: tuple[str, ...]


def install() -> Programs:
    """The programs, installed into the user's cache when these versions are not there yet."""
    wanted = [f"{name}@{version}" for name, version in PACKAGES.items()]
    key = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:12]
    folder = user_cache_path("ltx-mcp") / "conformance" / key
    if not (folder / "ready").exists():
        _install(folder, wanted)
    modules = folder / "node_modules"
    node = str(modules / "node" / "bin" / ("node.exe" if os.name == "nt" else "node"))
    ours = modules / "@modelcontextprotocol"
    return Programs(
        (node, str(ours / "conformance" / "dist" / "index.js")),
        (node, str(ours / "inspector" / "clients" / "launcher" / "build" / "index.js"), "--cli"),
    )


def _install(folder: Path, wanted: list[str]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("make conformance needs npm (Node 20 or newer) to fetch the suite and the Inspector.")
    print(f"installing {', '.join(wanted)}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([npm, "install", *QUIET, "--prefix", str(folder), *wanted], check=True, timeout=600)
    (folder / "ready").touch()
