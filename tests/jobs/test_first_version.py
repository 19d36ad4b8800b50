"""A database of version 0.1.0, as that version wrote it, opened by this one: jobs, money and consents go on.

`version_0_1_0.json` holds its rows: a film that was booked, an order whose answer was lost, one that was refused, three
that are under way (one counted in whole credits, one whose length the model chooses), and a price told in a refusal.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.jobs.confirmation import ConfirmationStore, PriceRequest
from ltx_mcp.jobs.store import migrations
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock
from tests.providers.bench import catalog_of

ROWS: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("version_0_1_0.json").read_text("utf-8"))
STEPS_OF_0_1_0 = 3


@pytest.fixture
def old(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """What this version makes of that database."""
    with monkeypatch.context() as then:
        then.setattr(migrations, "STEPS", migrations.STEPS[:STEPS_OF_0_1_0])
        database = Database.open(home, database_url)
    with database.write() as connection:
        for table, rows in ROWS.items():
            for row in rows:
                names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
                row = row | ({"cancel_wanted": bool(row["cancel_wanted"])} if table == "jobs" else {})
                connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)
    database.close()
    database = Database.open(home, database_url)
    yield database
    database.close()


def test_its_jobs_are_read_and_its_money_is_counted_as_it_was(old: Database, clock: Clock) -> None:
    store = Store(old, budget_usd=Decimal(9))
    jobs = {job.prompt + job.request_key: job for job in store.page("local", "", 100, None)}
    assert len(jobs) == len(ROWS["jobs"])
    told = {name: (job.state, job.bill, job.cost_usd, job.at_most_usd) for name, job in jobs.items()}
    assert told == {
        "a pond at dawndone": (State.SUCCEEDED, ChargeState.BOOKED, Decimal("0.24"), None),
        "a pond at dawn": (State.UNKNOWN, ChargeState.HELD, Decimal("0.36"), None),
        "bad": (State.FAILED, ChargeState.RELEASED, Decimal("0.24"), None),
        "whole credits": (State.RUNNING, ChargeState.HELD, Decimal("0.288"), None),
        "under way": (State.RUNNING, ChargeState.HELD, Decimal("0.24"), None),
        "as long as it likes": (State.RUNNING, ChargeState.HELD, Decimal("2.6"), Decimal("2.6")),
    }
    budget = store.budget(clock())
    assert (budget.booked, budget.held) == (240_000, 360_000 + 288_000 + 240_000 + 2_600_000)


def test_what_was_under_way_is_carried_to_its_end(old: Database, clock: Clock) -> None:
    store = Store(old)
    clock.turn(hours=1)
    found = {}
    while job := store.claim("w_new", {}, clock()):
        found[job.prompt] = job
    assert sorted(found) == ["as long as it likes", "under way", "whole credits"]
    job = store.transition(found["under way"], State.SAVING, clock())
    job = store.transition(job, State.SUCCEEDED, clock(), bill=ChargeState.BOOKED)
    assert store.budget(job.created_at).booked == 480_000


def test_a_price_that_it_told_is_no_consent_any_more_and_hurts_nobody(old: Database, clock: Clock) -> None:
    (told,) = ROWS["asked"]
    job = next(job for job in Store(old).page("local", "", 100, None) if job.prompt == "under way")
    normal = job.canonical_request | {"prompt": "told"}
    price_request = PriceRequest("local", "", normal, job.offers, Decimal("0.1"), Decimal("0.24"))
    assert price_request.name == told["fingerprint"]
    with pytest.raises(CallerError, match=r"exactly max_cost_usd=0\.24"):
        ConfirmationStore(old).settle(price_request, None, clock(), can_ask=False)


def test_its_keys_go_on_naming_their_jobs_though_requests_have_more_arguments_now(old: Database, clock: Clock) -> None:
    (row,) = (row for row in ROWS["jobs"] if row["request_key"] == "done")
    catalog = catalog_of({"FAL_KEY": "k:1"})

    def same(**asked: Any) -> NewJob:
        request = to_request(
            GenerateVideo(prompt="a pond at dawn", provider="fal", model="ltx-2.3-fast", duration=6, **asked)
        )
        offers = select_offers(request, (), catalog)
        return NewJob("local", "done", canonical_form(request, ()), offers, (), takes=request.takes)

    again = Store(old).place(same(), clock())
    assert (again.job.id, again.fresh) == (row["id"], False)
    assert (again.job.set_id, again.job.take, again.job.take_name) == ("", 0, "")
    with pytest.raises(CallerError, match=r"takes \('1' before\)"):
        Store(old).place_set(same(takes=3), clock())


def test_a_set_is_placed_beside_its_jobs(old: Database, clock: Clock) -> None:
    store = Store(old)
    job = next(job for job in store.page("local", "", 100, None) if job.prompt == "under way")
    new = NewJob("local", "", job.canonical_request | {"takes": "3"}, job.offers, (), takes=3)
    placed = store.place_set(new, clock())
    assert placed.fresh
    assert len(store.page("local", "", 100, None)) == len(ROWS["jobs"]) + 3
