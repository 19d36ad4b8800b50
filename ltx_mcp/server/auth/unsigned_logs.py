"""Keeps signatures of links out of the errors that the SDK logs: whoever has one has the video. What a web server logs
is cut in `http_limits.py`."""

import logging
import re

LOGGER = "mcp.server.mcpserver.server"
_SIGNATURE = re.compile(r"(?<=[?&]sig=)[A-Za-z0-9_-]{20,}")


def leave_out_signatures() -> None:
    """From now on, in this process."""
    logger = logging.getLogger(LOGGER)
    if _unsigned not in logger.filters:
        logger.addFilter(_unsigned)


def _unsigned(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if (kept := _SIGNATURE.sub("…", text)) != text:
        record.msg, record.args = kept, ()
    return True
