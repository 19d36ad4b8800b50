"""A log that does not repeat itself: the same line once a minute, and so many different ones of one place in the code.

What was left out is counted, and the next line says so. A record may name its `trouble`: lines of one trouble count as
the same whatever they say, and those that are left out are not worth another line.
"""

import atexit
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 60.0
MAX_WARNINGS, MAX_NOTES = 10, 300
"""Different lines of one place in a window; notes are what is below a warning."""
MAX_REMEMBERED = 5000

Place = tuple[str, int, str, int]


@dataclass
class _RepeatWindow:
    began_s: float
    lines: int = 0
    left_out: int = 0


class Repeats(logging.Filter):
    """For the handler of a whole process: a logger's own filter does not see what comes from below it."""

    def __init__(self, handler: logging.Handler, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._handler = handler
        self._now_s = now_s
        self._lock = threading.Lock()
        self._places: dict[Place, _RepeatWindow] = {}
        self._lines: dict[tuple[Place, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is shown."""
        now_s = self._now_s()
        with self._lock:
            ended = self._forget(now_s)
            shown = self._is_new(record, now_s)
        for place, left_out in ended:
            self._report(place, left_out)
        return shown

    def report_all(self) -> None:
        """Say what was left out and has not been told yet."""
        with self._lock:
            ended = self._forget(float("inf"))
        for place, left_out in ended:
            self._report(place, left_out)

    def _is_new(self, record: logging.LogRecord, now_s: float) -> bool:
        trouble = getattr(record, "trouble", "")
        place = (record.name, record.levelno, f"{record.pathname}{trouble}", record.lineno)
        window = self._places.setdefault(place, _RepeatWindow(now_s))
        line = (place, trouble or _text_of(record))
        max_lines = MAX_WARNINGS if record.levelno >= logging.WARNING else MAX_NOTES
        if line in self._lines or window.lines >= max_lines or len(self._lines) >= MAX_REMEMBERED:
            window.left_out += not trouble
            return False
        window.lines += 1
        self._lines[line] = now_s
        return True

    def _forget(self, now_s: float) -> list[tuple[Place, int]]:
        """Close the windows that are over; what was left out in them."""
        over = {place for place, window in self._places.items() if now_s - window.began_s >= WINDOW_S}
        if not over:
            return []
        left_out = [(place, window.left_out) for place in over if (window := self._places.pop(place)).left_out]
        self._lines = {line: at for line, at in self._lines.items() if line[0] not in over}
        return left_out

    def _report(self, place: Place, left_out: int) -> None:
        name, level, path, number = place
        times = "once" if left_out == 1 else f"{left_out:,} times"
        text = f"a line like the last one of {name} was repeated {times} and left out"
        self._handler.acquire()
        try:
            self._handler.emit(logging.LogRecord(name, level, path, number, text, None, None))
        finally:
            self._handler.release()


def _text_of(record: logging.LogRecord) -> str:
    """What tells one line from another; the traceback only by its error."""
    try:
        text = record.getMessage()
    except (TypeError, ValueError, KeyError):
        text = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    return f"{text[:500]} {type(error).__name__}: {str(error)[:200]}" if error is not None else text[:500]


def leave_out_repeats() -> None:
    """Let the log of this process not repeat itself; once is enough."""
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler and not _filters(handler):
            handler.addFilter(Repeats(handler))
            atexit.register(report_left_out)


def report_left_out() -> None:
    """Say at the end what was left out and has not been told yet."""
    for handler in logging.getLogger().handlers:
        for repeats in _filters(handler):
            repeats.report_all()


def _filters(handler: logging.Handler) -> list[Repeats]:
    return [each for each in handler.filters if isinstance(each, Repeats)]
