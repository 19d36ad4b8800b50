"""Joins one film in a process of its own and ends, so that the kernel can say what all of it took.

Arguments: a JoinOrder as JSON, and the file to write. Prints the seconds of the join alone.
"""

import json
import sys
import time
from pathlib import Path

from ltx_mcp.media.join.film import join
from ltx_mcp.media.messages import JoinOrder

if __name__ == "__main__":
    began = time.perf_counter()
    notes = join(JoinOrder.of(json.loads(sys.argv[1])), Path(sys.argv[2]), lambda part: None)
    took_s = time.perf_counter() - began
    print(json.dumps({"took_s": took_s, "duration": notes.duration, "copied_s": notes.copied_s}))
