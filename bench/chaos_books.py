"""What the database says after a run, read past the product's own store: rows, history, and the money replayed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.engine import make_url

from ltx_mcp.domain.job import ACTIVE_STATES, ChargeState, Job
from ltx_mcp.domain.price import to_micro
from ltx_mcp.jobs.store.rows import to_job
from ltx_mcp.jobs.store.schema import events, jobs, spent

IDS = ("request_id", "job_id", "id")
PREFIX = "postgresql"
Key = tuple[str, ...]
"""Day, scope and bill."""


@dataclass(frozen=True)
class Line:
    """One event, with its place in the order of all."""

    number: int
    job_id: str
    at: datetime
    what: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Books:
    """All jobs and all events; what the database counted of each day's money, and the same counted from its rows."""

    jobs: Mapping[str, Job]
    lines: Sequence[Line]
    bookings: Mapping[str, str]
    counters: Mapping[Key, int]
    recount: Mapping[Key, int]

    def history(self, job_id: str) -> list[Line]:
        """One job's events, oldest first."""
        return [line for line in self.lines if line.job_id == job_id]

    def by_prompt(self) -> dict[str, list[Job]]:
        """Jobs by what was asked for, first placed first: every request of a run has words of its own."""
        found: dict[str, list[Job]] = defaultdict(list)
        for job_id in dict.fromkeys(line.job_id for line in self.lines):
            found[self.jobs[job_id].prompt].append(self.jobs[job_id])
        return found


def connect(url: str, home: Path) -> Engine:
    """The run's database: that of `url`, or the SQLite file in `home`."""
    if not url.startswith(PREFIX):
        return create_engine(f"sqlite:///{home / 'jobs.sqlite'}")
    return create_engine(make_url(url).set(drivername=f"{PREFIX}+psycopg"))


def count_live(engine: Engine) -> int:
    """How many jobs something still happens to."""
    with engine.connect() as connection:
        query = select(func.count()).select_from(jobs).where(jobs.c.state.in_(ACTIVE_STATES))
        return int(connection.execute(query).scalar_one())


def read_books(engine: Engine) -> Books:
    """Everything, at one moment."""
    with engine.connect() as connection:
        rows = connection.execute(select(jobs)).all()
        columns = (events.c.id, events.c.job_id, events.c.at, events.c.what, events.c.detail)
        lines = [Line(*row) for row in connection.execute(select(*columns).order_by(events.c.id))]
        counters = {tuple(row[:3]): row.micro for row in connection.execute(select(spent)) if row.micro}
    found = {row.id: to_job(row._mapping) for row in rows}
    return Books(found, lines, {row.id: row.bill for row in rows}, counters, _recount(rows))


def _recount(rows: Sequence[Any]) -> dict[Key, int]:
    counted: Counter[Key] = Counter()
    for row in rows:
        scopes = ["", f"caller:{row.caller}", *([f"team:{row.team}"] if row.team else [])]
        for scope in scopes if row.bill != ChargeState.RELEASED else ():
            counted[row.day, scope, row.bill] += row.held_micro if row.charged_micro is None else row.charged_micro
    return {key: micro for key, micro in counted.items() if micro}


def remote_id(job: Job) -> str:
    """The order's name at its provider, where one was told."""
    remote = job.provider_ref or {}
    return next((str(remote[name]) for name in IDS if name in remote), "")


def scopes_of(job: Job) -> list[str]:
    """Whose budgets a job counts for."""
    return ["", f"caller:{job.caller}", *([f"team:{job.team}"] if job.team else [])]


def replay_money(books: Books, scope: str = "") -> tuple[int, list[str]]:
    """The most that was ever held and booked at once in a scope, in micro-dollars, and every job of it whose last entry
    is not what its row says. Events are taken in the order of their numbers."""
    amounts: Counter[str] = Counter()
    offers: Counter[str] = Counter()
    most, bills = 0, {}
    for line in books.lines:
        job = books.jobs[line.job_id]
        if scope not in scopes_of(job):
            continue
        if line.what == "placed":
            bills[job.id] = str(ChargeState.HELD)
        elif line.what == "next_offer":
            offers[job.id] = int(line.detail["offer_index"])
        elif line.what in ("failed", "cancelled") and "bill" not in line.detail:
            bills[job.id] = str(ChargeState.RELEASED)
        bills[job.id] = str(line.detail.get("bill", bills.get(job.id, ChargeState.HELD)))
        kept = bills[job.id] != ChargeState.RELEASED
        amounts[job.id] = _amount(job, offers[job.id], line) if kept else 0
        most = max(most, amounts.total())
    told = {job_id: bill for job_id, bill in books.bookings.items() if scope in scopes_of(books.jobs[job_id])}
    wrong = [job_id for job_id, bill in told.items() if bills.get(job_id) != bill]
    return most, wrong


def _amount(job: Job, offer_index: int, line: Line) -> int:
    ended_as_row = offer_index == job.offer_index and line.what not in ("placed", "next_offer")
    if ended_as_row and job.charged_micro is not None:
        return job.charged_micro
    return to_micro(job.offers[offer_index].at_most_usd)
