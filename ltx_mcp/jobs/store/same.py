"""Whether a request already has a job or a set, inside the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import ColumnElement, Connection, and_, exists, or_, select

from ltx_mcp.domain.job import ACTIVE_STATES, Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.request import PREVIEW_PROVIDER, fingerprint
from ltx_mcp.jobs.store.rows import NewJob, to_job
from ltx_mcp.jobs.store.schema import jobs, sets, tombstones
from ltx_mcp.jobs.store.sets import find_set
from ltx_mcp.jobs.store.transitions import removed, same_or_refused


class Repeat(Enum):
    """How long the same request without a request_key is a repeat after the end of its job; before it, always."""

    RETRY = timedelta(minutes=2)
    """An automatic retry."""
    ASKED = timedelta(days=1)
    """A person is asked first, whatever key the earlier job has."""
    ANOTHER = timedelta(0)
    """Always another job."""


@dataclass(frozen=True)
class RequestIdentity:
    """What makes two requests the same. `is_preview`: it can only be a preview now."""

    caller: str
    request_key: str
    normal: dict[str, str]
    is_preview: bool
    repeat: Repeat = Repeat.RETRY


def identity_of(new: NewJob, repeat: Repeat) -> RequestIdentity:
    """The identity of a planned request."""
    return RequestIdentity(new.caller, new.request_key, new.normal, new.offers[0].provider == PREVIEW_PROVIDER, repeat)


def find_same(connection: Connection, wanted: RequestIdentity, now: datetime) -> Job | JobSet | None:
    """What this request already has, if anything: a set where it is for several takes, else a job. A preview does not
    count for a request that can be a real video now.

    Raises CallerError when its key belongs to another request.
    """
    if wanted.request_key:
        return _of_key(connection, wanted)
    if wanted.repeat is Repeat.ANOTHER:
        return None
    return _same_set(connection, wanted, now) if "takes" in wanted.normal else _same_job(connection, wanted, now)


def _of_key(connection: Connection, wanted: RequestIdentity) -> Job | JobSet | None:
    if job := _first(connection, jobs.c.caller == wanted.caller, jobs.c.request_key == wanted.request_key):
        return same_or_refused(job, wanted.normal, is_preview=wanted.is_preview)
    job_set = _first_set(connection, sets.c.caller == wanted.caller, sets.c.request_key == wanted.request_key)
    if job_set:
        return same_or_refused(job_set, wanted.normal, is_preview=wanted.is_preview)
    where = (tombstones.c.caller == wanted.caller, tombstones.c.request_key == wanted.request_key)
    if name := connection.execute(select(tombstones.c.name).where(*where)).scalar():
        raise removed(wanted.request_key, name)
    return None


def _same_set(connection: Connection, wanted: RequestIdentity, now: datetime) -> JobSet | None:
    """The newest set of this request of which one take is live or has recently ended."""
    same = [sets.c.caller == wanted.caller, sets.c.fingerprint == fingerprint(wanted.normal)]
    take = [jobs.c.set_id == sets.c.id]
    if not wanted.is_preview:
        take.append(jobs.c.provider != PREVIEW_PROVIDER)
    recent = exists().where(*take, _is_recent(now, Repeat.RETRY))
    job_set = _first_set(connection, *same, sets.c.request_key.is_(None), recent)
    if job_set is None and wanted.repeat is Repeat.ASKED:
        job_set = _first_set(connection, *same, exists().where(*take, _is_recent(now, Repeat.ASKED)))
    return job_set


def _same_job(connection: Connection, wanted: RequestIdentity, now: datetime) -> Job | None:
    same = [jobs.c.caller == wanted.caller, jobs.c.fingerprint == fingerprint(wanted.normal)]
    if not wanted.is_preview:
        same.append(jobs.c.provider != PREVIEW_PROVIDER)
    job = _first(connection, *same, jobs.c.request_key.is_(None), _is_recent(now, Repeat.RETRY))
    if job is None and wanted.repeat is Repeat.ASKED:
        job = _first(connection, *same, _is_recent(now, Repeat.ASKED))
    return job


def _is_recent(now: datetime, repeat: Repeat) -> ColumnElement[bool]:
    """Live, or recently ended in a state that may have cost something."""
    ended = and_(jobs.c.state.in_([State.SUCCEEDED, State.UNKNOWN]), jobs.c.finished_at >= now - repeat.value)
    return or_(jobs.c.state.in_(ACTIVE_STATES), ended)


def _first(connection: Connection, *where: ColumnElement[bool]) -> Job | None:
    row = connection.execute(select(jobs).where(*where).order_by(jobs.c.created_at.desc())).first()
    return to_job(row._mapping) if row else None


def _first_set(connection: Connection, *where: ColumnElement[bool]) -> JobSet | None:
    set_id = connection.execute(select(sets.c.id).where(*where).order_by(sets.c.created_at.desc())).scalar()
    return find_set(connection, None, set_id) if set_id else None
