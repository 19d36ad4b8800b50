"""Writes every manifest from what the code says. `make manifests` renews them; a test compares them.

`python -m manifests.make --bundle FOLDER` also lays out there what an MCP bundle holds, ready for `mcpb pack`.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from manifests import clients, dashboard, registries
from manifests.facts import ROOT, Facts, read_facts
from manifests.icon import draw_icon, same_picture

FOLDER = ROOT / "manifests"
ICONS = (FOLDER / "mcpb" / "icon.png", FOLDER / "claude-plugin" / ".claude-plugin" / "icon.png")
BUNDLED = ("pyproject.toml", "README.md", "LICENSE")
"""Beside the package: what its build needs."""


def texts(facts: Facts) -> dict[str, str]:
    """Every manifest that is text, by its path below manifests/."""
    return {
        "server.json": _json(registries.registry_entry(facts)),
        "mcpb/manifest.json": _json(registries.bundle_manifest(facts)),
        "docker/Dockerfile": registries.dockerfile(facts),
        "docker/Dockerfile.dockerignore": registries.DOCKERIGNORE,
        "docker/server.yaml": "\n".join(_yaml(registries.catalog_entry(facts))) + "\n",
        "docker/tools.json": _json(registries.catalog_tools(facts)),
        "hosts/mcp.json": _json(clients.claude_config(facts)),
        "hosts/vscode.json": _json(clients.vscode_config(facts)),
        "hosts/cursor.json": _json(clients.cursor_config(facts)),
        "hosts/codex.toml": clients.codex_config(facts),
        "hosts/links.json": _json(clients.links(facts)),
        "claude-plugin/.claude-plugin/plugin.json": _json(clients.claude_plugin(facts)),
        "claude-plugin/.claude-plugin/marketplace.json": _json(clients.claude_marketplace(facts)),
        "claude-plugin/.mcp.json": _json(clients.claude_config(facts)),
        "gemini-extension.json": _json(clients.gemini_extension(facts)),
        "GEMINI.md": clients.gemini_context(facts),
        "service/grafana/dashboard.json": dashboard.dashboard_json(facts),
    }


def install_links() -> str:
    """A Markdown list of the links that install the server with one click, for README and docs."""
    found = clients.links(read_facts())
    return "\n".join(
        [f"- [Install in VS Code]({found['vscode_page']})", f"- [Install in Cursor]({found['cursor_page']})"]
    )


def stage_bundle(folder: Path) -> None:
    """Lay out in `folder`, which must not exist yet, what an MCP bundle holds: manifest, icon and source."""
    shutil.copytree(ROOT / "ltx_mcp", folder / "ltx_mcp", ignore=shutil.ignore_patterns("__pycache__"))
    for name in BUNDLED:
        shutil.copy(ROOT / name, folder)
    for path in (FOLDER / "mcpb").iterdir():
        shutil.copy(path, folder)


def _shows(path: Path, picture: Image.Image) -> bool:
    if not path.exists():
        return False
    with Image.open(path) as found:
        return same_picture(found, picture)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _yaml(value: Any, indent: str = "") -> list[str]:
    """A mapping as YAML of the plainest kind: every text that could be read as something else is quoted."""
    lines = []
    for key, each in value.items():
        if isinstance(each, dict):
            lines += [f"{indent}{key}:", *_yaml(each, f"{indent}  ")]
        elif isinstance(each, list):
            lines += [f"{indent}{key}:", *(line for item in each for line in _item(item, f"{indent}  "))]
        else:
            lines.append(f"{indent}{key}: {_scalar(each)}")
    return lines


def _item(value: Any, indent: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{indent}- {_scalar(value)}"]
    first, *others = _yaml(value, f"{indent}  ")
    return [f"{indent}- {first.lstrip()}", *others]


def _scalar(text: str) -> str:
    plain = text.replace("-", "").replace(" ", "").replace("_", "").isalpha() and not text.startswith("-")
    return text if plain else json.dumps(text)


def main(arguments: Sequence[str]) -> None:
    """Renew every manifest in place, and lay out a bundle where one is asked for."""
    for name, text in texts(read_facts()).items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"renewed {name}\n")
    picture = draw_icon()
    for path in ICONS:
        if not _shows(path, picture):
            picture.save(path, optimize=True)
            sys.stdout.write(f"renewed {path.relative_to(FOLDER)}\n")
    if arguments[:1] == ["--bundle"]:
        stage_bundle(Path(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
