"""What a model reads from the price to the film, in whichever half of the answers its host shows."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from ltx_mcp.emulator.app import settings
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS, Emulated
from tests.conversations.reading import text_of
from tests.facts import facts_of
from tests.patience import HANG_S
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio

MAX_TOKENS, BYTES_A_TOKEN = 700, 4
CYCLES: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, {"provider": "fal"}),
    ({"resolution": "720p"}, {"provider": "local", "generate_audio": False}),
)
"""What is asked in both calls, and besides in the order."""
PROMPT = "Close-up of a paper boat that drifts along a gutter in the rain; the camera follows it, low and steady."


def compact(structure: dict[str, Any]) -> str:
    """As hosts write it for their model."""
    return json.dumps(structure, separators=(",", ":"), ensure_ascii=False)


def tokens(*shown: str) -> float:
    return sum(len(each.encode()) for each in shown) / BYTES_A_TOKEN


async def test_a_cycle_costs_few_tokens_in_either_half(home: Path, emulator: Emulated) -> None:
    base_url, world = emulator
    world.wait_s = 0
    env = settings(base_url) | {"LTX_MCP_HOME": str(home), "LTX_MCP_BUDGET_USD_PER_DAY": "5"}
    server, _ = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env))
    async with Client(server, read_timeout_seconds=HANG_S) as client:
        for size, more in CYCLES:
            world.work_s = 600  # no order has ended when its answer is written
            estimate = await client.call_tool("estimate_cost", size)
            ordered = await client.call_tool(
                "generate_video", {"prompt": PROMPT, "request_key": f"boat-{more['provider']}", **size, **more}
            )
            world.work_s = 0
            look = {"job_id": facts_of(ordered)["job_id"], "wait_seconds": 45}
            while facts_of(done := await client.call_tool("check_job", look))["state"] != "succeeded":
                pass
            assert {quote["provider"] for quote in facts_of(estimate)["quotes"]} >= {"ltx", "bytecompute", "local"}
            priced = [compact(facts_of(each)) for each in (estimate, ordered)]
            assert tokens(*map(text_of, (estimate, ordered, done))) <= MAX_TOKENS
            assert tokens(*priced, text_of(done)) <= MAX_TOKENS
