"""What webhooks are told: who is registered for which ends, and the outbox of deliveries. Blocking.

The database puts a delivery in when a job ends. Who sends it claims it for a while: when he is killed it is due again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, literal_column, or_, select, tuple_, update

from ltx_mcp.jobs.callers import Named
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.due import due_rows, is_due_at
from ltx_mcp.jobs.store.schema import IS_TO_SEND, Moment, deliveries, subscriptions, webhooks
from ltx_mcp.jobs.webhooks.file import Webhook

AFTER_S = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""How long after a failed try the next one comes."""
LEASE = timedelta(seconds=60)
"""How long a claim holds, which is longer than any try takes."""
MAX_AHEAD = timedelta(days=2)
"""No try is put off for longer."""
KEPT = timedelta(days=3)
KEPT_UNKNOWN = timedelta(days=30)
"""A job that is asked about again may end as unknown once more, which is not told twice."""
TOLD_WITHIN = timedelta(seconds=sum(AFTER_S)) + timedelta(days=1)
BATCH = 500
DUE = (
    "SELECT name, disabled_at, (SELECT next_at FROM deliveries WHERE webhook = name AND outcome = '' "
    "ORDER BY next_at LIMIT 1) FROM webhooks"
)
KEY = (deliveries.c.webhook, deliveries.c.job_id, deliveries.c.state)


class Outcome(StrEnum):
    """What became of a delivery."""

    WAITING = ""
    DELIVERED = "delivered"
    GIVEN_UP = "given_up"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Delivery:
    """One end of a job that one webhook is told of; `tries` counts the one that it is claimed for."""

    webhook: str
    job_id: str
    state: str
    caller: str
    request_key: str
    ended_at: datetime
    tries: int

    @property
    def message_id(self) -> str:
        """The same at every try."""
        return f"msg_{self.job_id.removeprefix('job_')}_{self.state}"


@dataclass(frozen=True)
class Due:
    """A registered webhook: whether it is disabled, and when its next delivery is due; None: none waits."""

    webhook: str
    is_disabled: bool
    next_at: datetime | None

    def is_now(self, now: datetime) -> bool:
        """Whether something is due."""
        return is_due_at(self.next_at, now, MAX_AHEAD)


class Outbox:
    """The outbox of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.run_in_thread = database.run_in_thread

    # -- who is told -------------------------------------------------------------------------------------------------

    def register(self, hooks: Mapping[str, Webhook]) -> Sequence[str]:
        """Have these webhooks told from now on, and no others; returns those that are not told any more. Another
        address enables a webhook again."""
        with self._database.write() as connection:
            self._database.lock(connection, "webhooks")
            rows = connection.execute(select(webhooks.c.name, webhooks.c.url_sha256)).all()
            known = {name: url_sha256 for name, url_sha256 in rows}
            gone = sorted(known.keys() - hooks.keys())
            for name in gone:
                connection.execute(delete(webhooks).where(webhooks.c.name == name))
            for name, hook in hooks.items():
                values = {"url_sha256": hook.url_sha256, "disabled_at": None}
                if name not in known:
                    connection.execute(insert(webhooks), values | {"name": name})
                elif known[name] != hook.url_sha256:
                    connection.execute(update(webhooks).where(webhooks.c.name == name).values(**values))
                _subscribe(connection, hook)
            return gone

    def disable(self, hook: Webhook, now: datetime) -> bool:
        """It wants no more; false where it has another address by now."""
        its = (webhooks.c.name == hook.name, webhooks.c.url_sha256 == hook.url_sha256)
        with self._database.write() as connection:
            return connection.execute(update(webhooks).where(*its).values(disabled_at=now)).rowcount == 1

    # -- what is due -------------------------------------------------------------------------------------------------

    async def read_due(self) -> Sequence[Due]:
        """All registered webhooks. Cheap; empty while nothing can be read."""
        rows = await self._database.quick_read(DUE, ())
        return [
            Due(name, disabled_at is not None, Moment().process_result_value(next_at, None))
            for name, disabled_at, next_at in rows
        ]

    def claim(self, webhook: str, now: datetime, limit: int) -> Sequence[Delivery]:
        """Deliveries that are due, for LEASE: the longest due first."""
        due: tuple[Any, ...] = (
            deliveries.c.webhook == webhook,
            literal_column(IS_TO_SEND),
            due_rows(deliveries.c.next_at, now, MAX_AHEAD),
        )
        columns = (*KEY, deliveries.c.caller, deliveries.c.request_key, deliveries.c.ended_at, deliveries.c.tries)
        query = select(*columns).where(*due).order_by(deliveries.c.next_at).limit(limit)
        with self._database.write(durable=False) as connection:
            found = [
                Delivery(*row[:4], row.request_key or "", row.ended_at, row.tries + 1)
                for row in connection.execute(query.with_for_update(skip_locked=True))
            ]
            claimed = {"next_at": now + LEASE, "tries": deliveries.c.tries + 1}
            for each in found:
                connection.execute(update(deliveries).where(*_is(each)).values(**claimed))
        return found

    def delivered(self, delivery: Delivery, answer: str) -> None:
        """It was taken, whatever others made of it meanwhile."""
        self._change(*_is(delivery), outcome=Outcome.DELIVERED, answer=answer)

    def failed(self, delivery: Delivery, answer: str, now: datetime, wait_s: float = 0) -> Outcome:
        """It was not taken: it is due again as the schedule says, or after `wait_s` where that is longer."""
        if delivery.tries > len(AFTER_S):
            self._change(*_is_ours(delivery), outcome=Outcome.GIVEN_UP, answer=answer)
            return Outcome.GIVEN_UP
        next_at = now + timedelta(seconds=max(AFTER_S[delivery.tries - 1], wait_s))
        self._change(*_is_ours(delivery), next_at=next_at, answer=answer)
        return Outcome.WAITING

    def give_back(self, delivery: Delivery, now: datetime) -> None:
        """It was not tried to the end, and is due at once."""
        self._change(*_is_ours(delivery), next_at=now, tries=delivery.tries - 1)

    def not_told(self, delivery: Delivery, answer: str) -> None:
        """Its webhook is disabled."""
        self._change(*_is(delivery), outcome=Outcome.DISABLED, answer=answer)

    def not_wanted(self, delivery: Delivery) -> None:
        """Its webhook does not want it any more; where another process has registered since that it does, it is left
        to that one."""
        with self._database.write(durable=False) as connection:
            is_wanted = delivery.webhook in subscribed(connection, delivery.state, delivery.caller)
            values = {"outcome": Outcome.DISABLED, "answer": "not wanted any more"}
            again = {"tries": delivery.tries - 1}
            connection.execute(update(deliveries).where(*_is_ours(delivery)).values(**again if is_wanted else values))

    def put_aside(self, webhook: str) -> bool:
        """Have what still waits for a disabled webhook wait no longer; whether there may be more of it."""
        waiting: tuple[Any, ...] = (deliveries.c.webhook == webhook, literal_column(IS_TO_SEND))
        disabled = select(webhooks.c.name).where(webhooks.c.name == webhook, webhooks.c.disabled_at.is_not(None))
        query = select(*KEY).where(*waiting).order_by(deliveries.c.next_at).limit(BATCH)
        with self._database.write(durable=False) as connection:
            if connection.execute(disabled.with_for_update()).first() is None:  # nobody enables it meanwhile
                return False
            keys = connection.execute(query).all()
            _update_all(connection, keys, {"outcome": Outcome.DISABLED})
        return len(keys) == BATCH

    def _change(self, *where: Any, **values: Any) -> None:
        with self._database.write(durable=False) as connection:
            connection.execute(update(deliveries).where(*where).values(**values))

    # -- what is old -------------------------------------------------------------------------------------------------

    def clean(self, now: datetime, told: Collection[str] = ()) -> int:
        """Remove some of what was settled long ago, of what nobody told in all its time, and of what a webhook that is
        gone was not told; returns how many. Nothing is left once it returns 0. `told` are told from here, however
        late."""
        name = ""
        while name := self._next_name(name):
            for old in self._old(name, now, is_told=name in told):
                if count := self._remove_some(old):
                    return count
        return 0

    def _next_name(self, name: str) -> str:
        """The webhook after this one that has deliveries, whether or not it is registered."""
        query = select(deliveries.c.webhook).where(deliveries.c.webhook > name).order_by(deliveries.c.webhook).limit(1)
        with self._database.read() as connection:
            return connection.execute(query).scalar() or ""

    def _old(self, name: str, now: datetime, *, is_told: bool) -> Sequence[Any]:
        its = deliveries.c.webhook == name
        with self._database.read() as connection:
            is_there = connection.execute(select(webhooks.c.name).where(webhooks.c.name == name)).first()
        if not is_there:
            return [select(*KEY).where(its).order_by(deliveries.c.ended_at)]
        # the claim for its last try has put next_at a LEASE behind that
        is_past = and_(deliveries.c.ended_at < now - KEPT, deliveries.c.next_at < now - KEPT + LEASE)
        is_old = and_(is_past, deliveries.c.outcome != Outcome.WAITING)
        for_good = or_(deliveries.c.state != "unknown", deliveries.c.ended_at < now - KEPT_UNKNOWN)
        waits: tuple[Any, ...] = (literal_column(IS_TO_SEND), deliveries.c.next_at < now - TOLD_WITHIN)
        settled = select(*KEY).where(its, is_old, for_good).order_by(deliveries.c.ended_at)
        return [settled] if is_told else [settled, select(*KEY).where(its, *waits).order_by(deliveries.c.next_at)]

    def _remove_some(self, query: Any) -> int:
        with self._database.write(durable=False) as connection:
            keys = connection.execute(query.limit(BATCH).with_for_update(skip_locked=True)).all()
            if keys:
                connection.execute(delete(deliveries).where(tuple_(*KEY).in_(keys)))
            return len(keys)


def subscribed(connection: Connection, state: str, caller: str) -> Sequence[str]:
    """The webhooks that are told of this end of a job of this caller."""
    rows = connection.execute(select(subscriptions).where(subscriptions.c.state == state)).all()
    return sorted({row.webhook for row in rows if Named(row.caller, row.is_prefix).is_said_of(caller)})


def _update_all(connection: Connection, keys: Sequence[Any], values: Mapping[str, Any]) -> None:
    if keys:
        connection.execute(update(deliveries).where(tuple_(*KEY).in_(keys)).values(**values))


def _subscribe(connection: Connection, hook: Webhook) -> None:
    wanted = {(state.value, each.text, each.is_prefix) for state in hook.states for each in hook.callers}
    columns = (subscriptions.c.state, subscriptions.c.caller, subscriptions.c.is_prefix)
    its = subscriptions.c.webhook == hook.name
    known = {tuple(row) for row in connection.execute(select(*columns).where(its))}
    for row in known - wanted:
        is_it = [column == value for column, value in zip(columns, row, strict=True)]
        connection.execute(delete(subscriptions).where(its, *is_it))
    names = ("state", "caller", "is_prefix")
    if missing := [dict(zip(names, row, strict=True), webhook=hook.name) for row in sorted(wanted - known)]:
        connection.execute(insert(subscriptions), missing)


def _is(delivery: Delivery) -> tuple[Any, ...]:
    return (
        deliveries.c.webhook == delivery.webhook,
        deliveries.c.job_id == delivery.job_id,
        deliveries.c.state == delivery.state,
    )


def _is_ours(delivery: Delivery) -> tuple[Any, ...]:
    """As long as nobody else has claimed or settled it."""
    return (*_is(delivery), deliveries.c.tries == delivery.tries, deliveries.c.outcome == Outcome.WAITING)
