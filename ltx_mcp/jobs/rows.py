"""Between a row of the `jobs` table and the Job everybody else speaks of."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from ltx_mcp.domain.errors import Problem
from ltx_mcp.domain.job import Bill, Cancel, Film, Job, State
from ltx_mcp.domain.plan import Adjustment, Offer
from ltx_mcp.domain.request import Input

_RECORDS: dict[str, TypeAdapter[Any]] = {
    "offers": TypeAdapter(tuple[Offer, ...]),
    "inputs": TypeAdapter(tuple[Input, ...]),
    "adjustments": TypeAdapter(tuple[Adjustment, ...]),
    "film": TypeAdapter(Film | None),
    "error": TypeAdapter(Problem | None),
}
_WORDS = {"state": State, "bill": Bill, "cancel": Cancel}
_NOT_IN_JOB = ("fingerprint", "day", "provider", "held_micro")


def to_job(row: Mapping[Any, Any]) -> Job:
    """The record of a row."""
    values = {name: _read(name, value) for name, value in row.items() if name not in _NOT_IN_JOB}
    values["request_key"] = values["request_key"] or ""
    return Job(**values)


def to_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table keeps them; the names are the record's own."""
    return {name: _write(name, value) for name, value in values.items()}


def _read(name: str, value: Any) -> Any:
    if name in _RECORDS:
        return _RECORDS[name].validate_python(value)
    return _WORDS[name](value) if name in _WORDS and value is not None else value


def _write(name: str, value: Any) -> Any:
    if name in _RECORDS:
        return _RECORDS[name].dump_python(value, mode="json")
    return str(value) if name in _WORDS and value is not None else value
