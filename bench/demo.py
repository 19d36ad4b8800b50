"""The main job through the front door: a real client asks, orders, follows and gets a film. Run by `make demo`."""

import os
import sys
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from bench.client import answer, follow, measured, run

PROMPT = "A lighthouse on a basalt cliff at dusk, waves far below, slow aerial approach, gulls calling"
HOME = Path("demo-output/preview").absolute()


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
        report(await follow(client, job["job_id"]))


def report(view: dict[str, Any]) -> None:
    """What came of it."""
    print(f"\njob id          {view['job_id']}")
    print(f"video           {view['video_url']}")
    print(f"measured        {measured(view)}")
    print(f"contact sheet   {Path(view['file']).with_suffix('.jpg')}")
    print("It is a preview drawn on this machine, not LTX.")


if __name__ == "__main__":
    run(main)
