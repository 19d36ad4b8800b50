"""A receiver that takes connections and never answers, and a thousand jobs that end meanwhile."""

from functools import partial

import anyio
import pytest

from ltx_mcp.jobs.webhooks.sender import AT_A_TIME
from tests.webhooks.conftest import Bench
from tests.webhooks.receiver import Receiver, Reply, hook_text, receiving
from tests.webhooks.test_sender import registered, until

pytestmark = pytest.mark.anyio

ENDS = 1_000


async def test_a_thousand_ends_with_a_dead_receiver_delay_no_job_and_no_other_webhook(
    bench: Bench, receiver: Receiver
) -> None:
    with receiving() as dead:
        dead.usual = Reply(None)
        bench.write(hook_text("dead", dead.url), hook_text("shop", receiver.url))
        async with bench.sending() as sender:
            await registered(bench, sender, "dead", "shop")
            first = bench.cancel("token|first")
            sender.wake()
            await anyio.to_thread.run_sync(partial(dead.wait, 1))
            for n in range(ENDS - 1):
                await bench.database.run_in_thread(bench.cancel, f"token|{n}")
                sender.wake()
            # the dead one answered nobody: what it was told is under way, or was cut off as too late
            told = await anyio.to_thread.run_sync(partial(receiver.wait, ENDS))
            await until(lambda: bench.noted.count(("shop", "delivered")) == ENDS, sender)
            tried = bench.noted.count(("dead", "failed"))
            assert len(dead.told) <= tried + AT_A_TIME
            assert ("dead", "delivered") not in bench.noted
        assert len({each.id for each in told}) == len(told) == ENDS
        assert told[0].message["data"]["job_id"] == first.id
    # a read that was not waited for any more comes back by itself
    await until(lambda: bench.database._engine.pool.status().endswith("Current Checked out connections: 0"))
    left = [row for row in bench.rows() if row.webhook == "dead"]
    assert (len(left), {row.outcome for row in left}) == (ENDS, {""})
