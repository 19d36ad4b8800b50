import asyncio
import sys

from agent_framework import Agent, MCPStdioTool
from agent_framework.openai import OpenAIChatClient


async def main() -> None:
    async with MCPStdioTool(name="ltx", command="ltx-mcp", request_timeout=60) as ltx:
        agent = Agent(OpenAIChatClient(model="gpt-5"), tools=ltx)
        print((await agent.run(sys.argv[1])).text)


asyncio.run(main())
