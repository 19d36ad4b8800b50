"""An account that may have only some orders under way: the others wait here, in line, and say so."""

from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.job import State
from ltx_mcp.presentation.next_steps import JobContext, next_step
from tests.conftest import Emulated
from tests.patience import HANG_S
from tests.providers.bench import opened, text

pytestmark = pytest.mark.anyio


TWO = 'name = "ltx"\nslots = 2'


async def test_no_more_orders_are_under_way_than_the_account_may_have(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator, overlay=TWO) as bench:
        bench.world.work_s = 3600
        jobs = [await bench.place(text(provider="ltx", prompt=f"pond {n}")) for n in range(6)]
        with anyio.fail_after(HANG_S):
            while len(bench.orders("ltx")) < 2:
                await anyio.sleep(0.01)
        bench.world.work_s = 0.4
        most = 0
        while not await bench.jobs.is_idle():
            under_way = [bench.world.status(order) != "done" for order in bench.orders("ltx")]
            most = max(most, sum(under_way))
            await anyio.sleep(0.01)
        ended = [await bench.jobs.get(job.id, "local") for job in jobs]
        assert [job.state for job in ended] == [State.SUCCEEDED] * 6
        assert most == 2
        assert len(bench.orders("ltx")) == 6


async def test_a_job_that_waits_for_a_place_says_how_many_are_before_it(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator, overlay=TWO) as bench:
        bench.world.work_s = 3600
        for n in range(3):
            await bench.place(text(provider="ltx", prompt=f"pond {n}"))
        last = await bench.place(text(provider="ltx", prompt="the last"))
        job = await bench.jobs.following.wait_for_submission(last, 0, _nobody)
        line = await bench.jobs.queue_ahead(job)
        assert (job.state, line) == (State.QUEUED, 2)
        assert next_step(job, JobContext(queue_ahead=line)).startswith("2 must end before it begins.")


async def test_another_providers_jobs_do_not_wait(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator, overlay=TWO) as bench:
        bench.world.work_s = 3600
        for n in range(3):
            await bench.place(text(provider="ltx", prompt=f"pond {n}"))
        other = await bench.place(text(provider="fal"))
        assert (await bench.until(other, "running")).offer.provider == "fal"


async def _nobody(job: object) -> None:
    """Nobody listens."""
