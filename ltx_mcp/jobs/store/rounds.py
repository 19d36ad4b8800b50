"""What a runner looks at in each of its rounds: not the live jobs, which may be thousands, but what it must act on."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, Text, and_, case, func, literal_column, or_, select, text, update

from ltx_mcp.domain.job import State
from ltx_mcp.jobs.store.claims import MAX_AHEAD
from ltx_mcp.jobs.store.due import is_due_at
from ltx_mcp.jobs.store.rows import Account
from ltx_mcp.jobs.store.schema import FREE, IS_LIVE, UNBLOCKED, jobs

OWNERS = text(f"""
WITH RECURSIVE owners (name) AS (
    SELECT min(holder) FROM jobs WHERE holder > '' AND {IS_LIVE}
    UNION ALL
    SELECT (SELECT min(holder) FROM jobs WHERE holder > owners.name AND {IS_LIVE}) FROM owners
    WHERE owners.name IS NOT NULL
) SELECT name FROM owners WHERE name IS NOT NULL
""").columns(name=Text)
"""The names of all lease owners: from one to the next, not from one row to the next."""


ASK_NOW = datetime(1970, 1, 1, tzinfo=UTC)
"""`run_after` of a running job whose provider has news. Whoever has claimed it asks, and sets it anew before that."""


@dataclass(frozen=True)
class Round:
    """`owners` have claimed live jobs, `mine` of which are the worker's own; `to_wake` are those of them whose request
    to cancel is not passed on, or whose provider has news. `accounts` have live jobs that are not blocked; `next_at`:
    when the first free one that can be served is due."""

    owners: frozenset[str]
    mine: int
    to_wake: tuple[str, ...]
    accounts: frozenset[Account]
    next_at: datetime | None

    def has_due(self, now: datetime) -> bool:
        """Whether there may be a job to claim."""
        return is_due_at(self.next_at, now, MAX_AHEAD)


def read_round(connection: Connection, worker: str, of_accounts: ColumnElement[bool]) -> Round:
    """The round of `worker`, which can serve what is `of_accounts`."""
    ours = and_(jobs.c.lease_owner == worker, literal_column(IS_LIVE))
    is_cancel_pending = and_(jobs.c.cancel_requested, jobs.c.cancel.is_(None))
    has_news = and_(jobs.c.run_after == ASK_NOW, jobs.c.state == State.RUNNING)
    is_to_wake = or_(is_cancel_pending, has_news)
    counted = select(func.count(), func.count(case((is_to_wake, 1)))).select_from(jobs).where(ours)
    mine, pending = connection.execute(counted).one()
    accounts = select(jobs.c.provider, jobs.c.account).where(literal_column(UNBLOCKED)).distinct()
    due = select(jobs.c.run_after).where(literal_column(FREE), of_accounts).order_by(jobs.c.run_after)
    return Round(
        frozenset(connection.execute(OWNERS).scalars()),
        mine,
        tuple(connection.execute(select(jobs.c.id).where(ours, is_to_wake)).scalars()) if pending else (),
        frozenset((row.provider, row.account or "") for row in connection.execute(accounts)),
        connection.execute(due.limit(1)).scalar(),
    )


def ask_now(connection: Connection, job_id: str) -> None:
    """Have whoever has claimed a running job ask its provider now; one that nobody has claimed is due anyhow."""
    running = (jobs.c.id == job_id, jobs.c.state == State.RUNNING, jobs.c.lease_owner != "")
    connection.execute(update(jobs).where(*running).values(run_after=ASK_NOW))


def claims_of(connection: Connection, worker: str) -> AbstractSet[tuple[str, int]]:
    """The ids and fencing tokens of what `worker` has claimed."""
    query = select(jobs.c.id, jobs.c.fencing_token).where(jobs.c.lease_owner == worker, literal_column(IS_LIVE))
    return {(row.id, row.fencing_token) for row in connection.execute(query)}
