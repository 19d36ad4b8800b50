"""What several takes of one request cost and look like, before there is a database."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ltx_mcp.domain.argument_types import MAX_SEED
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.confirmation import not_asked, one_time_amount, question_text
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.job_set import JobSet, as_take, one_take_needed, read_name
from ltx_mcp.domain.media_reference import JobFrameRef, LocalPath, read_reference
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.domain.takes import share_of, takes_price
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock, on_sqlite
from tests.jobs.test_store import New, priced

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.fixture
def offer(catalog: Catalog) -> Offer:
    """A video of 0.24 USD at fal."""
    found = select_offers(to_request(GenerateVideo(prompt="a pond")), (), catalog)[0]
    return replace(found, provider="fal", model="ltx-2.3-fast", cost_usd=Decimal("0.24"))


@pytest.fixture
def set_in(database: Database, new_job: New, clock: Clock) -> Callable[..., JobSet]:
    """A set whose takes are in these states."""

    def make(*states: State, **changed: Any) -> JobSet:
        new = priced(new_job(takes=len(states)), "0.24")
        placed = Store(database).place_set(new, clock()).job_set
        takes = [replace(take, state=state, **changed) for take, state in zip(placed.takes, states, strict=True)]
        return replace(placed, takes=tuple(takes))

    return make


# -- words -------------------------------------------------------------------------------------------------------------


def test_a_price_names_that_of_one_and_that_of_all(offer: Offer) -> None:
    assert takes_price(offer, 1) == "0.24 USD"
    assert takes_price(offer, 3) == "3 takes at 0.24 USD, 0.72 USD in all"
    may_be_more = replace(offer, highest_usd=Decimal("0.36"))
    assert takes_price(may_be_more, 3) == "3 takes at 0.24 USD (at most 0.36), 0.72 USD in all (at most 1.08)"


def test_a_person_is_asked_about_all_videos_and_their_sum(offer: Offer) -> None:
    dearer = replace(offer, provider="ltx", cost_usd=Decimal("0.25"))
    text = question_text((offer, dearer), Decimal("0.50"), 3)
    assert text.startswith("Pay 3 takes at 0.24 USD, 0.72 USD in all at fal (ltx-2.3-fast): 3 videos, text_to_video,")
    assert "at most 0.75 USD if another provider must take over" in text


def test_the_one_time_amount_is_that_of_all_of_them(offer: Offer) -> None:
    amount = one_time_amount(offer, 7, 3)
    assert amount == Decimal("0.7207")
    refusal = not_asked((offer,), Decimal("0.50"), amount, 3)
    assert "3 takes at 0.24 USD, 0.72 USD in all" in refusal.message
    assert "exactly max_cost_usd=0.7207" in refusal.hint


@pytest.mark.parametrize(("cap", "fits"), [(1.08, True), (1.07, False), (0, False)])
def test_a_cap_is_for_all_takes(catalog: Catalog, cap: float, fits: bool) -> None:
    paid = replace(
        catalog, availability={name: replace(each, usable=True) for name, each in catalog.availability.items()}
    )
    request = to_request(
        GenerateVideo(prompt="a pond", provider="fal", model="ltx-2.3-fast", takes=3, max_cost_usd=cap)
    )
    if fits:
        assert select_offers(request, (), paid)[0].cost_usd == Decimal("0.24")
        return
    with pytest.raises(CallerError, match=r"0\.72 USD in all \(at most 1\.08\) at fal") as refused:
        select_offers(request, (), paid)
    assert refused.value.code is ErrorCode.OVER_BUDGET


def test_the_share_of_one_is_never_so_large_that_all_pass_the_limit() -> None:
    for takes in range(1, 7):
        for cents in range(1, 300):
            share = share_of(Decimal(cents) / 100, takes)
            assert share is not None
            assert (share * takes).quantize(Decimal("1e-20")) == Decimal(cents) / 100
    assert share_of(None, 3) is None


# -- names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("set_Ab1", ("set_Ab1", 0)),
        ("set_Ab1/2", ("set_Ab1", 2)),
        ("job_Ab1", None),
        ("set_Ab1/", None),
        ("set_Ab1/two", None),
        ("set_Ab1/\u0662", None),
        ("set_/2", None),
    ],
)
def test_a_set_and_its_takes_have_names(name: str, parts: tuple[str, int] | None) -> None:
    assert read_name(name) == parts


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("set_Ab1/2", JobFrameRef("set_Ab1/2", names_no_frame=True)),
        ("set_Ab1/2#first", JobFrameRef("set_Ab1/2", "first")),
        (" `ltx://jobs/set_Ab1/2#3.5` ", JobFrameRef("set_Ab1/2", 3.5)),
        ("set_Ab1", JobFrameRef("set_Ab1", names_no_frame=True)),
        ("set_Ab1/2.png", LocalPath("set_Ab1/2.png")),
        ("./set_Ab1/2", LocalPath("./set_Ab1/2")),
    ],
)
def test_a_media_argument_names_a_take_as_it_names_a_job(text: str, reference: object) -> None:
    assert read_reference(text, "image") == reference


# -- one record of many ------------------------------------------------------------------------------------------------


@on_sqlite
@pytest.mark.parametrize(
    ("states", "of_all"),
    [
        ("running saving succeeded", "running"),
        ("succeeded queued running", "queued"),
        ("failed submitting unknown", "submitting"),
        ("failed succeeded unknown", "succeeded"),
        ("failed cancelled unknown", "unknown"),
        ("cancelled failed cancelled", "failed"),
        ("cancelled cancelled cancelled", "cancelled"),
    ],
)
def test_a_set_is_as_far_as_its_last_live_take_and_then_as_good_as_its_best(
    set_in: Callable[..., JobSet], states: str, of_all: str
) -> None:
    job_set = set_in(*map(State, states.split()))
    assert (job_set.state, job_set.live) == (of_all, of_all in ("queued", "submitting", "running"))


@on_sqlite
def test_the_money_of_a_set_is_that_of_its_takes(set_in: Callable[..., JobSet]) -> None:
    job_set = set_in(State.SUCCEEDED, State.RUNNING, State.FAILED)
    assert (job_set.cost_usd, job_set.at_most_usd, job_set.charged_usd) == (Decimal("0.72"), None, None)
    booked, running, failed = (replace(take, held_micro=360_000) for take in job_set.takes)
    booked = replace(booked, charged_micro=250_000, bill=ChargeState.BOOKED)
    failed = replace(failed, bill=ChargeState.RELEASED)
    job_set = replace(job_set, takes=(booked, running, replace(failed, bill=ChargeState.HELD)))
    assert (job_set.at_most_usd, job_set.charged_usd) == (Decimal("0.97"), Decimal("0.25"))
    job_set = replace(job_set, takes=(booked, running, failed))
    assert job_set.at_most_usd is None  # 0.61 of the 0.72 that were quoted


@on_sqlite
def test_a_set_ends_when_its_last_take_has_ended(set_in: Callable[..., JobSet]) -> None:
    job_set = set_in(State.SUCCEEDED, State.RUNNING, finished_at=NOON)
    assert job_set.finished_at is None
    first, last = job_set.takes
    last = replace(last, state=State.FAILED, finished_at=NOON.replace(hour=13))
    assert replace(job_set, takes=(first, last)).finished_at == NOON.replace(hour=13)


@on_sqlite
def test_where_one_job_is_meant_a_set_names_its_takes_and_those_that_have_a_video(
    set_in: Callable[..., JobSet],
) -> None:
    job_set = set_in(State.FAILED, State.SUCCEEDED)
    told = str(one_take_needed(job_set, "image"))
    assert told.startswith(f"image: {job_set.id} is a set of 2 takes. There is a video of {job_set.id}/2.")
    assert told.endswith(f"Name one of them: {job_set.id}/1, {job_set.id}/2.")


# -- what differs between takes ----------------------------------------------------------------------------------------


def test_a_seed_goes_up_by_one_with_each_take_and_begins_again_after_the_highest(offer: Offer) -> None:
    seeded = replace(offer, seed=MAX_SEED - 1)
    assert [as_take(seeded, take).seed for take in (1, 2, 3)] == [MAX_SEED - 1, MAX_SEED, 0]


def test_without_a_seed_previews_differ_and_providers_draw_their_own(offer: Offer) -> None:
    preview = replace(offer, provider="local")
    assert [as_take(preview, take).seed for take in (1, 2, 3)] == [0, 1, 2]
    assert [as_take(offer, take) for take in (1, 2, 3)] == [offer] * 3


def test_one_take_has_the_form_of_a_request_without_takes_and_more_have_another() -> None:
    def form(**asked: Any) -> dict[str, str]:
        return canonical_form(to_request(GenerateVideo(prompt="a pond", **asked)), ())

    assert form(takes=1) == form()
    assert "takes" not in form()
    assert form(takes=3)["takes"] == "3"


def test_a_job_of_its_own_has_no_name_within_a_set(set_in: Callable[..., JobSet]) -> None:
    take: Job = set_in(State.QUEUED, State.QUEUED).takes[1]
    assert take.take_name == f"{take.set_id}/2"
    assert replace(take, set_id="", take=0).take_name == ""
