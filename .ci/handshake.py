"""Starts the installed console script over stdio in both eras: lists its tools, prices a video, has a preview made."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

import anyio
from mcp import Client, StdioServerParameters

EXPECTED = [tool["name"] for tool in json.loads(Path(__file__).with_name("tools.json").read_text(encoding="utf-8"))]
"""As the manifests say: `.ci/run` puts manifests/docker/tools.json beside this file."""
PREVIEW: dict[str, Any] = {
    "prompt": "a kite", "resolution": "720p", "fps": 24, "provider": "local", "wait_seconds": 50
}  # fmt: skip


async def greet(command: str, mode: Literal["auto", "legacy"]) -> None:
    """One connection."""
    with tempfile.TemporaryDirectory() as home:
        server = StdioServerParameters(command=command, env={"LTX_MCP_HOME": home})
        async with Client(server, mode=mode) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names == EXPECTED, names
            quote = await client.call_tool("estimate_cost", {})
            assert quote.structured_content and quote.structured_content["quotes"][0]["provider"] == "local", quote
            made = await client.call_tool("generate_video", PREVIEW)
            assert made.structured_content and made.structured_content["state"] == "succeeded", made
            film = Path(url2pathname(urlsplit(made.structured_content["video_url"]).path))
            assert film.stat().st_size > 10_000
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {python}, handshake {mode}: {len(names)} tools and a preview")


for era in ("auto", "legacy"):
    anyio.run(greet, sys.argv[1], era)
