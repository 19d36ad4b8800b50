"""What is counted, once each, while jobs live; and gauges that never stand in anybody's way."""

import threading
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import anyio.to_thread
import pytest
from sqlalchemy import insert

from ltx_mcp.domain.job import State
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.gauges import Gauges
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import PlacedSet, change, insert_job, terminal_changes
from ltx_mcp.jobs.store.schema import jobs, subscriptions, webhooks
from ltx_mcp.telemetry import BUDGET, METRICS, REPLICAS, UNKNOWN, WAITING, GaugeSource, Readings
from tests.conftest import Clock, Connect, Emulated, on_sqlite
from tests.jobs.test_store import New
from tests.providers.bench import opened, text
from tests.telemetry.conftest import Points, Seen

pytestmark = pytest.mark.anyio

ENDLESS_S = 1e9


def of(**attributes: str) -> frozenset[tuple[str, str]]:
    return frozenset(attributes.items())


FAL = of(provider="fal")
MADE = FAL | of(operation="text_to_video")


async def test_a_job_is_counted_once_at_each_point_of_its_life(
    home: Path, emulator: Emulated, database_url: str, seen: Seen
) -> None:
    async with opened(home, emulator, database_url=database_url, budget_usd=Decimal(50)) as bench:
        bench.world.work_s = ENDLESS_S
        job = await bench.until(await bench.place(text(provider="fal")), State.RUNNING)
        under_way = await seen.metrics()
        assert under_way["ltx.jobs.placed"] == {MADE: 1}
        ((count, _),) = under_way["ltx.job.accept.duration"].values()
        assert count == 1
        assert {key: value for key, value in under_way["ltx.jobs.live"].items() if value} == {
            FAL | of(state="running"): 1
        }
        assert "ltx.jobs.ended" not in under_way
        assert under_way["ltx.money"] == {of(bill="held"): job.held_micro / 1e6, of(bill="booked"): 0}
        assert (under_way["ltx.money.budget"], under_way["ltx.replicas"]) == ({of(): 50}, {of(): 1})
        bench.world.advance(ENDLESS_S)
        ended = await bench.end(job)
        assert ended.finished_at is not None
        took_s = (ended.finished_at - ended.created_at).total_seconds()
        told = await seen.metrics()
        done = MADE | of(state="succeeded")
        assert told["ltx.jobs.ended"] == {done: 1}
        assert told["ltx.job.duration"] == {done: (1, pytest.approx(took_s))}
        assert "ltx.jobs.placed" not in told
        assert "ltx.job.accept.duration" not in told
        assert_as_described(told)


async def test_each_take_a_failure_and_a_cancel_are_counted_with_their_state(
    home: Path, emulator: Emulated, seen: Seen
) -> None:
    async with opened(home, emulator, works=False) as bench:
        takes = await bench.jobs.order_or_ask(text(provider="fal", takes=3), "local", None, can_ask=False)
        assert isinstance(takes, PlacedSet)
        await bench.jobs.cancel(takes.followed.id, "local")
        told = await seen.metrics()
        assert told["ltx.jobs.placed"] == {MADE: 3}
        assert told["ltx.jobs.ended"] == {MADE | of(state="cancelled"): 3}
    async with opened(home, emulator) as bench:
        bench.world.faults.append(Fault("fal", "order", "fails"))
        assert (await bench.order(text(provider="fal"))).state is State.FAILED
        assert (await seen.metrics())["ltx.jobs.ended"] == {MADE | of(state="failed"): 1}


@on_sqlite
async def test_what_is_rolled_back_is_not_counted(database: Database, new_job: New, clock: Clock, seen: Seen) -> None:
    def place(breaks: bool) -> None:
        with database.write() as connection:
            insert_job(connection, new_job(), clock(), "placed")
            assert not breaks

    with pytest.raises(AssertionError):
        place(breaks=True)
    place(breaks=False)
    assert sum((await seen.metrics())["ltx.jobs.placed"].values()) == 1


async def test_a_refused_call_is_counted_once_with_its_code(connect: Connect, seen: Seen) -> None:
    async with connect() as client:
        assert (await client.call_tool("check_job", {"job_id": "job_of_nobody"})).is_error
        assert (await client.call_tool("generate_video", {"prompt": "a pond", "loudness": 3})).is_error
        assert not (await client.call_tool("list_jobs", {})).is_error
    told = await seen.metrics()
    assert told["ltx.refusals"] == {of(code="job_not_found"): 1, of(code="invalid_request"): 1}


async def test_gauges_tell_what_is_unknown_and_what_webhooks_wait_for(
    database: Database, home: Path, new_job: New, clock: Clock
) -> None:
    def end(state: State, ended_ago: timedelta) -> None:
        with database.write() as connection:
            job = insert_job(connection, new_job(), clock() - ended_ago, "placed")
            change(connection, (jobs.c.id == job.id,), {"state": state} | terminal_changes(state, clock() - ended_ago))

    with database.write() as connection:
        connection.execute(insert(webhooks), [{"name": name, "url_sha256": ""} for name in ("shop", "quiet")])
        to_all = {"webhook": "shop", "state": "unknown", "caller": "", "is_prefix": True}
        connection.execute(insert(subscriptions), to_all)
    for days in (0, 6, 8):
        end(State.UNKNOWN, timedelta(days=days))
    end(State.FAILED, timedelta())
    gauges = Gauges(database, home, ("fal", "local"), None).read(clock())
    assert {of(**attributes): value for value, attributes in gauges[UNKNOWN]} == {FAL: 0, of(provider="local"): 2}
    waiting = {attributes["webhook"]: value for value, attributes in gauges[WAITING]}
    assert waiting == {"shop": 3, "quiet": 0}
    assert gauges[BUDGET] == []


@on_sqlite
def test_gauges_of_a_database_that_cannot_be_read_are_not_told(database: Database, home: Path, clock: Clock) -> None:
    gauges = Gauges(database, home, ("fal",), None)
    assert gauges.read(clock())
    database.close()
    for path in home.glob("jobs.sqlite*"):
        path.write_bytes(b"no database" * 1000)
    assert gauges.read(clock()) == {}


async def test_gauges_are_never_read_on_the_thread_of_an_event_loop() -> None:
    read_on: list[int] = []

    def read() -> Readings:
        read_on.append(threading.get_ident())
        return {REPLICAS: [(len(read_on), {})]}

    source = GaugeSource(read)
    assert source.readings(REPLICAS) == ()
    in_thread = await anyio.to_thread.run_sync(source.readings, REPLICAS)
    assert source.readings(REPLICAS) == in_thread == [(1, {})]
    assert await anyio.to_thread.run_sync(source.readings, REPLICAS) == in_thread
    assert threading.get_ident() not in read_on


def assert_as_described(told: Points) -> None:
    described = {metric.name: set(metric.attributes) for metric in METRICS}
    for name, points in told.items():
        for attributes in points:
            assert {key for key, _ in attributes} == described[name], name
