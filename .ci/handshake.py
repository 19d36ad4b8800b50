"""Starts the installed console script, lists its tools over stdio in both eras and prices one video."""

import sys
import tempfile
from typing import Literal

import anyio
from mcp import Client, StdioServerParameters

CORE = ["generate_video", "animate_image", "check_job", "estimate_cost", "cancel_job", "list_jobs"]
EXPECTED = [*CORE, "generate_from_audio", "extend_video", "retake_video"]


async def greet(command: str, mode: Literal["auto", "legacy"]) -> None:
    """One connection."""
    with tempfile.TemporaryDirectory() as home:
        server = StdioServerParameters(command=command, env={"LTX_MCP_HOME": home})
        async with Client(server, mode=mode) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == EXPECTED, names
            quote = await client.call_tool("estimate_cost", {})
            assert quote.structured_content and quote.structured_content["quotes"][0]["provider"] == "local", quote
    print(f"handshake {mode}: {len(names)} tools")


for era in ("auto", "legacy"):
    anyio.run(greet, sys.argv[1], era)
