"""Rows of the `jobs` table, inside the caller's transaction: reading, conditional changes and their events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Row, insert, select, update

from ltx_mcp import telemetry
from ltx_mcp.domain.errors import JobError
from ltx_mcp.domain.job import ACTIVE_STATES, TERMINAL_STATES, CancelOutcome, ChargeState, Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.offer import Adjustment, Offer
from ltx_mcp.domain.price import floor_micro, to_micro
from ltx_mcp.domain.request import Input, fingerprint
from ltx_mcp.jobs.store.database import once_committed
from ltx_mcp.jobs.store.schema import events, jobs
from ltx_mcp.jobs.store.transitions import for_history, new_job_id

Account = tuple[str, str]
"""A provider, and whose orders these are: the variable that holds the key of a team, or empty for the operator's."""


@dataclass(frozen=True)
class ActiveJob:
    """What a runner needs to know about a live job; `is_cancel_pending` until the request is passed on."""

    id: str
    lease_owner: str
    fencing_token: int
    provider: str
    run_after: datetime
    is_cancel_pending: bool
    account: str = ""

    @property
    def where(self) -> Account:
        """Its provider, and the account there."""
        return self.provider, self.account


@dataclass(frozen=True)
class PlacedJob:
    """The job of a request; `fresh` is false when it was there already."""

    job: Job
    fresh: bool

    @property
    def followed(self) -> Job:
        """What is waited for from here on."""
        return self.job


@dataclass(frozen=True)
class PlacedSet:
    """The set of a request; `fresh` is false when it was there already."""

    job_set: JobSet
    fresh: bool

    @property
    def followed(self) -> JobSet:
        """What is waited for from here on."""
        return self.job_set


_RECORDS: dict[str, TypeAdapter[Any]] = {
    "offers": TypeAdapter(tuple[Offer, ...]),
    "inputs": TypeAdapter(tuple[Input, ...]),
    "adjustments": TypeAdapter(tuple[Adjustment, ...]),
    "film": TypeAdapter(VideoInfo | None),
    "error": TypeAdapter(JobError | None),
}
# The stored names of fields that the program has renamed.
_STORED_NAMES = {
    "offers": {"output_duration": "film_s", "auto_duration": "automatic"},
    "inputs": {"exif_rotated": "turned", "frame_position": "moment"},
}
_OUR_NAMES = {name: {stored: ours for ours, stored in names.items()} for name, names in _STORED_NAMES.items()}
_WORDS = {"state": State, "bill": ChargeState, "cancel": CancelOutcome}
_NOTHING = {"request_key": "", "set_id": "", "take": 0, "team": "", "account": "", "traceparent": ""}
"""What stands in a job for NULL."""
_NOT_IN_JOB = ("fingerprint", "day", "provider")
_COLUMN_NAMES = {column.key: column.name for column in jobs.columns}
_JOB_FIELDS = tuple((key, name) for key, name in _COLUMN_NAMES.items() if key not in _NOT_IN_JOB)


ASK_AFTER = timedelta(minutes=30)


class LostClaimError(Exception):
    """The job is no longer ours: cancelled, or taken by another process. Not a failure of the job."""


@dataclass(frozen=True)
class NewJob:
    """A checked, planned and priced request, about to become a row. `most_usd` limits the cost of its offers at newer
    prices; None: not given. `takes` of more than one become a set, and all else is that of each of them. `accounts` are
    those of the team, by provider; see CallerLimits. `traceparent` is that of the call."""

    caller: str
    request_key: str
    normal: dict[str, str]
    offers: tuple[Offer, ...]
    inputs: tuple[Input, ...]
    most_usd: Decimal | None = None
    takes: int = 1
    team: str = ""
    accounts: Mapping[str, str] = field(default_factory=dict)
    traceparent: str = ""


def to_job(row: Mapping[Any, Any]) -> Job:
    """The record of a row."""
    values = {key: _read(key, row[name]) for key, name in _JOB_FIELDS}
    values |= {name: values[name] or nothing for name, nothing in _NOTHING.items()}
    return Job(**values)


def to_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the table stores them, under the names of Job, which `schema` maps to columns."""
    return {name: _write(name, value) for name, value in values.items()}


def find(connection: Connection, caller: str | None, job_id: str, *, lock: bool = False) -> Job | None:
    """One job; with `caller`, only that caller's; with `lock`, locked until this transaction ends."""
    query = select(jobs).where(jobs.c.id == job_id)
    if caller is not None:
        query = query.where(jobs.c.caller == caller)
    if lock:
        query = query.with_for_update()
    row: Row[Any] | None = connection.execute(query).first()
    return to_job(row._mapping) if row else None


def load(connection: Connection, job_id: str) -> Job:
    """A job that must be there."""
    job = find(connection, None, job_id)
    assert job is not None
    return job


def change(connection: Connection, where: Sequence[Any], changes: Mapping[str, Any]) -> None:
    """Change the one row that meets the conditions. Raises LostClaimError if there is none."""
    values = to_columns(changes) | {"revision": jobs.c.revision + 1}
    if connection.execute(update(jobs).where(*where).values(**values)).rowcount != 1:
        raise LostClaimError


def terminal_changes(to: State, now: datetime) -> dict[str, Any]:
    """What an end changes besides the state; an unknown outcome is checked again later."""
    if to is State.UNKNOWN:
        return {"finished_at": now, "lease_owner": "", "run_after": now + ASK_AFTER}
    return {"finished_at": now, "lease_owner": ""} if to in TERMINAL_STATES else {}


def record_transition(
    connection: Connection, job_id: str, to: State, now: datetime, what: str, detail: Mapping[str, Any]
) -> Job:
    """Record the event of a transition; an end also unblocks the jobs that waited for this one."""
    # the history uses the names of the columns
    renamed = {_COLUMN_NAMES.get(name, name): value for name, value in for_history(detail).items()}
    record(connection, job_id, now, what, renamed)
    if to in TERMINAL_STATES:
        unblock(connection, [job_id], now)
    job = load(connection, job_id)
    if to in TERMINAL_STATES:
        count_end(connection, job.offer.provider, job.operation, to, now - job.created_at)
    return job


def count_end(connection: Connection, provider: str, operation: str, to: State, took: timedelta) -> None:
    """Tell the metrics of an end once it is committed."""
    once_committed(connection, partial(telemetry.job_ended, provider, operation, str(to), took.total_seconds()))


def unblock(connection: Connection, job_ids: Sequence[str], now: datetime) -> None:
    """The jobs that waited for the end of these are due."""
    woken = {"blocked_by": "", "run_after": now, "revision": jobs.c.revision + 1}
    connection.execute(update(jobs).where(jobs.c.blocked_by.in_(job_ids)).values(**woken))


def record(connection: Connection, job_id: str, now: datetime, what: str, detail: Mapping[str, Any]) -> None:
    """One line of a job's history."""
    connection.execute(insert(events), {"job_id": job_id, "at": now, "what": what, "detail": dict(detail)})


def first_live(connection: Connection, inputs: Sequence[Input]) -> str:
    """The first live job that these inputs are made from; it is locked until this transaction ends."""
    ids = [given.job_id for given in inputs if given.job_id]
    if not ids:
        return ""
    query = select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    found = {row.id for row in connection.execute(query.with_for_update(read=True)) if row.state in ACTIVE_STATES}
    return next((job_id for job_id in ids if job_id in found), "")


def day_of(at: datetime) -> str:
    """The UTC day of the budget."""
    return at.date().isoformat()


def insert_job(
    connection: Connection, new: NewJob, now: datetime, what: str, lease_owner: str = "", **changed: Any
) -> Job:
    """A new row with its first event and the price of its first offer held; `lease_owner` runs it unless it waits for
    another job. `changed` overrides the values of a new job."""
    offer, job_id = new.offers[0], new_job_id()
    blocked_by = first_live(connection, new.inputs)
    held_micro = to_micro(offer.at_most_usd)
    values = {
        "id": job_id,
        "caller": new.caller,
        "request_key": new.request_key or None,
        "fingerprint": fingerprint(new.normal),
        "canonical_request": new.normal,
        "operation": offer.operation,
        "prompt": offer.prompt,
        "state": State.QUEUED,
        "bill": ChargeState.HELD,
        "day": day_of(now),
        "offers": new.offers,
        "offer_index": 0,
        "provider": offer.provider,
        "inputs": new.inputs,
        "cost_micro": to_micro(offer.cost_usd),
        "held_micro": held_micro,
        "most_micro": None if new.most_usd is None else floor_micro(new.most_usd),
        "blocked_by": blocked_by,
        "lease_owner": "" if blocked_by else lease_owner,
        "fencing_token": int(bool(lease_owner)),
        **dict.fromkeys(("submitted_by", "status_message", "result_url"), ""),
        **dict.fromkeys(("revision", "attempts", "tries"), 0),
        "adjustments": (),
        "film": None,
        "error": None,
        "cancel_requested": False,
        "run_after": now,
        "created_at": now,
        "team": new.team,
        "account": new.accounts.get(offer.provider),
        "traceparent": new.traceparent,
    }
    connection.execute(insert(jobs), to_columns(values | changed))
    record(connection, job_id, now, what, {"provider": offer.provider, "held_micro": held_micro})
    once_committed(connection, partial(telemetry.job_placed, offer.provider, offer.operation))
    return load(connection, job_id)


def _read(name: str, value: Any) -> Any:
    if name in _STORED_NAMES:
        value = [_renamed(record, _OUR_NAMES[name]) for record in value]
    if name in _RECORDS:
        return _RECORDS[name].validate_python(value)
    return _WORDS[name](value) if name in _WORDS and value is not None else value


def _write(name: str, value: Any) -> Any:
    if name in ("team", "account", "traceparent"):
        return value or None
    if name in _RECORDS:
        value = _RECORDS[name].dump_python(value, mode="json")
        return [_renamed(record, _STORED_NAMES[name]) for record in value] if name in _STORED_NAMES else value
    return str(value) if name in _WORDS and value is not None else value


def _renamed(record: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in record.items()}
