"""How a service does at this moment, for its operator: live jobs, money, the slowest, unknown outcomes, processes, ends
of the last hour, webhooks.

It only reads, a few short statements in one snapshot, and each by an index however many jobs have ended. Ends are read
by the minute and kept, so that who looks every two seconds does not read an hour each time.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import BigInteger, Connection, func, literal_column, select

from ltx_mcp.domain.job import State
from ltx_mcp.domain.price import to_micro
from ltx_mcp.jobs.callers import LimitsOf
from ltx_mcp.jobs.store.budget import TOTAL, Budget, read_budgets, scope_of_caller, scope_of_team
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import day_of
from ltx_mcp.jobs.store.schema import IS_LIVE, IS_SETTLED, IS_TO_SEND, deliveries, jobs, spent, webhooks
from ltx_mcp.jobs.workers.ownerless import beating, locked

SLOWEST, NEAREST = 5, 5
MAX_SPENDERS = 1_000
"""So many of those who spent most today are compared with their limits."""
MAX_WAITING = 10_000
"""Deliveries are not counted further."""
HOUR = timedelta(hours=1)
MINUTE_S = 60
LATE_MINUTES = 2
"""The newest minutes are read again: they are not over, and a transaction may commit a little after its moment."""
_BY_AGE = literal_column("created_at + 0", BigInteger)
"""A sum, because no index has it: by the one over all jobs the database would read through all that have ended."""
_MINUTE = literal_column("finished_at / 60000000", BigInteger).label("minute")


@dataclass(frozen=True)
class LiveCount:
    """How many jobs of a provider are in a state."""

    provider: str
    state: str
    jobs: int


@dataclass(frozen=True)
class SlowJob:
    """A job that is under way for long."""

    id: str
    caller: str
    provider: str
    state: str
    created_at: datetime


@dataclass(frozen=True)
class UnknownCount:
    """Orders of a provider whose outcome nobody has settled; since when the oldest of them."""

    provider: str
    jobs: int
    oldest_at: datetime | None


@dataclass(frozen=True)
class EndCount:
    """How many jobs ended so in the minute that began at `minute`; `code` is that of the error of a failed one."""

    minute: datetime
    state: str
    code: str
    jobs: int


@dataclass(frozen=True)
class WebhookState:
    """What a webhook was not told yet, MAX_WAITING at most, and since when; when it was disabled."""

    name: str
    waiting: int
    oldest_at: datetime | None
    disabled_at: datetime | None


@dataclass(frozen=True)
class Overview:
    """All of it. `nearest` are the budgets of teams and callers that are used most, `total` is that of everybody;
    `replicas` counts the processes that work on these jobs. `ends` are of the last hour, the oldest minute first."""

    at: datetime
    replicas: int
    live: tuple[LiveCount, ...]
    total: Budget
    nearest: tuple[Budget, ...]
    slowest: tuple[SlowJob, ...]
    unknown: tuple[UnknownCount, ...]
    ends: tuple[EndCount, ...]
    webhooks: tuple[WebhookState, ...]


@dataclass
class OverviewReader:
    """Reads it again and again from one database. `limit` is the budget of all callers in micro-dollars."""

    database: Database
    home: Path
    limit: int | None
    limits_of: LimitsOf
    now: Callable[[], datetime]
    _ends: dict[datetime, tuple[EndCount, ...]] = field(default_factory=dict, init=False)

    async def read(self) -> Overview:
        """As it is now. Raises SetupError(storage_failed)."""
        return await self.database.run_in_thread(self.read_now)

    def read_now(self) -> Overview:
        """The same, blocking."""
        now = self.now()
        here = None if self.database.kind.shared else len(locked(self.home))
        with self.database.read() as connection:
            spenders = _spenders(connection, day_of(now))
            return Overview(
                now,
                len(beating(connection)) if here is None else here,
                _live(connection),
                read_budgets(connection, day_of(now), {TOTAL: self.limit})[0],
                self._nearest(spenders),
                _slowest(connection),
                _unknown(connection),
                self._ends_until(connection, now),
                tuple(_webhooks(connection)),
            )

    def _nearest(self, spenders: Mapping[str, Budget]) -> tuple[Budget, ...]:
        """The budgets of which the largest share is used."""
        limits: dict[str, int] = {}
        callers = [scope.removeprefix("caller:") for scope in spenders if scope.startswith("caller:")]
        for caller in callers:
            found = self.limits_of(caller)
            of_each = {scope_of_caller(caller): found.budget_usd, scope_of_team(found.team): found.team_budget_usd}
            limits |= {scope: to_micro(limit) for scope, limit in of_each.items() if limit is not None}
        limited = (
            Budget(limits[scope], each.booked, each.held, scope) for scope, each in spenders.items() if scope in limits
        )
        return tuple(sorted(limited, key=lambda each: (-used(each), each.scope))[:NEAREST])

    def _ends_until(self, connection: Connection, now: datetime) -> tuple[EndCount, ...]:
        first = to_minute(now - HOUR) + timedelta(minutes=1)
        newest = max(self._ends, default=first)
        since = max(first, newest - timedelta(minutes=LATE_MINUTES))
        kept = {minute: ends for minute, ends in self._ends.items() if first <= minute < since}
        for end in _ends(connection, since):
            kept[end.minute] = (*kept.get(end.minute, ()), end)
        self._ends = kept
        return tuple(end for minute in sorted(kept) for end in kept[minute])


def used(budget: Budget) -> float:
    """The share of a budget that is held or booked; 1 is all of it."""
    return (budget.booked + budget.held) / budget.limit if budget.limit else float("inf")


def to_minute(at: datetime) -> datetime:
    """When its minute began."""
    return at.replace(second=0, microsecond=0)


def by_state(ends: Iterable[EndCount]) -> Counter[str]:
    """How many ended in each state."""
    return _counted((end.state, end.jobs) for end in ends)


def by_code(ends: Iterable[EndCount]) -> Counter[str]:
    """How many failed with each code."""
    return _counted((end.code, end.jobs) for end in ends if end.code)


def by_minute(ends: Iterable[EndCount]) -> Counter[datetime]:
    """How many ended in each minute."""
    found: Counter[datetime] = Counter()
    for end in ends:
        found[end.minute] += end.jobs
    return found


def _counted(pairs: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for name, count in pairs:
        found[name] += count
    return found


# -- statements -----------------------------------------------------------------------------------------------------


def _live(connection: Connection) -> tuple[LiveCount, ...]:
    group = (jobs.c.provider, jobs.c.state)
    query = select(*group, func.count()).where(literal_column(IS_LIVE)).group_by(*group).order_by(*group)
    return tuple(LiveCount(*row) for row in connection.execute(query))


def _slowest(connection: Connection) -> tuple[SlowJob, ...]:
    columns = (jobs.c.id, jobs.c.caller, jobs.c.provider, jobs.c.state, jobs.c.created_at)
    query = select(*columns).where(literal_column(IS_LIVE)).order_by(_BY_AGE, jobs.c.id).limit(SLOWEST)
    return tuple(SlowJob(*row) for row in connection.execute(query))


def _unknown(connection: Connection) -> tuple[UnknownCount, ...]:
    query = select(jobs.c.provider, func.count(), func.min(jobs.c.finished_at))
    query = query.where(jobs.c.state == State.UNKNOWN).group_by(jobs.c.provider).order_by(jobs.c.provider)
    return tuple(UnknownCount(*row) for row in connection.execute(query))


def _spenders(connection: Connection, day: str) -> dict[str, Budget]:
    """What callers and teams spent on this day, of those who spent most."""
    query = select(spent.c.scope).where(spent.c.day == day, spent.c.scope != TOTAL).group_by(spent.c.scope)
    most = list(connection.execute(query.order_by(func.sum(spent.c.micro).desc()).limit(MAX_SPENDERS)).scalars())
    return {each.scope: each for each in read_budgets(connection, day, dict.fromkeys(most))} if most else {}


def _ends(connection: Connection, since: datetime) -> Iterable[EndCount]:
    code = jobs.c.error["code"].as_string().label("code")
    query = select(_MINUTE, jobs.c.state, code, func.count().label("jobs"))
    query = query.where(literal_column(IS_SETTLED), jobs.c.finished_at >= since)
    for row in connection.execute(query.group_by("minute", jobs.c.state, "code").order_by("minute", jobs.c.state)):
        minute = datetime.fromtimestamp(row.minute * MINUTE_S, UTC)
        yield EndCount(minute, row.state, (row.code or "") if row.state == State.FAILED else "", row.jobs)


def _webhooks(connection: Connection) -> Iterable[WebhookState]:
    for row in connection.execute(select(webhooks).order_by(webhooks.c.name)).all():
        waits = select(deliveries.c.ended_at).where(literal_column(IS_TO_SEND), deliveries.c.webhook == row.name)
        found = waits.limit(MAX_WAITING).subquery()
        waiting, oldest_at = connection.execute(select(func.count(), func.min(found.c.ended_at))).one()
        yield WebhookState(row.name, waiting, oldest_at, row.disabled_at)
