"""The player: a page that a host with MCP Apps shows beside check_job, and what that page is told beside the answer."""
