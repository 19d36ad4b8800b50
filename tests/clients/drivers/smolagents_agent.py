import sys

from mcp import StdioServerParameters
from smolagents import MCPClient, OpenAIModel, ToolCallingAgent

server = StdioServerParameters(command="ltx-mcp")
patient = {"client_session_timeout_seconds": 60.0}
with MCPClient(server, adapter_kwargs=patient, structured_output=False) as tools:
    agent = ToolCallingAgent(tools=tools, model=OpenAIModel("gpt-4o"), max_steps=30)
    print(agent.run(sys.argv[1]))
