"""How the server and the commands log: to stderr, a line for each message, nothing of unbounded length."""

import logging
from types import TracebackType

from ltx_mcp.domain.quoting import shorten
from ltx_mcp.presentation.repeats import leave_out_repeats

MAX_LINE_CHARS = 2000
MAX_TRACE_LINES = 200


class LogFormatter(logging.Formatter):
    """A line for each message, and traces of bounded length: callers' texts are in both."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message on its line."""
        record.message = shorten(record.message, MAX_LINE_CHARS)
        return super().formatMessage(record)

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The last lines of a trace, each cut."""
        lines = super().formatException(ei).split("\n")[-MAX_TRACE_LINES:]
        return "\n".join(shorten(line, MAX_LINE_CHARS) for line in lines)


def log_to_stderr(level: str) -> None:
    """How this process logs, unless somebody has already said how; the same line once a minute."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level or "WARNING", handlers=[handler])
    leave_out_repeats()
