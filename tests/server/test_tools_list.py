"""The tools as a client sees them before it calls any: names, schemas, hints, size. Renewed by `--renew-snapshots`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.types import Tool

from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.tools import make_tools
from tests.conftest import ERAS, Connect, Era
from tests.tool_list import BUDGETS, TOOLS

pytestmark = pytest.mark.anyio

SNAPSHOTS = Path(__file__).parents[1] / "snapshots"


def as_json(tool: Tool) -> dict[str, Any]:
    return tool.model_dump(by_alias=True, mode="json", exclude_none=True)


def size(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


async def listed(connect: Connect, era: Era = "auto") -> list[Tool]:
    async with connect(era) as client:
        return (await client.list_tools()).tools


@pytest.mark.parametrize("era", ERAS)
async def test_the_core_tools_are_listed_first_then_those_that_edit(connect: Connect, era: Era) -> None:
    assert [*TOOLS] == sorted(TOOLS, key=lambda name: not TOOLS[name].is_core)
    assert [tool.name for tool in await listed(connect, era)] == [*TOOLS]


@pytest.mark.parametrize("name", TOOLS)
async def test_a_tool_looks_as_its_snapshot_says(connect: Connect, name: str, request: pytest.FixtureRequest) -> None:
    found = as_json(next(tool for tool in await listed(connect) if tool.name == name))
    path = SNAPSHOTS / f"{name}.json"
    if request.config.getoption("--renew-snapshots"):
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(path.read_text(encoding="utf-8"))


async def test_every_hint_is_explicit_and_every_parameter_described(connect: Connect) -> None:
    for tool in await listed(connect):
        hints = as_json(tool)["annotations"]
        assert {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} <= hints.keys(), tool.name
        for name, schema in tool.input_schema["properties"].items():
            assert schema.get("description"), f"{tool.name}.{name}"
        # with a schema beside it, many hosts show their model no picture
        assert (tool.output_schema is None) == (tool.name == "check_job")
        assert tool.output_schema is None or tool.output_schema["properties"]


def unfit(node: Any, path: str) -> Iterator[str]:
    """What some hosts' converters fail on, or drop without a word."""
    if isinstance(node, bool) or "$ref" in node or "const" in node:
        yield f"{path}: {node}"
        return
    kinds = [name for name in ("type", "anyOf") if name in node]
    if len(kinds) != 1 or not isinstance(node.get("type", ""), str):
        yield f"{path}: {kinds} {node.get('type')}"
    for branch in node.get("anyOf", []):
        if not isinstance(branch.get("type"), str) or "anyOf" in branch:
            yield f"{path}: {branch}"
        yield from unfit(branch, path)
    if not all(isinstance(word, str) and word for word in node.get("enum", [])):
        yield f"{path}: {node['enum']}"
    for name, each in node.get("properties", {}).items():
        yield from unfit(each, f"{path}.{name}")
    if "items" in node:
        yield from unfit(node["items"], f"{path}[]")


async def test_every_input_schema_is_plain_enough_for_every_host(connect: Connect) -> None:
    for tool in await listed(connect):
        assert list(unfit(tool.input_schema, tool.name)) == []
        assert tool.input_schema["additionalProperties"] is False


async def test_bounds_and_defaults_stand_in_words_too(connect: Connect) -> None:
    for tool in await listed(connect):
        for name, schema in tool.input_schema["properties"].items():
            words = schema["description"].lower()
            default, most = schema.get("default"), schema.get("maximum")
            said = {None: "", "replace_audio_and_video": "both"}.get(default, str(default).lower())
            assert said in words, f"{tool.name}.{name}: {words}"
            assert str(most or "") in words, f"{tool.name}.{name}: {words}"


async def test_descriptions_stay_readable(connect: Connect) -> None:
    for tool in await listed(connect):
        assert 40 <= len(tool.description or "") <= 600, tool.name
        assert tool.title


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("budget", BUDGETS)
async def test_the_list_stays_within_its_budget(connect: Connect, era: Era, budget: str) -> None:
    counted, most, most_of_inputs = BUDGETS[budget]
    async with connect(era) as client:
        result = (await client.list_tools()).model_dump(by_alias=True, mode="json", exclude_none=True)
    tools = [tool for tool in result["tools"] if tool["name"] in counted]
    inputs = [{name: tool[name] for name in ("name", "description", "inputSchema")} for tool in tools]
    assert size({"jsonrpc": "2.0", "id": 1, "result": result | {"tools": tools}}) <= most
    assert size(inputs) <= most_of_inputs


async def test_the_instructions_lead_through_the_work(connect: Connect) -> None:
    async with connect() as client:
        instructions = client.instructions or ""
    assert len(instructions) < 1500
    for word in ("estimate_cost", "generate_video", "check_job", "request_key"):
        assert word in instructions


def test_the_tools_of_one_server_stay_as_they_are_when_another_is_made() -> None:
    providers = read_providers()
    first = make_tools(make_catalog(providers, (), lambda name: ""))
    told = [json.dumps(tool.parameters) for tool in first]
    make_tools(make_catalog(providers[:1], (), lambda name: ""))
    assert [json.dumps(tool.parameters) for tool in first] == told
