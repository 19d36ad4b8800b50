"""No statement about jobs reads a table that grows from beginning to end: PostgreSQL is asked how it does each. A place
of the program that executes one and was not tried here fails too."""

import ast
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, event, text

import ltx_mcp
from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs import recovery as recovering
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.cancellation import Cancellation
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.gauges import Gauges
from ltx_mcp.jobs.keeping import Keeping
from ltx_mcp.jobs.operator import OperatorView
from ltx_mcp.jobs.overview import OverviewReader
from ltx_mcp.jobs.recovery import RecoveryStore, Resolution
from ltx_mcp.jobs.retention import Retention
from ltx_mcp.jobs.spend import read_spend
from ltx_mcp.jobs.steps.context import StepContext
from ltx_mcp.jobs.store.budget import check_rate
from ltx_mcp.jobs.store.claims import count_under_way
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.database_check import check_database, read_webhooks
from ltx_mcp.jobs.store.postgres import Postgres
from ltx_mcp.jobs.store.same import Repeat, identity_of
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.webhooks.file import Webhook
from ltx_mcp.jobs.webhooks.outbox import Outbox
from ltx_mcp.jobs.webhooks.view import WebhooksView
from ltx_mcp.jobs.workers.ownerless import alive_workers
from tests.conftest import Clock
from tests.databases import PostgresServer
from tests.jobs.test_store import New, ordered, priced

GROWING = ("jobs", "events", "job_inputs", "tombstones", "sets", "spent", "deliveries")
PROGRAM = Path(ltx_mcp.__file__).parent
EXECUTES = ("execute", "exec_driver_sql", "quick_read")
OF_OTHER_TABLES = {
    "jobs/confirmation.py",
    "jobs/prices.py",
    "jobs/store/large.py",
    "jobs/store/postgres.py",
    "jobs/store/sqlite.py",
    "jobs/store/upload_cache.py",
    "jobs/workers/heartbeat.py",
}
"""Files whose statements are about tables that do not grow with the jobs, or that are run once. So are migrations."""
ENDED, CALLERS, DAYS, EVENTS_EACH, WAITING = 20_000, 50, 100, 2, 200
PICTURE = "json_build_object('role', 'image', 'sha256', i::text)"
FILL = "INSERT INTO jobs ({names}) SELECT {values} FROM jobs, generate_series({first}, {last}) AS i WHERE id = :id"
PART = 2_000
LIMITS = CallerLimits("red", Decimal(1000), Decimal(1000), max_live_jobs=90, orders_per_minute=90)
STORES = (Store, RecoveryStore)
"""Each of their methods is tried."""


TOLD = """
INSERT INTO deliveries (webhook, job_id, state, caller, ended_at, next_at, tries, outcome, answer)
SELECT 'hook ' || i % 2, id, state, caller, finished_at, finished_at, 1,
    CASE WHEN right(id, 2) = '00' THEN '' ELSE 'delivered' END, 'HTTP 200'
FROM jobs, generate_series(1, 2) AS i WHERE finished_at IS NOT NULL
"""


@dataclass
class Plans:
    """Asks PostgreSQL how it does each statement that a database runs, just before it does."""

    scans: list[str] = field(default_factory=list)
    lines: set[tuple[str, int]] = field(default_factory=set)
    """Files and lines of the program that a statement came from."""
    called: set[str] = field(default_factory=set)
    """Names of the functions."""

    def explain(self, connection: Connection, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        """Called before each statement."""
        for frame in frames_of_callers():
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
            self.called.add(frame.f_code.co_qualname)
        if not statement.lstrip().startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            return
        other = connection.connection.cursor()
        first = parameters[0] if isinstance(parameters, list) else parameters  # a list: one statement for many rows
        other.execute(f"EXPLAIN (FORMAT JSON) {statement}", first or None)
        found: Any = other.fetchone()
        other.close()
        for node in nodes_of(found[0][0]["Plan"]):
            if node["Node Type"] == "Seq Scan" and node.get("Relation Name") in GROWING:
                self.scans.append(f"{node['Relation Name']}: {statement}")


def frames_of_callers() -> Iterator[FrameType]:
    """Those within the program."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename.startswith(str(PROGRAM)):
            yield frame
        frame = frame.f_back


def untried(lines: set[tuple[str, int]]) -> Iterator[str]:
    """The places that execute a statement, and that none of these lines is of."""
    for path in sorted((PROGRAM / "jobs").rglob("*.py")):
        name = path.relative_to(PROGRAM).as_posix()
        if name in OF_OTHER_TABLES or "/migrations/" in name:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in EXECUTES):
                continue
            said = node.args[0]
            if isinstance(said, ast.Constant) and not any(table in str(said.value) for table in GROWING):
                continue
            its_lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
            if not any((str(path), line) in lines for line in its_lines):
                yield f"{name}:{node.lineno}"


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes_of(part)


@pytest.fixture
def filled(home: Path, postgres: PostgresServer, new_job: New, clock: Clock) -> Iterator[Database]:
    """Many jobs of many callers that ended on many days, and some that wait, each with its history."""
    with closing(Database.open(home, postgres.new_database())) as database:
        job = Store(database).place(priced(new_job(), "0.30"), clock()).job
        day_us = 86_400_000_000
        ended = {
            "caller": f"'caller ' || i % {CALLERS}",
            "fingerprint": "'f' || i",
            "state": "CASE WHEN i % 1000 = 0 THEN 'unknown' ELSE 'succeeded' END",
            "bill": "CASE WHEN i % 1000 = 0 THEN 'held' ELSE 'booked' END",
            "day": f"to_char(date '2026-11-21' - i % {DAYS}, 'YYYY-MM-DD')",
            "created_at": f"created_at - i % {DAYS} * {day_us} - i",
            "finished_at": f"created_at - i % {DAYS} * {day_us}",
            "inputs": f"CASE i % 4 WHEN 0 THEN json_build_array({PICTURE}) ELSE inputs END",
            "request_key": "CASE WHEN i % 3 = 0 THEN 'k' || i END",
        }
        waiting = {
            "next_at": "next_at + 1800000000",
            "caller": f"'caller ' || i % {CALLERS}",
            "fingerprint": "'w' || i",
            "provider": "'other'",
        }
        _copy(database, job.id, ENDED, {"id": "'job_e' || i"} | ended)
        _copy(database, job.id, WAITING, {"id": "'job_w' || i"} | waiting)
        with database.write() as connection:
            connection.execute(
                text(
                    "INSERT INTO events (job_id, at, what, detail) SELECT id, created_at, 'e', '{}' "
                    f"FROM jobs, generate_series(1, {EVENTS_EACH}) AS i"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO tombstones SELECT 'caller ' || i % 50, 'old' || i, 'job_' || i, 'f' "
                    "FROM generate_series(1, 5000) AS i"
                )
            )
            connection.execute(
                text(
                    "INSERT INTO sets (id, caller, fingerprint, normal, created_at) SELECT 'set_' || i, "
                    "'caller ' || i % 50, 'f' || i, '{}', i FROM generate_series(1, 5000) AS i"
                )
            )
            connection.execute(text("INSERT INTO webhooks VALUES ('hook 0', '', NULL), ('hook 1', '', 0)"))
            connection.execute(text(TOLD))
            connection.execute(text("DELETE FROM events WHERE job_id = :id"), {"id": job.id})
            connection.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job.id})
        with database.write() as connection:
            connection.execute(text("ANALYZE"))
        yield database


def _copy(database: Database, job_id: str, rows: int, changed: dict[str, str]) -> None:
    """In parts: what triggers do for each row takes its time on a busy machine."""
    for first in range(1, rows + 1, PART):
        with database.write(durable=False) as connection:
            names = connection.execute(text("SELECT * FROM jobs LIMIT 0")).keys()
            values = ", ".join(changed.get(name, name) for name in names)
            part = {"first": first, "last": min(rows, first + PART - 1), "names": ", ".join(names), "values": values}
            connection.execute(text(FILL.format(**part)), {"id": job_id})


@pytest.fixture
def plans(filled: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plans]:
    """What the database is asked from here on."""
    plans = Plans()
    assert isinstance(filled.kind, Postgres)
    # in the thread that calls it, so that it is seen who does
    monkeypatch.setattr(filled.kind, "quick_read", partial(quick_read, filled.kind))
    event.listen(Engine, "before_cursor_execute", plans.explain)
    yield plans
    event.remove(Engine, "before_cursor_execute", plans.explain)


async def quick_read(kind: Postgres, query: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
    return kind._quick_read(query.replace("?", "%s"), tuple(values))


def test_no_statement_scans_a_table_that_grows(
    filled: Database, plans: Plans, home: Path, new_job: New, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(filled, budget_usd=Decimal(10_000), limits_of=lambda caller: LIMITS)
    live_a_life(store, new_job, clock)
    live_as_a_set(store, new_job, clock)
    look_at_everything(store, filled, home, new_job, clock)
    settle(store, filled, new_job, clock, monkeypatch)
    tell(store, filled, home, new_job, clock)
    assert Retention(filled, FileStore(home), DAYS - 10).clear(clock()) > 1_000
    assert plans.scans == []
    methods = {f"{store.__name__}.{name}" for store in STORES for name in vars(store) if not name.startswith("_")}
    assert methods - plans.called == set()
    missed = list(untried(plans.lines))
    assert missed == [], f"Try them here, or say in OF_OTHER_TABLES why not: {', '.join(missed)}"


def live_a_life(store: Store, new_job: New, clock: Clock) -> None:
    """Placed in each way, claimed, moved along, given up by its worker, cancelled."""
    new = priced(new_job(request_key="new", caller="caller 7"), "0.30", "0.40")
    for repeat in Repeat:
        store.check(replace(new, request_key=""), clock(), repeat)
        store.find_same(identity_of(new, repeat), clock())
    job = ordered(store, new, clock)
    assert store.place(new, clock()).job.id == job.id
    problem = JobError(ErrorCode.REJECTED, "No.")
    store.fail_over(job, problem, clock())
    job = store.transition(claimed(store, clock), State.SUBMITTING, clock(), submitted_by="w_a")
    store.requeue(job, problem, clock(), timedelta(0))
    job = claimed(store, clock)
    job = store.wait_for_sources(job, clock())
    job = claimed(store, clock)
    job = store.update(job, progress=0.5)
    job = store.transition(job, State.SUBMITTING, clock(), submitted_by="w_a", ordered_at=clock())
    job = store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    store.request_cancel("caller 7", job.id, clock())
    store.release_claims("w_a", frozenset(), clock(), died=True)
    job = claimed(store, clock)
    store.transition(store.transition(job, State.SAVING, clock()), State.SUCCEEDED, clock(), bill=ChargeState.BOOKED)
    stopped = ordered(store, priced(new_job(prompt="stopped"), "0.30"), clock)
    store.request_cancel("local", stopped.id, clock())
    assert store.read_round("w_a", {("fal", "")}).to_wake == (stopped.id,)
    store.release_claims("w_a", frozenset(), clock(), died=True)


def claimed(store: Store, clock: Clock, slots: int = 3) -> Job:
    accounts = {("fal", ""), ("fal1", ""), ("local", "")}
    job = store.claim("w_a", {"fal": slots, "local": slots}, clock(), accounts, frozenset({"local"}))
    assert job is not None
    return job


def live_as_a_set(store: Store, new_job: New, clock: Clock) -> None:
    new = priced(new_job(takes=2, caller="caller 9"), "0.30")
    made = store.place_set(new, clock()).job_set
    assert store.place_set(new, clock()).job_set.id == made.id
    store.find(f"{made.id}/2", "caller 9")
    store.named(made.id, "caller 9", 5)
    chained = replace(new_job(prompt="next", caller="caller 9"), inputs=(Input(role="image", job_id=made.takes[0].id),))
    follower = store.place(chained, clock()).job
    assert follower.blocked_by
    for each in (*made.takes, follower):
        store.request_cancel("caller 9", each.id, clock())


def look_at_everything(store: Store, database: Database, home: Path, new_job: New, clock: Clock) -> None:
    waiting = store.place(priced(new_job(prompt="waits", caller="caller 3"), "0.30"), clock()).job
    for before in (None, (clock(), "job_x")):
        store.page("caller 3", "", 20, before)
    operator = OperatorView(database)
    for whose in ("all", "caller|", "caller 3"):
        operator._page(whose, "", 20)
        operator._live(whose, ["running"])
    operator._owner("job_e7")
    reader = OverviewReader(database, Path(), None, lambda caller: CallerLimits(budget_usd=Decimal(1)), clock)
    for _ in range(2):
        seen = reader.read_now()
        assert (seen.slowest, seen.unknown, seen.nearest, seen.ends, seen.webhooks).count(()) == 0
    for caller in (None, "caller 3"):
        store.get("job_e7", caller)
        read_spend(database, caller, clock().date(), 2, store.budget(clock()), "caller")
        store.budgets(clock(), caller)
    store.page("caller 3", "failed", 20, None)
    read_spend(database, None, clock().date(), 2, store.budget(clock()), "team")
    store.named("job_e77", "caller 3", 3)
    with database.read() as connection:
        for worker in ("", "w_a"):
            count_under_way(connection, ("fal", ""), worker)
        with pytest.raises(CallerError, match="within the last minute"):
            check_rate(connection, "caller 3", 1, clock())
    assert Retention(database, FileStore(home), DAYS)._used(["1", "4"]) == {"4"}
    store.read_round("w_a", {("fal", "")})
    store.ask_now("job_e7")
    store.claims_of("w_a")
    store.live()
    store.count_ahead(waiting)
    store.history("job_e7")
    store.reload(waiting)
    no_wake: Callable[[str], None] = lambda job_id: None  # noqa: E731
    cancellation = Cancellation(database, no_wake, _never, clock)
    Keeping(database, cast(StepContext, None), clock)._needing("job_e7")
    cancellation.request("caller 3", [waiting.id])
    cancellation._get("caller 3", [waiting.id])
    for of in (store.revisions([waiting.id]), store.should_stop(waiting)):
        run_through(of)
    alive_workers(database, home)
    assert check_database(home, address_of(database))


def address_of(database: Database) -> str:
    assert isinstance(database.kind, Postgres)
    return database.kind._url.render_as_string(hide_password=False).replace("+psycopg", "")


def run_through(work: Coroutine[Any, Any, object]) -> None:
    """Run what waits for nothing, in this thread."""
    with pytest.raises(StopIteration):
        work.send(None)


async def _never(seen: dict[str, int]) -> None:
    """Nothing changes."""


def tell(store: Store, database: Database, home: Path, new_job: New, clock: Clock) -> None:
    outbox, view = Outbox(database), WebhooksView(database)
    hooks = {name: Webhook(name, "https://a.example", (bytes(32),)) for name in ("hook 0", "hook 1")}
    outbox.register(hooks | {"hook 2": replace(hooks["hook 1"], name="hook 2")})
    fewer = replace(hooks["hook 1"], states=(State.SUCCEEDED, State.CANCELLED))
    outbox.register(hooks | {"hook 1": fewer})
    run_through(outbox.read_due())
    assert Gauges(database, home, ("fal",), Decimal(1)).read(clock())
    assert len(read_webhooks(home, address_of(database))) == 2
    cancelled = store.place(priced(new_job(prompt="told"), "0.30"), clock()).job
    store.request_cancel("local", cancelled.id, clock())
    claimed = outbox.claim("hook 0", clock(), 8)
    assert len(claimed) == 8
    outbox.delivered(claimed[0], "HTTP 200")
    outbox.not_told(claimed[1], "HTTP 410")
    outbox.not_wanted(claimed[5])
    outbox.give_back(claimed[2], clock())
    outbox.failed(claimed[3], "HTTP 500", clock())
    outbox.failed(replace(claimed[4], tries=100), "HTTP 500", clock())
    outbox.disable(hooks["hook 0"], clock())
    while outbox.put_aside("hook 0"):
        pass
    assert [status.waiting > 10 for status in view.list()] == [False, True]
    assert view.replay_since("hook 0", clock() - timedelta(days=3), clock(), all_of_them=True).count > 100
    assert len(view.replay_jobs([cancelled.id], "", clock())) == 2
    with database.write() as connection:
        connection.execute(text("DELETE FROM deliveries WHERE webhook = 'hook 1' AND job_id = 'job_e7'"))
    assert view.replay_jobs(["job_e7"], "", clock())
    outbox.register({"hook 1": hooks["hook 1"]})
    removed = 0
    while count := outbox.clean(clock()):
        removed += count
    assert removed > ENDED


def settle(store: Store, database: Database, new_job: New, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    recovery = RecoveryStore(database)
    monkeypatch.setattr(recovering, "READ_AT_A_TIME", 1_000)
    assert recovery.tracking_job("fal", "none") is None
    for resolution in (Resolution.CHARGED, Resolution.NOT_CHARGED):
        job = ordered(store, priced(new_job(prompt=f"lost {resolution}"), "0.30"), clock)
        store.release_claims("w_a", frozenset(), clock(), died=True)
        recovery.unknown("fal")
        recovery.resolve(job.id, resolution, clock())
    adopted = ordered(store, priced(new_job(prompt="adopted"), "0.30"), clock)
    store.release_claims("w_a", frozenset(), clock(), died=True)
    job = ordered(store, priced(new_job(prompt="asked"), "0.30"), clock)
    job = store.record_submission(job, State.UNKNOWN, clock(), "lost", provider_ref={"id": "r"})
    clock.turn(hours=1)
    store.recheck("local", job.id, clock())
    store.recheck_due(clock())
    recovery.adopt(adopted.id, {"id": "r"}, clock())
    recovery.adopt_new(priced(new_job(prompt="found"), "0.30"), {"id": "r"}, clock())
    assert recovery.doubt_unsent(frozenset(), clock()) >= WAITING
