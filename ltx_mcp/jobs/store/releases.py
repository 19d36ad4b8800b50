"""What becomes of the jobs that a worker had claimed when it ends: each is released by what is certain about it."""

from collections import defaultdict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, literal, select, update

from ltx_mcp.domain.job import ACTIVE_STATES, TERMINAL_STATES, State
from ltx_mcp.jobs.store.rows import count_end, terminal_changes, to_columns, unblock
from ltx_mcp.jobs.store.schema import events, jobs
from ltx_mcp.jobs.store.transitions import release_changes, state_after_release

RELEASED_AT_A_TIME = 100
"""Jobs in one transaction, for which other writers wait."""


def release_some(
    connection: Connection,
    worker: str,
    repeatable: AbstractSet[str],
    now: datetime,
    died: bool,
    but: Sequence[State],
) -> int:
    """Release some jobs of `worker`, each with its event, in as many statements as there are states that they go to;
    returns how many. See Store.release_claims."""
    about = (jobs.c.operation, jobs.c.created_at)
    columns = (jobs.c.id, jobs.c.state, jobs.c.provider, jobs.c.result_url, jobs.c.provider_ref.is_not(None), *about)
    held_by_worker = (jobs.c.lease_owner == worker, jobs.c.state.in_(ACTIVE_STATES - frozenset(but)))
    query = select(*columns).where(*held_by_worker).order_by(jobs.c.id).limit(RELEASED_AT_A_TIME)
    released: dict[State | None, list[str]] = defaultdict(list)
    found = connection.execute(query.with_for_update())
    for job_id, state, provider, result_url, has_order, operation, created_at in found:
        after = state_after_release(State(state), has_order or bool(result_url), provider in repeatable)
        if after in TERMINAL_STATES:
            count_end(connection, provider, operation, after, now - created_at)
        released[None if after == state else after].append(job_id)
    for to, job_ids in released.items():
        _release(connection, job_ids, to, now, died)
    every = [job_id for job_ids in released.values() for job_id in job_ids]
    _record(connection, every, now, "holder_died" if died else "handed_over", {"from": worker})
    return len(every)


def _release(connection: Connection, job_ids: Sequence[str], to: State | None, now: datetime, died: bool) -> None:
    changes: dict[str, Any] = {"run_after": now, "revision": jobs.c.revision + 1}
    if died:
        changes["attempts"] = jobs.c.attempts + 1
    if to is not None:
        changes |= terminal_changes(to, now) | release_changes(to)
    changes["lease_owner"] = ""
    connection.execute(update(jobs).where(jobs.c.id.in_(job_ids)).values(**to_columns(changes)))
    if to in TERMINAL_STATES:
        unblock(connection, job_ids, now)


def _record(connection: Connection, job_ids: Sequence[str], now: datetime, what: str, detail: dict[str, Any]) -> None:
    """The same line in the history of each."""
    line = (literal(now, events.c.at.type), literal(what), literal(detail, events.c.detail.type))
    lines = select(jobs.c.id, *line).where(jobs.c.id.in_(job_ids)).order_by(jobs.c.id)
    connection.execute(insert(events).from_select(["job_id", "at", "what", "detail"], lines))
