"""The main job through the front door: a real client asks, orders, follows and gets a film. Run by `make demo`."""

import os
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

PROMPT = "A lighthouse on a basalt cliff at dusk, waves far below, slow aerial approach, gulls calling"
HOME = Path("demo-output").absolute()


async def main() -> None:
    """Estimate, generate, follow, show."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "ltx_mcp"], env={**os.environ, "LTX_MCP_HOME": str(HOME)}
    )
    async with Client(server) as client:
        estimate = await answer(client, "estimate_cost", {})
        quote = estimate["quotes"][0]
        print(f"estimate_cost   {quote['provider']} {quote['model']}: {quote['cost_usd']:g} USD")
        job = await answer(client, "generate_video", {"prompt": PROMPT, "provider": "local"})
        print(f"generate_video  {job['job_id']} {job['state']}: {job['next']}")
        view: dict[str, Any] = {"state": "queued"}
        while view["state"] in ("queued", "submitting", "running", "saving"):
            view = await answer(client, "check_job", {"job_id": job["job_id"], "wait_seconds": 45})
        report(view)


async def answer(client: Client, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The structured answer of one call; progress is shown while it waits."""

    async def show(progress: float, total: float | None, message: str | None) -> None:
        print(f"                {message}")

    result = await client.call_tool(tool, arguments, progress_callback=show)
    if result.is_error or result.structured_content is None:
        raise SystemExit(f"{tool}: {result.content}")
    return dict(result.structured_content)


def report(view: dict[str, Any]) -> None:
    """What came of it; ends with an error when it is not a film."""
    if view["state"] != "succeeded":
        raise SystemExit(f"{view['state']}: {view.get('error')}")
    sound = "with sound" if view["has_audio"] else "silent"
    print(f"\njob id          {view['job_id']}")
    print(f"video           {view['video_url']}")
    print(
        f"measured        {view['duration']:g} s, {view['width']}x{view['height']}, {view['fps']:g} fps, {sound}, ",
        end="",
    )
    print(f"{view['size_bytes'] / 1e6:.1f} MB")
    print(f"contact sheet   {Path(view['file']).with_suffix('.jpg')}")
    print("It is a preview drawn on this machine, not LTX.")


anyio.run(main)
