import asyncio
import sys

from fastmcp.client.transports import StdioTransport
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset

ltx = MCPToolset(StdioTransport("ltx-mcp", []), read_timeout=60)


async def main() -> None:
    async with Agent("openai:gpt-5", toolsets=[ltx]) as agent:
        print((await agent.run(sys.argv[1])).output)


asyncio.run(main())
