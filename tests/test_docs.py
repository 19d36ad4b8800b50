"""The pages say what the code does: tables are fresh, links lead somewhere, every code and setting is there."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.jobs.operator_files.callers_file import check_callers_file
from ltx_mcp.providers.catalog_loader import read_providers, setting_names
from ltx_mcp.settings import described

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "AGENTS", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]

TOML = re.compile(r"^```toml\n(.*?)^```$", re.MULTILINE | re.DOTALL)

UNTRUE = (
    r"the same command,? (or|follows|finds)",
    r"same command with a new --request-key",
    r"is never passed[.:]",
)
"""What pages and commands once said and is not so. A pattern that comes back is a promise that nobody keeps."""


def load_tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", ROOT / "docs" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_a_page_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert load_tables().renewed(text) == text


def test_every_error_code_has_a_meaning() -> None:
    assert set(load_tables().MEANINGS) == set(ErrorCode)


def test_every_error_code_has_one_entry_in_troubleshooting() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    entries = re.findall(r"^### `(\w+)`\n+(?!#)\S", page, flags=re.MULTILINE)
    assert sorted(entries) == sorted(ErrorCode)


def test_every_setting_is_on_its_page_and_every_tool_in_the_readme() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for row in described():
        assert row["name"] in page
    for facts in read_providers():
        for name in setting_names(facts):
            assert name in page
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for tool in sorted((ROOT / "tests" / "snapshots").glob("*.json")):
        assert f"`{tool.stem}`" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What its headings are linked by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_callers_file_that_is_shown_can_be_used_once_its_variable_is_set(tmp_path: Path) -> None:
    (shown,) = TOML.findall((ROOT / "docs" / "service.md").read_text(encoding="utf-8"))
    path = tmp_path / "callers.toml"
    path.write_text(shown, encoding="utf-8")
    lacks = check_callers_file(path, read_providers(), lambda name: "")
    assert lacks == ["team films cannot order from fal: FILMS_FAL_KEY is not set"]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


@pytest.mark.parametrize("pattern", UNTRUE)
def test_nothing_says_what_was_found_to_be_untrue(pattern: str) -> None:
    for page in (*PAGES, *sorted((ROOT / "ltx_mcp").rglob("*.py"))):
        text = " ".join(page.read_text(encoding="utf-8").split())
        assert not re.search(pattern, text), page.name


def test_the_readme_is_one_screen_with_one_picture_two_commands_and_the_way_in() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    screen = lines[: lines.index("## Read on")]
    assert len(screen) <= 46
    assert len([line for line in screen if line.startswith("![")]) == 1
    commands = [line.strip() for line in screen if line.startswith("    ")]
    assert [command.split()[0] for command in commands] == ["python3", "ltx-mcp", "ltx-mcp"]
    assert "python3 -m venv " in commands[0]
    assert "pip install ." in commands[0]
    assert commands[1].startswith("ltx-mcp generate ")
    assert commands[2].startswith("ltx-mcp install ")
    assert "<!-- table: tools -->" in screen


def test_the_first_steps_lead_to_a_film() -> None:
    """Each step is a command, beginning with an environment of its own; a key is optional and told where it is made."""
    screen = (ROOT / "docs" / "getting-started.md").read_text(encoding="utf-8").splitlines()[:30]
    steps = [line.split("#")[0].split(maxsplit=1)[1].strip() for line in screen if re.match(r"    \d\.  ", line)]
    assert len(steps) == 6
    assert steps[0].startswith("python3 -m venv ")
    assert steps[2] == "pip install ."
    assert steps[3].startswith("export FAL_KEY=")
    assert steps[4].startswith("ltx-mcp generate ")
    assert "fal.ai" in "\n".join(screen)


SAID = {
    "README.md": (
        "None of the four providers was reached with a real key",
        "not on macOS or Windows",
        "Claude Desktop, Cursor and VS Code were not tried",
        "the recording, and every figure of a test in these pages, is of emulated providers",
        "docs/python.md",
    ),
    "docs/getting-started.md": (
        "none of the four providers was reached with a real key",
        "not on macOS or Windows",
        "Claude Desktop, Cursor and VS Code were not tried",
        "To upgrade",
    ),
    "docs/settings.md": ("console.ltx.io",),
    "docs/hosts.md": ("externally-managed-environment", "python3 -m venv", "were not tried", "uv tool install ."),
    "docs/money.md": ("charges above its own quote can pass it", "the agent's word is taken"),
    "docs/agents.md": ("Without a video it takes one as long as `duration`",),
}


@pytest.mark.parametrize("page", SAID)
def test_what_is_not_so_nice_is_said_plainly(page: str) -> None:
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    for words in SAID[page]:
        assert words in text, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_no_machine_of_ours_and_no_address_of_a_package_index(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"/(?:work|root|tmp)/|pypi\.org|registry\.npmjs|pythonhosted", text) == []
