import asyncio
import sys

from google import genai
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main() -> None:
    async with stdio_client(StdioServerParameters(command="ltx-mcp")) as streams, ClientSession(*streams) as session:
        await session.initialize()
        config = genai.types.GenerateContentConfig(tools=[session])
        client = genai.Client().aio.models
        answer = await client.generate_content(model="gemini-2.5-pro", contents=sys.argv[1], config=config)
        print(answer.text)


asyncio.run(main())
