import asyncio
import sys

from agent_framework import Agent, MCPStdioTool
from agent_framework.openai import OpenAIChatClient


async def main() -> None:
    async with MCPStdioTool(name="ltx", command="ltx-mcp", request_timeout=60) as ltx:
        client = OpenAIChatClient(model="gpt-5")
        client.function_invocation_configuration["include_detailed_errors"] = True
        agent = Agent(client, tools=ltx)
        print((await agent.run(sys.argv[1])).text)


asyncio.run(main())
