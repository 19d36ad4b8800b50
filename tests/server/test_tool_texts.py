"""Tool texts are product: a model chooses by them. What makes one good is checked here, for every listed tool."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from mcp.types import Tool

from tests.conftest import Connect
from tests.server.test_tools_list import as_json, listed
from tests.tool_list import CORE, TOOLS

pytestmark = pytest.mark.anyio

MAX_SIGNS, MAX_SIGNS_OF_FIRST = 600, 110
MONEY = ("paid", "cost", "price", "charged", "free")
PLAIN_WORDS = """
job_id jobs state operation provider model prompt next error code message hint reason credits usable why_not source
width height fps has_audio size_bytes video_url video_url_expires_at created_at finished_at queue_position field asked
got by quotes refused budget limit_usd spent_usd reserved_usd left_usd as_of cancel adjustments provider_detail
"""
PLAIN = frozenset(PLAIN_WORDS.split())
"""Result fields that explain themselves; every other one must be described where it is used first."""
TYPE_WORDS = re.compile(
    r"\b(string|boolean|integer|float|enum|array|object|optional|required|default)\b", re.IGNORECASE
)


def fields(schema: Any, above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of an answer, the inner ones, too."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{above}{name}", inner
        yield from fields(inner, f"{above}{name}.")
        yield from fields(inner.get("items", {}), f"{above}{name}.")


def choices(tool: Tool) -> set[str]:
    """The values that arguments are chosen from, and the names a schema gives to nothing else."""
    return {
        str(value)
        for schema in tool.input_schema["properties"].values()
        for branch in (schema, *schema.get("anyOf", []))
        for value in branch.get("enum", [])
    } - {"", "local", "auto", "none", "preview"}


async def test_the_first_sentence_says_what_the_tool_does(connect: Connect) -> None:
    for tool in await listed(connect):
        first = (tool.description or "").split(". ")[0]
        assert first.split()[0] == TOOLS[tool.name].verb, tool.name
        assert 10 <= len(first) <= MAX_SIGNS_OF_FIRST, (tool.name, len(first))


async def test_a_description_is_short(connect: Connect) -> None:
    for tool in await listed(connect):
        assert 40 <= len(tool.description or "") <= MAX_SIGNS, tool.name


async def test_a_description_names_the_tools_to_use_instead_or_next(connect: Connect) -> None:
    for tool in await listed(connect):
        named = set(re.findall(r"[a-z]+_[a-z]+", tool.description or "")) & set(CORE)
        assert named >= {*TOOLS[tool.name].siblings}, tool.name


async def test_what_costs_money_says_so_and_what_costs_none_is_read_only(connect: Connect) -> None:
    for tool in await listed(connect):
        hints = as_json(tool)["annotations"]
        says = any(word in (tool.description or "").casefold() for word in MONEY)
        assert hints["readOnlyHint"] or says, tool.name


async def test_no_description_repeats_its_schema(connect: Connect) -> None:
    for tool in await listed(connect):
        text = tool.description or ""
        assert not TYPE_WORDS.search(text), tool.name
        words = set(re.findall(r"[\w:.]+", text))
        # a state may be named: it is the same word in the answer
        assert not words & (choices(tool) - {"queued", "running", "succeeded", "failed", "cancelled", "unknown"}), (
            tool.name
        )
        for name, schema in tool.input_schema["properties"].items():
            for word in ("minimum", "maximum"):
                bound = schema.get(word)
                assert bound in (None, 0, 1, -1) or str(bound) not in words, (tool.name, name)


async def test_every_argument_is_described_and_in_few_words(connect: Connect) -> None:
    for tool in await listed(connect):
        for name, schema in tool.input_schema["properties"].items():
            assert 5 <= len(schema.get("description", "")) <= 100, f"{tool.name}.{name}"


async def test_amounts_say_their_unit(connect: Connect) -> None:
    """In the name, or in the description. A seed has none, and neither has a part of loudness."""
    units = re.compile(r"seconds|usd|frames|short side|jobs a page|how many|\bs\b", re.IGNORECASE)
    for tool in await listed(connect):
        for name, schema in tool.input_schema["properties"].items():
            kinds = {each["type"] for each in schema.get("anyOf", [schema])}
            if kinds & {"number", "integer"} and name not in ("seed", "audio_level"):
                assert units.search(f"{name.replace('_', ' ')} {schema['description']}"), f"{tool.name}.{name}"


async def test_every_field_of_an_answer_is_plain_or_described(connect: Connect) -> None:
    described: set[str] = set()
    for tool in await listed(connect):
        for path, schema in fields(tool.output_schema or {}):
            if schema.get("description"):
                described.add(path.split(".")[-1])
    for tool in await listed(connect):
        for path, _ in fields(tool.output_schema or {}):
            name = path.split(".")[-1]
            assert name in PLAIN | described, f"{tool.name}: {path}"


async def test_all_four_hints_are_told_and_agree_with_the_text(connect: Connect) -> None:
    for tool in await listed(connect):
        hints = as_json(tool)["annotations"]
        assert {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} <= hints.keys(), tool.name
        paid = "paid order" in (tool.description or "") or "Priced like" in (tool.description or "")
        assert paid == (hints["openWorldHint"] and not hints["readOnlyHint"] and not hints["idempotentHint"]), tool.name
