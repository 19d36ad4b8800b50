"""Homes of the three systems with every host in them, and what people keep in their configurations."""

from dataclasses import dataclass
from pathlib import Path

from ltx_mcp.cli.hosts.paths import HOSTS, Host, Machine, System

SYSTEMS: tuple[System, ...] = ("linux", "macos", "windows")
SUPPORT = "Library/Application Support"
PLACES: dict[System, dict[str, str]] = {
    "linux": {
        "claude-desktop": ".config/Claude/claude_desktop_config.json",
        "vscode": ".config/Code/User/mcp.json",
    },
    "macos": {
        "claude-desktop": f"{SUPPORT}/Claude/claude_desktop_config.json",
        "vscode": f"{SUPPORT}/Code/User/mcp.json",
    },
    "windows": {
        "claude-desktop": "AppData/Roaming/Claude/claude_desktop_config.json",
        "vscode": "AppData/Roaming/Code/User/mcp.json",
    },
}
EVERYWHERE = {
    "claude-code": ".claude.json",
    "cursor": ".cursor/mcp.json",
    "codex": ".codex/config.toml",
    "gemini": ".gemini/settings.json",
}
FOLDERS = (".claude", ".cursor", ".codex", ".gemini")

OTHERS = """{
    "theme": "dark",
    "TABLE": {
        "films": {
            "command": "npx",
            "args": ["-y", "films@1"],
            "env": {"FILMS_TOKEN": "tok-of-another"}
        }
    },
    "größe": [1, 2.50, 1e3, "naïve 🎬"]
}
"""
COMMENTS = """// kept by hand
{
\t/* two servers,
\t   one of them off */
\t"TABLE": {
\t\t"films": { "command": "npx", "args": ["-y", "films@1"], }, // the old one
\t\t// "stills": { "command": "uvx" },
\t},
\t"theme": "dark", // not "light"
}
"""
OTHERS_TOML = """model = "o4" # the good one

[mcp_servers.films]
command = "npx"
args = ["-y", "films@1"]

# asked for by the team
[profiles.slow]
model = "o4-slow"
"""


def place_of(system: System, host: str) -> str:
    """Where a host keeps its configuration, below the home."""
    return PLACES[system].get(host) or EVERYWHERE[host]


@dataclass(frozen=True)
class Home:
    """A home in which every host is installed."""

    machine: Machine

    def file(self, host: str) -> Path:
        return self.machine.home / place_of(self.machine.system, host)

    def write(self, host: str, text: str | bytes) -> Path:
        path = self.file(host)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path


def make_home(folder: Path, system: System, **environment: str) -> Home:
    home = Home(Machine(system, folder, environment, folder / "work"))
    for name in FOLDERS:
        (folder / name).mkdir()
    for host in PLACES[system]:
        home.file(host).parent.mkdir(parents=True)
    return home


def text_of(host: Host, json_text: str, toml_text: str) -> str:
    return toml_text if host.is_toml else json_text.replace("TABLE", host.table)


def texts(json_text: str, toml_text: str) -> dict[str, str]:
    """The same thing said in each host's own way."""
    return {name: text_of(host, json_text, toml_text) for name, host in HOSTS.items()}
