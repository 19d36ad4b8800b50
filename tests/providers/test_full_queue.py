"""An account whose queue is full: what it turns away is sent again until it is taken, and nothing is lost."""

from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.job import State
from tests.conftest import Emulated
from tests.patience import HANG_S
from tests.providers.bench import opened, text

pytestmark = pytest.mark.anyio


async def test_of_thirty_orders_none_fails_because_the_accounts_queue_is_full(home: Path, emulator: Emulated) -> None:
    patient = 'name = "ltx"\ngive_up_after_s = 10_000_000'
    async with opened(home, emulator, factor=50, overlay=patient) as bench:
        bench.world.limits["ltx"] = 3  # far fewer than are sent at a time
        bench.world.work_s = 10_000_000
        jobs = [await bench.place(text(provider="ltx", model="ltx-2.3-fast", prompt=f"pond {n}")) for n in range(30)]

        async def tries() -> list[int]:
            return [(await bench.jobs.get(job.id, "local")).tries for job in jobs]

        with anyio.fail_after(HANG_S):
            while sum(tried > 10 for tried in await tries()) < 20:
                await anyio.sleep(0.01)
        bench.world.work_s = 0.0
        ended = [await bench.end(job) for job in jobs]
        assert [job.error for job in ended if job.state is not State.SUCCEEDED] == []
        assert len(bench.orders("ltx")) == 30
