"""How soon an order is answered, over stdio, and what of it is the database."""

import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from bench.table import Row, Table, ms, times
from bench.wire import BARE, OURS, Server, cancel_all, listed
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers

CALLS = 15
PLACES = 200
LONG = {"provider": "local", "resolution": "2160p", "fps": 50, "duration": 20}


@dataclass
class Calls:
    """Seconds that calls of each kind took."""

    first: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    estimate: list[float] = field(default_factory=list)
    free: list[float] = field(default_factory=list)
    line: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)


def measure() -> Table:
    """Orders where a slot is free and where the job must wait its turn, beside an empty tool of a bare server."""
    with tempfile.TemporaryDirectory() as folder:
        calls = _measure_calls(Path(folder))
        places, raws = _measure_places(Path(folder) / "places")
    return Table(
        "order: generate_video at provider local, from call to answer",
        [
            Row("bare SDK, one empty tool", calls.bare, ms),
            Row("estimate_cost", calls.estimate, ms),
            Row("generate_video, a slot is free", calls.free, ms),
            Row("  of it, placed -> order sent", calls.sent, ms),
            Row("generate_video, it must wait its turn", calls.line, ms),
            Row("generate_video as a process's first call", calls.first, ms),
            Row("store.place", places, ms),
            Row("the same two rows by sqlite3 alone", raws, ms),
            Row("store.place / sqlite3 alone", [median(places) / median(raws)], times),
        ],
        [f"{CALLS} calls and {PLACES} places in turn. No budget for local: the 15 ms are for a provider over HTTP."],
    )


def _measure_calls(folder: Path) -> Calls:
    calls = Calls()
    with listed(BARE, folder) as bare, listed(OURS, folder / "home") as ours:
        calls.first.append(_order(ours, "first"))
        for number in range(CALLS):
            calls.bare.append(_timed(lambda: bare.call("echo", text="hello")))
            calls.estimate.append(_timed(lambda: ours.call("estimate_cost")))
            calls.free.append(_order(ours, f"free {number}"))
        calls.sent.extend(_times_to_order(folder / "home"))
        for number in range(2):
            ours.call("generate_video", prompt=f"blocking {number}", **LONG)
        calls.line.extend(_order(ours, f"line {number}") for number in range(CALLS))
        cancel_all(ours)
    return calls


def _order(server: Server, prompt: str) -> float:
    """One order, cancelled again after it was answered."""
    answers: list[dict[str, Any]] = []
    took = _timed(lambda: answers.append(server.call("generate_video", prompt=prompt, **LONG)))
    server.call("cancel_job", job_id=answers[0]["job_id"])
    return took


def _times_to_order(home: Path) -> list[float]:
    """Seconds from placed to started, as each job's history has it: both times are taken before their commits."""
    query = """
        SELECT max(at) - min(at) FROM events WHERE what IN ('placed', 'started') GROUP BY job_id HAVING count(*) = 2
    """
    with closing(sqlite3.connect(home / "jobs.sqlite")) as connection:
        return [microseconds / 1_000_000 for (microseconds,) in connection.execute(query)]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _measure_places(home: Path) -> tuple[list[float], list[float]]:
    """Seconds of each placing, and of the smallest durable transaction that keeps as much."""
    database = Database.open(home)
    store = Store(database)
    places, raws = [], []
    with closing(_open_raw(home / "raw.sqlite")) as connection:
        for number in range(PLACES):
            new = _new_job(number)
            places.append(_timed(lambda new=new: store.place(new, datetime.now(UTC))))  # type: ignore[misc]
            raws.append(_timed(lambda new=new: _place_raw(connection, str(new))))  # type: ignore[misc]
    database.close()
    return places, raws


def _new_job(number: int) -> NewJob:
    catalog = make_catalog(read_providers(), (), lambda name: "")
    request = to_request(GenerateVideo(prompt=f"place {number}", provider="local"))
    return NewJob("local", "", canonical_form(request, ()), select_offers(request, (), catalog), ())


def _open_raw(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE jobs (id INTEGER PRIMARY KEY, text TEXT)",
        "CREATE TABLE events (id INTEGER PRIMARY KEY, text TEXT)",
    ):
        connection.execute(statement)
    return connection


def _place_raw(connection: sqlite3.Connection, text: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO jobs (text) VALUES (?)", (text,))
    connection.execute("INSERT INTO events (text) VALUES ('placed')")
    connection.execute("COMMIT")
