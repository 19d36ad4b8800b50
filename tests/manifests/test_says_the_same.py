"""One version, one name, one start, the variables that the server reads and the tools that it lists, in every file."""

import re
import tomllib
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import unquote

import pytest
from mcp import Client

from ltx_mcp import __version__
from ltx_mcp.cli.hosts.entry import IS_NAME_OURS, SERVER, Start, published
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers, setting_names
from ltx_mcp.server.app import INSTRUCTIONS, make_server
from ltx_mcp.settings import described, read_settings
from manifests.facts import REGISTRY_NAME, ROOT
from manifests.make import FOLDER
from tests.hosts.programs import PACKAGES
from tests.manifests.conftest import read

SERVERS: dict[str, dict[str, Any]] = {
    "hosts/mcp.json": read("hosts/mcp.json")["mcpServers"],
    "hosts/cursor.json": read("hosts/cursor.json")["mcpServers"],
    "hosts/vscode.json": read("hosts/vscode.json")["servers"],
    "hosts/codex.toml": tomllib.loads((FOLDER / "hosts/codex.toml").read_text(encoding="utf-8"))["mcp_servers"],
    "claude-plugin/.mcp.json": read("claude-plugin/.mcp.json")["mcpServers"],
    "gemini-extension.json": read("gemini-extension.json")["mcpServers"],
}
PLUGIN = "claude-plugin/.claude-plugin"
DOCKERFILE = (FOLDER / "docker/Dockerfile").read_text(encoding="utf-8")
KEYS = {name for facts in read_providers() for name in facts.key_env[:1]}
READ_BY_US = {row["name"] for row in described()} | {
    name for facts in read_providers() for name in setting_names(facts)
}


def versions() -> dict[str, str]:
    registry, market = read("server.json"), read(f"{PLUGIN}/marketplace.json")
    label = re.search(r'image\.version="([^"]+)"', DOCKERFILE)
    assert label
    return {
        "server.json": registry["version"],
        "its package": registry["packages"][0]["version"],
        "bundle": read("mcpb/manifest.json")["version"],
        "plugin": read(f"{PLUGIN}/plugin.json")["version"],
        "market": market["metadata"]["version"],
        "market's plugin": market["plugins"][0]["version"],
        "gemini": read("gemini-extension.json")["version"],
        "image": label[1],
    }


@pytest.mark.parametrize("name", versions())
def test_the_version_is_that_of_the_package(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert versions()[name] == project["version"] == __version__


@pytest.mark.parametrize("name", SERVERS)
def test_a_host_starts_the_console_script_of_the_package(name: str) -> None:
    (server,) = SERVERS[name].values()
    script = server["command"]
    assert [each.value for each in entry_points(group="console_scripts", name=script)] == ["ltx_mcp.__main__:main"]


def test_nothing_is_fetched_by_a_name_on_the_index_that_is_not_ours_yet() -> None:
    """Whoever took the name would be given every key. The registry's entry alone has it: it is read after a release."""
    assert not IS_NAME_OURS, "docs/releasing.md says what else changes when the name is ours"
    fetched = re.compile(r"\b(?:uvx|pipx|pip install|uv tool install|uv pip install)\b[^\n`]*\bltx-mcp\b")
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *FOLDER.rglob("*"), *(ROOT / "ltx_mcp").rglob("*.py")]
    told = [page for page in pages if page.suffix in (".md", ".json", ".toml", ".py", ".yaml")]
    told = [page for page in told if page.name not in ("releasing.md", "server.json")]
    found = {page.name: fetched.findall(unquote(page.read_text(encoding="utf-8"))) for page in told}
    assert {name: lines for name, lines in found.items() if lines} == {}
    assert published("9.9.9", is_name_ours=True) == Start("uvx", ("ltx-mcp==9.9.9",))


def test_the_bundle_and_the_image_start_the_same_module_and_import_nothing_from_where_they_stand() -> None:
    assert read("mcpb/manifest.json")["server"]["mcp_config"]["args"][-4:] == ["python", "-P", "-m", "ltx_mcp"]
    assert DOCKERFILE.endswith('ENTRYPOINT ["/opt/ltx-mcp/bin/python", "-P", "-m", "ltx_mcp"]\n')


def test_the_registry_finds_its_name_in_the_readme_and_on_the_image() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^<!-- mcp-name: (\S+) -->$", readme, re.MULTILINE) == [REGISTRY_NAME]
    assert read("server.json")["name"] == REGISTRY_NAME
    assert f'io.modelcontextprotocol.server.name="{REGISTRY_NAME}"' in DOCKERFILE


def handed_on() -> dict[str, set[str]]:
    bundle = read("mcpb/manifest.json")["server"]["mcp_config"]["env"]
    registry = read("server.json")["packages"][0]["environmentVariables"]
    asked = read("gemini-extension.json")["settings"]
    found = {name: {*servers[SERVER].get("env", servers[SERVER].get("env_vars"))} for name, servers in SERVERS.items()}
    yaml = (FOLDER / "docker/server.yaml").read_text(encoding="utf-8")
    return {
        **found,
        "bundle": {*bundle},
        "registry": {each["name"] for each in registry},
        "gemini asks for": {each["envVar"] for each in asked},
        "catalog": {*re.findall(r"(?:env|- name): ([A-Z][A-Z_]+)$", yaml, re.MULTILINE)},
    }


@pytest.mark.parametrize("name", handed_on())
def test_every_variable_is_one_that_the_server_reads_and_no_key_is_missing(name: str) -> None:
    assert KEYS <= handed_on()[name] <= READ_BY_US


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["mcpb/manifest.json", "docker/tools.json"])
async def test_the_tools_are_those_that_the_server_lists(name: str) -> None:
    server, _ = make_server(read_settings({}), make_catalog(read_providers(), (), lambda name: ""))
    async with Client(server) as client:
        listed = (await client.list_tools()).tools
    said = read(name)
    tools = said["tools"] if isinstance(said, dict) else said
    assert [tool["name"] for tool in tools] == [tool.name for tool in listed]
    for tool, ours in zip(tools, listed, strict=True):
        assert (ours.description or "").startswith(tool["description"].rstrip("."))
        if "arguments" in tool:
            assert [each["name"] for each in tool["arguments"]] == [*ours.input_schema["properties"]]
            assert all(each["desc"] for each in tool["arguments"])


def test_gemini_reads_the_servers_own_instructions() -> None:
    context = read("gemini-extension.json")["contextFileName"]
    assert INSTRUCTIONS in (FOLDER / context).read_text(encoding="utf-8")


def test_the_bundle_is_packed_by_the_program_that_is_tested() -> None:
    packed_by = f"@anthropic-ai/mcpb@{PACKAGES['@anthropic-ai/mcpb']} pack"
    assert packed_by in (ROOT / "Makefile").read_text(encoding="utf-8")
