"""Draws one preview in a process of its own and ends, so that the kernel can say what all of it took.

Arguments: a RenderOrder as JSON, and the file to write.
"""

import json
import sys
from pathlib import Path

from ltx_mcp.media.messages import RenderOrder
from ltx_mcp.media.preview.render import render

if __name__ == "__main__":
    render(RenderOrder(**json.loads(sys.argv[1])), Path(sys.argv[2]), lambda part: None)
