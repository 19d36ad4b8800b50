"""What docs/adding-a-tool.md says of tests and generated files, in a copy of the project in which it was followed."""

import json
from pathlib import Path

import pytest

from tests.pages import follow, run_in
from tests.test_adding_a_tool import OWN_TEST, STEPS

SNAPSHOT = "tests/snapshots/show_history.json"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the page was followed."""
    folder = tmp_path_factory.mktemp("copy")
    follow(STEPS, folder)
    return folder


def test_its_own_test_passes_and_so_do_those_of_every_tool(copy: Path) -> None:
    files = ["tests/server/test_tools_list.py", "tests/server/test_tool_texts.py", OWN_TEST]
    printed = run_in(copy, "-m", "pytest", "-p", "no:cacheprovider", "--renew-snapshots", *files)
    assert "failed" not in printed
    assert json.loads((copy / SNAPSHOT).read_text(encoding="utf-8"))["name"] == "show_history"


def test_what_is_generated_names_the_new_tool(copy: Path) -> None:
    assert "renewed README.md" in run_in(copy, "docs/tables.py")
    assert "| `show_history` | Show all that happened to a job, the oldest first. |" in (copy / "README.md").read_text(
        encoding="utf-8"
    )
    run_in(copy, "-m", "manifests.make")
    listed = json.loads((copy / "manifests/docker/tools.json").read_text(encoding="utf-8"))
    assert "show_history" in [tool["name"] for tool in listed]
