"""Sets: several takes of one request, under one key, one cap and one consent, and each of them a job like any other."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ltx_mcp.domain.arguments import AnimateImage, GenerateVideo
from ltx_mcp.domain.confirmation import ConfirmationPrompt, ConfirmationReply
from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.request import fingerprint
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.service import Jobs
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob, PlacedSet
from ltx_mcp.jobs.store.same import Repeat, identity_of
from ltx_mcp.jobs.store.schema import events, sets
from ltx_mcp.jobs.store.schema import jobs as rows
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock
from tests.jobs.test_store import New, priced
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio
ONE_USD = Decimal("0.24")
SUM = r"3 takes at 0\.24 USD \(at most 0\.36\), 0\.72 USD in all \(at most 1\.08\)"


@pytest.fixture
def limited(database: Database) -> Store:
    """A store with a budget of one dollar and room for four live jobs."""
    return Store(database, budget_usd=Decimal(1), limits_of=lambda caller: CallerLimits(max_live_jobs=4))


def three(new_job: New, key: str = "", **asked: Any) -> NewJob:
    """Three takes at 0.24 USD."""
    return priced(new_job(request_key=key, **{"takes": 3, **asked}), str(ONE_USD))


def ended(store: Store, take: Job, clock: Clock, end: State) -> Job:
    """A take at its end."""
    job = store.claim("w_a", {}, clock())
    while job is not None and job.id != take.id:
        job = store.claim("w_a", {}, clock())
    assert job is not None
    job = store.transition(job, State.SUBMITTING, clock(), submitted_by="w_a", ordered_at=clock())
    if end in (State.FAILED, State.UNKNOWN):
        error = JobError(ErrorCode.CONTENT_REFUSED, "no")
        bill = ChargeState.RELEASED if end is State.FAILED else ChargeState.HELD
        return store.transition(job, end, clock(), error=error, bill=bill)
    job = store.record_submission(job, State.RUNNING, clock(), "started")
    job = store.transition(job, State.SAVING, clock())
    return store.transition(job, end, clock(), bill=ChargeState.BOOKED)


def all_jobs(store: Store) -> list[Job]:
    return store.page("local", "", 100, None)


# -- placing -----------------------------------------------------------------------------------------------------------


def test_a_set_is_placed_with_all_its_takes_each_with_its_own_price_held(
    limited: Store, new_job: New, clock: Clock
) -> None:
    placed = limited.place_set(three(new_job, "k"), clock())
    takes = placed.job_set.takes
    assert placed.fresh
    assert [take.take_name for take in takes] == [f"{placed.job_set.id}/{n}" for n in (1, 2, 3)]
    assert [(take.state, take.bill, take.held_micro) for take in takes] == [
        (State.QUEUED, ChargeState.HELD, 240_000)
    ] * 3
    assert (placed.job_set.cost_usd, limited.budget(clock()).held) == (Decimal("0.72"), 720_000)
    assert limited.find(placed.job_set.id, "local") == placed.job_set
    assert limited.find(f"{placed.job_set.id}/2", "local") == takes[1]
    assert limited.find(placed.job_set.id, "other") is limited.find(f"{placed.job_set.id}/2", "other") is None


def test_takes_are_worked_on_in_their_order_and_listed_newest_first(store: Store, new_job: New, clock: Clock) -> None:
    job_set = store.place_set(three(new_job), clock()).job_set
    assert [job.take for job in all_jobs(store)] == [3, 2, 1]
    claimed = [store.claim("w_a", {}, clock()) for _ in range(3)]
    assert [job.take for job in claimed if job] == [1, 2, 3]
    assert store.count_ahead(job_set.takes[2]) == 2


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (("0.30",), "This costs 3 takes at 0.24 USD, 0.72 USD in all; 0.70 USD are left"),
        (("0", "0"), "2 jobs are under way (2 queued), these would be 3 more, and 4 of one caller may be at a time"),
    ],
)
def test_a_set_that_is_too_dear_or_too_many_leaves_nothing(
    limited: Store, new_job: New, clock: Clock, before: tuple[str, ...], words: str
) -> None:
    for n, usd in enumerate(before):
        limited.place(priced(new_job(prompt=f"p{n}"), usd), clock())
    held = limited.budget(clock()).held
    for refuse in (limited.check, limited.place_set):
        with pytest.raises(CallerError) as refused:
            refuse(three(new_job), clock())
        assert words in str(refused.value)
    assert (len(all_jobs(limited)), limited.budget(clock()).held) == (len(before), held)
    assert limited.find_same(identity_of(three(new_job), Repeat.RETRY), clock()) is None


def test_a_set_that_fits_exactly_is_placed(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database, budget_usd=Decimal("0.72"), limits_of=lambda caller: CallerLimits(max_live_jobs=3))
    assert store.place_set(three(new_job), clock()).fresh


def test_only_the_set_has_the_key_and_the_fingerprint(
    store: Store, database: Database, new_job: New, clock: Clock
) -> None:
    store.place_set(three(new_job, "k"), clock())
    with database.read() as connection:
        takes = connection.execute(select(rows.c.request_key, rows.c.fingerprint)).all()
        (of_set,) = connection.execute(select(sets.c.request_key, sets.c.fingerprint)).all()
    assert set(takes) == {(None, "")}
    assert of_set == ("k", fingerprint(three(new_job).normal))


# -- the same again ----------------------------------------------------------------------------------------------------


def test_a_key_gives_its_set_for_ever(store: Store, new_job: New, clock: Clock) -> None:
    first = store.place_set(three(new_job, "k"), clock()).job_set
    for take in first.takes:
        ended(store, take, clock, State.FAILED)
    clock.turn(days=400)
    again = store.place_set(three(new_job, "k"), clock())
    assert (again.job_set.id, again.fresh) == (first.id, False)


@pytest.mark.parametrize(
    ("first", "then", "difference"),
    [(3, 2, r"takes \('3' before\)"), (3, 1, r"takes \('3' before\)"), (1, 3, r"takes \('1' before\)")],
)
def test_a_key_of_another_number_of_takes_names_the_difference(
    store: Store, new_job: New, clock: Clock, first: int, then: int, difference: str
) -> None:
    placing: dict[bool, Callable[[NewJob, Any], Any]] = {True: store.place, False: store.place_set}
    placing[first == 1](three(new_job, "k", takes=first), clock())
    with pytest.raises(CallerError, match=difference) as refused:
        placing[then == 1](three(new_job, "k", takes=then), clock())
    assert refused.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    ("ends", "seconds", "same"),
    [
        ((None, None, None), 5000, True),
        ((State.FAILED, State.FAILED, None), 5000, True),
        ((State.FAILED, State.SUCCEEDED, State.FAILED), 119, True),
        ((State.FAILED, State.UNKNOWN, State.FAILED), 119, True),
        ((State.FAILED, State.SUCCEEDED, State.FAILED), 121, False),
        ((State.FAILED, State.FAILED, State.FAILED), 1, False),
    ],
)
def test_a_set_without_a_key_is_repeated_while_a_take_is_live_and_shortly_after_one_was_made(
    store: Store, new_job: New, clock: Clock, ends: tuple[State | None, ...], seconds: int, same: bool
) -> None:
    first = store.place_set(three(new_job), clock()).job_set
    for take, end in zip(first.takes, ends, strict=True):
        if end is not None:
            ended(store, take, clock, end)
    clock.turn(seconds=seconds)
    again = store.place_set(three(new_job), clock())
    assert ((again.job_set.id == first.id), again.fresh) == (same, not same)


def test_the_takes_of_a_set_are_no_repeat_of_the_request_for_one(store: Store, new_job: New, clock: Clock) -> None:
    job_set = store.place_set(three(new_job), clock()).job_set
    alone = store.place(three(new_job, takes=1), clock())
    assert alone.fresh
    assert alone.job.take_name == ""
    two = store.place_set(three(new_job, takes=2), clock())
    assert two.fresh
    assert store.place_set(three(new_job), clock()).job_set.id == job_set.id


def test_a_set_of_a_key_is_not_handed_to_a_request_without_one_unless_a_person_is_asked(
    store: Store, new_job: New, clock: Clock
) -> None:
    keyed = store.place_set(three(new_job, "k"), clock()).job_set
    assert store.place_set(three(new_job), clock(), Repeat.ASKED).job_set.id == keyed.id
    assert store.place_set(three(new_job), clock()).fresh


def test_a_set_of_previews_does_not_count_for_one_of_real_videos(store: Store, new_job: New, clock: Clock) -> None:
    previews = store.place_set(new_job(takes=3), clock()).job_set
    assert store.place_set(new_job(takes=3), clock()).job_set.id == previews.id
    assert store.place_set(three(new_job), clock()).fresh


# -- each take for itself ----------------------------------------------------------------------------------------------


def test_a_take_that_fails_touches_no_other(store: Store, new_job: New, clock: Clock) -> None:
    job_set = store.place_set(three(new_job), clock()).job_set
    ended(store, job_set.takes[0], clock, State.FAILED)
    now = store.reload(job_set)
    assert [take.state for take in now.takes] == [State.FAILED, State.QUEUED, State.QUEUED]
    assert now.takes[1:] == job_set.takes[1:]
    assert store.budget(clock()).held == 480_000


def test_a_take_goes_to_its_next_offer_alone_within_its_share_of_the_cap(
    database: Database, new_job: New, clock: Clock
) -> None:
    store = Store(database, budget_usd=Decimal(9))
    new = replace(priced(new_job(takes=3), "0.24", "0.30", "0.25"), most_usd=Decimal("0.80") / 3)
    job_set = store.place_set(new, clock()).job_set
    job = store.claim("w_a", {}, clock())
    assert job is not None
    risen = tuple(replace(offer, highest_usd=Decimal("0.27")) for offer in job.offers)
    no_credit = JobError(ErrorCode.UNAVAILABLE, "away")
    failed = store.fail_over(job, no_credit, clock(), risen)
    assert (failed.state, failed.take) == (State.FAILED, 1)
    assert store.reload(job_set).takes[1:] == job_set.takes[1:]


# -- one consent, one cap ----------------------------------------------------------------------------------------------

Shop = Callable[..., AbstractAsyncContextManager[Jobs]]


@pytest.fixture
def shop(home: Path, database_url: str, clock: Clock) -> Shop:
    """Jobs that can be ordered at fal and are never worked on."""
    env = {"FAL_KEY": "k:1"}

    @asynccontextmanager
    async def opened(**options: Any) -> AsyncIterator[Jobs]:
        given = {
            "budget_usd": None,
            "folders": (),
            "database_url": database_url,
            "lookup": lambda name: env.get(name, ""),
        }
        jobs = await Jobs.open(JobsConfig(home, catalog_of(env), **(given | options)), clock)
        try:
            yield jobs
        finally:
            await jobs.stop()

    return opened


def takes(number: int = 3, **asked: Any) -> GenerateVideo:
    return GenerateVideo(**{"prompt": "a pond", "provider": "fal", "model": "ltx-2.3-fast", "takes": number, **asked})


async def placed(jobs: Jobs, arguments: GenerateVideo | AnimateImage, reply: ConfirmationReply | None = None) -> JobSet:
    ordered = await jobs.order_or_ask(arguments, "local", reply, can_ask=reply is not None)
    assert isinstance(ordered, PlacedSet)
    return ordered.job_set


async def test_a_cap_is_for_the_sum_and_each_take_has_its_share(shop: Shop) -> None:
    async with shop() as jobs:
        with pytest.raises(CallerError, match=SUM):
            await placed(jobs, takes(max_cost_usd=1.07))
        job_set = await placed(jobs, takes(max_cost_usd=1.1))
        shares = [take.most_micro or 0 for take in job_set.takes]
        assert shares == [366_666] * 3
        assert sum(shares) <= 1_100_000


async def test_a_limit_is_for_the_sum_and_its_one_time_amount_pays_for_all_once(shop: Shop) -> None:
    async with shop(confirm_above_usd=Decimal("0.50")) as jobs:
        one = await jobs.order_or_ask(takes(1), "local", None, can_ask=False)
        assert not isinstance(one, ConfirmationPrompt)
        with pytest.raises(CallerError, match=SUM) as refused:
            await placed(jobs, takes())
        assert refused.value.code is ErrorCode.NEEDS_CONFIRMATION
        amount = Decimal(refused.value.hint.partition("max_cost_usd=")[2].partition(":")[0])
        assert Decimal("1.08") < amount < Decimal("1.09")
        job_set = await placed(jobs, takes(max_cost_usd=float(amount)))
        assert sum(take.most_micro or 0 for take in job_set.takes) <= amount * 1_000_000
        await jobs.cancel(job_set.id, "local")
        with pytest.raises(CallerError, match="a person must agree first"):
            await placed(jobs, takes(max_cost_usd=float(amount)))


async def test_a_persons_yes_is_for_all_takes_and_counts_once(shop: Shop) -> None:
    async with shop(confirm_above_usd=Decimal("0.50")) as jobs:
        question = await jobs.order_or_ask(takes(), "local", None, can_ask=True)
        assert isinstance(question, ConfirmationPrompt)
        assert re.search(SUM, question.text)
        assert "3 videos" in question.text
        reply = ConfirmationReply(question.token, yes=True)
        job_set = await placed(jobs, takes(), reply)
        assert len(job_set.takes) == 3
        assert (await placed(jobs, takes())).id == job_set.id  # nobody is asked about what there is already
        await jobs.cancel(job_set.id, "local")
        again = await jobs.order_or_ask(takes(), "local", reply, can_ask=True)
        assert isinstance(again, ConfirmationPrompt)


async def test_a_yes_to_two_takes_is_none_to_three(shop: Shop) -> None:
    async with shop(confirm_above_usd=Decimal("0.30")) as jobs:
        question = await jobs.order_or_ask(takes(2), "local", None, can_ask=True)
        assert isinstance(question, ConfirmationPrompt)
        again = await jobs.order_or_ask(takes(3), "local", ConfirmationReply(question.token, yes=True), can_ask=True)
        assert isinstance(again, ConfirmationPrompt)


# -- names and cancelling ----------------------------------------------------------------------------------------------


async def test_the_next_shot_waits_for_the_take_that_it_names(shop: Shop) -> None:
    async with shop() as jobs:
        job_set = await placed(jobs, takes())
        second = job_set.takes[1]
        shot = AnimateImage(prompt="on", image=f"{job_set.id}/2#last", provider="fal")
        chained = (await jobs.order(shot, "local")).job
        assert (chained.sources, chained.blocked_by) == ((second.id,), second.id)
        same = await jobs.order(shot.model_copy(update={"image": f"{second.id}#last"}), "local")
        assert (same.job.id, same.fresh) == (chained.id, False)


async def test_a_take_is_found_by_its_name_and_a_set_is_no_job(shop: Shop) -> None:
    async with shop() as jobs:
        job_set = await placed(jobs, takes())
        assert await jobs.get(f"{job_set.id}/2", "local") == job_set.takes[1]
        assert await jobs.find(job_set.id, "local") == job_set
        assert [job.take for job in await jobs.named(f"{job_set.id[:12]}", "local", 5)] != []
        assert await jobs.named(f"{job_set.id}/3", "local", 5) == [job_set.takes[2]]
        for name, code, words in (
            (job_set.id, ErrorCode.INVALID_REQUEST, f"Name one of them: {job_set.id}/1,"),
            (f"{job_set.id}/4", ErrorCode.JOB_NOT_FOUND, "has 3 takes, and 4 is none of them"),
            ("set_nothing/1", ErrorCode.JOB_NOT_FOUND, "There is no job set_nothing/1"),
        ):
            with pytest.raises(CallerError, match=words) as refused:
                await jobs.get(name, "local")
            assert refused.value.code is code
            shot = AnimateImage(prompt="on", image=f"{name}#last", provider="fal")
            with pytest.raises(CallerError) as refused:
                await jobs.order(shot, "local")
            assert refused.value.code is code
        with pytest.raises(CallerError, match="There is no job"):
            await jobs.find(job_set.id, "somebody else")


async def test_cancelling_a_set_cancels_its_live_takes_the_last_first(
    shop: Shop, home: Path, database_url: str, clock: Clock
) -> None:
    async with shop() as jobs:
        job_set = await placed(jobs, takes())
        database = Database.open(home, database_url)
        store = Store(database)
        ended(store, job_set.takes[0], clock, State.SUCCEEDED)
        cancelled = await jobs.cancel(job_set.id, "local")
        with database.read() as connection:
            in_order = select(events.c.job_id).where(events.c.what == "cancelled").order_by(events.c.id)
            assert connection.execute(in_order).scalars().all() == [take.id for take in job_set.takes[:0:-1]]
        database.close()
        assert isinstance(cancelled, JobSet)
        assert [(take.state, take.cancel) for take in cancelled.takes] == [
            (State.SUCCEEDED, None),
            (State.CANCELLED, CancelOutcome.NEVER_SENT),
            (State.CANCELLED, CancelOutcome.NEVER_SENT),
        ]
        one = await jobs.cancel(f"{job_set.id}/1", "local")
        assert isinstance(one, Job)
        assert one.state is State.SUCCEEDED
