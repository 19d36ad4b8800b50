"""The log as JSON, one object a line: what LTX_MCP_LOG_FORMAT=json makes of the stderr of a server or worker.

Whatever writes there is caught: the log, warnings, tracebacks, and what libraries and the media process print.
"""

import atexit
import hashlib
import json
import logging
import os
import re
import select
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from ltx_mcp.domain.quoting import shorten
from ltx_mcp.log_context import NOTHING, log_context
from ltx_mcp.net.redact import redact
from ltx_mcp.presentation.logs import MAX_LINE_CHARS, LogFormatter, log_by

MAX_TRACE_CHARS = 8000
"""Of a traceback its end; with all else a line of ASCII stays below the 16 kB at which container runtimes break it."""
CALLER_DIGITS = 16
MAX_CHUNK_BYTES, PAUSE_S, DRAIN_S = 65_536, 0.05, 1.0
"""What is printed without a longer pause is one record."""
_JOB = re.compile(r"\bjob_[0-9A-Za-z]{8,40}\b")

_drains: list[Callable[[], None]] = []
"""What logs the last that was printed, where the log is JSON."""

logger = logging.getLogger("stderr")


class JsonFormatter(LogFormatter):
    """One object a line; values of `secrets` are struck out."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: Sequence[str] = ()

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, without fields that are empty but for the message."""
        message = shorten(self._clean(record.getMessage()), MAX_LINE_CHARS)
        context = NOTHING if getattr(record, "is_summary", False) else log_context()
        named = _JOB.search(message)
        trace_id, span_id = _span()
        fields = {
            "time": _to_time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            "request": context.request,
            "job": context.job or (named[0] if named else ""),
            "trace_id": trace_id,
            "span_id": span_id,
            "caller": hash_caller(context.caller),
            "error": self._error(record),
        }
        return json.dumps({name: value for name, value in fields.items() if value or name == "message"})

    def _error(self, record: logging.LogRecord) -> dict[str, str]:
        printed = getattr(record, "printed", "")
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not record.exc_info:
            return {"traceback": self._clean(printed)[-MAX_TRACE_CHARS:]} if printed else {}
        kind = type(error)
        name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        return {"type": name, "traceback": self.formatException(record.exc_info)[-MAX_TRACE_CHARS:]}

    def _clean(self, text: str) -> str:
        return redact(text, self.secrets)


def hash_caller(caller: str) -> str:
    """What stands for a caller's name."""
    return hashlib.sha256(caller.encode()).hexdigest()[:CALLER_DIGITS] if caller else ""


def _to_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _span() -> tuple[str, str]:
    """The ids of the trace and span that are under way; there is none where nobody has imported OpenTelemetry."""
    trace: Any = sys.modules.get("opentelemetry.trace")
    context = trace.get_current_span().get_span_context() if trace is not None else None
    if context is None or not context.is_valid:
        return "", ""
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


def is_json() -> bool:
    """Whether the log of this process is JSON."""
    return _formatter() is not None


def strike_out(secrets: Sequence[str]) -> None:
    """From now on, where the log is JSON."""
    if formatter := _formatter():
        formatter.secrets = secrets


def _formatter() -> JsonFormatter | None:
    found = (handler.formatter for handler in logging.getLogger().handlers)
    return next((formatter for formatter in found if isinstance(formatter, JsonFormatter)), None)


def log_said(text: str, level: int = logging.INFO) -> None:
    """Log what a person would have been told, whatever the level of the log is."""
    logger.handle(logger.makeRecord("ltx_mcp", level, "", 0, text, (), None))


def log_as_json() -> None:
    """Make all JSON that this process and its children write to stderr."""
    stderr = os.dup(2)
    ours, theirs = os.pipe()
    os.dup2(theirs, 2)
    os.close(theirs)
    handler = logging.StreamHandler(open(stderr, "w", encoding="utf-8", buffering=1))  # noqa: SIM115 (never closed)
    handler.setFormatter(JsonFormatter())
    log_by(handler)
    reader = threading.Thread(target=_read, args=(ours,), name="stderr", daemon=True)
    reader.start()
    logging.captureWarnings(True)
    sys.excepthook = _log_crash
    threading.excepthook = lambda crash: logger.error("a thread broke", exc_info=crash.exc_value)
    sys.unraisablehook = lambda crash: logger.error("an error that nobody could be told", exc_info=crash.exc_value)

    def drain() -> None:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        reader.join(DRAIN_S)

    _drains.append(drain)
    atexit.register(drain_stderr)


def drain_stderr() -> None:
    """Log what was printed just before, where the log is JSON; for who leaves without the interpreter's own end."""
    while _drains:
        _drains.pop()()


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("ltx-mcp ended by an error of its own", exc_info=(kind, error, trace))


def _read(ours: int) -> None:
    """Log what is printed, until nobody can print any more."""
    while chunk := os.read(ours, MAX_CHUNK_BYTES):
        while len(chunk) < MAX_CHUNK_BYTES and _has_more(ours) and (more := os.read(ours, MAX_CHUNK_BYTES)):
            chunk += more
        text = chunk.decode(errors="replace").strip()
        lines = text.splitlines()
        if len(lines) > 1:
            logger.warning("%s", lines[-1], extra={"printed": text})
        elif lines:
            logger.warning("%s", text)


def _has_more(ours: int) -> bool:
    """Whether more is printed within PAUSE_S; select knows no pipes on Windows."""
    return sys.platform != "win32" and bool(select.select([ours], [], [], PAUSE_S)[0])
