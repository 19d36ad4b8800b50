"""Providers' own prices in the database: who asks, what is kept, when it is used; and a next offer whose price rose."""

import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from sqlalchemy import text

from ltx_mcp.domain.errors import ErrorCode, JobError, ProviderError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.plan import ceiling
from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.jobs.prices import PriceBook, PriceWatch
from ltx_mcp.jobs.store import migrations
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock
from tests.jobs.test_store import New, priced
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio

FAST = "fal-ai/ltx-2.3/text-to-video/fast"
NO_CREDIT = JobError(ErrorCode.OUT_OF_CREDIT, "no credit")


def price(clock: Callable[[], datetime], amount: str = "0.06", unit: str = "second") -> UnitPrice:
    return UnitPrice(unit, "USD", Decimal(amount), clock())


# -- what is kept ---------------------------------------------------------------------------------------------------


def test_what_was_told_is_kept_to_the_last_digit_and_replaced(database: Database, clock: Clock) -> None:
    price_book = PriceBook(database)
    price_book.keep("fal", {FAST: price(clock, "0.0600001")})
    assert price_book.read(clock()) == {("fal", FAST): price(clock, "0.0600001")}
    clock.turn(hours=1)
    price_book.keep("fal", {FAST: price(clock, "0.05")})
    assert price_book.read(clock()) == {("fal", FAST): price(clock, "0.05")}


def test_a_price_that_is_a_week_old_is_not_used_nor_one_from_a_clock_that_was_set_back(
    database: Database, clock: Clock
) -> None:
    price_book = PriceBook(database)
    price_book.keep("fal", {FAST: price(clock)})
    assert price_book.read(clock() + timedelta(days=6, hours=23))
    assert price_book.read(clock() + timedelta(days=7)) == {}
    assert price_book.read(clock() - timedelta(days=1)) == {}


def test_a_unit_stays_confirmed_while_it_has_the_same_name(database: Database, clock: Clock) -> None:
    price_book = PriceBook(database)
    price_book.confirm("fal", FAST, clock())  # nothing is known that could be confirmed
    confirmed = []
    for unit in ("second", "second", "megapixel", "second"):
        price_book.keep("fal", {FAST: price(clock, unit=unit)})
        confirmed.append(price_book.read(clock())["fal", FAST].is_confirmed)
        if len(confirmed) == 1:
            price_book.confirm("fal", FAST, clock())
    assert confirmed == [False, True, False, False]


# -- who asks -------------------------------------------------------------------------------------------------------


def test_of_many_processes_one_may_ask_in_an_hour(home: Path, database_url: str, clock: Clock) -> None:
    databases = [Database.open(home, database_url) for _ in range(4)]
    start, turns = threading.Barrier(4), []

    def ask(database: Database) -> None:
        start.wait()
        turns.append(PriceBook(database).begin_call("fal", clock()))

    for past in ({}, {"minutes": 59}, {"minutes": 1}):
        clock.turn(**past)
        threads = [threading.Thread(target=ask, args=(database,)) for database in databases]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG_S)
    assert (turns[:4].count(True), turns[4:8].count(True), turns[8:].count(True)) == (1, 0, 1)
    for database in databases:
        database.close()


@dataclass
class Teller:
    """A provider that is asked for its prices."""

    answers: list[Any] = field(default_factory=list)
    asked: anyio.Event = field(default_factory=anyio.Event)
    calls: int = 0
    tells_prices: bool = True

    async def prices(self) -> Mapping[str, UnitPrice]:
        self.calls += 1
        self.asked.set()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return cast(Mapping[str, UnitPrice], answer)


@asynccontextmanager
async def watching(database: Database, teller: Teller, clock: Clock) -> AsyncIterator[PriceWatch]:
    async with anyio.create_task_group() as group:
        watch = PriceWatch(PriceBook(database), cast(Any, {"fal": teller}), clock)
        group.start_soon(watch.run)
        await anyio.wait_all_tasks_blocked()
        yield watch
        await watch.stop()


async def until(done: Callable[[], bool]) -> None:
    with anyio.fail_after(HANG_S):
        while not done():
            await anyio.sleep(0.005)


async def test_nobody_is_asked_before_there_is_work_and_all_processes_read_what_one_was_told(
    database: Database, clock: Clock
) -> None:
    first, second, price_book = Teller([{FAST: price(clock)}]), Teller(), PriceBook(database)
    async with watching(database, first, clock) as one, watching(database, second, clock) as other:
        assert first.calls == 0
        one.wake()
        await until(lambda: bool(price_book.read(clock())))
        clock.turn(minutes=30)
        one.wake()
        other.wake()
    assert (first.calls, second.calls) == (1, 0)
    assert set(price_book.read(clock())) == {("fal", FAST)}


@pytest.mark.parametrize(
    "answer",
    [
        ProviderError(ErrorCode.UNAVAILABLE, "fal could not be asked.", provider="fal", accepted="yes"),
        TimeoutError(),
        ValueError("odd"),
    ],
    ids=["failed", "silent", "a fault of ours"],
)
async def test_what_fails_is_a_line_in_the_log_and_tried_again_an_hour_later(
    database: Database, clock: Clock, caplog: pytest.LogCaptureFixture, answer: Exception
) -> None:
    price_book = PriceBook(database)
    price_book.keep("fal", {FAST: price(clock, "0.05")})
    teller = Teller([answer, {FAST: price(clock)}])
    with caplog.at_level(logging.WARNING):
        async with watching(database, teller, clock) as watch:
            watch.wake()
            await until(lambda: bool(caplog.records))
            assert price_book.read(clock())["fal", FAST].amount == Decimal("0.05")
            clock.turn(minutes=59)
            watch.wake()
            await anyio.wait_all_tasks_blocked()
            clock.turn(minutes=1)
            watch.wake()
            await until(lambda: price_book.read(clock())["fal", FAST].amount == Decimal("0.06"))
    assert (teller.calls, len(caplog.records)) == (2, 1)


async def test_one_that_may_not_be_asked_takes_nobodys_turn(database: Database, clock: Clock) -> None:
    watch = PriceWatch(PriceBook(database), cast(Any, {"fal": Teller(tells_prices=False)}), clock)
    watch.wake()
    with anyio.fail_after(HANG_S):
        await watch.run()  # it has nobody to ask
    assert PriceBook(database).begin_call("fal", clock())


# -- the next offer -------------------------------------------------------------------------------------------------


def submitting(store: Store, new: Any, clock: Clock) -> Job:
    store.place(new, clock())
    job = store.claim("w_a", {}, clock())
    assert job is not None
    return store.transition(job, State.SUBMITTING, clock(), submitted_by="w_a")


def risen(job: Job, *at_most: str) -> Any:
    """The job's later offers, at these prices now."""
    later = zip(job.offers[1:], at_most, strict=True)
    return (job.offers[0], *(replace(offer, highest_usd=Decimal(usd)) for offer, usd in later))


def reasons_left_out(store: Store, job: Job) -> list[str]:
    return [str(each.detail["message"]) for each in store.history(job.id) if each.what == "offer_left_out"]


@pytest.mark.parametrize(
    ("cap", "now", "continuation"),
    [
        ("0.50", "0.45", True),  # above a tenth more, and within the caller's cap
        ("0.42", "0.45", False),
        (None, "0.33", True),
        (None, "0.34", False),
    ],
)
def test_a_next_offer_that_has_risen_is_compared_again(
    database: Database, new_job: New, clock: Clock, cap: str | None, now: str, continuation: bool
) -> None:
    store = Store(database, budget_usd=Decimal(1))
    new = priced(new_job(), "0.30", "0.31")
    job = submitting(store, replace(new, most_usd=ceiling(new.offers, Decimal(cap) if cap else None)), clock)
    moved = store.fail_over(job, NO_CREDIT, clock(), risen(job, now))
    if continuation:
        assert (moved.state, moved.offer.at_most_usd, moved.cost_micro) == (State.QUEUED, Decimal(now), 310_000)
        assert store.budget(clock()).held == int(Decimal(now) * 1_000_000)
        return
    assert (moved.state, moved.bill, store.budget(clock()).held) == (State.FAILED, ChargeState.RELEASED, 0)
    assert moved.error is not None
    assert moved.error.code is ErrorCode.OUT_OF_CREDIT
    assert f"at most {now}, more" in moved.error.message
    assert reasons_left_out(store, moved) == []


def test_one_that_no_longer_fits_is_left_out_with_a_sentence_and_the_one_after_it_tried(
    database: Database, new_job: New, clock: Clock
) -> None:
    store = Store(database, budget_usd=Decimal("0.32"))
    job = submitting(store, priced(new_job(), "0.30", "0.31", "0.31", "0.32"), clock)
    moved = store.fail_over(job, NO_CREDIT, clock(), risen(job, "0.50", "0.325", "0.32"))
    assert (moved.state, moved.offer_index, moved.offer.at_most_usd) == (State.QUEUED, 3, Decimal("0.32"))
    assert [offer.at_most_usd for offer in moved.offers[:3]] == [Decimal("0.30"), Decimal("0.31"), Decimal("0.31")]
    dear, beyond = reasons_left_out(store, moved)
    assert "fal1 (preview) was left out" in dear
    assert "at most 0.50, more than the 0.33 USD" in dear
    assert "today's budget of 0.32 USD" in beyond


def test_a_job_of_an_older_version_goes_on_at_the_prices_of_its_placing(
    store: Store, new_job: New, clock: Clock
) -> None:
    job = submitting(store, priced(new_job(), "0.30", "0.90"), clock)  # within a cap that nobody wrote down
    assert job.most_micro is None
    assert store.fail_over(job, NO_CREDIT, clock()).offer_index == 1


def test_a_database_of_the_first_version_opens_with_its_live_jobs_and_its_money(
    home: Path, database_url: str, new_job: New, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    row: dict[str, Any] = dict.fromkeys(("waits_for", "holder", "sent_by", "note", "result_url"), "")
    row |= dict.fromkeys(("offer_index", "fence", "revision", "attempts", "tries", "next_at", "created_at"), 0)
    row |= dict.fromkeys(("offers", "inputs", "adjustments"), "[]") | {"normal": "{}", "cancel_wanted": False}
    row |= {"id": "j", "caller": "local", "fingerprint": "f", "operation": "text_to_video", "prompt": "a pond"}
    row |= {"state": "queued", "bill": "held", "day": "2026-11-21", "provider": "fal"}
    row |= {"cost_micro": 240_000, "held_micro": 240_000}
    with monkeypatch.context() as older:
        older.setattr(migrations, "STEPS", migrations.STEPS[:3])
        old = Database.open(home, database_url)
        with old.write() as connection:
            names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
            connection.execute(text(f"INSERT INTO jobs ({names}) VALUES ({marks})"), row)
        old.close()
    database = Database.open(home, database_url)
    job = Store(database).get("j")
    assert job is not None
    assert (job.state, job.bill, job.most_micro) == (State.QUEUED, ChargeState.HELD, None)
    assert Store(database, budget_usd=Decimal(1)).budget(clock()).held == 240_000
    assert PriceBook(database).read(clock()) == {}
    database.close()
