"""What the store promises: one job per request, moves along the table, money beside it, and a history of all of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text

from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import TRANSITIONS, CancelOutcome, ChargeState, Job, JobChanges, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.store import releases
from ltx_mcp.jobs.store import store as store_module
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import LostClaimError, NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import IllegalTransitionError
from ltx_mcp.jobs.store.upload_cache import UploadCache
from tests.conftest import Clock

New = Callable[..., NewJob]
LOCAL = frozenset({"local"})


def priced(new: NewJob, *usd: str, provider: str = "fal") -> NewJob:
    """The same request with these offers."""
    offers: list[Offer] = [
        replace(new.offers[0], provider=provider if not n else f"{provider}{n}", cost_usd=Decimal(each))
        for n, each in enumerate(usd)
    ]
    return replace(new, offers=tuple(offers))


def ordered(store: Store, new: NewJob, clock: Clock, worker: str = "w_a") -> Job:
    """Placed, claimed and at the point where the order goes out."""
    store.place(new, clock())
    job = store.claim(worker, {}, clock())
    assert job is not None
    return store.transition(job, State.SUBMITTING, clock(), submitted_by=worker, ordered_at=clock())


def test_a_request_key_gives_the_same_job_for_ever(store: Store, new_job: New, clock: Clock) -> None:
    first = store.place(new_job(request_key="k"), clock())
    clock.turn(days=400)
    again = store.place(new_job(request_key="k"), clock())
    assert (again.job.id, first.fresh, again.fresh) == (first.job.id, True, False)


def test_a_request_key_of_another_request_names_the_difference(store: Store, new_job: New, clock: Clock) -> None:
    store.place(new_job(request_key="k"), clock())
    with pytest.raises(CallerError, match=r"duration \('6' before\)") as caught:
        store.place(new_job(request_key="k", duration=8), clock())
    assert caught.value.code is ErrorCode.INVALID_REQUEST


def test_cap_and_patience_do_not_make_another_request(store: Store, new_job: New, clock: Clock) -> None:
    first = store.place(new_job(request_key="k"), clock()).job
    again = store.place(new_job(request_key="k", max_cost_usd=3, wait_seconds=20), clock()).job
    assert again.id == first.id


def test_a_request_key_belongs_to_its_caller(store: Store, new_job: New, clock: Clock) -> None:
    mine = store.place(new_job(request_key="k"), clock()).job
    theirs = store.place(new_job(caller="other", request_key="k"), clock()).job
    assert mine.id != theirs.id


def test_the_same_request_while_it_is_live_gives_one_job(store: Store, new_job: New, clock: Clock) -> None:
    first = store.place(new_job(), clock()).job
    clock.turn(hours=5)
    assert store.place(new_job(), clock()).job.id == first.id
    assert store.place(new_job(prompt="a lake"), clock()).job.id != first.id


@pytest.mark.parametrize(("seconds", "same"), [(119, True), (121, False)])
def test_the_same_request_shortly_after_success_gives_one_job(
    store: Store, new_job: New, clock: Clock, seconds: int, same: bool
) -> None:
    job = ordered(store, new_job(), clock)
    job = store.record_submission(job, State.RUNNING, clock(), "started")
    job = store.transition(job, State.SAVING, clock())
    job = store.transition(job, State.SUCCEEDED, clock(), bill=ChargeState.BOOKED)
    clock.turn(seconds=seconds)
    assert (store.place(new_job(), clock()).job.id == job.id) is same


@pytest.mark.parametrize("end", [State.FAILED, State.CANCELLED])
def test_a_failed_or_cancelled_job_is_never_handed_back(store: Store, new_job: New, clock: Clock, end: State) -> None:
    job = ordered(store, new_job(), clock)
    job = store.transition(job, end, clock())
    assert store.place(new_job(), clock()).job.id != job.id


def test_a_keyed_job_is_not_handed_to_a_request_without_a_key(store: Store, new_job: New, clock: Clock) -> None:
    keyed = store.place(new_job(request_key="k"), clock()).job
    assert store.place(new_job(), clock()).job.id != keyed.id


def test_all_jobs_of_a_worker_are_released_though_many_at_a_time_are_too_many(
    store: Store, new_job: New, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "RELEASED_AT_A_TIME", 2)
    for n in range(5):
        ordered(store, new_job(prompt=f"p{n}"), clock)
    assert store.claims_of("w_a") != set()
    assert store.release_claims("w_a", LOCAL, clock(), died=True) == 5
    assert store.claims_of("w_a") == set()


def test_jobs_released_together_go_each_where_it_is_certain_and_who_waited_for_one_goes_on(
    store: Store, new_job: New, clock: Clock
) -> None:
    followed = ordered(store, priced(new_job(prompt="followed"), "0.30"), clock)
    store.record_submission(followed, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    lost = ordered(store, priced(new_job(prompt="lost"), "0.30"), clock)
    source = (Input(role="image", job_id=lost.id),)
    waiting = store.place(replace(priced(new_job(prompt="waits"), "0.30"), inputs=source), clock()).job
    assert waiting.blocked_by == lost.id
    store.release_claims("w_a", LOCAL, clock(), died=True)
    found = {job.id: job for job in store.page("local", "", 9, None)}
    states = {job.prompt: (job.state, job.attempts, job.blocked_by) for job in found.values()}
    assert states == {
        "followed": (State.RUNNING, 1, ""),
        "lost": (State.UNKNOWN, 1, ""),
        "waits": (State.QUEUED, 0, ""),
    }
    told = [
        [event.detail for event in store.history(job.id) if event.what == "holder_died"] for job in (followed, lost)
    ]
    assert told == [[{"from": "w_a"}]] * 2


def test_those_that_may_be_asked_again_are_asked_in_several_rounds_where_they_are_many(
    store: Store, new_job: New, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "ASKED_AT_A_TIME", 2)
    for n in range(3):
        job = ordered(store, new_job(prompt=f"p{n}"), clock)
        store.record_submission(job, State.UNKNOWN, clock(), "lost", provider_ref={"id": f"r{n}"})
    clock.turn(hours=1)
    assert [store.recheck_due(clock()) for _ in range(3)] == [2, 1, 0]


def test_the_days_budget_is_never_passed(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database, budget_usd=Decimal("1.00"))
    for n in range(3):
        store.place(priced(new_job(prompt=f"p{n}"), "0.30"), clock())
    with pytest.raises(CallerError, match=r"0\.10 USD are left") as caught:
        store.place(priced(new_job(prompt="one too many"), "0.30"), clock())
    assert caught.value.code is ErrorCode.OVER_BUDGET
    clock.turn(hours=12)
    assert store.place(priced(new_job(prompt="tomorrow"), "0.30"), clock()).fresh


def test_a_released_price_can_be_spent_again(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database, budget_usd=Decimal("0.30"))
    first = store.place(priced(new_job(), "0.30"), clock()).job
    store.request_cancel("local", first.id, clock())
    assert store.place(priced(new_job(prompt="other"), "0.30"), clock()).fresh


def test_a_charge_counts_instead_of_the_quote(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database, budget_usd=Decimal("1"))
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": 1}, charged_micro=290_000)
    assert store.budget(clock()).held == 290_000


def test_a_claim_takes_the_oldest_due_job_once(store: Store, new_job: New, clock: Clock) -> None:
    first = store.place(new_job(), clock()).job
    clock.turn(seconds=1)
    second = store.place(new_job(prompt="b"), clock()).job
    claimed = [store.claim(worker, {}, clock()) for worker in ("w_a", "w_b", "w_c")]
    assert [job.id if job else None for job in claimed] == [first.id, second.id, None]


def test_no_more_of_a_provider_are_held_than_it_has_slots(store: Store, new_job: New, clock: Clock) -> None:
    for n in range(4):
        store.place(new_job(prompt=f"p{n}"), clock())
    claimed = [store.claim(f"w_{n}", {"local": 2}, clock()) for n in range(4)]
    assert [job is not None for job in claimed] == [True, True, False, False]


def test_a_move_off_the_table_is_a_bug_not_a_row(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, new_job(), clock)
    with pytest.raises(IllegalTransitionError):
        store.transition(job, State.SAVING, clock())
    assert store.get(job.id).state is State.SUBMITTING  # type: ignore[union-attr]


def test_nothing_follows_an_end() -> None:
    assert {state for state in State if not TRANSITIONS[state]} == {State.SUCCEEDED, State.FAILED, State.CANCELLED}


def test_the_fence_stops_a_holder_that_was_replaced(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, new_job(), clock)
    store.release_claims("w_a", LOCAL, clock(), died=True)
    again = store.claim("w_b", {}, clock())
    assert again is not None
    assert again.fencing_token == job.fencing_token + 1
    with pytest.raises(LostClaimError):
        store.update(job, progress=50.0)


def test_a_holder_that_was_replaced_cannot_write_even_in_the_same_state(
    store: Store, new_job: New, clock: Clock
) -> None:
    job = store.record_submission(
        ordered(store, priced(new_job(), "0.30"), clock), State.RUNNING, clock(), "accepted", provider_ref={}
    )
    store.release_claims("w_a", LOCAL, clock(), died=True)
    assert store.claim("w_a", {}, clock()) is not None
    with pytest.raises(LostClaimError):
        store.update(job, progress=50.0)
    with pytest.raises(LostClaimError):
        store.transition(job, State.SAVING, clock())


def test_a_dead_holder_of_an_order_leaves_it_unknown_with_its_money_held(
    store: Store, new_job: New, clock: Clock
) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.release_claims("w_a", LOCAL, clock(), died=True)
    left = store.get(job.id)
    assert left is not None
    assert (left.state, left.bill) == (State.UNKNOWN, ChargeState.HELD)
    assert left.error is not None
    assert left.error.code is ErrorCode.OUTCOME_UNKNOWN


def test_a_late_answer_heals_an_unknown_order(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.release_claims("w_a", LOCAL, clock(), died=True)
    healed = store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    assert (healed.state, healed.lease_owner, healed.error) == (State.RUNNING, "w_a", None)


def test_a_healed_order_that_is_handed_back_is_followed_at_once(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.release_claims("w_a", LOCAL, clock(), died=True)
    store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    store.release_claims("w_a", LOCAL, clock(), died=True)
    assert store.claim("w_b", {}, clock()) is not None


@pytest.mark.parametrize("set_back", [False, True])
def test_an_order_whose_end_nobody_saw_is_asked_after_again_by_itself(
    store: Store, new_job: New, clock: Clock, set_back: bool
) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    job = store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    store.transition(job, State.UNKNOWN, clock())
    clock.turn(minutes=29)
    assert store.recheck_due(clock()) == 0
    clock.turn(minutes=-29 if set_back else 2)
    clock.turn(hours=-3 if set_back else 0)
    assert store.recheck_due(clock()) == 1
    assert store.claim("w_b", {}, clock()) is not None


def test_an_order_without_a_name_or_of_yesterday_is_not_asked_after(store: Store, new_job: New, clock: Clock) -> None:
    nameless = ordered(store, priced(new_job(prompt="one"), "0.30"), clock)
    store.release_claims("w_a", LOCAL, clock(), died=True)
    old = ordered(store, priced(new_job(prompt="two"), "0.30"), clock)
    old = store.record_submission(old, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    store.transition(old, State.UNKNOWN, clock())
    clock.turn(hours=25)
    assert store.recheck_due(clock()) == 0
    assert nameless.provider_ref is None


def test_an_answer_of_anybody_but_the_sender_does_not_count(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    with pytest.raises(LostClaimError):
        store.record_submission(replace(job, lease_owner="w_b"), State.RUNNING, clock(), "accepted", provider_ref={})


def test_a_preview_cut_short_is_queued_again(store: Store, new_job: New, clock: Clock) -> None:
    job = store.record_submission(ordered(store, new_job(), clock), State.RUNNING, clock(), "started")
    store.release_claims("w_a", LOCAL, clock(), died=True)
    left = store.get(job.id)
    assert left is not None
    assert (left.state, left.lease_owner, left.attempts) == (State.QUEUED, "", 1)


def test_an_accepted_order_is_followed_on_by_the_next_holder(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    store.release_claims("w_a", LOCAL, clock(), died=True)
    again = store.claim("w_b", {}, clock())
    assert again is not None
    assert (again.state, again.provider_ref) == (State.RUNNING, {"id": "r"})


def test_a_sure_no_moves_the_money_to_the_next_offer(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database, budget_usd=Decimal("1"))
    job = ordered(store, priced(new_job(), "0.30", "0.40"), clock)
    moved = store.fail_over(job, JobError(ErrorCode.OUT_OF_CREDIT, "no credit"), clock())
    assert (moved.state, moved.offer.provider, moved.bill) == (State.QUEUED, "fal1", ChargeState.HELD)
    assert store.budget(clock()).held == 400_000


def test_a_next_offer_is_counted_on_the_day_of_its_job(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database, budget_usd=Decimal("0.50"))
    clock.turn(hours=11, minutes=59)
    store.place(priced(new_job(prompt="other"), "0.20"), clock())
    other = store.claim("w_b", {}, clock())
    assert other is not None
    job = ordered(store, priced(new_job(), "0.30", "0.40"), clock)
    clock.turn(minutes=2)
    moved = store.fail_over(job, JobError(ErrorCode.OUT_OF_CREDIT, "no credit"), clock())
    assert (moved.state, moved.bill) == (State.FAILED, ChargeState.RELEASED)


def test_after_the_last_offer_a_sure_no_is_the_end(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    ended = store.fail_over(job, JobError(ErrorCode.OUT_OF_CREDIT, "no credit"), clock())
    assert (ended.state, ended.bill) == (State.FAILED, ChargeState.RELEASED)
    assert ended.error == JobError(ErrorCode.OUT_OF_CREDIT, "no credit")


def test_cancelling_what_was_never_sent_costs_nothing(store: Store, new_job: New, clock: Clock) -> None:
    job = store.place(priced(new_job(), "0.30"), clock()).job
    cancelled = store.request_cancel("local", job.id, clock())
    assert cancelled is not None
    assert (cancelled.state, cancelled.cancel, cancelled.bill) == (
        State.CANCELLED,
        CancelOutcome.NEVER_SENT,
        ChargeState.RELEASED,
    )


def test_another_callers_job_cannot_be_cancelled_or_seen(store: Store, new_job: New, clock: Clock) -> None:
    job = store.place(new_job(), clock()).job
    assert store.request_cancel("other", job.id, clock()) is None
    assert store.get(job.id, "other") is None


def test_an_end_wakes_the_jobs_that_waited_for_it(store: Store, new_job: New, clock: Clock) -> None:
    shot = ordered(store, new_job(), clock)
    chained = Input(role="image", job_id=shot.id, frame_position="last")
    waiting = store.place(replace(new_job(prompt="next"), inputs=(chained,)), clock()).job
    assert waiting.blocked_by == shot.id
    assert store.claim("w_b", {}, clock()) is None
    store.transition(shot, State.FAILED, clock())
    claimed = store.claim("w_b", {}, clock())
    assert claimed is not None
    assert (claimed.id, claimed.sources) == (waiting.id, (shot.id,))


def test_every_move_is_in_the_history(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, new_job(), clock)
    store.record_submission(job, State.RUNNING, clock(), "started")
    store.release_claims("w_a", LOCAL, clock(), died=False)
    assert [event.what for event in store.history(job.id)] == ["placed", "submitting", "started", "handed_over"]


def test_another_price_than_the_quoted_one_is_told_in_the_history_once(
    store: Store, new_job: New, clock: Clock
) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    accepted: JobChanges = {"provider_ref": {"id": "r"}, "charged_micro": 400_000}
    job = store.record_submission(job, State.RUNNING, clock(), "accepted", **accepted)
    job = store.transition(job, State.SAVING, clock(), charged_micro=400_000)
    store.transition(job, State.SUCCEEDED, clock(), bill=ChargeState.BOOKED)
    told = [event.detail for event in store.history(job.id) if event.what == "price_drift"]
    assert [(each["quoted_usd"], each["charged_usd"]) for each in told] == [("0.30", "0.40")]


def test_pages_are_newest_first_and_do_not_overlap(store: Store, new_job: New, clock: Clock) -> None:
    ids = []
    for n in range(5):
        ids.append(store.place(new_job(prompt=f"p{n}"), clock()).job.id)
        clock.turn(seconds=n % 2)
    first = store.page("local", "", 3, None)
    second = store.page("local", "", 3, (first[-1].created_at, first[-1].id))
    assert {job.id for job in first} | {job.id for job in second} == set(ids)
    assert len(first) + len(second) == 5
    assert [job.created_at for job in first] == sorted((job.created_at for job in first), reverse=True)


def test_an_upload_is_reused_until_it_expires(database: Database, clock: Clock) -> None:
    uploads = UploadCache(database)
    photo = Input(role="image", sha256="abc", format="png")
    expires = clock()
    clock.turn(minutes=-10)
    uploads.keep("fal", "account", photo, "https://x/1", expires, clock())
    assert uploads.find("fal", "account", photo, clock()) == "https://x/1"
    assert uploads.find("fal", "other", photo, clock()) == ""
    clock.turn(minutes=6)
    assert uploads.find("fal", "account", photo, clock()) == ""


def test_a_job_is_found_by_how_its_id_begins_letter_by_letter(store: Store, new_job: New, clock: Clock) -> None:
    one, theirs = store.place(new_job(), clock()).job, store.place(new_job(caller="other"), clock()).job
    assert [job.id for job in store.named(one.id[:9], "local", 5)] == [one.id]
    assert store.named(theirs.id, "local", 5) == []
    assert store.named(one.id[:9].swapcase(), "local", 5) == store.named("job_%", "local", 5) == []


def test_a_row_keeps_the_names_that_its_records_have_always_had(
    store: Store, database: Database, new_job: New, clock: Clock
) -> None:
    new = new_job()
    offer = replace(new.offers[0], output_duration=Decimal(9), auto_duration=True)
    shot = Input("image", job_id="job_a", frame_position="3.5", exif_rotated=True)
    job = store.place(replace(new, offers=(offer,), inputs=(shot,)), clock()).job
    with database.read() as connection:
        row = connection.execute(text("SELECT offers, inputs FROM jobs")).one()
    (kept,), (given,) = (json.loads(value) if isinstance(value, str) else value for value in row)
    assert (kept["film_s"], kept["automatic"], given["moment"], given["turned"]) == ("9", True, "3.5", True)
    assert not {"output_duration", "auto_duration"} & kept.keys()
    assert not {"frame_position", "exif_rotated"} & given.keys()
    assert (job.offers, job.inputs) == ((offer,), (shot,))
