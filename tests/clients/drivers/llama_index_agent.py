import asyncio
import sys

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI
from llama_index.tools.mcp import BasicMCPClient, McpToolSpec


async def main() -> None:
    ltx = McpToolSpec(client=BasicMCPClient("ltx-mcp", timeout=60))
    agent = FunctionAgent(tools=await ltx.to_tool_list_async(), llm=OpenAI(model="gpt-4o"))
    print(await agent.run(sys.argv[1], max_iterations=30))


asyncio.run(main())
