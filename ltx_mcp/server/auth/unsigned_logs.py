"""Keeps signatures of links out of what others log of requests and answers: whoever has one has the video."""

import logging
import re

LOGGERS = ("uvicorn.access", "sse_starlette.sse", "mcp.server.mcpserver.server")
"""They log paths with their queries, answers piece by piece, and the texts of errors."""
_SIGNATURE = re.compile(r"(?<=[?&]sig=)[A-Za-z0-9_-]{20,}")


def leave_out_signatures() -> None:
    """From now on, in this process."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if _unsigned not in logger.filters:
            logger.addFilter(_unsigned)


def _unsigned(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if (kept := _SIGNATURE.sub("…", text)) != text:
        record.msg, record.args = kept, ()
    return True
