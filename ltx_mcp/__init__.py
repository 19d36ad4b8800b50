"""ltx-mcp: an MCP server through which LLM agents make LTX videos."""

__version__ = "0.1.0"
