"""The player: a page that a host with MCP Apps shows beside check_job, and the data for that page."""
