"""Sets and their takes, inside the caller's transaction: new ones, and whatever a name stands for."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, insert, select

from ltx_mcp.domain.job import Job
from ltx_mcp.domain.job_set import JobSet, as_take, read_name
from ltx_mcp.domain.request import fingerprint
from ltx_mcp.jobs.store.rows import NewJob, find, insert_job, to_job
from ltx_mcp.jobs.store.schema import jobs, sets
from ltx_mcp.jobs.store.transitions import new_set_id

BETWEEN_TAKES = timedelta(microseconds=1)
"""Takes differ in their age, so that they are worked on and listed in their order."""


def insert_set(connection: Connection, new: NewJob, now: datetime, lease_owner: str = "") -> JobSet:
    """A new set with a row for each take: of its takes none has the key or can be repeated by itself."""
    set_id = new_set_id()
    values = {
        "id": set_id,
        "caller": new.caller,
        "request_key": new.request_key or None,
        "fingerprint": fingerprint(new.normal),
        "canonical_request": new.normal,
        "created_at": now,
    }
    connection.execute(insert(sets), values)
    takes = [_insert_take(connection, new, now, set_id, take + 1, lease_owner) for take in range(new.takes)]
    return JobSet(set_id, new.caller, new.request_key, new.normal, now, tuple(takes))


def _insert_take(connection: Connection, new: NewJob, now: datetime, set_id: str, take: int, lease_owner: str) -> Job:
    own = replace(new, request_key="", offers=tuple(as_take(offer, take) for offer in new.offers))
    of_set = {"set_id": set_id, "take": take, "fingerprint": "", "created_at": now + (take - 1) * BETWEEN_TAKES}
    return insert_job(connection, own, now, "placed", lease_owner, **of_set)


def find_set(connection: Connection, caller: str | None, set_id: str) -> JobSet | None:
    """One set with its takes; with `caller`, only that caller's."""
    takes = select(jobs).where(jobs.c.set_id == set_id).order_by(jobs.c.take)
    query = select(sets).where(sets.c.id == set_id)
    if caller is not None:
        query = query.where(sets.c.caller == caller)
    row = connection.execute(query).first()
    if row is None:
        return None
    found = tuple(to_job(take._mapping) for take in connection.execute(takes))
    return JobSet(row.id, row.caller, row.request_key or "", row.normal, row.created_at, found)


def find_named(connection: Connection, caller: str | None, name: str) -> Job | JobSet | None:
    """What `job_…`, `set_…` or `set_…/2` names. Raises CallerError(job_not_found) for a take that the set lacks."""
    if (parts := read_name(name)) is None:
        return find(connection, caller, name)
    set_id, take = parts
    found = find_set(connection, caller, set_id)
    return found.take(take) if found is not None and "/" in name else found
