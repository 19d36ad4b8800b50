"""What each host does with its manifest, and what must come of it. A check returns what it found, for a person."""

import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult
from PIL import Image

from ltx_mcp import __version__
from ltx_mcp.cli.hosts.entry import SERVER, variables
from ltx_mcp.providers.catalog_loader import read_providers
from manifests.facts import read_facts
from manifests.make import FOLDER
from manifests.registries import catalog_entry
from tests.hosts.logins import claude_login, claude_token
from tests.hosts.room import LONGEST_S, MADE_UP_KEY, Room, Wrong, check, check_connected
from tests.shown import shown

PLUGIN = FOLDER / "claude-plugin"


def bundle(room: Room) -> str:
    """Packed, unpacked elsewhere, installed and started as its host does, with every reference left unfilled."""
    room.run("mcpb", "validate", str(room.bundle / "manifest.json"))
    packed, unpacked = room.folder / "ltx-mcp.mcpb", room.folder / "elsewhere"
    room.run("mcpb", "pack", str(room.bundle), str(packed))
    with zipfile.ZipFile(packed) as file:
        file.extractall(unpacked)
    room.run("uv", "sync", "--quiet", "--no-dev", "--project", str(unpacked))
    manifest = json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))
    try:
        used = anyio.run(_use, room, manifest["server"]["mcp_config"], unpacked)
    except (OSError, MCPError, ExceptionGroup) as error:
        raise Wrong(f"it cannot be used: {error}") from error
    listed = [tool["name"] for tool in manifest["tools"]]
    check((used.version, used.tools) == (__version__, listed), f"another server: {used}")
    ref = used.ordered.structured_content or {}
    check(not used.ordered.is_error and ref["provider"] == "local", f"animate_image: {used.ordered.content}")
    size = packed.stat().st_size / 1e3
    return f"{size:.0f} kB packed, {len(listed)} tools, listed in {used.listed_s:.1f} s"


@dataclass(frozen=True)
class Used:
    """What the started bundle said of itself, and to an order."""

    version: str
    tools: list[str]
    listed_s: float
    ordered: CallToolResult


async def _use(room: Room, config: dict[str, Any], unpacked: Path) -> Used:
    """Start it, list its tools, and give it a picture that lies in the host's working directory."""
    work = room.folder / "work"
    Image.new("RGB", (640, 360), "teal").save(work / "picture.png")
    start = [each.replace("${__dirname}", str(unpacked)) for each in config["args"]]
    command = room.programs.tools / config["command"]
    # installing again would need the index, which is out of reach here
    env = room.environment | config["env"] | {"UV_OFFLINE": "1", "LTX_MCP_HOME": str(room.folder / "ltx")}
    server = StdioServerParameters(command=str(command), args=start, env=env, cwd=work)
    order = {"prompt": "a kite", "image": "picture.png", "resolution": "720p", "fps": 24}
    began = time.monotonic()
    with anyio.fail_after(LONGEST_S):
        async with Client(server) as client:
            listed = [tool.name for tool in (await client.list_tools()).tools]
            listed_s = time.monotonic() - began
            version = client.server_info.version if client.server_info else ""
            ordered = await client.call_tool("animate_image", order)
            job_id = (ordered.structured_content or {}).get("job_id", "")
            await client.call_tool("cancel_job", {"job_id": job_id})
    return Used(version, listed, listed_s, ordered)


def image(room: Room) -> str:
    """hadolint finds nothing in the Dockerfile. It is not built here: that needs Docker and a registry of images."""
    room.run("hadolint", "--no-color", "--failure-threshold", "style", str(FOLDER / "docker" / "Dockerfile"))
    return "hadolint finds nothing"


def catalog(room: Room) -> str:
    """Docker's catalog wants its YAML as Prettier would write it; what it reads is what was meant."""
    path = FOLDER / "docker" / "server.yaml"
    room.run("prettier", "--no-config", "--check", str(path))
    read = json.loads(room.run("yaml", "--json", "--single", given=path.read_text(encoding="utf-8")))
    check(read == catalog_entry(read_facts()), "server.yaml reads as something else than was meant")
    return f"{len(read['config']['secrets'])} secrets"


def claude(room: Room) -> str:
    """`mcp add` with the run line, and the server of `hosts/mcp.json`: both are connected."""
    server = json.loads((FOLDER / "hosts" / "mcp.json").read_text(encoding="utf-8"))["mcpServers"][SERVER]
    room.run("claude", "mcp", "add", SERVER, "--scope", "user", "--", server["command"], *server["args"])
    check_connected(room.run("claude", "mcp", "list"), f"{SERVER}: ")
    room.run("claude", "mcp", "remove", SERVER, "--scope", "user")
    room.run("claude", "mcp", "add-json", SERVER, json.dumps(server), "--scope", "user")
    room.seen.unlink()
    check_connected(room.run("claude", "mcp", "list"), f"{SERVER}: ")
    check_handed_on(room)
    room.run("claude", "mcp", "remove", SERVER, "--scope", "user")
    return f"{room.run('claude', '--version').split()[0]}: by its command and by hosts/mcp.json"


def claude_shown(room: Room) -> str:
    """The ways to add the server that README and docs show, with the `ltx-mcp` of this environment."""
    path = os.pathsep.join((str(Path(sys.executable).parent), room.environment["PATH"]))
    lines = [each for each in shown() if each.words[:3] == ["claude", "mcp", "add"] and "--transport" not in each.words]
    for each in lines:
        room.run(*each.words, PATH=path)
        check_connected(room.run("claude", "mcp", "list", PATH=path), f"{SERVER}: ")
        room.run("claude", "mcp", "remove", SERVER)
    return f"{len(lines)} commands, connected"


def installed(room: Room) -> str:
    """What `ltx-mcp install` writes is what Claude Code and Gemini CLI read, and `uninstall` takes it out again."""
    trust(room)
    for host, line in (("claude", f"{SERVER}: "), ("gemini", f"✓ {SERVER}: ")):
        name = {"claude": "claude-code"}.get(host, host)
        ours(room, "install", name, "--force")
        told = room.run(host, "mcp", "list")
        check(
            any(each.startswith(line) and each.endswith("Connected") for each in told.splitlines()),
            f"{host}: {told[-300:]}",
        )
        ours(room, "uninstall", name)
        check(SERVER + ":" not in room.run(host, "mcp", "list"), f"{host} still has it")
    return "Claude Code and Gemini CLI are connected"


def trust(room: Room) -> None:
    """Gemini CLI starts no server in a folder that nobody trusts."""
    trusted = room.folder / "home" / ".gemini" / "trustedFolders.json"
    trusted.parent.mkdir(exist_ok=True)
    trusted.write_text(json.dumps({str(room.folder / "work"): "TRUST_FOLDER"}), encoding="utf-8")


def ours(room: Room, *words: str) -> str:
    """What our own command says."""
    return room.run(sys.executable, "-m", "ltx_mcp", *words)


def claude_plugin(room: Room) -> str:
    """The plugin is valid, installs from the market beside it, and its server is connected."""
    room.run("claude", "plugin", "validate", "--strict", str(PLUGIN))
    room.run("claude", "plugin", "marketplace", "add", str(PLUGIN))
    room.run("claude", "plugin", "install", "ltx-mcp@ltx-mcp")
    room.seen.unlink(missing_ok=True)
    check_connected(room.run("claude", "mcp", "list"), f"plugin:ltx-mcp:{SERVER}: ")
    check_handed_on(room)
    return "valid, installed from its market, connected"


def gemini(room: Room) -> str:
    """The extension is valid, installs, and its server is connected."""
    room.run("gemini", "extensions", "validate", str(FOLDER))
    install = ("gemini", "extensions", "install", str(FOLDER), "--consent", "--skip-settings")
    room.run(*install, given="y\n")
    trust(room)
    room.seen.unlink(missing_ok=True)
    told = room.run("gemini", "mcp", "list")
    check(f"✓ {SERVER} (from ltx-mcp)" in told and "- Connected" in told, f"gemini mcp list: {told.strip()[-300:]}")
    check_handed_on(room)
    return "valid, installed, connected"


def check_handed_on(room: Room) -> None:
    """The key that is set came through; what is not set came as an empty text, not as a reference."""
    given = dict(line.split("=", 1) for line in room.seen.read_text(encoding="utf-8").splitlines() if "=" in line)
    expected = {each.name: "" for each in variables(read_providers())} | {"FAL_KEY": MADE_UP_KEY}
    seen = {name: given.get(name) for name in expected}
    check(seen == expected, f"handed on: {seen}")


Row = dict[str, Callable[[Room], str]]
ROWS: tuple[Row, ...] = (
    {
        "Claude Code": claude,
        "Claude Code, as the pages show it": claude_shown,
        "Claude Code with a token": claude_token,
        "Claude Code with a login": claude_login,
        "ltx-mcp install": installed,
        "Claude Code plugin": claude_plugin,
        "Gemini CLI": gemini,
    },
    {"MCP bundle": bundle, "Dockerfile": image, "Docker's catalog": catalog},
)
"""Two rows at a time. What is in a row shares a home and what was seen, so it follows one another."""
