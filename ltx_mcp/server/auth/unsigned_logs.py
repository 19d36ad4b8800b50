"""Keeps signatures of links out of what others log of requests and answers: whoever has one has the video. So it is
with tokens, which RFC 6750 lets clients put into a query; that is refused here, but it is logged.
"""

import logging
import re

LOGGERS = ("uvicorn.access", "sse_starlette.sse", "mcp.server.mcpserver.server")
"""They log paths with their queries, answers piece by piece, and the texts of errors."""
_SECRET = re.compile(r"((?<=[?&]sig=)|(?<=[?&]access_token=))[\w.~+/%=-]+", re.ASCII)


def leave_out_signatures() -> None:
    """From now on, in this process."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if _unsigned not in logger.filters:
            logger.addFilter(_unsigned)


def _unsigned(record: logging.LogRecord) -> bool:
    text = record.getMessage()
    if (kept := _SECRET.sub("…", text)) != text:
        record.msg, record.args = kept, ()
    return True
