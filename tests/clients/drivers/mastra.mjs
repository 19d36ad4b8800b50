import { Agent } from "@mastra/core/agent";
import { MCPClient } from "@mastra/mcp";

const ltx = new MCPClient({ servers: { ltx: { command: "ltx-mcp" } }, timeout: 60_000 });
const agent = new Agent({
  id: "director",
  name: "Director",
  instructions: "You direct films.",
  model: "openai/gpt-5",
  tools: await ltx.listTools(),
});
console.log((await agent.generate(process.argv[2], { maxSteps: 30 })).text);
await ltx.disconnect();
