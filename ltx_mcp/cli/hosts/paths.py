"""The hosts that `install` knows, and where each keeps its configuration on each system.

Nothing here looks at this process: the system, the home and the environment are given. Read in November 2026.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError

System = Literal["linux", "macos", "windows"]
Scope = Literal["user", "project"]


@dataclass(frozen=True)
class Machine:
    """A machine as the hosts see it; `folder` is the working directory."""

    system: System
    home: Path
    environment: Mapping[str, str]
    folder: Path

    @property
    def settings(self) -> Path:
        """Where programs of this system keep what a person set."""
        if self.system == "macos":
            return self.home / "Library" / "Application Support"
        if self.system == "windows":
            return self.folder_named("APPDATA") or self.home / "AppData" / "Roaming"
        return self.folder_named("XDG_CONFIG_HOME") or self.home / ".config"

    def folder_named(self, variable: str) -> Path | None:
        """The folder that an environment variable names; None when it is unset or not absolute."""
        text = self.environment.get(variable, "").strip()
        return Path(text) if text and Path(text).is_absolute() else None


@dataclass(frozen=True)
class Host:
    """One program that starts MCP servers, and how its configuration speaks."""

    name: str
    title: str
    table: str
    """The object that holds the servers."""
    by_name: str
    """How a value names a variable of the host's own environment; empty where the host expands nothing."""
    project: str
    """Its file inside a project; empty where it has none."""
    after: str
    """What a person does for the change to be seen."""
    is_toml: bool = False


# by_name: Claude Code code.claude.com/docs/en/mcp (its own file is assumed to be read like .mcp.json); Cursor
# cursor.com/docs/mcp; VS Code microsoft/vscode issue 245237; Gemini CLI docs/tools/mcp-server.md. Codex expands
# nothing but hands on what `env_vars` lists, developers.openai.com/codex/mcp. Read 2026-11-21, tried in none.
HOSTS = {
    host.name: host
    for host in (
        Host("claude-desktop", "Claude Desktop", "mcpServers", "", "", "quit Claude Desktop and start it again"),
        Host("claude-code", "Claude Code", "mcpServers", "${NAME:-}", ".mcp.json", "start a new Claude Code session"),
        Host("cursor", "Cursor", "mcpServers", "${env:NAME}", ".cursor/mcp.json", "restart Cursor"),
        Host("vscode", "VS Code", "servers", "${env:NAME}", ".vscode/mcp.json", "run MCP: List Servers in VS Code"),
        Host("codex", "Codex", "mcp_servers", "NAME", ".codex/config.toml", "start a new Codex session", is_toml=True),
        Host("gemini", "Gemini CLI", "mcpServers", "$NAME", ".gemini/settings.json", "start Gemini CLI again"),
    )
}


def find_place(host: Host, machine: Machine, scope: Scope = "user", *, absent: bool = False) -> Path:
    """The configuration of `host`. With `absent` also where the host is not installed.

    Raises CallerError where there is no such scope, SetupError where the host cannot be found.
    """
    if scope == "project":
        if not host.project:
            raise CallerError(ErrorCode.INVALID_REQUEST, f"{host.title} has no configuration inside a project.")
        return machine.folder / host.project
    places = list(_places(host, machine))
    for signs, path in places:
        if any(map(os.path.exists, signs)):
            return path
    if absent:
        return places[-1][1]
    raise SetupError(
        ErrorCode.INVALID_REQUEST,
        f"{host.title} is not installed here: {places[-1][0][0]} does not exist.{_elsewhere(host, machine)}",
        "Give its configuration with --config PATH, or --force to write it all the same.",
    )


def _places(host: Host, machine: Machine) -> Iterator[tuple[list[Path], Path]]:
    """What is there when the host is, and the file it then reads; the usual place last."""
    if host.name == "claude-desktop":
        # packaged for Windows (since February 2026) it reads a folder of its own; anthropics/claude-code issue 26073
        for folder in _packaged(machine):
            yield [folder], folder / "claude_desktop_config.json"
        folder = machine.settings / "Claude"
        yield [folder], folder / "claude_desktop_config.json"
    elif host.name == "claude-code":
        given = machine.folder_named("CLAUDE_CONFIG_DIR")
        path = (given or machine.home) / ".claude.json"
        yield [given or machine.home / ".claude", path], path
    elif host.name == "vscode":
        folder = machine.settings / "Code"
        yield [folder], folder / "User" / "mcp.json"
    elif host.name == "cursor":
        folder = machine.home / ".cursor"
        yield [folder], folder / "mcp.json"
    elif host.name == "codex":
        folder = machine.folder_named("CODEX_HOME") or machine.home / ".codex"
        yield [folder], folder / "config.toml"
    else:
        folder = (machine.folder_named("GEMINI_CLI_HOME") or machine.home) / ".gemini"
        yield [folder], folder / "settings.json"


def _packaged(machine: Machine) -> list[Path]:
    """The folders of Claude Desktop as a Windows package, the one that has been used before the others."""
    if machine.system != "windows":
        return []
    local = machine.folder_named("LOCALAPPDATA") or machine.home / "AppData" / "Local"
    folders = (package / "LocalCache" / "Roaming" / "Claude" for package in (local / "Packages").glob("Claude_*"))
    return sorted(folders, key=lambda folder: (not os.path.exists(folder / "claude_desktop_config.json"), str(folder)))


def _elsewhere(host: Host, machine: Machine) -> str:
    """A relative of the host that is here, whose configuration is another file."""
    if host.name == "vscode":
        flatpak = machine.home / ".var" / "app" / "com.visualstudio.code" / "config" / "Code"
        for folder in (machine.settings / "Code - Insiders", machine.settings / "VSCodium", flatpak):
            if os.path.exists(folder):
                return f" {folder} does: its file is {folder / 'User' / 'mcp.json'}."
    if "WSL_DISTRO_NAME" in machine.environment:
        return " A program of Windows reads its file there, not inside WSL: run this command on Windows."
    return ""
