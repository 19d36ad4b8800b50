import asyncio
import sys

from semantic_kernel.agents import ChatCompletionAgent
from semantic_kernel.connectors.ai import FunctionChoiceBehavior
from semantic_kernel.connectors.ai.open_ai import OpenAIChatCompletion
from semantic_kernel.connectors.mcp import MCPStdioPlugin


async def main() -> None:
    async with MCPStdioPlugin(name="ltx", command="ltx-mcp", request_timeout=60) as ltx:
        calls = FunctionChoiceBehavior.Auto()
        calls.maximum_auto_invoke_attempts = 30
        model = OpenAIChatCompletion(ai_model_id="gpt-5")
        agent = ChatCompletionAgent(service=model, plugins=[ltx], function_choice_behavior=calls)
        print(await agent.get_response(messages=sys.argv[1]))


asyncio.run(main())
