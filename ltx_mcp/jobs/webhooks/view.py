"""What an operator sees of the webhooks, and has them told once more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, literal_column, select, tuple_, update

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import TERMINAL_STATES
from ltx_mcp.domain.quoting import list_names, quote
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.schema import IS_TO_SEND, deliveries, jobs, sets, webhooks
from ltx_mcp.jobs.webhooks.outbox import BATCH, KEY, Outcome, subscribed


@dataclass(frozen=True)
class LastTry:
    """What a webhook answered, or why it did not, when it was told of this job; `outcome` is empty while it is to be
    tried again."""

    job_id: str
    state: str
    outcome: str
    answer: str
    ended_at: datetime


@dataclass(frozen=True)
class WebhookStatus:
    """A registered webhook. `waiting`: how many deliveries are still to be made; `oldest_at`: when the first job of
    these ended; `last` is about the job that ended last of those it was told of."""

    name: str
    disabled_at: datetime | None
    waiting: int
    oldest_at: datetime | None
    last: LastTry | None


@dataclass(frozen=True)
class Replayed:
    """How many deliveries of a webhook are made once more, and whether that enabled it."""

    webhook: str
    count: int
    was_disabled: bool


class WebhooksView:
    """The webhooks of one database. Blocking."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.run_in_thread = database.run_in_thread

    def list(self) -> Sequence[WebhookStatus]:
        """All that are registered, by name."""
        query = select(webhooks.c.name, webhooks.c.disabled_at).order_by(webhooks.c.name)
        with self._database.read() as connection:
            return [_status(connection, *row) for row in connection.execute(query)]

    def replay_since(self, webhook: str, since: datetime, now: datetime, *, all_of_them: bool) -> Replayed:
        """Have a webhook told once more of jobs that ended since then: those it does not know of, or all. Raises
        CallerError for a webhook that is not registered."""
        was_disabled, count, last = self._enable(webhook), 0, (since, "", "")
        while True:
            with self._database.write() as connection:
                found = connection.execute(_ended_after(webhook, last)).all()
                if not found:
                    return Replayed(webhook, count, was_disabled)
                keys = [(webhook, row.job_id, row.state) for row in found if all_of_them or not _is_known(row.outcome)]
                if keys:
                    connection.execute(update(deliveries).where(tuple_(*KEY).in_(keys)).values(**_anew(now)))
                count += len(keys)
                last = tuple(found[-1][:3])

    def replay_jobs(self, job_ids: Sequence[str], webhook: str, now: datetime) -> Sequence[Replayed]:
        """Have the webhooks, or only this one, told once more how these jobs ended, whether or not they know. Raises
        CallerError for a job that has not ended and for a webhook that is not registered."""
        with self._database.read() as connection:
            ended = [_ended(connection, job_id) for job_id in job_ids]
            names = self._names(connection, webhook)
        told: dict[str, list[Any]] = {name: [] for name in names}
        with self._database.write() as connection:
            for job in ended:
                for name in subscribed(connection, job.state, job.caller):
                    if name in told:
                        told[name].append(job)
            return [_replay(connection, name, its_jobs, now) for name, its_jobs in told.items() if its_jobs]

    def _names(self, connection: Connection, webhook: str) -> Sequence[str]:
        """The registered webhooks, or this one. Raises CallerError."""
        known = connection.execute(select(webhooks.c.name).order_by(webhooks.c.name)).scalars().all()
        if webhook and webhook not in known:
            there = f"registered are {list_names(known)}" if known else "none is registered"
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"There is no webhook {quote(webhook)}; {there}.",
                "A server registers those of the file that LTX_MCP_WEBHOOKS names.",
            )
        return (webhook,) if webhook else known

    def _enable(self, webhook: str) -> bool:
        """Whether it was disabled until now. Raises CallerError."""
        with self._database.write() as connection:
            self._names(connection, webhook)
            return _enable(connection, webhook)


def _enable(connection: Connection, webhook: str) -> bool:
    its = (webhooks.c.name == webhook, webhooks.c.disabled_at.is_not(None))
    return connection.execute(update(webhooks).where(*its).values(disabled_at=None)).rowcount == 1


def _replay(connection: Connection, webhook: str, ended: Sequence[Any], now: datetime) -> Replayed:
    was_disabled = _enable(connection, webhook)  # first: a server puts aside what waits for one that is disabled
    for job in ended:
        _tell_anew(connection, webhook, job, now)
    return Replayed(webhook, len(ended), was_disabled)


def _status(connection: Connection, name: str, disabled_at: datetime | None) -> WebhookStatus:
    its: Any = deliveries.c.webhook == name
    waits = select(func.count(), func.min(deliveries.c.ended_at)).where(its, literal_column(IS_TO_SEND))
    waiting, oldest_at = connection.execute(waits).one()
    columns = (
        deliveries.c.job_id,
        deliveries.c.state,
        deliveries.c.outcome,
        deliveries.c.answer,
        deliveries.c.ended_at,
    )
    tried = select(*columns).where(its, deliveries.c.answer != "").order_by(deliveries.c.ended_at.desc()).limit(1)
    last = connection.execute(tried).first()
    return WebhookStatus(name, disabled_at, waiting, oldest_at, LastTry(*last) if last else None)


def _ended_after(webhook: str, last: tuple[Any, ...]) -> Any:
    """The next deliveries of a webhook behind this one."""
    order = (deliveries.c.ended_at, deliveries.c.job_id, deliveries.c.state)
    behind = tuple_(*order) > tuple_(*last, types=[column.type for column in order])
    query = select(*order, deliveries.c.outcome).where(deliveries.c.webhook == webhook, behind)
    return query.order_by(*order).limit(BATCH)


def _is_known(outcome: str) -> bool:
    return outcome == Outcome.DELIVERED


def _anew(now: datetime) -> dict[str, Any]:
    return {"outcome": Outcome.WAITING, "answer": "", "tries": 0, "next_at": now}


def _ended(connection: Connection, job_id: str) -> Any:
    of_set = select(sets.c.request_key).where(sets.c.id == jobs.c.set_id).scalar_subquery()
    key = func.coalesce(jobs.c.request_key, of_set).label("request_key")
    columns = (jobs.c.id, jobs.c.state, jobs.c.caller, key, jobs.c.finished_at)
    job = connection.execute(select(*columns).where(jobs.c.id == job_id)).one()
    if job.state not in TERMINAL_STATES:
        message = f"{job_id} is {job.state}; webhooks are told of a job that has ended."
        raise CallerError(ErrorCode.INVALID_REQUEST, message)
    return job


def _tell_anew(connection: Connection, webhook: str, job: Any, now: datetime) -> None:
    key = {"webhook": webhook, "job_id": job.id, "state": job.state}
    is_it = [deliveries.c[name] == value for name, value in key.items()]
    if connection.execute(update(deliveries).where(*is_it).values(**_anew(now))).rowcount:
        return
    ended = {"caller": job.caller, "request_key": job.request_key, "ended_at": job.finished_at or now}
    connection.execute(insert(deliveries), key | ended | _anew(now))
