import sys

from mcp import StdioServerParameters
from smolagents import MCPClient, OpenAIModel, ToolCallingAgent

with MCPClient(StdioServerParameters(command="ltx-mcp"), structured_output=True) as tools:
    agent = ToolCallingAgent(tools=tools, model=OpenAIModel("gpt-4o"), max_steps=30)
    print(agent.run(sys.argv[1]))
