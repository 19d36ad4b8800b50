import asyncio
import sys

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools


async def main() -> None:
    client = MultiServerMCPClient({"ltx": {"transport": "stdio", "command": "ltx-mcp", "args": []}})
    async with client.session("ltx") as session:
        agent = create_agent("google_genai:gemini-2.5-pro", await load_mcp_tools(session))
        answer = await agent.ainvoke({"messages": sys.argv[1]}, {"recursion_limit": 60})
        print(answer["messages"][-1].content)


asyncio.run(main())
