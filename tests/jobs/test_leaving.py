"""A process ends while a provider still thinks about an order: everything else is handed over at once, and the answer
is waited for as long as that may help."""

from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.job import Job, State
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.world import Fault
from ltx_mcp.jobs import runner
from ltx_mcp.jobs.service import Config, Jobs
from ltx_mcp.providers.table import make_market, read_providers
from tests.conftest import Emulated

pytestmark = pytest.mark.anyio


async def nobody(job: Job) -> None:
    """Nobody listens."""


async def opened(home: Path, base_url: str) -> Jobs:
    environment = settings(base_url)

    def lookup(name: str) -> str:
        return environment.get(name, "")

    market = make_market(read_providers(), (), lookup)
    return await Jobs.open(Config(home, market, None, (), lookup))


@pytest.mark.parametrize(
    ("delay_s", "last_s", "state"),
    [(6.0, 20.0, State.RUNNING), (60.0, 3.0, State.UNKNOWN)],
    ids=["it answers", "it does not"],
)
async def test_an_order_in_flight_is_waited_for_after_the_rest_was_handed_over(
    home: Path, emulator: Emulated, monkeypatch: pytest.MonkeyPatch, delay_s: float, last_s: float, state: State
) -> None:
    base_url, world = emulator
    world.work_s = 600
    handed: list[tuple[float, dict[str, str]]] = []
    monkeypatch.setattr(runner, "LAST_ANSWER_S", last_s)
    jobs = await opened(home, base_url)
    async with anyio.create_task_group() as group:
        await jobs.start(group)
        followed = (await jobs.order(GenerateVideo(prompt="followed", provider="fal"), "local")).job
        await jobs.word(followed, 0, nobody)
        world.faults.append(Fault("ltx", "submit", "delay", options={"seconds": delay_s}))
        slow = (await jobs.order(GenerateVideo(prompt="slow", provider="ltx"), "local")).job
        while (await jobs.get(slow.id, "local")).state is not State.SUBMITTING:
            await anyio.sleep(0.01)
        began = anyio.current_time()

        async def hand_over() -> None:
            rows = [await jobs.get(each.id, "local") for each in (followed, slow)]
            handed.append((anyio.current_time() - began, {row.prompt: row.holder for row in rows}))

        await jobs.stop(hand_over)
    assert 1.4 < handed[0][0] < 5.0
    assert handed[0][1]["followed"] == ""
    assert handed[0][1]["slow"] != ""
    again = await opened(home, base_url)
    assert (await again.get(slow.id, "local")).state is state
    assert (await again.get(followed.id, "local")).state is State.RUNNING
    await again.stop()
    assert len([order for order in world.orders if order.provider == "fal"]) == 1
