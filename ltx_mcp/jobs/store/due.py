"""When something is due, also where a clock was set back: what lies further ahead than anything is ever put off was
written by a clock that has been set back since, and is due now."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, or_


def is_due_at(at: datetime | None, now: datetime, max_ahead: timedelta) -> bool:
    """Whether it is time for what was put off until `at`; never for None."""
    return at is not None and not now < at <= now + max_ahead


def due_rows(at: ColumnElement[Any], now: datetime, max_ahead: timedelta) -> ColumnElement[bool]:
    """The same of a column."""
    return or_(at <= now, at > now + max_ahead)
