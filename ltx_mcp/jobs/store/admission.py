"""Whether a request may be placed: what it already has, and the limits of its caller, of the team and of the day.

A refusal needs no lock, so that a caller at a limit slows nobody. What was admitted is kept true by locks until the
transaction ends, always taken in one order: the request, its caller, and the budgets of caller, team and day. It is the
locks that keep two orders from the same dollar, not the counters: a server of version 0.1.0 on the same database takes
that of the day too, and sums the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.request import fingerprint
from ltx_mcp.jobs.callers import LOCAL, LimitsOf
from ltx_mcp.jobs.store.budget import (
    TOTAL,
    Budget,
    Budgets,
    check_live,
    check_rate,
    read_budgets,
    scope_of_caller,
    scope_of_team,
)
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob, day_of
from ltx_mcp.jobs.store.same import Repeat, find_same, identity_of

Lock = Callable[[str], None]


@dataclass(frozen=True)
class Admission:
    """The rules of one database. `limit` is the budget of a day for all callers in micro-dollars; None: none."""

    database: Database
    limit: int | None
    limits_of: LimitsOf

    def check(self, new: NewJob, now: datetime, repeat: Repeat) -> Job | JobSet | None:
        """What this request already has, or None. Raises what `admit` would raise now. It only reads."""
        with self.database.read() as connection:
            if found := find_same(connection, identity_of(new, repeat), now):
                return found
            self._check_limits(connection, new, now, _no_lock)
            return None

    def refuse_early(self, new: NewJob, now: datetime, repeat: Repeat) -> Job | JobSet | None:
        """Raises what `check` raises at a limit, unless the request has something already; None: go on."""
        if not self._is_limited(new.caller):
            return None
        with self.database.read() as connection:
            try:
                self._check_limits(connection, new, now, _no_lock)
            except CallerError:
                if found := find_same(connection, identity_of(new, repeat), now):
                    return found
                raise
        return None

    def admit(self, connection: Connection, new: NewJob, now: datetime, repeat: Repeat) -> Job | JobSet | None:
        """What this request already has; None when it may be placed now, which what was locked keeps true."""
        lock = partial(self.database.lock, connection)
        lock(f"request {new.caller} {f'key {new.request_key}' if new.request_key else fingerprint(new.normal)}")
        if found := find_same(connection, identity_of(new, repeat), now):
            return found
        self._check_limits(connection, new, now, lock)
        return None

    def later_offers(self, connection: Connection, job: Job) -> Callable[[Offer], None]:
        """What raises CallerError for an offer that does not fit the budgets in place of the job's current one, whose
        price is free then. Locks the budgets, before any row."""
        lock = partial(self.database.lock, connection)
        budgets = self._lock_budgets(connection, job.created_at, job.caller, job.team, lock)
        amount = job.held_micro if job.charged_micro is None else job.charged_micro
        left = [budget.without(job.bill, amount) for budget in budgets]

        def check(offer: Offer) -> None:
            self.account_of(job, offer.provider)
            _check_budgets(left, offer, takes=1)

        return check

    def account_of(self, job: Job, provider: str) -> str:
        """The account that pays an offer of `provider` for this job. Raises CallerError where nobody here knows whether
        its team has one: no other account may pay for it."""
        if provider == job.offer.provider or not job.team:
            return job.account if provider == job.offer.provider else ""
        limits = self.limits_of(job.caller)
        if limits.team != job.team:
            message = f"It is not known here whether team {job.team} has an account at {provider}."
            raise CallerError(ErrorCode.MISSING_KEY, message)
        return limits.accounts.get(provider, "")

    def budgets(self, connection: Connection, caller: str | None, day: datetime) -> Budgets:
        """The budgets of a UTC day that `caller` may spend from; without one, only that of all callers together."""
        if caller is None:
            return Budgets(*read_budgets(connection, day_of(day), {TOTAL: self.limit}))
        in_team = self.limits_of(caller).team
        own, team = scope_of_caller(caller), scope_of_team(in_team)
        limits = {TOTAL: self.limit} | self._budget_limits(caller, in_team)
        if caller != LOCAL:
            limits.setdefault(own, None)
        found = {budget.scope: budget for budget in read_budgets(connection, day_of(day), limits)}
        return Budgets(found[TOTAL], found.get(own), found.get(team))

    def _is_limited(self, caller: str) -> bool:
        limits = self.limits_of(caller)
        numbers = (limits.max_live_jobs, limits.orders_per_minute, limits.budget_usd, limits.team_budget_usd)
        return any(number is not None for number in (self.limit, *numbers))

    def _check_limits(self, connection: Connection, new: NewJob, now: datetime, lock: Lock) -> None:
        limits = self.limits_of(new.caller)
        if limits.max_live_jobs is not None or limits.orders_per_minute is not None:
            lock(f"live {new.caller}")
        if limits.max_live_jobs is not None:
            check_live(connection, new.caller, limits.max_live_jobs, new.takes)
        if limits.orders_per_minute is not None:
            check_rate(connection, new.caller, limits.orders_per_minute, now, new.takes)
        budgets = self._lock_budgets(connection, now, new.caller, new.team, lock)
        _check_budgets(budgets, new.offers[0], new.takes)

    def _budget_limits(self, caller: str, team: str) -> dict[str, int | None]:
        """The limit of each scope that has one, in the order of the locks. Of a team that the caller has left since, no
        limit is known."""
        limits = self.limits_of(caller)
        of_team = limits.team_budget_usd if team and team == limits.team else None
        usd = {scope_of_caller(caller): limits.budget_usd, scope_of_team(team): of_team}
        own: dict[str, int | None] = {scope: to_micro(limit) for scope, limit in usd.items() if limit is not None}
        return own if self.limit is None else own | {TOTAL: self.limit}

    def _lock_budgets(
        self, connection: Connection, at: datetime, caller: str, team: str, lock: Lock
    ) -> Sequence[Budget]:
        day, limits = day_of(at), self._budget_limits(caller, team)
        for scope in limits:
            lock(f"budget {day} {scope}".rstrip())
        found = read_budgets(connection, day, limits) if limits else ()
        return [replace(each, is_told=each.scope != TOTAL or caller == LOCAL) for each in found]


def _check_budgets(budgets: Sequence[Budget], offer: Offer, takes: int) -> None:
    for budget in budgets:
        budget.check(offer, takes)


def _no_lock(name: str) -> None:
    """For what is only read."""
