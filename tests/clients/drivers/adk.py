import asyncio
import sys

from google.adk.agents import LlmAgent
from google.adk.runners import InMemoryRunner
from google.adk.tools.mcp_tool import McpToolset, StdioConnectionParams
from mcp import StdioServerParameters

server = StdioConnectionParams(server_params=StdioServerParameters(command="ltx-mcp"), timeout=60)
ltx = McpToolset(connection_params=server)
agent = LlmAgent(name="director", model="gemini-2.5-pro", tools=[ltx])


async def main() -> None:
    await InMemoryRunner(agent).run_debug(sys.argv[1])
    await ltx.close()


asyncio.run(main())
