"""A fault of ours while a provider works: the loop tries again, and what is paid is not given up over it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import anyio
import pytest

from ltx_mcp.domain.job import Bill, Job, State
from ltx_mcp.jobs import runner
from ltx_mcp.jobs.alive import Life
from ltx_mcp.jobs.runner import Runner
from ltx_mcp.jobs.steps import Steps
from ltx_mcp.providers.base import Accepted, Seen
from tests.jobs.test_steps import DONE, Bench, Scripted, bench, film
from tests.jobs.test_store import New, priced

__all__ = ["bench", "film"]

pytestmark = pytest.mark.anyio


class Broken(Scripted):
    """An adapter with a bug: its looks raise what no adapter may, until `looks` has a good one."""

    async def poll(self, remote: Mapping[str, Any]) -> Seen:
        look = self.looks.pop(0) if self.looks else OverflowError("too large")
        if isinstance(look, Exception):
            raise look
        assert isinstance(look, Seen)
        return look


@pytest.fixture
async def life(bench: Bench) -> AsyncIterator[Life]:
    made = Life(bench.files._home)
    made.begin()
    yield made
    made.end()


async def ended(bench: Bench, life: Life, job_id: str) -> Job:
    """Let the loop work until the job has ended."""
    loop = Runner(bench.store, bench.steps, life, {}, frozenset(), bench.clock, lambda: None)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(loop.run)
            job = await _until_ended(bench, job_id)
            await loop.stop()
    return job


async def _until_ended(bench: Bench, job_id: str) -> Job:
    while True:
        job = bench.store.get(job_id)
        if job is not None and not job.live:
            return job
        await anyio.sleep(0.01)


@pytest.mark.parametrize("breaks", [3, 99])
async def test_a_bug_in_a_look_does_not_cost_the_film(
    bench: Bench, life: Life, new_job: New, monkeypatch: pytest.MonkeyPatch, breaks: int
) -> None:
    monkeypatch.setattr(runner, "RETRY_S", 0.001)
    provider = Broken(answers=[Accepted({"id": "r1"})], looks=[OverflowError("too large")] * breaks + [DONE])
    bench.steps = Steps(replace(bench.steps._tools, adapters={"fal": provider}))
    placed = bench.store.place(priced(new_job(), "0.30"), bench.clock()).job
    job = await ended(bench, life, placed.id)
    if breaks == 3:
        assert (job.state, job.bill) == (State.SUCCEEDED, Bill.BOOKED)
    else:
        assert (job.state, job.bill) == (State.UNKNOWN, Bill.HELD)
        assert bench.store.ask_again("local", job.id, bench.clock()) is not None
    assert len(provider.orders) == 1
