"""What may be charged, and a caller's cap on it, as a client sees them: told beside the quote, compared everywhere."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

from ltx_mcp.emulator.app import settings
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS, Emulated
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio

POND: dict[str, Any] = {"prompt": "a pond at dawn"}
FAL: dict[str, Any] = POND | {"provider": "fal", "model": "ltx-2.3-fast"}


class Shop(Protocol):
    def __call__(self, *names: str, **more: str) -> AbstractAsyncContextManager[Client]: ...


@pytest.fixture
def shop(home: Path, emulator: Emulated) -> Shop:
    """A client of a server with the keys of these providers, or of all."""
    base_url, world = emulator
    world.wait_s, world.work_s = 0.0, 0.05

    @asynccontextmanager
    async def opened(*names: str, **more: str) -> AsyncIterator[Client]:
        env = settings(base_url) if names != ("local",) else {}
        env |= {"LTX_MCP_HOME": str(home)} | {f"LTX_MCP_{name}": value for name, value in more.items()}
        server, _ = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env))
        async with Client(server) as client:
            yield client

    return opened


def text_of(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def call(client: Client, tool: str, **arguments: Any) -> tuple[str, dict[str, Any]]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return text_of(result), dict(result.structured_content or {})


async def refused(client: Client, **arguments: Any) -> str:
    result = await client.call_tool("generate_video", arguments)
    assert result.is_error, result.structured_content
    return text_of(result)


async def test_what_may_be_charged_stands_beside_the_quote_wherever_a_price_is_told(shop: Shop) -> None:
    async with shop() as client:
        text, estimate = await call(client, "estimate_cost", provider="fal", model="ltx-2.3-fast", count=3)
        (quote,) = estimate["quotes"]
        assert (quote["cost_usd"], quote["at_most_usd"], quote["total_usd"]) == (0.24, 0.36, 0.72)
        assert "0.24 USD, at most 0.36 each; 0.72 USD, at most 1.08 in all." in text
        text, ref = await call(client, "generate_video", **FAL)
        assert (ref["cost_usd"], ref["at_most_usd"]) == (0.24, 0.36)
        assert "0.24 USD, at most 0.36." in text
        _, view = await call(client, "check_job", job_id=ref["job_id"], wait_seconds=45, frames=False)
        _, listed = await call(client, "list_jobs")
    assert view["state"] == "succeeded"
    assert (view["cost_usd"], listed["jobs"][0]["cost_usd"]) == (0.24, 0.24)


async def test_a_length_that_the_model_chooses_says_what_it_may_come_to(shop: Shop) -> None:
    async with shop() as client:
        _, estimate = await call(client, "estimate_cost", provider="ltx", model="ltx-2.5-fast", duration="auto")
        (quote,) = estimate["quotes"]
        assert quote["at_most_usd"] >= quote["cost_usd"]


async def test_a_price_that_is_sure_stands_alone(shop: Shop) -> None:
    async with shop() as client:
        _, estimate = await call(client, "estimate_cost", provider="bytecompute")
    assert "at_most_usd" not in estimate["quotes"][0]


async def test_quotes_are_in_the_order_in_which_they_are_tried(shop: Shop) -> None:
    async with shop() as client:
        _, estimate = await call(client, "estimate_cost")
    most = [quote.get("at_most_usd", quote["cost_usd"]) for quote in estimate["quotes"] if quote["provider"] != "local"]
    assert most == sorted(most)
    assert [each["provider"] for each in estimate["quotes"][1:3]] == ["bytecompute", "netwrck"]


@pytest.mark.parametrize(("cap", "provider"), [(0.288, "netwrck"), (0.2899, "netwrck"), (0.35, "fal")])
async def test_nothing_is_ordered_that_may_cost_more_than_the_cap(
    shop: Shop, emulator: Emulated, cap: float, provider: str
) -> None:
    async with shop() as client:
        told = await refused(client, **POND, provider=provider, max_cost_usd=cap)
        _, listed = await call(client, "list_jobs")
    assert f"above max_cost_usd={cap:g}" in told
    assert "at most" in told
    assert listed["jobs"] == []
    assert emulator[1].orders == []


@pytest.mark.parametrize("nothing", [0, -0.0, "0", "0.00"])
async def test_a_cap_of_nothing_orders_nothing_that_is_paid(shop: Shop, emulator: Emulated, nothing: Any) -> None:
    async with shop() as client:
        for provider in ("auto", "fal"):
            told = await refused(client, **POND, provider=provider, max_cost_usd=nothing)
            assert told.startswith("over_budget: max_cost_usd=0 admits only what costs nothing")
            assert "leave it out for no cap" in told
    assert emulator[1].orders == []


@pytest.mark.parametrize("provider", ["auto", "local"])
async def test_a_cap_of_nothing_draws_a_preview_where_that_is_what_there_is_or_what_is_meant(
    shop: Shop, provider: str
) -> None:
    small = {"resolution": "720p", "fps": 24, "generate_audio": False}
    async with shop(*(("local",) if provider == "auto" else ())) as client:
        _, ref = await call(client, "generate_video", **POND, **small, provider=provider, max_cost_usd=0)
    assert (ref["provider"], ref["cost_usd"]) == ("local", 0)


async def test_no_cap_is_null_or_left_out_and_published_so(shop: Shop) -> None:
    async with shop() as client:
        tools = (await client.list_tools()).tools
        schemas = [tool.input_schema["properties"].get("max_cost_usd") for tool in tools]
        _, ref = await call(client, "generate_video", **POND, max_cost_usd=None)
        await call(client, "generate_video", **POND, max_cost_usd="", request_key="left out")
    assert ref["provider"] == "bytecompute"
    paid = [schema for schema in schemas if schema]
    assert len(paid) == 6
    for schema in paid:
        assert schema["anyOf"] == [{"type": "number"}, {"type": "null"}]


@pytest.mark.parametrize(("budget", "fits"), [("0.35", False), ("0.36", True)])
async def test_the_days_budget_counts_what_may_be_charged(shop: Shop, budget: str, fits: bool) -> None:
    async with shop(BUDGET_USD_PER_DAY=budget) as client:
        _, estimate = await call(client, "estimate_cost", provider="fal", model="ltx-2.3-fast")
        assert estimate["quotes"][0]["usable"] is fits
        if fits:
            await call(client, "generate_video", **FAL)
        else:
            assert "This costs 0.24 USD, at most 0.36; 0.35 USD are left" in await refused(client, **FAL)
