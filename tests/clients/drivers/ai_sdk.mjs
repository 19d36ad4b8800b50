import { createMCPClient } from "@ai-sdk/mcp";
import { Experimental_StdioMCPTransport as StdioTransport } from "@ai-sdk/mcp/mcp-stdio";
import { openai } from "@ai-sdk/openai";
import { generateText, stepCountIs } from "ai";

const ltx = await createMCPClient({ transport: new StdioTransport({ command: "ltx-mcp" }) });
const { text } = await generateText({
  model: openai("gpt-5"),
  tools: await ltx.tools(),
  prompt: process.argv[2],
  stopWhen: stepCountIs(30),
});
console.log(text);
await ltx.close();
