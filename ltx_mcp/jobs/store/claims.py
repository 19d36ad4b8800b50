"""Which job a worker takes up next: the oldest that is due, free, of an account that can be served from there, and not
beyond the places that an account has at its provider."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, not_, or_, select, update

from ltx_mcp.domain.job import IN_FLIGHT_STATES, Job, State
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.due import due_rows
from ltx_mcp.jobs.store.rows import Account, load
from ltx_mcp.jobs.store.schema import FREE, IS_LIVE, UNDER_WAY, jobs
from ltx_mcp.jobs.store.transitions import machine_of

MAX_AHEAD = timedelta(hours=1)
"""No job waits longer."""


def claim(
    database: Database,
    worker: str,
    slots: Mapping[str, int],
    now: datetime,
    able: AbstractSet[Account] | None = None,
    on_machine: AbstractSet[str] = frozenset(),
) -> Job | None:
    """Claim the oldest job that is due and has no lease owner.

    `slots` limits the orders of an account at a provider that are under way or, for providers `on_machine`, those on
    the worker's machine; `able` are the accounts that can be served from here (None: all).
    """
    free = and_(literal_column(FREE), is_due(now))
    full: set[Account] = set()
    if able is not None:
        free = and_(free, of_accounts(able))
    if not _has_any(database, free):
        return None
    with database.write(durable=False) as connection:
        while True:
            query = select(jobs.c.id, jobs.c.provider, jobs.c.account, jobs.c.state).where(free)
            if full:
                query = query.where(not_(and_(jobs.c.state == State.QUEUED, of_accounts(full))))
            first = query.order_by(jobs.c.created_at).limit(1).with_for_update(skip_locked=True)
            row = connection.execute(first).first()
            if row is None:
                return None
            most, account = slots.get(row.provider), (row.provider, row.account or "")
            if row.state != State.QUEUED or most is None:
                break
            database.lock(connection, " ".join(("slots", *account)).rstrip())
            if count_under_way(connection, account, worker if row.provider in on_machine else "") < most:
                break
            full.add(account)
        changes = {
            "lease_owner": worker,
            "fencing_token": jobs.c.fencing_token + 1,
            "revision": jobs.c.revision + 1,
        }
        connection.execute(update(jobs).where(jobs.c.id == row.id).values(**changes))
        return load(connection, row.id)


def _has_any(database: Database, free: ColumnElement[bool]) -> bool:
    """Whether there may be anything to claim. It only reads, so that the common empty case blocks no writer."""
    with database.read() as connection:
        return connection.execute(select(jobs.c.id).where(free).limit(1)).first() is not None


def is_due(now: datetime) -> ColumnElement[bool]:
    """Whether it is time to work on a job."""
    return due_rows(jobs.c.run_after, now, MAX_AHEAD)


def of_accounts(accounts: AbstractSet[Account]) -> ColumnElement[bool]:
    """The jobs of these accounts; the operator's own are NULL in the row."""
    by_account = groupby(sorted(accounts, key=itemgetter(1)), key=itemgetter(1))
    return or_(*(_of_account(account, [provider for provider, _ in of]) for account, of in by_account))


def _of_account(account: str, providers: list[str]) -> ColumnElement[bool]:
    return and_(func.coalesce(jobs.c.account, "") == account, jobs.c.provider.in_(providers))


def count_under_way(connection: Connection, account: Account, worker: str) -> int:
    """How many orders of this account are under way; with `worker`, how many jobs run on its machine."""
    provider, name = account
    of_account = and_(literal_column(UNDER_WAY), _of_account(name, [provider]))
    if not worker:
        query = select(func.count()).where(of_account, jobs.c.state != State.SAVING)
        return connection.execute(query).scalar_one()
    owners = connection.execute(select(jobs.c.lease_owner).where(of_account, jobs.c.lease_owner != "")).scalars()
    return sum(machine_of(owner) == machine_of(worker) for owner in owners)


def count_ahead(connection: Connection, job: Job) -> int:
    """How many jobs of the same account come before a queued one: those under way and older queued ones."""
    older = and_(jobs.c.state == State.QUEUED, jobs.c.blocked_by == "", jobs.c.created_at < job.created_at)
    is_ordered = or_(jobs.c.state.in_(IN_FLIGHT_STATES), and_(jobs.c.state == State.QUEUED, jobs.c.lease_owner != ""))
    of_account = and_(literal_column(IS_LIVE), _of_account(job.account, [job.offer.provider]))
    query = select(func.count()).where(of_account, jobs.c.id != job.id, or_(is_ordered, older))
    return connection.execute(query).scalar_one()
