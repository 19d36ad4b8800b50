"""Waiting for a change: one query a tick for all, nothing while nobody waits, and the tick outlives its leader."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from ltx_mcp.jobs.store.change_notifier import ChangeNotifier
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio


class Rows:
    """Revisions to look at, and a log of the looks."""

    def __init__(self) -> None:
        self.now: dict[str, int] = {"a": 1, "b": 1}
        self.looks: list[set[str]] = []

    async def revisions(self, job_ids: Sequence[str]) -> dict[str, int]:
        self.looks.append(set(job_ids))
        return {job_id: self.now[job_id] for job_id in job_ids if job_id in self.now}


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def watch(rows: Rows) -> ChangeNotifier:
    return ChangeNotifier(rows.revisions, tick_s=0)


async def test_a_change_that_was_there_already_is_told_at_the_first_look(watch: ChangeNotifier, rows: Rows) -> None:
    with anyio.fail_after(HANG_S):
        await watch.change({"a": 0})
    assert len(rows.looks) == 1


async def test_a_look_that_could_not_be_made_is_no_change(watch: ChangeNotifier, rows: Rows) -> None:
    rows.now = {}
    with anyio.move_on_after(0.05) as waiting:
        await watch.change({"a": 1})
    assert waiting.cancelled_caught


async def test_a_change_of_this_process_is_told_without_waiting_for_a_tick(rows: Rows) -> None:
    watch = ChangeNotifier(rows.revisions, tick_s=3600)
    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            group.start_soon(watch.change, {"a": 1})
            while not rows.looks:
                await anyio.lowlevel.checkpoint()
            rows.now["a"] = 2
            watch.wake()


async def test_one_look_serves_all_who_wait(watch: ChangeNotifier, rows: Rows) -> None:
    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            group.start_soon(watch.change, {"a": 1})
            group.start_soon(watch.change, {"b": 1})
            while {"a", "b"} not in rows.looks:
                await anyio.lowlevel.checkpoint()
            rows.now = {"a": 2, "b": 2}
    assert {"a", "b"} in rows.looks


async def test_when_the_leader_is_done_another_ticks_on(watch: ChangeNotifier, rows: Rows) -> None:
    told = []

    async def wait(job_id: str) -> None:
        await watch.change({job_id: 1})
        told.append(job_id)

    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            for job_id in ("a", "b"):
                group.start_soon(wait, job_id)
            while not rows.looks:
                await anyio.lowlevel.checkpoint()
            rows.now["a"] = 2
            while told != ["a"]:
                await anyio.lowlevel.checkpoint()
            rows.now["b"] = 2
    assert told == ["a", "b"]


async def test_when_the_leader_is_cancelled_another_ticks_on(watch: ChangeNotifier, rows: Rows) -> None:
    scope = anyio.CancelScope()

    async def lead() -> None:
        with scope:
            await watch.change({"a": 1})

    with anyio.fail_after(HANG_S):
        async with anyio.create_task_group() as group:
            group.start_soon(lead)
            while not rows.looks:
                await anyio.lowlevel.checkpoint()
            group.start_soon(watch.change, {"b": 1})
            await anyio.lowlevel.checkpoint()
            scope.cancel()
            rows.now["b"] = 2


async def test_nothing_is_asked_while_nobody_waits(watch: ChangeNotifier, rows: Rows) -> None:
    await watch.change({"a": 0})
    looked = len(rows.looks)
    for _ in range(50):
        await anyio.lowlevel.checkpoint()
    assert len(rows.looks) == looked
