"""Which hosts on this machine have our server, and whether what they would start is still there."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ltx_mcp.cli.hosts.config import read_config
from ltx_mcp.cli.hosts.entry import MODULE, PACKAGE, SERVER
from ltx_mcp.cli.hosts.jsonc import read_json
from ltx_mcp.cli.hosts.paths import HOSTS, Host, Machine, System, find_place
from ltx_mcp.cli.hosts.toml import read_toml
from ltx_mcp.domain.errors import LtxError, SetupError

State = Literal["installed", "command missing", "not ours", "absent", "broken"]


@dataclass(frozen=True)
class DetectedHost:
    """One host that is installed. `detail` is the command, or why its configuration cannot be read; `variables` are
    those that its entry hands to us, with their values where they stand there."""

    host: str
    path: Path
    state: State
    detail: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)


def installed(system: System, home: Path, environment: Mapping[str, str]) -> list[DetectedHost]:
    """What the configuration of each installed host says of us; hosts that are not installed are left out."""
    machine = Machine(system, home, environment, home)
    found = []
    for host in HOSTS.values():
        try:
            path = find_place(host, machine)
        except SetupError:
            continue
        found.append(_found(host, path, environment))
    return found


def _found(host: Host, path: Path, environment: Mapping[str, str]) -> DetectedHost:
    try:
        entry = read_entry(host, read_config(path).text)
    except LtxError as error:
        return DetectedHost(host.name, path, "broken", str(error))
    if entry is None:
        return DetectedHost(host.name, path, "absent")
    command = str(entry.get("command", "")) if isinstance(entry, dict) else ""
    if not is_ours(entry):
        return DetectedHost(host.name, path, "not ours", command)
    there = shutil.which(command, path=environment.get("PATH", os.defpath))
    return DetectedHost(host.name, path, "installed" if there else "command missing", command, _variables(entry))


def _variables(entry: dict[str, Any]) -> dict[str, str]:
    env, names = entry.get("env"), entry.get("env_vars")
    named = {str(name): "" for name in names} if isinstance(names, list) else {}
    return named | ({str(name): str(value) for name, value in env.items()} if isinstance(env, dict) else {})


def read_entry(host: Host, text: str) -> Any:
    """What stands under our name, or None. Raises BrokenConfigError."""
    if not text.strip():
        return None
    return (read_toml if host.is_toml else read_json)(text, (host.table, SERVER))


def is_ours(entry: Any) -> bool:
    """Whether an entry starts this program: itself, by uv, or as a module of Python."""
    if not isinstance(entry, dict) or not isinstance(entry.get("command"), str):
        return False
    arguments = entry.get("args")
    command = _name(entry["command"])
    if command == PACKAGE:
        return True
    words = [word for word in arguments if isinstance(word, str)] if isinstance(arguments, list) else []
    if command in ("uvx", "uv", "pipx"):
        return any(_name(word).partition("==")[0].partition("@")[0].partition("[")[0] == PACKAGE for word in words)
    return words[words.index("-m") :][1:2] == [MODULE[-1]] if "-m" in words else False


def _name(command: str) -> str:
    """The last part of a path of any system, without `.exe`."""
    name = command.replace("\\", "/").rpartition("/")[2]
    return name[:-4] if name.lower().endswith(".exe") else name
