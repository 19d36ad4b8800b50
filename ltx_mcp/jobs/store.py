"""What is remembered: each method is one transaction, and every move of a job writes its event in the same one.

Blocking; async code calls these through `Database.do`. Only a job's holder moves it, under its fence, along MOVES.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from ltx_mcp.domain.errors import CallerError, ErrorCode, Problem
from ltx_mcp.domain.job import ENDED, LIVE, MOVES, Bill, Cancel, Event, Job, State
from ltx_mcp.domain.plan import Offer
from ltx_mcp.domain.price import from_micro, to_micro, to_text
from ltx_mcp.domain.request import Input, fingerprint
from ltx_mcp.jobs.database import Database
from ltx_mcp.jobs.rows import to_columns, to_job
from ltx_mcp.jobs.rules import for_history, handed_back, new_job_id, next_offer, same_or_refused
from ltx_mcp.jobs.schema import events, jobs

REPEAT_WINDOW = timedelta(minutes=2)
NOTHING = to_columns({"adjustments": (), "film": None, "error": None})


class LostClaimError(Exception):
    """The job is no longer ours to move: cancelled, or taken by another process. Not a failure of the job."""


@dataclass(frozen=True)
class NewJob:
    """A checked, planned and priced request, about to become a row."""

    caller: str
    request_key: str
    normal: dict[str, str]
    offers: tuple[Offer, ...]
    inputs: tuple[Input, ...]


@dataclass(frozen=True)
class Placed:
    """The job of a request; `fresh` is false when it was there already."""

    job: Job
    fresh: bool


@dataclass(frozen=True)
class Live:
    """What a runner needs to know of a live job; `wished_cancelled` until the provider was told."""

    id: str
    holder: str
    provider: str
    next_at: datetime
    wished_cancelled: bool


@dataclass(frozen=True)
class Budget:
    """One UTC day's money in micro-dollars; `limit` None is no limit."""

    limit: int | None
    booked: int
    held: int

    @property
    def left(self) -> int | None:
        """What may still be ordered today."""
        return None if self.limit is None else max(0, self.limit - self.booked - self.held)


class Store:
    """The jobs of one database."""

    def __init__(self, database: Database, *, budget_usd: Decimal | None = None) -> None:
        self._database = database
        self._limit = None if budget_usd is None else to_micro(budget_usd)
        self.do = database.do

    # -- placing ------------------------------------------------------------------------------------------------

    def place(self, new: NewJob, now: datetime) -> Placed:
        """The request's job: the one it already has, or a new row with its price held.

        Raises CallerError when the key belongs to another request, or the day's budget does not reach.
        """
        with self._database.write() as connection:
            if found := self._same(connection, new.caller, new.request_key, new.normal, now):
                return Placed(found, fresh=False)
            self._check_budget(connection, new.offers[0], now)
            job_id = new_job_id()
            connection.execute(insert(jobs), self._first_row(connection, job_id, new, now))
            self._record(connection, job_id, now, "placed", {"provider": new.offers[0].provider})
            return Placed(self._load(connection, job_id), fresh=True)

    def find_same(self, caller: str, request_key: str, normal: dict[str, str], now: datetime) -> Job | None:
        """The job this request already has, if any."""
        with self._database.read() as connection:
            return self._same(connection, caller, request_key, normal, now)

    def _same(
        self, connection: Connection, caller: str, request_key: str, normal: dict[str, str], now: datetime
    ) -> Job | None:
        if request_key:
            row = connection.execute(
                select(jobs).where(jobs.c.caller == caller, jobs.c.request_key == request_key)
            ).first()
            return same_or_refused(to_job(row._mapping), normal) if row else None
        recent = and_(jobs.c.state.in_([State.SUCCEEDED, State.UNKNOWN]), jobs.c.finished_at >= now - REPEAT_WINDOW)
        row = connection.execute(
            select(jobs)
            .where(jobs.c.caller == caller, jobs.c.fingerprint == fingerprint(normal), jobs.c.request_key.is_(None))
            .where(or_(jobs.c.state.in_(LIVE), recent))
            .order_by(jobs.c.created_at.desc())
        ).first()
        return to_job(row._mapping) if row else None

    def _first_row(self, connection: Connection, job_id: str, new: NewJob, now: datetime) -> dict[str, Any]:
        offer = new.offers[0]
        return NOTHING | to_columns(
            {
                "id": job_id,
                "caller": new.caller,
                "request_key": new.request_key or None,
                "fingerprint": fingerprint(new.normal),
                "normal": new.normal,
                "operation": offer.operation,
                "prompt": offer.prompt,
                "state": State.QUEUED,
                "bill": Bill.HELD,
                "day": now.date().isoformat(),
                "offers": new.offers,
                "offer_index": 0,
                "provider": offer.provider,
                "inputs": new.inputs,
                "cost_micro": to_micro(offer.cost_usd),
                "held_micro": to_micro(offer.held_usd),
                "waits_for": self._first_live(connection, new.inputs),
                "holder": "",
                "sent_by": "",
                "fence": 0,
                "revision": 0,
                "attempts": 0,
                "tries": 0,
                "note": "",
                "result_url": "",
                "cancel_wanted": False,
                "next_at": now,
                "created_at": now,
            }
        )

    def _first_live(self, connection: Connection, inputs: Sequence[Input]) -> str:
        ids = [given.job_id for given in inputs if given.job_id]
        found = connection.execute(select(jobs.c.id).where(jobs.c.id.in_(ids), jobs.c.state.in_(LIVE))).scalars().all()
        return next((job_id for job_id in ids if job_id in found), "")

    def _check_budget(self, connection: Connection, offer: Offer, now: datetime) -> None:
        budget = self._budget(connection, now)
        if budget.left is not None and to_micro(offer.held_usd) > budget.left:
            raise CallerError(
                ErrorCode.OVER_BUDGET,
                f"This costs {to_text(offer.cost_usd)} USD; {to_text(from_micro(budget.left))} USD are left of today's "
                f"budget of {to_text(from_micro(budget.limit or 0))} USD.",
                "Ask for less, wait until 00:00 UTC, or let the operator raise LTX_MCP_BUDGET_USD_PER_DAY.",
            )

    # -- holding and moving -------------------------------------------------------------------------------------

    def claim(
        self, worker: str, slots: Mapping[str, int], now: datetime, able: AbstractSet[str] | None = None
    ) -> Job | None:
        """Take the oldest job that is due and held by nobody; `slots` are the most a provider may have held, `able`
        the providers that can be served from here (None: all)."""
        free = and_(jobs.c.state.in_(LIVE), jobs.c.holder == "", jobs.c.waits_for == "", jobs.c.next_at <= now)
        with self._database.write(durable=False) as connection:
            busy = {provider: held for provider, held in connection.execute(_held_by_provider())}
            full = [name for name, most in slots.items() if busy.get(name, 0) >= most]
            query = select(jobs.c.id).where(free, jobs.c.provider.not_in(full))
            if able is not None:
                query = query.where(jobs.c.provider.in_(able))
            row = connection.execute(query.order_by(jobs.c.created_at).limit(1)).first()
            if row is None:
                return None
            changes = {"holder": worker, "fence": jobs.c.fence + 1, "revision": jobs.c.revision + 1}
            connection.execute(update(jobs).where(jobs.c.id == row.id).values(**changes))
            return self._load(connection, row.id)

    def move(self, job: Job, to: State, now: datetime, what: str = "", **changes: Any) -> Job:
        """The holder's next step, with its event. Raises LostClaimError when the job is no longer as `job` says."""
        assert to in MOVES[job.state], f"{job.state} -> {to}"
        same = (jobs.c.id == job.id, jobs.c.fence == job.fence, jobs.c.holder == job.holder, jobs.c.state == job.state)
        with self._database.write() as connection:
            self._change(connection, same, self._ending(to, now) | {"state": to} | changes)
            return self._moved(connection, job.id, to, now, what or str(to), changes)

    def answer(self, job: Job, to: State, now: datetime, what: str, **changes: Any) -> Job:
        """The order's own answer, which may come after others gave the job up: it counts while `sent_by` says so."""
        open_states = [State.SUBMITTING, State.UNKNOWN]
        sent = (jobs.c.id == job.id, jobs.c.sent_by == job.holder, jobs.c.state.in_(open_states))
        healed = {"state": to, "holder": job.holder, "finished_at": None, "error": None}
        with self._database.write() as connection:
            self._change(connection, sent, healed | self._ending(to, now) | changes)
            return self._moved(connection, job.id, to, now, what, changes)

    def move_on(self, job: Job, problem: Problem, now: datetime) -> Job:
        """After a sure no: give the price back, hold the next offer's, and queue again; the end where none is left."""
        same = (jobs.c.id == job.id, jobs.c.fence == job.fence, jobs.c.state.in_([State.QUEUED, State.SUBMITTING]))
        refused = {"provider": job.offer.provider, "error": problem.code, "message": problem.message}
        with self._database.write() as connection:
            index = next_offer(job, problem.code)
            self._change(connection, same, {"bill": Bill.RELEASED})
            try:
                if index == len(job.offers):
                    raise CallerError(problem.code, problem.message)
                self._check_budget(connection, job.offers[index], now)
            except CallerError:
                end = self._ending(State.FAILED, now) | {"state": State.FAILED, "error": problem}
                self._change(connection, (jobs.c.id == job.id,), end)
                return self._moved(connection, job.id, State.FAILED, now, "failed", refused)
            offer = job.offers[index]
            next_try = {"state": State.QUEUED, "bill": Bill.HELD, "offer_index": index, "provider": offer.provider}
            next_try |= {"cost_micro": to_micro(offer.cost_usd), "held_micro": to_micro(offer.held_usd), "tries": 0}
            next_try |= {"sent_by": "", "holder": "", "next_at": now, "note": ""}
            self._change(connection, (jobs.c.id == job.id,), next_try)
            return self._moved(connection, job.id, State.QUEUED, now, "next_offer", refused)

    def turn_away(self, job: Job, problem: Problem, now: datetime, wait: timedelta) -> Job:
        """The provider surely did not take it, and asks to come back: the same offer again, `wait` from now."""
        same = (jobs.c.id == job.id, jobs.c.fence == job.fence, jobs.c.state == State.SUBMITTING)
        later = {"state": State.QUEUED, "sent_by": "", "holder": "", "next_at": now + wait, "note": problem.message}
        detail = {"provider": job.offer.provider, "error": problem.code, "wait_s": round(wait.total_seconds(), 1)}
        with self._database.write() as connection:
            self._change(connection, same, later | {"tries": job.tries + 1})
            return self._moved(connection, job.id, State.QUEUED, now, "turned_away", detail)

    def ask_again(self, caller: str, job_id: str, now: datetime) -> Job | None:
        """Have the provider asked once more about an order whose end nobody has seen, where it can be asked."""
        with self._database.write() as connection:
            job = self._find(connection, caller, job_id)
            if job is None or job.state is not State.UNKNOWN or job.remote is None:
                return job
            again = {"state": State.RUNNING, "holder": "", "next_at": now, "finished_at": None}
            self._change(connection, (jobs.c.id == job_id, jobs.c.state == State.UNKNOWN), again)
            return self._moved(connection, job_id, State.RUNNING, now, "asked_again", {})

    def note(self, job: Job, **changes: Any) -> Job:
        """Progress and the like: no move, no event, and no fsync. Raises LostClaimError."""
        same = (jobs.c.id == job.id, jobs.c.fence == job.fence, jobs.c.holder == job.holder, jobs.c.state == job.state)
        with self._database.write(durable=False) as connection:
            self._change(connection, same, changes)
            return self._load(connection, job.id)

    def wish_cancel(self, caller: str, job_id: str, now: datetime) -> Job | None:
        """Cancel what was never sent; else leave the wish for the holder. None when the caller has no such job."""
        with self._database.write() as connection:
            job = self._find(connection, caller, job_id)
            if job is None or not job.live or job.cancel_wanted:
                return job
            here = (jobs.c.id == job_id,)
            if job.state is State.QUEUED:
                never = {"state": State.CANCELLED, "cancel": Cancel.NEVER_SENT, "bill": Bill.RELEASED}
                self._change(connection, here, self._ending(State.CANCELLED, now) | never | {"cancel_wanted": True})
                return self._moved(connection, job_id, State.CANCELLED, now, "cancelled", {})
            late = {"cancel": Cancel.NOT_POSSIBLE} if job.state is State.SAVING else {}
            self._change(connection, here, {"cancel_wanted": True} | late)
            self._record(connection, job_id, now, "cancel_wanted", {})
            return self._load(connection, job_id)

    def let_go(
        self, worker: str, repeatable: AbstractSet[str], now: datetime, *, died: bool, but: Sequence[State] = ()
    ) -> int:
        """Hand back what `worker` held, but for the states `but`, by what is sure about each job; returns how many.

        `repeatable` are the providers with whom nothing is ordered, so that work cut short can be done again.
        """
        mine = (jobs.c.holder == worker, jobs.c.state.in_(LIVE - frozenset(but)))
        with self._database.write() as connection:
            held = connection.execute(select(jobs).where(*mine)).all()
            for row in held:
                job = to_job(row._mapping)
                changes = handed_back(job, job.offer.provider in repeatable, died)
                to = changes.get("state", job.state)
                self._change(connection, (jobs.c.id == job.id,), self._ending(to, now) | changes | {"holder": ""})
                self._moved(connection, job.id, to, now, "holder_died" if died else "handed_over", {"from": worker})
            return len(held)

    # -- looking ------------------------------------------------------------------------------------------------

    def get(self, job_id: str, caller: str | None = None) -> Job | None:
        """One job; with `caller`, only that caller's."""
        with self._database.read() as connection:
            return self._find(connection, caller, job_id)

    def page(self, caller: str, state: str, limit: int, before: tuple[datetime, str] | None) -> list[Job]:
        """Newest first, those older than the job named by its time and id."""
        query = select(jobs).where(jobs.c.caller == caller)
        if state:
            query = query.where(jobs.c.state == state)
        if before:
            at, job_id = before
            query = query.where(or_(jobs.c.created_at < at, and_(jobs.c.created_at == at, jobs.c.id < job_id)))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)).all()
            return [to_job(row._mapping) for row in rows]

    def revisions(self, job_ids: Sequence[str]) -> dict[str, int]:
        """How often each of these jobs has changed; asked many times a second, so not through SQLAlchemy."""
        marks = ", ".join("?" * len(job_ids))
        return dict(self._database.peek(f"SELECT id, revision FROM jobs WHERE id IN ({marks})", job_ids))

    def is_unwanted(self, job: Job) -> bool:
        """Whether its holder should look again: it was cancelled, or taken away. Cheap enough for an event loop."""
        found = self._database.peek("SELECT cancel_wanted, fence FROM jobs WHERE id = ?", (job.id,))
        return any(wanted or fence != job.fence for wanted, fence in found)

    def live(self) -> list[Live]:
        """Every live job that does not wait for another one."""
        columns = (jobs.c.id, jobs.c.holder, jobs.c.provider, jobs.c.next_at, jobs.c.cancel_wanted, jobs.c.cancel)
        query = select(*columns).where(jobs.c.state.in_(LIVE), jobs.c.waits_for == "")
        with self._database.read() as connection:
            return [Live(*row[:4], row.cancel_wanted and row.cancel is None) for row in connection.execute(query)]

    def ahead(self, job: Job) -> int:
        """How many jobs of the same provider come before a queued one: held ones and older waiting ones."""
        older = or_(jobs.c.holder != "", jobs.c.created_at < job.created_at)
        query = select(func.count()).where(
            jobs.c.provider == job.offer.provider,
            jobs.c.state.in_(LIVE),
            jobs.c.waits_for == "",
            jobs.c.id != job.id,
            older,
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def history(self, job_id: str) -> list[Event]:
        """All that happened to a job, oldest first."""
        query = select(events.c.at, events.c.what, events.c.detail).where(events.c.job_id == job_id)
        with self._database.read() as connection:
            return [Event(*row) for row in connection.execute(query.order_by(events.c.id))]

    def budget(self, now: datetime) -> Budget:
        """Today's money."""
        with self._database.read() as connection:
            return self._budget(connection, now)

    # -- inside a transaction -----------------------------------------------------------------------------------

    def _budget(self, connection: Connection, now: datetime) -> Budget:
        amount = func.coalesce(jobs.c.charged_micro, jobs.c.held_micro)
        query = select(jobs.c.bill, func.sum(amount)).where(jobs.c.day == now.date().isoformat()).group_by(jobs.c.bill)
        sums = {bill: amount for bill, amount in connection.execute(query)}
        return Budget(self._limit, int(sums.get(Bill.BOOKED, 0)), int(sums.get(Bill.HELD, 0)))

    def _find(self, connection: Connection, caller: str | None, job_id: str) -> Job | None:
        query = select(jobs).where(jobs.c.id == job_id)
        if caller is not None:
            query = query.where(jobs.c.caller == caller)
        row: Row[Any] | None = connection.execute(query).first()
        return to_job(row._mapping) if row else None

    def _load(self, connection: Connection, job_id: str) -> Job:
        job = self._find(connection, None, job_id)
        assert job is not None
        return job

    def _change(self, connection: Connection, where: Sequence[Any], changes: Mapping[str, Any]) -> None:
        values = to_columns(changes) | {"revision": jobs.c.revision + 1}
        if connection.execute(update(jobs).where(*where).values(**values)).rowcount != 1:
            raise LostClaimError

    def _ending(self, to: State, now: datetime) -> dict[str, Any]:
        return {"finished_at": now, "holder": ""} if to in ENDED else {}

    def _moved(
        self, connection: Connection, job_id: str, to: State, now: datetime, what: str, detail: Mapping[str, Any]
    ) -> Job:
        """The event of a move; an end also wakes the jobs that waited for this one."""
        self._record(connection, job_id, now, what, for_history(detail))
        if to in ENDED:
            woken = {"waits_for": "", "next_at": now, "revision": jobs.c.revision + 1}
            connection.execute(update(jobs).where(jobs.c.waits_for == job_id).values(**woken))
        return self._load(connection, job_id)

    def _record(self, connection: Connection, job_id: str, now: datetime, what: str, detail: Mapping[str, Any]) -> None:
        connection.execute(insert(events), {"job_id": job_id, "at": now, "what": what, "detail": dict(detail)})


def _held_by_provider() -> Any:
    return (
        select(jobs.c.provider, func.count())
        .where(jobs.c.holder != "", jobs.c.state.in_(LIVE))
        .group_by(jobs.c.provider)
    )
