"""What the gauges of `telemetry` show, read from the database: so each process that shares it tells the same. Each is
one statement that looks at live jobs, or at what an index leads to, never at all that ever were."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection, and_, func, literal_column, select

from ltx_mcp import telemetry
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.job import ACTIVE_STATES, ChargeState, State
from ltx_mcp.domain.price import from_micro
from ltx_mcp.jobs.store.budget import TOTAL, read_budgets
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import ASK_AFTER, day_of
from ltx_mcp.jobs.store.schema import IS_LIVE, IS_TO_SEND, deliveries, jobs, webhooks
from ltx_mcp.jobs.workers.ownerless import beating, locked
from ltx_mcp.telemetry import Reading, Readings

UNSETTLED_FOR = timedelta(days=7)
"""An older unknown outcome is no news."""


@dataclass(frozen=True)
class Gauges:
    """The gauges of one database. Those of `providers` are told while they are 0 too: else a curve would just end."""

    database: Database
    home: Path
    providers: Collection[str]
    budget_usd: Decimal | None

    def read(self, now: datetime) -> Readings:
        """All of them; nothing while the database is away, which it says itself. Blocking."""
        try:
            with self.database.read() as connection:
                return self._read(connection, now)
        except LtxError:
            return {}

    def _read(self, connection: Connection, now: datetime) -> Readings:
        alive = beating(connection) if self.database.kind.shared else locked(self.home)
        return {
            telemetry.LIVE: self._live(connection),
            telemetry.UNKNOWN: self._unknown(connection, now),
            telemetry.MONEY: _money(connection, now),
            telemetry.BUDGET: [] if self.budget_usd is None else [(float(self.budget_usd), {})],
            telemetry.WAITING: _waiting(connection),
            telemetry.REPLICAS: [(len(alive), {})],
        }

    def _live(self, connection: Connection) -> list[Reading]:
        query = select(jobs.c.provider, jobs.c.state, func.count()).where(literal_column(IS_LIVE))
        found = {
            (provider, state): count
            for provider, state, count in connection.execute(query.group_by(jobs.c.provider, jobs.c.state))
        }
        none = {(provider, str(state)): 0 for provider in self.providers for state in ACTIVE_STATES}
        return [(count, {"provider": each[0], "state": each[1]}) for each, count in (none | found).items()]

    def _unknown(self, connection: Connection, now: datetime) -> list[Reading]:
        # they are asked about again ASK_AFTER their end, and an index has that time
        recent = and_(jobs.c.state == State.UNKNOWN, jobs.c.run_after > now - UNSETTLED_FOR + ASK_AFTER)
        query = select(jobs.c.provider, func.count()).where(recent).group_by(jobs.c.provider)
        found: dict[str, int] = {provider: count for provider, count in connection.execute(query)}
        counts = dict.fromkeys(self.providers, 0) | found
        return [(count, {"provider": provider}) for provider, count in counts.items()]


def _money(connection: Connection, now: datetime) -> list[Reading]:
    (budget,) = read_budgets(connection, day_of(now), {TOTAL: None})
    bills = {ChargeState.HELD: budget.held, ChargeState.BOOKED: budget.booked}
    return [(float(from_micro(micro)), {"bill": str(bill)}) for bill, micro in bills.items()]


def _waiting(connection: Connection) -> list[Reading]:
    to_send = and_(deliveries.c.webhook == webhooks.c.name, literal_column(IS_TO_SEND))
    query = select(webhooks.c.name, func.count(deliveries.c.webhook)).select_from(
        webhooks.outerjoin(deliveries, to_send)
    )
    return [(count, {"webhook": name}) for name, count in connection.execute(query.group_by(webhooks.c.name))]
