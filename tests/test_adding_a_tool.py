"""docs/adding-a-tool.md works as it is printed: its steps, done in a copy of the project, make a tool.

The copy runs in processes of their own, which know nothing of the package these tests come with.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.pages import ROOT, follow, read_steps, run_in

STEPS = read_steps(ROOT / "docs" / "adding-a-tool.md")
OWN_TEST = "tests/server/test_show_history.py"
CHANGED = {
    "ltx_mcp/domain/arguments.py",
    "ltx_mcp/presentation/result_models.py",
    "ltx_mcp/server/tools.py",
    "tests/tool_list.py",
}

FOLLOWED = """
import json
import sys
import anyio
import ltx_mcp
from mcp import Client, StdioServerParameters

async def main():
    server = StdioServerParameters(command=sys.executable, args=["-m", "ltx_mcp"])
    async with Client(server) as client:
        tools = {tool.name: tool.input_schema["properties"] for tool in (await client.list_tools()).tools}
        placed = await client.call_tool("generate_video", {"prompt": "a pond", "provider": "local"})
        job_id = placed.structured_content["job_id"]
        await client.call_tool("cancel_job", {"job_id": job_id})
        shown = await client.call_tool("show_history", {"job_id": job_id})
        refused = await client.call_tool("show_history", {"job_id": "job_00000000000000000000"})
    print(json.dumps({
        "package": ltx_mcp.__file__,
        "tools": tools,
        "job_id": job_id,
        "shown": shown.structured_content,
        "text": shown.content[0].text,
        "refused": refused.content[0].text,
    }))

anyio.run(main)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which the page was followed."""
    folder = tmp_path_factory.mktemp("copy")
    follow(STEPS, folder)
    return folder


def test_the_page_changes_four_files_and_adds_the_test_of_the_tool() -> None:
    assert {step.path for step in STEPS if step.where} == CHANGED
    assert [step.path for step in STEPS if not step.where] == [OWN_TEST]
    assert not (ROOT / OWN_TEST).exists()


def test_a_client_lists_the_new_tool_and_calls_it(copy: Path) -> None:
    found: dict[str, Any] = json.loads(run_in(copy, "-c", FOLLOWED))
    assert Path(found["package"]).is_relative_to(copy)
    assert [*found["tools"]].index("show_history") == [*found["tools"]].index("list_jobs") + 1
    assert found["tools"]["show_history"]["job_id"]["description"]
    assert found["shown"]["job_id"] == found["job_id"]
    assert found["shown"]["events"][0] == "placed"
    assert ", ".join(found["shown"]["events"]) in found["text"]
    assert found["refused"].startswith("job_not_found: ")


def test_after_formatting_nothing_is_left_to_be_said_by_the_linter(copy: Path) -> None:
    files = sorted({step.path for step in STEPS})
    run_in(copy, "-m", "ruff", "format", "--no-cache", *files)
    run_in(copy, "-m", "ruff", "check", "--no-cache", "--fix", *files)
    run_in(copy, "-m", "ruff", "format", "--no-cache", "--check", *files)
