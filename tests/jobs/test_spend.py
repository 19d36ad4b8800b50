"""What is said of money spent: by UTC day, provider and model, in counts and sums, and where charges drift."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import TextResourceContents

from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import ChargeState, Job, JobChanges, State
from ltx_mcp.domain.price import to_micro
from ltx_mcp.jobs.spend import Spend, Spender, SpendRow, read_spend
from ltx_mcp.jobs.store.budget import Budget
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import price_drift
from ltx_mcp.presentation.spending import read_day, to_spend_view
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.conftest import ERAS, Clock, Connect, Emulated, Era
from tests.providers.bench import lookup_in, opened, text

New = Callable[..., NewJob]
Make = Callable[..., Job]
NONE = Budget(None, 0, 0)
TODAY = date(2026, 11, 21)


@pytest.fixture
def job(store: Store, new_job: New, clock: Clock) -> Make:
    """Makes a job of a provider and model, quoted `usd`, that came to `bill`, charged as the provider says."""
    made = 0

    def make(
        usd: str,
        bill: ChargeState = ChargeState.BOOKED,
        charged: str = "",
        provider: str = "fal",
        model: str = "m",
        **more: Any,
    ) -> Job:
        nonlocal made
        made += 1
        new = new_job(prompt=f"film {made}", **more)
        offer = replace(new.offers[0], provider=provider, model=model, cost_usd=Decimal(usd), as_of="2026-11-01")
        told: JobChanges = {"charged_micro": to_micro(Decimal(charged))} if charged else {}
        store.place(replace(new, offers=(offer,)), clock())
        job = store.claim("w", {}, clock())
        assert job is not None
        job = store.transition(job, State.SUBMITTING, clock(), submitted_by="w")
        told["provider_ref"] = {"id": made}
        job = store.record_submission(job, State.RUNNING, clock(), "accepted", **told)
        ends = {ChargeState.BOOKED: State.FAILED, ChargeState.HELD: State.UNKNOWN, ChargeState.RELEASED: State.FAILED}
        return store.transition(job, ends[bill], clock(), bill=bill)

    return make


def spend(database: Database, days: int = 1, last: date = TODAY, caller: str = "local") -> Spend:
    return read_spend(database, caller, last, days, NONE)


def only(found: Spend) -> SpendRow:
    (row,) = found.rows
    return row


# -- rows ---------------------------------------------------------------------------------------------------------


def test_nothing_ordered_is_no_row(database: Database) -> None:
    assert spend(database) == Spend((), (), NONE)


def test_a_row_counts_the_videos_by_what_became_of_their_price(database: Database, job: Make) -> None:
    for bill in (
        ChargeState.BOOKED,
        ChargeState.BOOKED,
        ChargeState.BOOKED,
        ChargeState.HELD,
        ChargeState.HELD,
        ChargeState.RELEASED,
    ):
        job("0.25", bill)
    row = only(spend(database))
    assert (row.day, row.provider, row.model) == ("2026-11-21", "fal", "m")
    assert (row.videos, row.booked, row.held, row.released) == (6, 3, 2, 1)
    assert (row.quoted_micro, row.spent_micro, row.reserved_micro) == (1_500_000, 750_000, 500_000)


def test_days_providers_and_models_have_rows_of_their_own_newest_first(
    database: Database, job: Make, clock: Clock
) -> None:
    job("0.1", model="pro")
    job("0.2", provider="ltx")
    clock.turn(days=1)
    job("0.3", model="pro")
    job("0.4", model="fast")
    found = spend(database, days=2, last=date(2026, 11, 22))
    assert [(row.day[-2:], row.provider, row.model, row.quoted_micro) for row in found.rows] == [
        ("22", "fal", "fast", 400_000),
        ("22", "fal", "pro", 300_000),
        ("21", "fal", "pro", 100_000),
        ("21", "ltx", "m", 200_000),
    ]


def test_the_days_asked_for_are_all_that_is_shown(database: Database, job: Make, clock: Clock) -> None:
    for _ in range(3):
        job("0.1")
        clock.turn(days=1)
    last = date(2026, 11, 23)
    assert [row.day for row in spend(database, days=2, last=last).rows] == ["2026-11-23", "2026-11-22"]
    assert [row.day for row in spend(database, last=date(2026, 11, 21)).rows] == ["2026-11-21"]


def test_a_job_belongs_to_the_utc_day_it_was_ordered_on(database: Database, job: Make, clock: Clock) -> None:
    clock.time = datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC)
    job("0.1")
    clock.turn(seconds=2)
    job("0.1")
    assert [row.day for row in spend(database, days=2, last=date(2026, 11, 22)).rows] == ["2026-11-22", "2026-11-21"]


def test_a_caller_sees_their_own_jobs_only(database: Database, job: Make) -> None:
    job("0.1")
    job("0.7", caller="other")
    assert only(spend(database)).quoted_micro == 100_000
    assert only(spend(database, caller="other")).quoted_micro == 700_000
    assert spend(database, caller="nobody").rows == ()


def test_all_callers_are_summed_or_told_apart_by_caller_or_by_team(
    database: Database, store: Store, new_job: New, clock: Clock
) -> None:
    for caller, usd in (("ann", "0.1"), ("bob", "0.2"), ("eve", "0.4")):
        new = replace(new_job(caller=caller), team="red" if caller != "eve" else "")
        offer = replace(new.offers[0], provider="fal", model="m", cost_usd=Decimal(usd))
        store.place(replace(new, offers=(offer,)), clock())

    def rows(by: Spender) -> list[tuple[str, int]]:
        found = read_spend(database, None, TODAY, 1, NONE, by)
        return [(row.spender, row.reserved_micro) for row in found.rows]

    assert rows("") == [("", 700_000)]
    assert rows("caller") == [("ann", 100_000), ("bob", 200_000), ("eve", 400_000)]
    assert rows("team") == [("", 400_000), ("red", 300_000)]
    (mine,) = read_spend(database, "ann", TODAY, 1, NONE, "team").rows
    assert (mine.spender, mine.reserved_micro) == ("red", 100_000)


def test_a_job_counts_for_the_offer_that_took_it(database: Database, store: Store, new_job: New, clock: Clock) -> None:
    new = new_job()
    offers = [
        replace(new.offers[0], provider=provider, model=model, cost_usd=Decimal(usd))
        for provider, model, usd in (("fal", "fast", "0.1"), ("ltx", "pro", "0.2"), ("netwrck", "old", "0.3"))
    ]
    store.place(replace(new, offers=tuple(offers)), clock())
    for _ in range(2):
        job = store.claim("w", {}, clock())
        assert job is not None
        store.fail_over(job, JobError(ErrorCode.OUT_OF_CREDIT, "empty"), clock())
    row = only(spend(database))
    assert (row.provider, row.model, row.quoted_micro) == ("netwrck", "old", 300_000)


# -- charges ------------------------------------------------------------------------------------------------------


def test_charged_is_unknown_where_no_provider_told_a_figure(database: Database, job: Make) -> None:
    job("0.1")
    row = only(spend(database))
    assert (row.charged_micro, row.drift_micro) == (None, None)


def test_drift_is_over_the_jobs_a_figure_was_told_for(database: Database, job: Make) -> None:
    job("0.30", charged="0.36")
    job("0.30", charged="0.35")
    job("0.30")
    row = only(spend(database))
    assert (row.quoted_micro, row.charged_micro, row.drift_micro) == (900_000, 710_000, 110_000)
    assert row.spent_micro == 1_010_000


def test_what_was_released_was_not_charged(database: Database, job: Make) -> None:
    job("0.30", ChargeState.RELEASED, charged="0.36")
    found = spend(database)
    assert (only(found).charged_micro, found.drifts) == (None, ())


def test_a_drift_names_what_was_quoted_charged_since_when_and_from_which_table(
    database: Database, job: Make, clock: Clock
) -> None:
    job("0.30")
    clock.turn(days=1)
    job("0.30", charged="0.36")
    clock.turn(days=1)
    job("0.30", charged="0.36")
    (drift,) = spend(database, days=30, last=date(2026, 11, 23)).drifts
    assert (drift.provider, drift.model, drift.videos) == ("fal", "m", 2)
    assert (drift.quoted_micro, drift.charged_micro) == (600_000, 720_000)
    assert (drift.since, drift.as_of) == ("2026-11-22", "2026-11-01")


@pytest.mark.parametrize(
    ("charged", "drifts"), [("0.288", False), ("0.29", False), ("0.279", False), ("0.298", True), ("0.27", True)]
)
def test_rounding_to_a_cent_is_no_drift(database: Database, job: Make, charged: str, drifts: bool) -> None:
    job("0.288", charged=charged)
    assert bool(spend(database).drifts) is drifts


# -- told once ----------------------------------------------------------------------------------------------------


def test_a_drift_is_news_when_the_figure_is_first_told(store: Store, new_job: New, clock: Clock) -> None:
    new = new_job()
    offer = replace(new.offers[0], provider="fal", model="m", cost_usd=Decimal("0.30"), as_of="2026-11-01")
    job = store.place(replace(new, offers=(offer,)), clock()).job
    told = price_drift(job, {"charged_micro": 360_000})
    assert told == {
        "provider": "fal",
        "model": "m",
        "quoted_usd": "0.30",
        "charged_usd": "0.36",
        "as_of": "2026-11-01",
    }
    assert price_drift(replace(job, charged_micro=360_000), {"charged_micro": 360_000}) is None
    assert price_drift(job, {"charged_micro": 0, "bill": ChargeState.RELEASED}) is None
    assert price_drift(job, {"charged_micro": 305_000}) is None
    assert price_drift(job, {"progress": 1.0}) is None


OVERLAY = """
name = "netwrck"
[[offer]]
model = "ltx-2.3"
operation = "text_to_video"
endpoint = "ltx-text-to-video"
limits = [{ duration = [6], fps = [25], resolution = ["1080p"] }]
aspect_ratio = ["16:9"]
price = { as_of = "2026-01-01", source = "a test", usd_per_second = { 1080p = "0.02" } }
"""


@pytest.mark.anyio
async def test_a_provider_that_charges_more_is_warned_of_once(
    emulator: Emulated, home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    overlay = tmp_path / "outdated.toml"
    overlay.write_text(OVERLAY, encoding="utf-8")
    async with opened(home, emulator) as bench:
        bench.jobs._placement.catalog = make_catalog(read_providers(overlay), (), lookup_in(bench.env))
        with caplog.at_level(logging.WARNING):
            for n in range(2):
                job = await bench.order(text(provider="netwrck", prompt=f"film {n}"))
                assert (job.cost_micro, job.charged_micro) == (120_000, 288_000)
        found = await bench.jobs.spend("local")
    told = [each.getMessage() for each in caplog.records if "charged" in each.getMessage()]
    assert len(told) == 1
    for words in ("netwrck (ltx-2.3)", "charged 0.288 USD", "quoted 0.12", "as of 2026-01-01"):
        assert words in told[0]
    assert [(each.videos, each.quoted_micro, each.charged_micro) for each in found.drifts] == [(2, 240_000, 576_000)]
    assert found.budget.booked == only(found).spent_micro == 576_000


# -- on the wire --------------------------------------------------------------------------------------------------


def test_money_is_a_number_and_what_is_not_known_is_not_sent(database: Database, job: Make) -> None:
    job("0.288", charged="0.30")
    job("0.1", provider="ltx")
    found = replace(spend(database), budget=Budget(5_000_000, 300_000, 100_000))
    told, untold = to_spend_view(found).to_wire()["rows"]
    assert (told["quoted_usd"], told["charged_usd"], told["drift_usd"]) == (0.288, 0.3, 0.012)
    assert not {"charged_usd", "drift_usd"} & untold.keys()
    budget = {"limit_usd": 5.0, "spent_usd": 0.3, "reserved_usd": 0.1, "left_usd": 4.6}
    assert to_spend_view(found).to_wire()["budget"] == budget
    assert "null" not in json.dumps(to_spend_view(found).to_wire())


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "20261121", "2026-11-21 ", "2026-W47-6", "Today"])
def test_a_day_that_is_none_is_refused_naming_the_form(text: str) -> None:
    with pytest.raises(CallerError, match="YYYY-MM-DD, or today") as raised:
        read_day(text)
    assert raised.value.code is ErrorCode.INVALID_REQUEST


async def read(client: Client, day: str) -> dict[str, Any]:
    content = (await client.read_resource(f"ltx://spend/{day}")).contents[0]
    assert isinstance(content, TextResourceContents)
    found: dict[str, Any] = json.loads(content.text)
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("era", ERAS)
async def test_a_days_spending_can_be_read_as_a_resource(connect: Connect, era: Era) -> None:
    small = {"prompt": "a pond", "resolution": "720p", "fps": 24, "generate_audio": False}
    async with connect(era) as client:
        assert any(each.uri_template == "ltx://spend/{day}" for each in await templates(client))
        placed = (await client.call_tool("generate_video", small)).structured_content or {}
        today = await read(client, "today")
        by_name = await read(client, today["rows"][0]["day"])
        before = await read(client, "2001-01-01")
        await client.call_tool("cancel_job", {"job_id": placed["job_id"]})
        with pytest.raises(MCPError, match="invalid_request: day: 'soon'"):
            await client.read_resource("ltx://spend/soon")
    (row,) = today["rows"]
    assert (row["provider"], row["model"], row["videos"], row["quoted_usd"]) == ("local", "preview", 1, 0)
    assert today["budget"] == {"spent_usd": 0, "reserved_usd": 0}
    assert by_name["rows"][0]["day"] == row["day"]
    assert before["rows"] == []


async def templates(client: Client) -> Any:
    return (await client.list_resource_templates()).resource_templates
