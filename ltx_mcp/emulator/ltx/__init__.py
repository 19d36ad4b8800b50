"""An emulated LTX API; app.py has its calls."""

from ltx_mcp.emulator.ltx.app import routes
from ltx_mcp.emulator.ltx.errors import KEY, NAME, refuse

__all__ = ["KEY", "NAME", "refuse", "routes"]
