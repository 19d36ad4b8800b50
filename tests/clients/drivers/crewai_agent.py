import sys

from crewai import Agent
from crewai.mcp import MCPServerStdio

ltx = MCPServerStdio(command="ltx-mcp", args=[])
director = Agent(
    role="Director",
    goal="Make the film that is asked for",
    backstory="You direct short films.",
    mcps=[ltx],
    llm="openai/gpt-4o",
)
print(director.kickoff(sys.argv[1]).raw)
