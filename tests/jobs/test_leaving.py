"""A process ends while a provider still thinks about an order: everything else is handed over at once, and the answer
is waited for as long as that may help."""

from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.job import Job, State
from ltx_mcp.emulator.app import settings
from ltx_mcp.jobs import runner
from ltx_mcp.jobs.config import JobsConfig
from ltx_mcp.jobs.service import Jobs
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.conftest import Emulated
from tests.jobs.moments import SUBMITS, Relay, emulator, relay
from tests.patience import HANG_S

__all__ = ["emulator", "relay"]

pytestmark = pytest.mark.anyio


async def nobody(job: Job) -> None:
    """Nobody listens."""


async def opened(home: Path, base_url: str) -> Jobs:
    environment = settings(base_url)

    def lookup(name: str) -> str:
        return environment.get(name, "")

    catalog = make_catalog(read_providers(), (), lookup)
    return await Jobs.open(JobsConfig(home, catalog, None, (), lookup))


@pytest.mark.parametrize(
    ("last_s", "state"), [(HANG_S, State.RUNNING), (3.0, State.UNKNOWN)], ids=["it answers", "it does not"]
)
async def test_an_order_in_flight_is_waited_for_after_the_rest_was_handed_over(
    home: Path, emulator: Emulated, monkeypatch: pytest.MonkeyPatch, relay: Relay, last_s: float, state: State
) -> None:
    _, world = emulator
    world.work_s = 600
    handed: list[dict[str, Job]] = []
    monkeypatch.setattr(runner, "LAST_ANSWER_S", last_s)
    kept = relay.keep(SUBMITS["ltx"])
    jobs = await opened(home, relay.url)
    async with anyio.create_task_group() as group:
        await jobs.start(group)
        followed = (await jobs.order(GenerateVideo(prompt="followed", provider="fal"), "local")).job
        await jobs.following.wait_for_submission(followed, 0, nobody)
        slow = (await jobs.order(GenerateVideo(prompt="slow", provider="ltx"), "local")).job
        await anyio.to_thread.run_sync(kept.wait)

        async def hand_over() -> None:
            rows = [await jobs.get(each.id, "local") for each in (followed, slow)]
            handed.append({row.prompt: row for row in rows})
            if state is State.RUNNING:
                kept.go.set()

        await jobs.stop(hand_over)
    assert handed[0]["followed"].lease_owner == ""
    assert (handed[0]["slow"].lease_owner != "", handed[0]["slow"].state) == (True, State.SUBMITTING)
    again = await opened(home, relay.url)
    assert (await again.get(slow.id, "local")).state is state
    assert (await again.get(followed.id, "local")).state is State.RUNNING
    await again.stop()
    assert len([order for order in world.orders if order.provider == "fal"]) == 1
