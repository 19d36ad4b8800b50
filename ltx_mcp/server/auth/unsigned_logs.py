"""Keeps signatures of links out of what others log of answers and errors: whoever has one has the video. The queries of
requests are left out in `http_limits.py`."""

import logging
import re

LOGGERS = ("sse_starlette.sse", "mcp.server.mcpserver.server")
_SIGNATURE = re.compile(r"(?<=[?&]sig=)[A-Za-z0-9_-]{20,}")


def leave_out_signatures() -> None:
    """From now on, in this process."""
    for logger in map(logging.getLogger, LOGGERS):
        if _unsigned not in logger.filters:
            logger.addFilter(_unsigned)


def _unsigned(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if (kept := _SIGNATURE.sub("…", text)) != text:
        record.msg, record.args = kept, ()
    return True
