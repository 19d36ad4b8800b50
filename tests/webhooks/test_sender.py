"""The sender: what a receiver is told and how often, what it may answer, and that it keeps nobody waiting."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from itertools import pairwise

import anyio
import pytest
import trustme

from ltx_mcp.jobs.callers import user_caller
from ltx_mcp.jobs.webhooks.file import Webhook
from ltx_mcp.jobs.webhooks.outbox import AFTER_S, LEASE, Outbox
from ltx_mcp.jobs.webhooks.sender import AT_A_TIME, WebhookSender
from ltx_mcp.net.address import Address
from ltx_mcp.net.ssrf import EgressPolicy
from tests.patience import HANG_S
from tests.webhooks.conftest import Bench
from tests.webhooks.receiver import OTHER, SECRET, Receiver, Reply, hook_text, receiving

pytestmark = pytest.mark.anyio


async def until(is_so: Callable[[], bool], sender: WebhookSender | None = None) -> None:
    """Once it is so; the sender looks again meanwhile, as it would by itself in seconds."""
    with anyio.fail_after(HANG_S):
        while not is_so():
            if sender is not None:
                sender.wake()
            await anyio.sleep(0.01)


def in_thread(work: Callable[[], object]) -> Awaitable[object]:
    return anyio.to_thread.run_sync(work)


async def registered(bench: Bench, sender: WebhookSender, *names: str) -> None:
    def is_so() -> bool:
        with bench.database.read() as connection:
            found = connection.exec_driver_sql("SELECT webhook FROM subscriptions").scalars().all()
        return set(found) == set(names)

    await until(is_so, sender)


async def test_a_receiver_is_told_who_may_look_at_which_job_and_can_verify_it(bench: Bench, receiver: Receiver) -> None:
    bench.clock.time = datetime.now(UTC).replace(microsecond=0)  # which the library of others looks at
    bench.write(hook_text("shop", receiver.url, secrets=(SECRET, OTHER)))
    async with bench.sending() as sender:
        await registered(bench, sender, "shop")
        job = bench.cancel(user_caller("token|shop", "Ünal/7"), "order 1")
        sender.wake()
        await in_thread(lambda: receiver.wait(1))
        await until(lambda: bench.outcomes() == [("delivered", "HTTP 204")])
    (told,) = receiver.told
    for secret in (SECRET, OTHER):
        assert told.verified_by(secret) == {
            "type": "job.cancelled",
            "timestamp": f"{bench.clock():%Y-%m-%dT%H:%M:%SZ}",
            "data": {"job_id": job.id, "state": "cancelled", "user": "Ünal/7", "request_key": "order 1"},
        }
    assert told.id == f"msg_{job.id.removeprefix('job_')}_cancelled"
    assert (told.headers["content-type"], told.headers["user-agent"]) == ("application/json", "ltx-mcp")
    assert int(told.headers["content-length"]) == len(told.body)
    assert bench.noted == [("shop", "delivered")]


async def test_each_is_told_of_the_ends_and_callers_it_wants_and_no_others(bench: Bench, receiver: Receiver) -> None:
    wanted = {"all": "", "users": 'callers = ["token|shop/*"]', "shop": 'callers = ["token|shop"]'}
    wanted |= {"tokens": 'callers = ["token|*"]', "films": 'events = ["job.succeeded"]'}
    bench.write(*(hook_text(name, receiver.url, more=f"allow_private = true\n{say}") for name, say in wanted.items()))
    async with bench.sending() as sender:
        await registered(bench, sender, *wanted)
        for caller in ("local", "token|shop", "token|shop/a", "token|shopper"):
            bench.cancel(caller, caller)
            bench.clock.turn(seconds=1)
    told: dict[str, list[str]] = {}
    for row in bench.rows():
        told.setdefault(row.webhook, []).append(row.job_id)
    ids = told["all"]
    assert told == {"all": ids, "users": [ids[2]], "shop": [ids[1], ids[2]], "tokens": ids[1:]}


async def test_a_failed_try_comes_again_as_the_schedule_says_under_the_same_id_until_it_is_given_up(
    bench: Bench, receiver: Receiver
) -> None:
    receiver.usual = Reply(500)
    bench.write(hook_text("shop", receiver.url))
    async with bench.sending() as sender:
        await registered(bench, sender, "shop")
        bench.cancel()
        for number, wait_s in enumerate(AFTER_S, 1):
            sender.wake()
            await in_thread(partial(receiver.wait, number))
            await until(partial(bench.waits_until, bench.clock() + timedelta(seconds=wait_s)))
            bench.clock.turn(seconds=wait_s)
        sender.wake()
        await until(lambda: bench.outcomes() == [("given_up", "HTTP 500")])
        bench.clock.turn(days=2)
        sender.wake()
    assert sum(AFTER_S) == 272_105
    assert len(receiver.told) == 10
    assert {(each.id, each.body) for each in receiver.told} == {(receiver.told[0].id, receiver.told[0].body)}
    times = [int(each.headers["webhook-timestamp"]) for each in receiver.told]
    assert [after - before for before, after in pairwise(times)] == list(AFTER_S)
    assert bench.noted == [("shop", "failed")] * 9 + [("shop", "given_up")]


async def test_retry_after_is_obeyed_where_it_asks_for_more_than_the_schedule(bench: Bench, receiver: Receiver) -> None:
    receiver.replies = [Reply(429, {"Retry-After": "120"}), Reply(503, {"Retry-After": "1"})]
    bench.write(hook_text("shop", receiver.url))
    async with bench.sending() as sender:
        await registered(bench, sender, "shop")
        bench.cancel()
        for asked_s in (120, 300):
            sender.wake()
            await until(partial(bench.waits_until, bench.clock() + timedelta(seconds=asked_s)))
            bench.clock.turn(seconds=asked_s)
        sender.wake()
        await until(lambda: bench.outcomes() == [("delivered", "HTTP 204")])


async def test_a_receiver_that_is_gone_is_disabled_and_told_nothing_more_until_its_address_changes(
    bench: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.replies = [Reply(500), Reply(410)]
    bench.write(hook_text("shop", receiver.url))
    async with bench.sending() as sender:
        await registered(bench, sender, "shop")
        bench.cancel("token|first")
        await until(lambda: bench.outcomes() == [("", "HTTP 500")], sender)
        bench.cancel("token|second")
        await until(lambda: ("disabled", "HTTP 410") in bench.outcomes(), sender)
        bench.cancel("token|third")
        bench.clock.turn(days=1)
        await until(lambda: [outcome for outcome, _ in bench.outcomes()] == ["disabled"] * 3, sender)
        bench.write(hook_text("shop", receiver.url.replace("/ltx", "/anew")))
        await until(lambda: not bench.is_disabled("shop"), sender)
        bench.cancel("token|fourth")
        await until(lambda: ("delivered", "HTTP 204") in bench.outcomes(), sender)
    assert [each.path.partition("?")[0] for each in receiver.told] == ["/hooks/ltx", "/hooks/ltx", "/hooks/anew"]
    assert "webhook shop answers HTTP 410 and is disabled" in caplog.text


async def test_redirects_are_not_followed(bench: Bench, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.usual = Reply(307, {"Location": elsewhere.url})
        bench.write(hook_text("shop", receiver.url))
        async with bench.sending() as sender:
            await registered(bench, sender, "shop")
            bench.cancel()
            await until(lambda: bench.outcomes() == [("", "HTTP 307")], sender)
        assert elsewhere.told == []


async def test_a_dead_receiver_keeps_no_other_webhook_waiting_and_a_sender_that_ends_gives_back_what_it_was_sending(
    bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ltx_mcp.jobs.webhooks.sender.TRY_S", HANG_S)  # no try ends by itself meanwhile
    with receiving() as dead:
        dead.usual = Reply(None)
        bench.write(hook_text("dead", dead.url), hook_text("shop", receiver.url))
        async with bench.sending() as sender:
            await registered(bench, sender, "dead", "shop")
            for n in range(AT_A_TIME + 2):
                bench.cancel(f"token|{n}")
            sender.wake()
            await in_thread(partial(dead.wait, AT_A_TIME))
            await until(lambda: bench.outcomes().count(("delivered", "HTTP 204")) == AT_A_TIME + 2, sender)
            assert len(dead.told) == AT_A_TIME
            assert sum(row.tries for row in bench.rows() if row.webhook == "dead") == AT_A_TIME
        left = [row for row in bench.rows() if row.webhook == "dead"]
        assert [(row.outcome, row.tries) for row in left] == [("", 0)] * (AT_A_TIME + 2)
        assert all(row.next_at == bench.clock().timestamp() * 1e6 for row in left)


async def test_what_a_killed_sender_had_claimed_is_due_again_when_the_claim_has_run_out(
    bench: Bench, receiver: Receiver
) -> None:
    bench.write(hook_text("shop", receiver.url))
    async with bench.sending() as sender:
        await registered(bench, sender, "shop")
    job = bench.cancel()
    (claimed,) = Outbox(bench.database).claim("shop", bench.clock(), 5)
    assert (claimed.job_id, claimed.tries) == (job.id, 1)
    assert Outbox(bench.database).claim("shop", bench.clock(), 5) == []
    bench.clock.turn(seconds=LEASE.total_seconds())
    async with bench.sending() as sender:
        await until(lambda: bench.outcomes() == [("delivered", "HTTP 204")], sender)


async def test_who_was_away_for_long_tells_all_that_waits(bench: Bench, receiver: Receiver) -> None:
    bench.write(hook_text("shop", receiver.url))
    async with bench.sending() as sender:
        await registered(bench, sender, "shop")
    ended = {bench.cancel(f"token|{n}").id for n in range(2 * AT_A_TIME)}
    bench.clock.turn(days=9)
    async with bench.sending() as sender:
        await until(lambda: len(bench.noted) == len(ended), sender)
    assert {each.message["data"]["job_id"] for each in receiver.told} == ended


async def test_who_has_an_older_file_leaves_what_it_does_not_want_to_who_has_the_newer_one(
    bench: Bench, receiver: Receiver
) -> None:
    bench.write(hook_text("shop", receiver.url, more='allow_private = true\nevents = ["job.succeeded"]'))
    async with bench.sending() as older:
        await registered(bench, older, "shop")
        Outbox(bench.database).register({"shop": Webhook("shop", receiver.url, (bytes(32),), allow_private=True)})
        bench.cancel()
        await older.stop(HANG_S)
    assert [(row.outcome, row.tries) for row in bench.rows()] == [("", 0)]
    bench.clock.turn(seconds=LEASE.total_seconds())
    bench.write(hook_text("shop", receiver.url))
    async with bench.sending() as newer:
        await until(lambda: bench.outcomes() == [("delivered", "HTTP 204")], newer)


async def test_what_ended_by_a_clock_that_was_set_back_since_is_told_now(bench: Bench, receiver: Receiver) -> None:
    bench.write(hook_text("shop", receiver.url))
    async with bench.sending() as sender:
        await registered(bench, sender, "shop")
        bench.clock.turn(days=365)
        bench.cancel()
        bench.clock.turn(days=-365)
        await until(lambda: bench.outcomes() == [("delivered", "HTTP 204")], sender)


async def test_a_name_that_was_public_and_turns_private_is_not_sent_to_and_is_tried_again(bench: Bench) -> None:
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example.com").configure_cert(server)
    authority.configure_trust(client)
    with receiving(server) as public, receiving(server, "127.0.0.2", public.port) as private:
        outside, inside = ip_address("127.0.0.1"), ip_address("127.0.0.2")
        leads_to = [outside]

        async def resolver(host: str, port: int) -> Sequence[Address]:
            assert (host, port) == ("hooks.example.com", public.port)
            return leads_to

        # no test leaves this machine: one of its addresses stands for a public one
        policy = EgressPolicy(resolver=resolver, trust=client, allow=lambda address: address == outside)
        bench.write(hook_text("shop", f"https://hooks.example.com:{public.port}/hooks", more=""))
        async with bench.sending(policy=policy) as sender:
            await registered(bench, sender, "shop")
            bench.cancel("token|first")
            await until(lambda: bench.outcomes() == [("delivered", "HTTP 204")], sender)
            leads_to = [inside]
            bench.clock.turn(seconds=1)
            bench.cancel("token|second")
            await until(lambda: ("", "does not lead to a public address") in bench.outcomes(), sender)
            leads_to = [outside, inside]
            bench.clock.turn(seconds=AFTER_S[0])
            await until(lambda: bench.rows()[-1].tries == 2 and len(bench.noted) == 3, sender)
            leads_to = [outside]
            bench.clock.turn(seconds=AFTER_S[1])
            await until(lambda: bench.outcomes() == [("delivered", "HTTP 204")] * 2, sender)
        assert (len(public.told), private.told) == (2, [])
    assert [outcome for _, outcome in bench.noted] == ["delivered", "failed", "failed", "delivered"]
