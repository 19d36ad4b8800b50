"""What a service pays for a million jobs a day: orders, a worker's round, whole jobs, the end of a worker and retention
on a PostgreSQL that holds many jobs. `python -m bench.scale` fills a tenth; `--full` all of it, which takes minutes.
"""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles

from sqlalchemy import Connection, text

from bench.callers import make_wish
from bench.postgres import postgres
from bench.table import Row, Table, ms, seconds
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.jobs.files import FileStore
from ltx_mcp.jobs.retention import Retention
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.migrations.m0007_callers import FILL, SUMS
from ltx_mcp.jobs.store.store import Store

PART = 20_000
PROCESSES, CALLERS, ORDERS = 4, 16, 20
EVERY_S, WHOLE_S, ROUNDS = 1.0, 15.0, 40
WORKERS, LEFT, OLD = 12, 1_000, 1_000
RICH = Decimal(10_000_000)
FAL = frozenset({("fal", "")})
PLACE_S, ROUND_S = 0.050, 0.005


@dataclass(frozen=True)
class Size:
    """How many jobs there are."""

    ended: int
    today: int
    live: int


FULL = Size(1_000_000, 500_000, 10_000)
TENTH = Size(100_000, 50_000, 1_000)


def measure(size: Size = TENTH) -> Table:
    """Fill a database and measure each."""
    with tempfile.TemporaryDirectory(prefix="ltx-bench-", ignore_cleanup_errors=True) as name, postgres() as server:
        home, url = Path(name) / "home", server.fresh()
        began = time.perf_counter()
        with closing(Database.open(home, url)) as database:
            _fill(database, size)
            filled_s = time.perf_counter() - began
            rounds = [_cpu_s(partial(_read_round, Store(database), number)) for number in range(ROUNDS)]
            released_s = _release(Store(database), database)
            cleared_s = _clear(database, home)
        with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as processes:
            calls = [processes.submit(_place_paced, home, url, number) for number in range(PROCESSES)]
            placed = sorted(took for call in calls for took in call.result())
            runs = [processes.submit(_run_whole, home, url, number) for number in range(PROCESSES)]
            whole = sum(run.result() for run in runs)
    return Table(
        f"scale: PostgreSQL, {size.ended:,} jobs ended before, {size.today:,} today, {size.live:,} live",
        [
            Row(f"place, p95, {CALLERS} callers, one order each a second", [quantiles(placed, n=20)[18]], ms, PLACE_S),
            Row("a round of a worker, CPU", rounds[1:], ms, ROUND_S),
            Row(f"whole jobs a second, {PROCESSES} processes", [whole / WHOLE_S], _rate),
            Row(f"the end of a worker with {LEFT:,} jobs", [released_s], seconds),
            Row(f"retention of {OLD:,} jobs", [cleared_s], seconds),
            Row("filling it", [filled_s], seconds),
        ],
        [
            "A budget of the day holds for every order. A whole job is placed, sent, accepted, saved and ended, each a "
            "transaction; nothing is made. The clients run beside the database.",
        ],
    )


def _rate(value: float) -> str:
    return f"{value:.1f}/s"


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


# -- what is there ------------------------------------------------------------------------------------------------


def _fill(database: Database, size: Size) -> None:
    """Copies of one job; what triggers do for each row is done once for all."""
    job = Store(database).place(make_wish("somebody", 0), datetime.now(UTC)).job
    common = {"caller": "'caller ' || i % 1000", "fingerprint": "'f' || i"}
    ended = common | {"state": "'succeeded'", "bill": "'booked'"}
    day_us = 86_400_000_000
    before = {
        "day": "to_char(current_date - 1 - i % 60, 'YYYY-MM-DD')",
        "created_at": f"created_at - (1 + i % 60) * {day_us} - i",
        "finished_at": f"created_at - (1 + i % 60) * {day_us} - i",
    }
    live = common | {"state": "'running'", "holder": f"'w_bench_' || i % {WORKERS}", "fence": "1"}
    with database.write() as connection:
        connection.execute(text("ALTER TABLE jobs DISABLE TRIGGER USER"))
    _copy(database, job.id, "job_b", size.ended, ended | before)
    _copy(database, job.id, "job_t", size.today, ended | {"finished_at": "created_at", "created_at": "created_at - i"})
    _copy(database, job.id, "job_l", size.live, live)
    with database.write() as connection:
        connection.execute(text("ALTER TABLE jobs ENABLE TRIGGER USER"))
        connection.execute(text("DELETE FROM spent"))
        connection.exec_driver_sql(SUMS + FILL)
    with database.write() as connection:
        connection.execute(text("ANALYZE"))


def _copy(database: Database, job_id: str, prefix: str, rows: int, changed: Mapping[str, str]) -> None:
    for first in range(0, rows, PART):
        with database.write(durable=False) as connection:
            _copy_part(connection, job_id, {"id": f"'{prefix}' || i", **changed}, first, min(PART, rows - first))


def _copy_part(connection: Connection, job_id: str, changed: Mapping[str, str], first: int, rows: int) -> None:
    names = list(connection.execute(text("SELECT * FROM jobs LIMIT 0")).keys())
    values = ", ".join(changed.get(name, name) for name in names)
    numbers = f"generate_series({first + 1}, {first + rows}) AS i"
    insert = f"INSERT INTO jobs ({', '.join(names)}) SELECT {values} FROM jobs, {numbers} WHERE id = :id"
    connection.execute(text(insert), {"id": job_id})
    told = "SELECT {}, created_at, 'e', '{{}}' FROM jobs, {} WHERE id = :id"
    events = f"INSERT INTO events (job_id, at, what, detail) {told.format(changed['id'], numbers)}"
    connection.execute(text(events), {"id": job_id})


# -- what is measured ---------------------------------------------------------------------------------------------


def _read_round(store: Store, number: int) -> None:
    """What a worker asks in each of its rounds."""
    worker = f"w_bench_{number % WORKERS}"
    if store.read_round(worker, FAL).has_due(datetime.now(UTC) - timedelta(days=400)):
        store.claim(worker, {}, datetime.now(UTC), FAL)


def _release(store: Store, database: Database) -> float:
    with database.write() as connection:
        some = f"SELECT id FROM jobs WHERE holder LIKE 'w_bench%' LIMIT {LEFT}"
        connection.execute(text(f"UPDATE jobs SET holder = 'w_left_0' WHERE id IN ({some})"))
    began = time.perf_counter()
    store.release_claims("w_left_0", frozenset(), datetime.now(UTC), died=True)
    return time.perf_counter() - began


def _clear(database: Database, home: Path) -> float:
    """Retention, where so many are too old."""
    with database.write() as connection:
        query = "SELECT finished_at FROM jobs WHERE bill <> 'held' AND finished_at > 0 ORDER BY finished_at"
        last = connection.execute(text(f"{query} OFFSET {OLD} LIMIT 1")).scalar_one()
    at = datetime.fromtimestamp(last / 1_000_000, UTC) + timedelta(days=1)
    began = time.perf_counter()
    cleared = Retention(database, FileStore(home), 1).clear(at)
    took_s = time.perf_counter() - began
    assert cleared >= OLD, cleared
    return took_s


def _place_paced(home: Path, url: str, process: int) -> Sequence[float]:
    """The callers of one process, each of whom orders at its time."""
    each = CALLERS // PROCESSES
    with closing(Database.open(home, url)) as database, ThreadPoolExecutor(each) as threads:
        store = Store(database, budget_usd=RICH)
        store.budget(datetime.now(UTC))
        callers = [threads.submit(_order, store, process * each + number) for number in range(each)]
        return [took for caller in callers for took in caller.result()]


def _order(store: Store, caller: int) -> Sequence[float]:
    took: list[float] = []
    pause = threading.Event()
    pause.wait(EVERY_S * caller / CALLERS)
    for number in range(ORDERS):
        new, began = make_wish(f"buyer {caller}", number), time.perf_counter()
        store.place(new, datetime.now(UTC))
        took.append(time.perf_counter() - began)
        pause.wait(max(0.0, EVERY_S - took[-1]))
    return took


def _run_whole(home: Path, url: str, process: int) -> int:
    """How many jobs one process brings from their order to their end."""
    worker, done = f"w_whole_{process}", 0
    with closing(Database.open(home, url)) as database:
        store = Store(database, budget_usd=RICH)
        until = time.perf_counter() + WHOLE_S
        while time.perf_counter() < until:
            now = datetime.now(UTC)
            job = store.place(make_wish(f"maker {process}", done), now, lease_owner=worker).job
            job = store.transition(job, State.SUBMITTING, now, submitted_by=worker, ordered_at=now)
            job = store.record_submission(job, State.RUNNING, now, "accepted", provider_ref={"id": job.id})
            job = store.transition(job, State.SAVING, now)
            store.transition(job, State.SUCCEEDED, now, bill=ChargeState.BOOKED)
            done += 1
    return done


if __name__ == "__main__":
    print(measure(FULL if "--full" in sys.argv[1:] else TENTH).text(), flush=True)
