import asyncio
import sys

from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.tools.mcp import McpWorkbench, StdioServerParams


async def main() -> None:
    async with McpWorkbench(StdioServerParams(command="ltx-mcp", read_timeout_seconds=60)) as ltx:
        model = OpenAIChatCompletionClient(model="gpt-4o")
        agent = AssistantAgent("director", model, workbench=ltx, max_tool_iterations=30)
        print((await agent.run(task=sys.argv[1])).messages[-1].to_text())


asyncio.run(main())
