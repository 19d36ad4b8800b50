"""What the lines of the log are about: the request that is served, the job that is worked on, and whose it is.

Each task has its own; what a task starts inherits it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class LogContext:
    """Empty where there is none. `caller` is the name itself: a log has its hash."""

    request: str = ""
    job: str = ""
    caller: str = ""


NOTHING = LogContext()
_current = ContextVar("log_context", default=NOTHING)


def log_context() -> LogContext:
    """That of this task."""
    return _current.get()


def set_log_context(context: LogContext) -> None:
    """From now on, until this task ends."""
    _current.set(context)


@contextmanager
def logging_about(context: LogContext) -> Iterator[None]:
    """For as long as this is open."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
