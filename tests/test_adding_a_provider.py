"""docs/adding-a-provider.md works as it is printed: its four files, laid into a copy of the package, make a provider.

The copy runs in a process of its own, which knows nothing of the package these tests come with.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.providers.catalog_loader import read_providers
from tests.jobs.test_processes import processes_of
from tests.patience import HANG_S

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "adding-a-provider.md"
FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIXTURE = "tests/providers/wire/toy.json"
FILES = ["ltx_mcp/providers/toy.toml", "ltx_mcp/providers/toy.py", "ltx_mcp/emulator/toy.py", FIXTURE]

FOLLOWED = """
import json, os, runpy, sys
from pathlib import Path
import anyio
from mcp import Client, StdioServerParameters
import ltx_mcp
from ltx_mcp.emulator.app import providers, running, settings

async def follow(base_url, world, home):
    env = {**os.environ, **settings(base_url), "LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": str(home.parent)}
    server = StdioServerParameters(command=sys.executable, args=["-m", "ltx_mcp"], env=env)
    found = {"package": ltx_mcp.__file__, "films": {}}
    async with Client(server) as client:
        async def call(tool, **arguments):
            answer = await client.call_tool(tool, arguments)
            assert not answer.is_error, answer.content
            return answer.structured_content
        tools = (await client.list_tools()).tools
        found["tools"] = {tool.name: tool.input_schema["properties"] for tool in tools}
        found["quotes"] = (await call("estimate_cost", provider="toy"))["quotes"]
        pictures = {"image": str(home.parent / "first.png"), "end_image": str(home.parent / "last.png")}
        wire = json.loads(Path("tests/providers/wire/toy.json").read_text())
        text = await call("generate_video", provider="toy", **wire["text"]["arguments"])
        image = await call("animate_image", provider="toy", **wire["image"]["arguments"], **pictures)
        for kind, job in (("text", text), ("image", image)):
            view = await call("check_job", job_id=job["job_id"], wait_seconds=45, frames=False)
            head = Path(view["file"]).read_bytes()[4:8].decode() if "file" in view else ""
            found["films"][kind] = {**view, "head": head}
    found["orders"] = [[each.provider, f"POST {each.endpoint}", each.fields] for each in world.orders]
    found["emulated"] = [each.NAME for each in providers()]
    found["settings"] = settings(base_url)
    found["table"] = runpy.run_path("docs/tables.py")["models"]()
    print(json.dumps(found))

with running(Path(sys.argv[1])) as (base_url, world):
    world.wait_s, world.work_s = 0.0, 0.2
    anyio.run(follow, base_url, world, Path.cwd() / "home")
"""


def printed() -> dict[str, str]:
    """The files of the page, by their paths."""
    return dict(FILE.findall(PAGE.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of what the page speaks of, with its four files laid into it."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("ltx_mcp", "tests", "docs"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    for path, text in printed().items():
        (copy / path).write_text(text, encoding="utf-8")
    yield copy
    for worker in processes_of(copy / "home"):  # one is left only where a film never came
        os.kill(worker, signal.SIGKILL)


def run_in(copy: Path, *arguments: str) -> str:
    """What Python prints there, without any setting of ours. Fails where it does."""
    ours = {name for facts in read_providers() for name in (*facts.key_env, *facts.url_env.values())}
    env = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("LTX_MCP_")}
    command = [sys.executable, *arguments]
    run = subprocess.run(
        command, cwd=copy, env=env | {"PYTHONPATH": str(copy)}, capture_output=True, encoding="utf-8", timeout=HANG_S
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def followed(copy: Path, emulator_films: Path) -> dict[str, Any]:
    """What is found by ordering from the new provider."""
    for name, colour in (("first", "teal"), ("last", "navy")):
        Image.new("RGB", (720, 1280), colour).save(copy / f"{name}.png")
    found: dict[str, Any] = json.loads(run_in(copy, "-c", FOLLOWED, str(emulator_films)))
    assert Path(found["package"]).is_relative_to(copy)
    return found


def test_the_page_prints_four_files_in_full() -> None:
    assert list(printed()) == FILES
    assert not any((ROOT / path).exists() for path in FILES)


def test_the_provider_and_its_model_are_values_of_the_arguments(followed: dict[str, Any]) -> None:
    for tool in ("generate_video", "animate_image", "estimate_cost"):
        assert "toy" in followed["tools"][tool]["provider"]["enum"]
        assert "toy-1" in followed["tools"][tool]["model"]["enum"]


def test_it_is_quoted_at_the_price_of_its_facts(followed: dict[str, Any]) -> None:
    quoted = [(each["provider"], each["model"], each["cost_usd"], each["usable"]) for each in followed["quotes"]]
    assert ("toy", "toy-1", 0.12, True) in quoted


@pytest.mark.parametrize(("kind", "width", "height"), [("text", 720, 720), ("image", 720, 1280)])
def test_it_makes_a_real_film(followed: dict[str, Any], kind: str, width: int, height: int) -> None:
    film, asked = followed["films"][kind], expected()[kind]["arguments"]
    assert (film["state"], film["provider"], film["model"]) == ("succeeded", "toy", "toy-1")
    assert (film["width"], film["height"], film["duration"]) == (width, height, asked["duration"])
    assert (film["has_audio"], film["is_preview"], film["head"]) == (asked["generate_audio"], False, "ftyp")


def test_each_request_is_one_order_as_the_fixture_says(followed: dict[str, Any]) -> None:
    sent = [[provider, request, shown(fields)] for provider, request, fields in followed["orders"]]
    assert sent == [["toy", expected()[kind]["request"], expected()[kind]["body"]] for kind in ("text", "image")]


def expected() -> dict[str, Any]:
    """The expected orders of the page."""
    read: dict[str, Any] = json.loads(printed()[FIXTURE])
    return read


def shown(fields: dict[str, Any]) -> dict[str, Any]:
    """An order's fields as the fixture has them: of a picture, which one it is."""
    names = {"picture": "{image}", "last_picture": "{end_image}"}
    pictures = [name for name in names if str(fields.get(name)).startswith("data:image/png;base64,")]
    assert len({fields[name] for name in pictures}) == len(pictures)
    return fields | {name: names[name] for name in pictures}


def test_the_emulator_gives_the_settings_that_lead_to_it(followed: dict[str, Any]) -> None:
    assert "toy" in followed["emulated"]
    assert {"TOY_API_KEY", "LTX_MCP_TOY_URL"} <= followed["settings"].keys()


def test_the_generated_table_of_models_names_it(followed: dict[str, Any]) -> None:
    rows = [line for line in followed["table"].splitlines() if line.startswith("| toy | toy-1 |")]
    assert [row.split(" | ")[2] for row in rows] == ["text_to_video", "image_to_video"]


def test_the_contract_tests_take_it_and_its_fixture(copy: Path) -> None:
    files = [f"tests/providers/test_contract_{what}.py" for what in ("wire", "limits", "prices")]
    assert "passed" in run_in(copy, "-m", "pytest", "-p", "no:cacheprovider", "-k", "toy", *files)
