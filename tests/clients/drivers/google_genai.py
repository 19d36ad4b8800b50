import asyncio
import base64
import sys

from google import genai
from google.genai.types import FunctionDeclaration, GenerateContentConfig, Part, Tool
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


def to_parts(name: str, content: list) -> list[Part]:
    said = [each.text for each in content if each.type == "text"]
    images = [each for each in content if each.type == "image"]
    answer = Part.from_function_response(name=name, response={"output": said})
    return [answer, *(Part.from_bytes(data=base64.b64decode(each.data), mime_type=each.mimeType) for each in images)]


async def main() -> None:
    async with stdio_client(StdioServerParameters(command="ltx-mcp")) as streams, ClientSession(*streams) as ltx:
        await ltx.initialize()
        functions = [
            FunctionDeclaration(name=tool.name, description=tool.description, parameters_json_schema=tool.inputSchema)
            for tool in (await ltx.list_tools()).tools
        ]
        config = GenerateContentConfig(tools=[Tool(function_declarations=functions)])
        chat = genai.Client().aio.chats.create(model="gemini-2.5-pro", config=config)
        answer = await chat.send_message(sys.argv[1])
        while calls := answer.function_calls:
            results = [(call.name, await ltx.call_tool(call.name, call.args)) for call in calls]
            answer = await chat.send_message([part for name, told in results for part in to_parts(name, told.content)])
        print(answer.text)


asyncio.run(main())
