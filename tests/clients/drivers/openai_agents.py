import asyncio
import sys

from agents import Agent, Runner
from agents.mcp import MCPServerStdio


async def main() -> None:
    async with MCPServerStdio(params={"command": "ltx-mcp"}, client_session_timeout_seconds=60) as ltx:
        strict = {"convert_schemas_to_strict": True}
        agent = Agent(name="Director", model="gpt-5", mcp_servers=[ltx], mcp_config=strict)
        print((await Runner.run(agent, sys.argv[1], max_turns=30)).final_output)


asyncio.run(main())
