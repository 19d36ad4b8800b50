"""The official conformance suite and the MCP Inspector against our server. Needs npm; pytest does not collect it."""
