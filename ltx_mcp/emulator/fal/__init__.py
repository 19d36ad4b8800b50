"""An emulated fal.ai; app.py has its calls."""

from ltx_mcp.emulator.fal.app import routes
from ltx_mcp.emulator.fal.errors import KEY, NAME, refuse

__all__ = ["KEY", "NAME", "refuse", "routes"]
