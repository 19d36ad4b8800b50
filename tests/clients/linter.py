"""A public linter of tool schemas reads our list: no error, and only warnings that clients.toml gives a reason for."""

import json
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio

from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests.clients.environments import TABLE, Client, to_client

LONGEST_S = 60


def read_linter() -> Client:
    """The linter as clients.toml has it."""
    return to_client("linter", tomllib.loads(TABLE.read_text(encoding="utf-8"))["linter"])


def read_reasons() -> dict[tuple[str, str], str]:
    """Why each warning stays, by check and tool."""
    stays = tomllib.loads(TABLE.read_text(encoding="utf-8"))["linter"]["stays"]
    return {(check, tool): told["reason"] for check, told in stays.items() for tool in told["tools"]}


def listed() -> list[dict[str, Any]]:
    """All ten tools as a client gets them."""
    providers = read_providers()
    usable = tuple(facts.name for facts in providers)
    server, _ = make_server(read_settings({}), make_catalog(providers, usable, lambda name: ""))
    return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in anyio.run(server.list_tools)]


def lint(linter: Client, folder: Path) -> list[dict[str, str]]:
    """What it finds in our list."""
    path = folder / "tools.json"
    path.write_text(json.dumps(listed()), encoding="utf-8")
    command = [str(linter.programs[0] / "agent-friend"), "validate", "--json", "--no-color", str(path)]
    told = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=LONGEST_S, check=False)
    found: list[dict[str, str]] = json.loads(told.stdout)["issues"]
    return found


def unexplained(issues: list[dict[str, str]], reasons: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Errors, warnings without a reason, and reasons without a warning."""
    warnings = {(each["check"], each["tool"]) for each in issues if each["severity"] == "warn"}
    for each in issues:
        if each["severity"] != "warn" or (each["check"], each["tool"]) not in reasons:
            yield f"{each['tool']}: {each['check']}: {each['message']}"
    for check, tool in sorted(set(reasons) - warnings):
        yield f"{tool}: {check} is gone: take it out of clients.toml"
