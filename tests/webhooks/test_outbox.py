"""The outbox: what the database puts in when a job ends, who is registered, what is replayed and what is removed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.domain.job_set import jobs_of
from ltx_mcp.jobs.callers import Named
from ltx_mcp.jobs.webhooks.file import Webhook
from ltx_mcp.jobs.webhooks.outbox import AFTER_S, KEPT, TOLD_WITHIN, Delivery, Outbox
from ltx_mcp.jobs.webhooks.view import WebhooksView
from tests.webhooks.conftest import Bench

KEYS = (bytes(32),)


def hook(name: str = "shop", url: str = "https://shop.example.com/hooks", **more: Any) -> Webhook:
    return Webhook(name, url, KEYS, **more)


@pytest.fixture
def outbox(bench: Bench) -> Outbox:
    made = Outbox(bench.database)
    made.register({"shop": hook()})
    return made


def claim_all(bench: Bench, outbox: Outbox, webhook: str = "shop") -> list[Delivery]:
    return list(outbox.claim(webhook, bench.clock(), 1_000))


def clean(bench: Bench, outbox: Outbox) -> int:
    """Remove all that is old; returns how many."""
    removed = 0
    while count := outbox.clean(bench.clock()):
        removed += count
    return removed


# -- what the database puts in -----------------------------------------------------------------------------------------


def test_of_a_job_that_ends_unknown_again_and_again_a_webhook_is_told_once_and_then_of_its_real_end(
    bench: Bench, outbox: Outbox
) -> None:
    job = bench.unknown()
    (first,) = claim_all(bench, outbox)
    outbox.delivered(first, "HTTP 200")
    for _ in range(3):
        bench.clock.turn(hours=1)
        bench.store.recheck("local", job.id, bench.clock())
        job = bench.taken_up(job)
        job = bench.store.transition(job, State.UNKNOWN, bench.clock())
    assert [(row.job_id, row.state) for row in bench.rows()] == [(job.id, "unknown")]
    bench.clock.turn(hours=1)
    bench.store.recheck("local", job.id, bench.clock())
    job = bench.store.transition(bench.taken_up(job), State.SAVING, bench.clock())
    bench.store.transition(job, State.SUCCEEDED, bench.clock(), bill=ChargeState.BOOKED)
    assert [row.state for row in bench.rows()] == ["unknown", "succeeded"]
    assert bench.outcomes() == [("delivered", "HTTP 200"), ("", "")]
    (last,) = claim_all(bench, outbox)
    ids = [f"msg_{job.id.removeprefix('job_')}_{state}" for state in ("unknown", "succeeded")]
    assert [first.message_id, last.message_id] == ids


def test_an_end_that_is_rolled_back_is_not_told(bench: Bench, outbox: Outbox) -> None:
    placed = bench.store.place(bench.new_job(), bench.clock()).job
    with bench.database.write() as connection:
        connection.execute(text("UPDATE jobs SET state = 'cancelled' WHERE id = :id"), {"id": placed.id})
        assert connection.execute(text("SELECT count(*) FROM deliveries")).scalar() == 1
        connection.rollback()
    assert bench.rows() == []


def test_of_a_take_the_key_of_its_request_is_told(bench: Bench, outbox: Outbox) -> None:
    placed = bench.store.place_set(bench.new_job(request_key="order 1", takes=2), bench.clock())
    for take in jobs_of(placed.followed):
        bench.store.request_cancel("local", take.id, bench.clock())
    told = claim_all(bench, outbox)
    assert [each.request_key for each in told] == ["order 1"] * 2
    outbox.register({"shop": hook(), "late": hook("late")})
    WebhooksView(bench.database).replay_jobs([told[0].job_id], "late", bench.clock())
    assert [each.request_key for each in claim_all(bench, outbox, "late")] == ["order 1"]


def test_two_names_that_stand_for_one_caller_tell_once(bench: Bench, outbox: Outbox) -> None:
    outbox.register({"shop": hook(callers=(Named("token|", True), Named("token|a"), Named("token|a/", True)))})
    bench.cancel("token|a")
    bench.cancel("token|a/b")
    assert len(bench.rows()) == 2


# -- who is registered -------------------------------------------------------------------------------------------------


def test_a_webhook_that_the_file_has_no_more_is_not_told_and_what_waited_for_it_goes(
    bench: Bench, outbox: Outbox
) -> None:
    outbox.register({"shop": hook(), "other": hook("other")})
    bench.cancel("token|first")
    assert outbox.register({"other": hook("other")}) == ["shop"]
    bench.clock.turn(seconds=-1)
    bench.cancel("token|second")
    assert [row.webhook for row in bench.rows()] == ["other", "other", "shop"]
    assert clean(bench, outbox) == 1
    assert [row.webhook for row in bench.rows()] == ["other", "other"]
    outbox.register({})
    with bench.database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM subscriptions")).scalar() == 0


def test_another_address_enables_a_webhook_and_the_same_one_does_not(bench: Bench, outbox: Outbox) -> None:
    elsewhere = hook(url="https://elsewhere.example.com/")
    assert not outbox.disable(elsewhere, bench.clock())
    assert outbox.disable(hook(), bench.clock())
    outbox.register({"shop": hook(callers=(Named("local"),))})
    assert bench.is_disabled("shop")
    outbox.register({"shop": elsewhere})
    assert not bench.is_disabled("shop")


# -- claims ------------------------------------------------------------------------------------------------------------


def test_a_sender_that_comes_too_late_changes_nothing_but_that_it_was_delivered(bench: Bench, outbox: Outbox) -> None:
    bench.cancel()
    (slow,) = claim_all(bench, outbox)
    bench.clock.turn(minutes=2)
    (quick,) = claim_all(bench, outbox)
    outbox.failed(slow, "late", bench.clock())
    outbox.give_back(slow, bench.clock())
    assert (bench.rows()[0].answer, bench.rows()[0].tries) == ("", 2)
    outbox.delivered(slow, "HTTP 200")
    outbox.failed(quick, "HTTP 500", bench.clock())
    assert bench.outcomes() == [("delivered", "HTTP 200")]


def test_two_processes_never_claim_one_delivery_at_a_time(bench: Bench, outbox: Outbox) -> None:
    for n in range(10):
        bench.cancel(f"token|{n}")
    if not bench.database.kind.shared:
        assert len({each.job_id for _ in range(2) for each in outbox.claim("shop", bench.clock(), 5)}) == 10
        return
    with bench.database.write() as connection:  # another process, in the middle of a claim
        connection.execute(text("SELECT * FROM deliveries ORDER BY job_id LIMIT 4 FOR UPDATE"))
        assert len(claim_all(bench, outbox)) == 6


# -- replays -----------------------------------------------------------------------------------------------------------


def given_up(bench: Bench, outbox: Outbox) -> None:
    (claimed,) = claim_all(bench, outbox)
    outbox.failed(replace(claimed, tries=len(AFTER_S) + 1), "HTTP 500", bench.clock())
    with bench.database.write() as connection:
        connection.execute(text("UPDATE deliveries SET outcome = 'given_up' WHERE outcome = ''"))


def test_a_replay_tells_of_what_is_not_known_or_of_all_and_enables(bench: Bench, outbox: Outbox) -> None:
    view = WebhooksView(bench.database)
    began = bench.clock()
    bench.cancel("token|known")
    outbox.delivered(claim_all(bench, outbox)[0], "HTTP 200")
    bench.clock.turn(hours=1)
    bench.cancel("token|lost")
    given_up(bench, outbox)
    outbox.disable(hook(), bench.clock())
    bench.clock.turn(hours=1)
    bench.cancel("token|late")
    late = view.replay_since("shop", bench.clock() - timedelta(minutes=30), bench.clock(), all_of_them=True)
    assert (late.count, late.was_disabled, len(claim_all(bench, outbox))) == (1, True, 1)
    some = view.replay_since("shop", began, bench.clock(), all_of_them=False)
    assert (some.count, some.was_disabled) == (2, False)
    assert {(each.caller, each.tries) for each in claim_all(bench, outbox)} == {("token|lost", 1), ("token|late", 1)}
    assert view.replay_since("shop", began, bench.clock(), all_of_them=True).count == 3


def test_what_a_replay_asks_for_is_told_by_a_server_that_just_now_saw_the_webhook_disabled(
    bench: Bench, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = bench.cancel()
    outbox.delivered(claim_all(bench, outbox)[0], "HTTP 200")
    outbox.disable(hook(), bench.clock())
    write = bench.database.write

    @contextmanager
    def write_beside_a_server(durable: bool = True) -> Iterator[Connection]:
        with write(durable) as connection:
            yield connection
        with monkeypatch.context() as plain:
            plain.setattr(bench.database, "write", write)
            outbox.put_aside("shop")

    monkeypatch.setattr(bench.database, "write", write_beside_a_server)
    (replayed,) = WebhooksView(bench.database).replay_jobs([ended.id], "", bench.clock())
    assert (replayed.count, replayed.was_disabled) == (1, True)
    assert [each.job_id for each in claim_all(bench, outbox)] == [ended.id]


def test_a_replay_of_many_comes_to_an_end_while_they_are_sent(
    bench: Bench, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx_mcp.jobs.webhooks.view.BATCH", 3)
    ids = {bench.cancel(f"token|{n}").id for n in range(10)}
    view, last = WebhooksView(bench.database), bench.clock() - timedelta(seconds=1)
    assert view.replay_since("shop", last, bench.clock(), all_of_them=True).count == 10
    assert {each.job_id for each in claim_all(bench, outbox)} == ids


def test_a_job_can_be_told_to_a_webhook_that_came_after_its_end(bench: Bench, outbox: Outbox) -> None:
    view = WebhooksView(bench.database)
    old, foreign = bench.cancel("token|a"), bench.cancel("token|b")
    live = bench.store.place(bench.new_job(prompt="live"), bench.clock()).job
    outbox.register({"shop": hook(), "new": hook("new", callers=(Named("token|a"),))})
    told = [(each.webhook, each.count) for each in view.replay_jobs([old.id, foreign.id], "", bench.clock())]
    assert told == [("new", 1), ("shop", 2)]
    assert [each.job_id for each in claim_all(bench, outbox, "new")] == [old.id]
    assert view.replay_jobs([foreign.id], "new", bench.clock()) == []
    for names, webhook, word in (([live.id], "", "queued"), ([old.id], "nobody", "registered are new, shop")):
        with pytest.raises(CallerError, match=word):
            view.replay_jobs(names, webhook, bench.clock())


def test_the_list_says_what_waits_and_what_the_last_try_met(bench: Bench, outbox: Outbox) -> None:
    outbox.register({"shop": hook(), "idle": hook("idle", callers=(Named("nobody"),))})
    first = bench.clock()
    bench.cancel("token|first")
    outbox.failed(claim_all(bench, outbox)[0], "HTTP 503", bench.clock())
    bench.clock.turn(minutes=3)
    bench.cancel("token|second")
    idle, shop = WebhooksView(bench.database).list()
    assert (idle.waiting, idle.oldest_at, idle.last) == (0, None, None)
    assert shop.last is not None
    assert (shop.waiting, shop.oldest_at, shop.last.outcome, shop.last.answer) == (2, first, "", "HTTP 503")


# -- what is removed ---------------------------------------------------------------------------------------------------


def test_what_ended_is_kept_three_days_and_what_nobody_told_until_its_time_is_over(
    bench: Bench, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx_mcp.jobs.webhooks.outbox.BATCH", 2)
    for n in range(5):
        bench.cancel(f"token|{n}")
    for each in claim_all(bench, outbox):
        outbox.delivered(each, "HTTP 200")
    unknown = bench.unknown()
    outbox.delivered(claim_all(bench, outbox)[0], "HTTP 200")
    bench.cancel("token|waits")
    bench.clock.turn(seconds=KEPT.total_seconds() - 1)
    assert clean(bench, outbox) == 0
    bench.clock.turn(seconds=2)
    assert clean(bench, outbox) == 5
    assert {(row.job_id == unknown.id, row.outcome) for row in bench.rows()} == {(True, "delivered"), (False, "")}
    bench.clock.turn(seconds=(TOLD_WITHIN - KEPT).total_seconds())
    assert clean(bench, outbox) == 1
    bench.clock.turn(days=30)
    assert clean(bench, outbox) == 1


def test_what_was_given_up_is_known_for_three_days_after_its_last_try(bench: Bench, outbox: Outbox) -> None:
    bench.cancel()
    for wait_s in (*AFTER_S, 0):
        (claimed,) = claim_all(bench, outbox)
        outbox.failed(claimed, "HTTP 500", bench.clock())
        bench.clock.turn(seconds=wait_s)
    assert bench.outcomes() == [("given_up", "HTTP 500")]
    bench.clock.turn(days=2)
    assert clean(bench, outbox) == 0
    bench.clock.turn(days=2)
    assert clean(bench, outbox) == 1
