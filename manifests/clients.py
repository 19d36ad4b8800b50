"""What hosts read: their configuration files, plugins and extensions, and the links that install the server there.

Keys stand in none of them, only where each host takes them from. References are spelled so that a variable that is not
set gives an empty text wherever the host can say so.
"""

import base64
import json
from typing import Any
from urllib.parse import quote

from ltx_mcp.cli.hosts.entry import SERVER
from manifests.facts import AUTHOR, REPOSITORY, TITLE, Facts

FIRST_START_S = 120
"""The first start fetches the package and what it depends on."""


def claude_config(facts: Facts) -> dict[str, Any]:
    """.mcp.json of a project, as Claude Code reads it; also that of the plugin."""
    return _servers(facts, "${%s:-}")


def cursor_config(facts: Facts) -> dict[str, Any]:
    """.cursor/mcp.json."""
    return _servers(facts, "${env:%s}")


def _servers(facts: Facts, reference: str) -> dict[str, Any]:
    env = {each.name: reference % each.name for each in facts.variables}
    start = {"command": facts.start.command, "args": list(facts.start.arguments)}
    return {"mcpServers": {SERVER: start | {"env": env}}}


def vscode_config(facts: Facts) -> dict[str, Any]:
    """.vscode/mcp.json: VS Code asks once for each input and keeps the answers, secrets among its secrets."""
    inputs = [
        {
            "type": "promptString",
            "id": each.slug,
            "description": f"{each.title} (empty if you have none)",
            "password": each.is_secret,
        }
        for each in facts.variables
    ]
    server = {
        "type": "stdio",
        "command": facts.start.command,
        "args": list(facts.start.arguments),
        "env": {each.name: f"${{input:{each.slug}}}" for each in facts.variables},
    }
    return {"inputs": inputs, "servers": {SERVER: server}}


def codex_config(facts: Facts) -> str:
    """The lines for Codex's config.toml, which hands variables on by name."""
    names = [each.name for each in facts.variables]
    lines = [
        f"[mcp_servers.{SERVER}]",
        f"command = {json.dumps(facts.start.command)}",
        f"args = {json.dumps(list(facts.start.arguments))}",
        f"env_vars = {json.dumps(names)}",
        f"startup_timeout_sec = {FIRST_START_S}",
        "required = true",
    ]
    return "\n".join(lines) + "\n"


def claude_plugin(facts: Facts) -> dict[str, Any]:
    """plugin.json; the servers stand in .mcp.json beside it."""
    return {
        "name": facts.name,
        "version": facts.version,
        "description": facts.summary,
        "author": {"name": AUTHOR, "url": REPOSITORY},
        "homepage": REPOSITORY,
        "repository": REPOSITORY,
        "license": facts.license,
        "keywords": list(facts.keywords),
    }


def claude_marketplace(facts: Facts) -> dict[str, Any]:
    """marketplace.json: a market with the one plugin beside it."""
    return {
        "name": facts.name,
        "owner": {"name": AUTHOR, "url": REPOSITORY},
        "metadata": {"description": f"{TITLE} for Claude Code", "version": facts.version},
        "plugins": [
            {"name": facts.name, "source": "./", "description": facts.summary, "version": facts.version},
        ],
    }


def gemini_extension(facts: Facts) -> dict[str, Any]:
    """gemini-extension.json: asks for the keys when it is installed."""
    settings = [
        {"name": each.title, "description": f"{each.name}; optional", "envVar": each.name, "sensitive": each.is_secret}
        for each in facts.variables
    ]
    servers = claude_config(facts)["mcpServers"]
    servers[SERVER]["timeout"] = FIRST_START_S * 1000
    return {
        "name": facts.name,
        "version": facts.version,
        "description": facts.summary,
        "contextFileName": "GEMINI.md",
        "settings": settings,
        "mcpServers": servers,
    }


def gemini_context(facts: Facts) -> str:
    """GEMINI.md: the server's own instructions."""
    return f"# {TITLE}\n\n{facts.instructions}\n"


def links(facts: Facts) -> dict[str, str]:
    """The links by which VS Code and Cursor install the server: each as the host itself takes it, and as a page may
    link to it where only https is let through."""
    vscode = vscode_config(facts)
    inputs, server = vscode["inputs"], vscode["servers"][SERVER]
    cursor = base64.b64encode(_compact(cursor_config(facts)["mcpServers"][SERVER]).encode()).decode()
    query = f"name={SERVER}&config={quote(cursor, safe='')}"
    whole = quote(_compact({"name": SERVER, **server, "inputs": inputs}), safe="")
    parts = f"name={SERVER}&inputs={quote(_compact(inputs), safe='')}&config={quote(_compact(server), safe='')}"
    return {
        "vscode": f"vscode:mcp/install?{whole}",
        "vscode_page": f"https://insiders.vscode.dev/redirect/mcp/install?{parts}",
        "cursor": f"cursor://anysphere.cursor-deeplink/mcp/install?{query}",
        "cursor_page": f"https://cursor.com/install-mcp?{query}",
    }


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
