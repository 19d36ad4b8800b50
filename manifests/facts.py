"""What every manifest speaks from: pyproject.toml, the settings, the providers' keys and the server's own tools."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from ltx_mcp.cli.hosts.entry import Start, Variable, published, variables
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import PREFIX, described, read_settings

ROOT = Path(__file__).parents[1]
REGISTRY_NAME = "io.github.ltx-mcp/ltx-mcp"
"""The name in the MCP Registry: the owner and the repository on GitHub."""
REPOSITORY = f"https://github.com/{REGISTRY_NAME.removeprefix('io.github.')}"
TITLE = "LTX Videos"
AUTHOR = "the ltx-mcp authors"

OFFERED = {
    "LTX_MCP_BUDGET_USD_PER_DAY": ("Budget per day in USD", "number"),
    "LTX_MCP_CONFIRM_ABOVE_USD": ("Ask above this price in USD", "number"),
    "LTX_MCP_INPUT_DIRS": ("Folder with your pictures, videos and sounds", "directory"),
    "LTX_MCP_HOME": ("Folder for films and the records of orders", "directory"),
}
"""Settings that a form offers to a person, with its title and the kind of value; the rest is for operators."""


@dataclass(frozen=True)
class Option:
    """A setting that a person may fill in."""

    name: str
    title: str
    kind: str
    meaning: str

    @property
    def slug(self) -> str:
        """The name as forms spell it: `budget_usd_per_day`."""
        return self.name.removeprefix(PREFIX).lower()


@dataclass(frozen=True)
class Argument:
    """An argument of a tool; `kind` is its JSON type."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class Tool:
    """A tool in short: the first sentence of its description."""

    name: str
    summary: str
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Facts:
    """All that manifests say."""

    name: str
    version: str
    summary: str
    license: str
    python: str
    keywords: tuple[str, ...]
    start: Start
    variables: tuple[Variable, ...]
    options: tuple[Option, ...]
    tools: tuple[Tool, ...]
    instructions: str


def read_facts() -> Facts:
    """The facts as the code says now."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    server, _ = make_server(read_settings({}), make_catalog(read_providers(), (), lambda name: ""))
    meanings = {row["name"]: row["meaning"] for row in described()}
    return Facts(
        name=project["name"],
        version=project["version"],
        summary=project["description"],
        license=project["license"],
        python=project["requires-python"],
        keywords=tuple(project["keywords"]),
        start=published(project["version"]),
        variables=variables(read_providers()),
        options=tuple(Option(name, title, kind, meanings[name]) for name, (title, kind) in OFFERED.items()),
        tools=tuple(_tool(each) for each in anyio.run(server.list_tools)),
        instructions=server.instructions or "",
    )


def _tool(listed: Any) -> Tool:
    described_by = listed.input_schema["properties"].items()
    arguments = tuple(Argument(name, _kind(schema), schema["description"]) for name, schema in described_by)
    return Tool(listed.name, f"{(listed.description or '').split('. ')[0].rstrip('.')}.", arguments)


def _kind(schema: dict[str, Any]) -> str:
    """The JSON type; of several, the first."""
    found: str = schema.get("type") or next(kind for each in schema["anyOf"] if (kind := each.get("type")))
    return found
