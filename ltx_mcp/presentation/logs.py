"""How the server and the commands log: to stderr, each message on one line of bounded length, without repeating itself.

The same line is shown once a minute, and only so many different ones of one place in the code; what was left out is
counted. Lines of one `trouble`, which a record may name, count as the same, and are left out without being counted.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from ltx_mcp.domain.quoting import shorten

MAX_LINE_CHARS = 2000
MAX_TRACE_LINES = 200
WINDOW_S = 60.0
MAX_WARNINGS, MAX_NOTES = 10, 300
"""Different lines of one place in a window; notes are messages below WARNING."""
MAX_REMEMBERED = 5000

Place = tuple[str, int, str, int]


def log_to_stderr(level: str) -> str:
    """Set up the log of this process, unless something else already has. Returns the level, WARNING if none is set."""
    level = level or "WARNING"
    root = logging.getLogger()
    if any(isinstance(found.formatter, LogFormatter) for found in root.handlers):
        root.setLevel(level)
        return level
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(levelname)s %(name)s: %(message)s"))
    log_by(handler, level)
    return level


def log_by(handler: logging.Handler, level: str = "WARNING") -> None:
    """Set up the log of this process with a handler of ours, unless something else already has."""
    logging.basicConfig(level=level, handlers=[handler])
    for found in logging.getLogger().handlers:
        if type(found) is logging.StreamHandler and not _filters(found):
            found.addFilter(Repeats(found))
            atexit.register(report_left_out)


def report_left_out() -> None:
    """Log at the end what was left out and not reported yet."""
    for handler in logging.getLogger().handlers:
        for repeats in _filters(handler):
            repeats.report_all()


class LogFormatter(logging.Formatter):
    """Bounds the length of messages and traces: both may contain callers' texts."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The message on one line."""
        record.message = shorten(record.message, MAX_LINE_CHARS)
        return super().formatMessage(record)

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The last lines of a trace, each shortened."""
        lines = self._clean(super().formatException(ei)).split("\n")[-MAX_TRACE_LINES:]
        return "\n".join(shorten(line, MAX_LINE_CHARS) for line in lines)

    def _clean(self, text: str) -> str:
        """What may be logged of a text, before it is shortened: of what is cut in two nobody knows the half."""
        return text


@dataclass
class _RepeatWindow:
    began_s: float
    lines: int = 0
    left_out: int = 0


class Repeats(logging.Filter):
    """A filter for a handler: a logger's own filter does not see records of its children."""

    def __init__(self, handler: logging.Handler, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._handler = handler
        self._now_s = now_s
        self._lock = threading.Lock()
        self._places: dict[Place, _RepeatWindow] = {}
        self._lines: dict[tuple[Place, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        now_s = self._now_s()
        with self._lock:
            ended = self._close_windows(now_s)
            shown = self._is_new(record, now_s)
        self._report(ended)
        return shown

    def report_all(self) -> None:
        """Log what was left out and not reported yet."""
        with self._lock:
            ended = self._close_windows(float("inf"))
        self._report(ended)

    def _is_new(self, record: logging.LogRecord, now_s: float) -> bool:
        cause = getattr(record, "trouble", "")
        place = (record.name, record.levelno, f"{record.pathname}{cause}", record.lineno)
        window = self._places.setdefault(place, _RepeatWindow(now_s))
        line = (place, cause or _text_of(record))
        max_lines = MAX_WARNINGS if record.levelno >= logging.WARNING else MAX_NOTES
        if line in self._lines or window.lines >= max_lines or len(self._lines) >= MAX_REMEMBERED:
            window.left_out += not cause
            return False
        window.lines += 1
        self._lines[line] = now_s
        return True

    def _close_windows(self, now_s: float) -> list[tuple[Place, int]]:
        """Close the windows that are over, and return how many lines were left out in each."""
        over = {place for place, window in self._places.items() if now_s - window.began_s >= WINDOW_S}
        if not over:
            return []
        left_out = [(place, window.left_out) for place in over if (window := self._places.pop(place)).left_out]
        self._lines = {line: at for line, at in self._lines.items() if line[0] not in over}
        return left_out

    def _report(self, ended: list[tuple[Place, int]]) -> None:
        for (name, level, path, number), left_out in ended:
            times = "once" if left_out == 1 else f"{left_out:,} times"
            text = f"a line like the last one of {name} was repeated {times} and left out"
            self._handler.acquire()
            try:
                summary = logging.LogRecord(name, level, path, number, text, None, None)
                summary.is_summary = True  # of many tasks, and about none of them
                self._handler.emit(summary)
            finally:
                self._handler.release()


def _text_of(record: logging.LogRecord) -> str:
    """What distinguishes a line from others; of a traceback only the error."""
    text = _said(record.getMessage)[:500]
    error = record.exc_info[1] if record.exc_info else None
    return f"{text} {type(error).__name__}: {_said(error.__str__)[:200]}" if error is not None else text


def _said(say: Callable[[], str]) -> str:
    """The words of anybody's object; empty where it has none, which must not break what is logged about it."""
    try:
        return say()
    except Exception:  # noqa: BLE001 (__str__ is anybody's code, and a log line must not end what it is about)
        return ""


def _filters(handler: logging.Handler) -> list[Repeats]:
    return [found for found in handler.filters if isinstance(found, Repeats)]
