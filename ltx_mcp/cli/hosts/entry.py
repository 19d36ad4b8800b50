"""What a host's entry says of this server: its name, the command, the variables that it hands on.

The manifests and `install` both speak from here, so they never differ.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltx_mcp.cli.hosts.paths import Host
from ltx_mcp.domain.catalog import ProviderSpec
from ltx_mcp.domain.errors import CallerError, ErrorCode

SERVER = "ltx"
"""What hosts call this server."""
PACKAGE = "ltx-mcp"
"""The distribution and its console script."""
MODULE = ("-P", "-m", PACKAGE.replace("-", "_"))
"""What Python is given to run it: nothing is imported from the folder in which a host starts it."""
TYPED = ("claude-code", "vscode")
"""Hosts whose entries name the transport."""
FIRST_START_S = 120
HIDDEN = "••••"
BY_NAME = re.compile(r"\$\w+|\$\{\w[\w:-]*\}")


@dataclass(frozen=True)
class Variable:
    """An environment variable that a host hands on: a provider's key, or an address it cannot do without."""

    name: str
    title: str
    is_secret: bool

    @property
    def slug(self) -> str:
        """The name as inputs and forms spell it: `fal-key`."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True)
class Start:
    """The command a host runs, without a shell."""

    command: str
    arguments: tuple[str, ...] = ()


IS_NAME_OURS = False
"""Whether this project owns PACKAGE on the package index. Until then nothing starts what lies there under that name:
anybody could publish it, and would be given every key. docs/releasing.md begins with it."""


def published(version: str, *, is_name_ours: bool = IS_NAME_OURS) -> Start:
    """How manifests and links start the server: one exact release, fetched and kept by uv; before there is one, the
    console script that an installation from the checkout put on the PATH."""
    return Start("uvx", (f"{PACKAGE}=={version}",)) if is_name_ours else Start(PACKAGE)


def variables(providers: Sequence[ProviderSpec]) -> tuple[Variable, ...]:
    """One key of each provider, the preferred spelling, and each address that has no default."""
    found: list[Variable] = []
    for facts in providers:
        found += [Variable(name, f"{facts.title} API key", True) for name in facts.key_env[:1]]
        found += [
            Variable(name, f"{facts.title} address", False)
            for use, name in facts.url_env.items()
            if use not in facts.url_default
        ]
    return tuple(found)


@dataclass(frozen=True)
class EnvVars:
    """The variables of the server: `names` are left to the host's environment, `values` are written."""

    names: tuple[str, ...]
    values: Mapping[str, str]


def make_entry(host: Host, start: Start, handed: EnvVars) -> dict[str, Any]:
    """The entry of our server. Raises CallerError where a value would mean something else to the host."""
    entry: dict[str, Any] = {"type": "stdio"} if host.name in TYPED else {}
    entry |= {"command": start.command, "args": list(start.arguments)}
    if host.is_toml and start.arguments:
        # it waits 10 s for a server, and the first start downloads one
        entry["startup_timeout_sec"] = FIRST_START_S
    if host.is_toml:
        # otherwise its first request goes out before our tools are there
        entry["required"] = True
    if host.is_toml and handed.names:
        entry["env_vars"] = list(handed.names)
    by_name = {} if host.is_toml or not host.by_name else {name: refer(host, name) for name in handed.names}
    for name, value in handed.values.items():
        if "$" in value and host.by_name and not host.is_toml:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"The value of {name} holds a $, which {host.title} would read as the name of a variable.",
            )
    if env := by_name | dict(handed.values):
        entry["env"] = env
    return entry


def refer(host: Host, name: str) -> str:
    """How a value names a variable that the host has itself."""
    return host.by_name.replace("NAME", name)


def merge_entry(old: Any, new: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Our new entry over our old one: what a person added to it stays. `names` are no longer values."""
    if not isinstance(old, dict):
        return new
    env = old.get("env") if isinstance(old.get("env"), dict) else {}
    kept = {name: value for name, value in (env or {}).items() if name not in names}
    both = {**old, **new}
    if "required" in old:
        both["required"] = old["required"]
    if env := kept | new.get("env", {}):
        both["env"] = env
    else:
        both.pop("env", None)
    if isinstance(old.get("env_vars"), list):
        both["env_vars"] = list(dict.fromkeys([*old["env_vars"], *new.get("env_vars", [])]))
    return both


def shown(entry: Any, public: Sequence[str], *, ours: bool) -> Any:
    """An entry as it may be printed: of the environment only references and the `public` variables.

    Of an entry that is not ours, the names and the command alone.
    """
    if not isinstance(entry, dict):
        return HIDDEN
    if not ours:
        return {name: value if name == "command" else HIDDEN for name, value in entry.items()}
    env = entry.get("env")
    if not isinstance(env, dict):
        return entry
    return {**entry, "env": {name: _shown(name, value, public) for name, value in env.items()}}


def _shown(name: str, value: Any, public: Sequence[str]) -> Any:
    by_name = isinstance(value, str) and BY_NAME.fullmatch(value)
    return value if by_name or (name in public and "@" not in str(value)) else HIDDEN
