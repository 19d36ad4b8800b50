"""A job that waits because something failed says so at once, wherever it is looked at."""

from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.job import Job, State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.presentation.next_steps import JobContext
from ltx_mcp.presentation.result_text import status_text
from tests.patience import HANG_S
from tests.providers.bench import CALLER, Bench, opened, text

pytestmark = pytest.mark.anyio

OFTEN = 99_999
WORDS = {
    ("media", "download"): (State.SAVING, "the film could not be fetched yet: ltx answers HTTP 503 for the film"),
    ("ltx", "poll"): (State.RUNNING, "could not be asked: ltx cannot be used now (HTTP 503)"),
}


async def in_trouble(bench: Bench, job: Job) -> Job:
    with anyio.fail_after(HANG_S):
        while not (job := await bench.jobs.get(job.id, CALLER)).retry_reason:
            assert job.live
            await anyio.sleep(0.01)
    return job


@pytest.mark.parametrize("at", WORDS, ids=lambda at: at[1])
async def test_the_last_trouble_and_when_it_is_tried_again_are_told(
    at: tuple[str, str], home: Path, emulated: tuple[str, EmulatorState]
) -> None:
    state, words = WORDS[at]
    async with opened(home, emulated, factor=20) as bench:
        bench.world.faults[:] = [Fault(*at, "status", OFTEN, {"status": 503})]
        job = await in_trouble(bench, await bench.place(text(provider="ltx")))
        assert job.state is state
        for told in (bench.view(job).next, bench.ref(job).next, status_text(job, JobContext(), bench.time.now())):
            assert f"{words}; tried again" in told
        bench.world.faults.clear()
        assert (await bench.end(job)).retry_reason == ""
