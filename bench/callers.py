"""How fast many callers place orders at a budget of the day, and whether a caller at a limit slows another.

On PostgreSQL with a day that has many jobs already. Beside it the same with sums instead of counters, as it was before.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import quantiles
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, func, select, text

from bench.postgres import postgres
from bench.table import Row, Table, ms, ratios, seconds, times
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.job import ChargeState
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.store import migrations
from ltx_mcp.jobs.store.budget import Budget
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.large import migrate_large
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.schema import jobs
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers

FORM_BEFORE = 6
JOBS, PART = 100_000, 5_000
CALLERS, ROUNDS, PLACES = 16, 3, 32
BLOCKS, BLOCK_PLACES, PARTS, REFUSALS_A_S = 150, 8, 4, 10
RICH = Decimal(1_000_000)
LIMITED = CallerLimits("team", RICH, RICH, max_live_jobs=10**6, orders_per_minute=10**6)
MORE_THAN_A_TENTH = 1.10
COUNTED = ("spent_insert", "spent_update", "spent_delete")


def measure() -> Table:
    """All of it: migrate, place, and place beside somebody who is refused."""
    with tempfile.TemporaryDirectory(prefix="ltx-bench-", ignore_cleanup_errors=True) as name, postgres() as server:
        folder = Path(name)
        urls = [server.fresh(), server.fresh()]
        fills = [_fill_and_migrate(folder / "home", url) for url in urls]
        file_s = _fill_and_migrate(folder / "file", "")
        with closing(Database.open(folder / "home", urls[1])) as database, database.write() as connection:
            for trigger in COUNTED:
                connection.execute(text(f"DROP TRIGGER {trigger} ON jobs"))
        counted, limited, summed = _measure_rates(folder / "home", *urls)
        alone, beside = _measure_beside(folder / "home", urls[0])
    return Table(
        f"callers: {CALLERS} callers, PostgreSQL, {JOBS:,} jobs of today",
        [
            Row("orders a second, counters, the day's budget", counted, _rate),
            Row("orders a second, counters, every limit there is", limited, _rate),
            Row("orders a second, sums, as before", summed, _rate),
            Row("counters / sums", ratios(counted, summed), times),
            Row("place, p95, nobody at a limit", alone, ms),
            Row("place, p95, beside a caller at a limit", beside, ms),
            Row("  the second / the first", ratios(beside, alone), times, MORE_THAN_A_TENTH),
            Row("migration of these jobs, PostgreSQL", fills, seconds),
            Row("migration of these jobs, SQLite", [file_s], seconds),
        ],
        [
            f"{ROUNDS} rounds of {PLACES} orders of each kind in turn, in threads of one process, over two pools; then",
            f"{BLOCKS} times {BLOCK_PLACES} orders of one caller alone and as many while another, in its own process,",
            f"is refused {REFUSALS_A_S} times a second; p95 of each of {PARTS} parts.",
        ],
    )


def _rate(value: float) -> str:
    return f"{value:.1f}/s"


# -- what is there ------------------------------------------------------------------------------------------------


def _fill_and_migrate(home: Path, url: str) -> float:
    """A database of the form before with all the jobs; how many seconds its migration takes."""
    with patch.object(migrations, "STEPS", migrations.STEPS[:FORM_BEFORE]):
        database = Database.open(home, url)
    with closing(database):
        _insert_many(database, _row_of_before(home))
    began = time.perf_counter()
    if url:
        migrate_large(url, lambda line: None)
    else:
        Database.open(home, url).close()
    return time.perf_counter() - began


def _row_of_before(home: Path) -> dict[str, Any]:
    """A row of one job, as it stands in a database."""
    with closing(Database.open(home / "one")) as database:
        Store(database).place(make_wish("somebody", 0), datetime.now(UTC))
        with database.read() as connection:
            row = connection.execute(text("SELECT * FROM jobs LIMIT 1")).mappings().one()
    kept = {name: value for name, value in row.items() if name not in ("team", "account")}
    return kept | {"cancel_wanted": False, "state": "succeeded", "bill": "booked"}


def _insert_many(database: Database, row: Mapping[str, Any]) -> None:
    """JOBS copies of a row, in parts that no time limit of the database ends."""
    names = ", ".join(row)
    copied = {"id": "'job_' || i", "caller": f"'caller ' || (i % {CALLERS})", "created_at": "created_at - i"}
    values = ", ".join(copied.get(name, name) for name in row)
    with database.write() as connection:
        one = f"INSERT INTO jobs ({names}) VALUES ({', '.join(f':{name}' for name in row)})"
        connection.execute(text(one), row)
    for first in range(0, JOBS, PART):
        numbers = f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + PART - 1})"
        with database.write() as connection:
            connection.execute(
                text(f"INSERT INTO jobs ({names}) {numbers} SELECT {values} FROM jobs, n WHERE id = :id"), row
            )


def make_wish(caller: str, number: int, team: str = "") -> NewJob:
    """What a caller asks for; no two are the same."""
    request = to_request(GenerateVideo(prompt=f"film {number} of {time.perf_counter_ns()}"))
    catalog = make_catalog(read_providers(), (), lambda name: "")
    offer = replace(select_offers(request, (), catalog)[0], provider="fal", cost_usd=Decimal("0.24"))
    return NewJob(caller, "", canonical_form(request, ()), (offer,), (), team=team)


# -- rates --------------------------------------------------------------------------------------------------------


def _measure_rates(home: Path, counted_url: str, summed_url: str) -> tuple[list[float], list[float], list[float]]:
    """Orders a second at the day's budget, at every limit, and with sums, round by round."""
    counted: list[float] = []
    limited: list[float] = []
    summed: list[float] = []
    for _ in range(ROUNDS):
        counted.append(_place_many(home, counted_url, CallerLimits()))
        limited.append(_place_many(home, counted_url, LIMITED))
        with patch("ltx_mcp.jobs.store.admission.read_budgets", _sum_rows):
            summed.append(_place_many(home, summed_url, CallerLimits()))
    return counted, limited, summed


def _place_many(home: Path, url: str, limits: CallerLimits) -> float:
    pools = [Database.open(home, url) for _ in range(2)]
    stores = [Store(pool, budget_usd=RICH, limits_of=lambda caller: limits) for pool in pools]
    wishes = [make_wish(f"caller {n % CALLERS}", n, limits.team) for n in range(PLACES)]

    def place(n: int) -> None:
        stores[n % 2].place(wishes[n], datetime.now(UTC))

    with ThreadPoolExecutor(CALLERS) as threads:
        began = time.perf_counter()
        list(threads.map(place, range(PLACES)))
        took_s = time.perf_counter() - began
    for pool in pools:
        pool.close()
    return PLACES / took_s


def _sum_rows(connection: Connection, day: str, limits: Mapping[str, int | None]) -> list[Budget]:
    """The rows of the day summed, under the same lock, as version 0.1.0 did."""
    amount = func.coalesce(jobs.c.charged_micro, jobs.c.held_micro)
    query = select(jobs.c.bill, func.sum(amount)).where(jobs.c.day == day).group_by(jobs.c.bill)
    sums = {bill: int(total) for bill, total in connection.execute(query)}
    booked, held = sums.get(ChargeState.BOOKED, 0), sums.get(ChargeState.HELD, 0)
    return [Budget(limit, booked, held, scope) for scope, limit in limits.items()]


# -- beside a caller at a limit -------------------------------------------------------------------------------------


def _measure_beside(home: Path, url: str) -> tuple[list[float], list[float]]:
    """The p95 of placing alone, and beside a caller who is refused all the time, part by part: the two take turns."""
    context = get_context("spawn")
    on, stop = context.Event(), context.Event()
    process = context.Process(target=_be_refused, args=(home, url, on, stop))
    process.start()
    alone: list[float] = []
    beside: list[float] = []
    try:
        with closing(Database.open(home, url)) as database:
            store = Store(database, budget_usd=RICH)
            for _ in range(BLOCKS):
                on.clear()
                alone += _place_some(store)
                on.set()
                beside += _place_some(store)
    finally:
        stop.set()
        on.set()
        process.join()
    return _p95s(alone), _p95s(beside)


def _p95s(took: Sequence[float]) -> list[float]:
    size = len(took) // PARTS
    return [quantiles(took[first : first + size], n=20)[18] for first in range(0, size * PARTS, size)]


def _place_some(store: Store) -> list[float]:
    took: list[float] = []
    for number in range(BLOCK_PLACES):
        new = make_wish("somebody", number)
        took.append(_timed(partial(store.place, new, datetime.now(UTC))))
    return took


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _be_refused(home: Path, url: str, on: Event, stop: Event) -> None:
    """In a process of its own: orders all the time, for which nothing is left."""
    pause = threading.Event()
    with closing(Database.open(home, url)) as database:
        store = Store(database, budget_usd=RICH, limits_of=lambda caller: CallerLimits(budget_usd=Decimal("0.01")))
        wishes: Sequence[NewJob] = [make_wish("poor", number) for number in range(REFUSALS_A_S)]
        while on.wait() and not stop.is_set():
            for new in wishes:
                try:
                    store.place(new, datetime.now(UTC))
                except CallerError:
                    pause.wait(1 / REFUSALS_A_S)
