"""Cancellation many jobs: each ends as it would alone, nobody else's does, and a chain never begins half-way."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.cancellation import BATCH, Cancellation
from ltx_mcp.jobs.operator import OperatorView
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock, Emulated
from tests.jobs.test_store import ordered
from tests.providers.bench import CALLER, opened, text

pytestmark = pytest.mark.anyio
New = Callable[..., NewJob]
LIVE = [str(state) for state in (State.QUEUED, State.SUBMITTING, State.RUNNING, State.SAVING)]


async def nothing_changes(seen: dict[str, int]) -> None:
    await anyio.sleep_forever()


@pytest.fixture
def cancelling(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Cancellation:
    monkeypatch.setattr("ltx_mcp.jobs.cancellation.DECIDED_S", 0.01)
    return Cancellation(database, lambda job_id: None, nothing_changes, clock)


def chained_to(job: Job, new: NewJob) -> NewJob:
    return replace(new, inputs=(Input(role="image", job_id=job.id, frame_position="last"),))


async def test_each_comes_to_what_it_would_alone_and_others_are_left(
    store: Store, cancelling: Cancellation, new_job: New, clock: Clock
) -> None:
    sent = ordered(store, new_job(prompt="sent"), clock)
    saving = store.transition(
        store.record_submission(ordered(store, new_job(), clock), State.RUNNING, clock(), ""), State.SAVING, clock()
    )
    ended = store.transition(ordered(store, new_job(prompt="ended"), clock), State.FAILED, clock())
    theirs = store.place(new_job("other", prompt="theirs"), clock()).job
    queued = [store.place(new_job(prompt=f"p{n}"), clock()).job for n in range(BATCH + 5)]
    found = await OperatorView(cancelling.database).live("local", LIVE)
    assert found.keys() == {sent.id, saving.id, *(job.id for job in queued)}
    assert (await OperatorView(cancelling.database).live("local", ["queued"])).keys() == {job.id for job in queued}
    cancelled = await cancelling.cancel("local", [*found, ended.id, theirs.id])
    assert cancelled.outcomes == {"never_sent": len(queued), "asked": 1, "not_possible": 1, "ended": 1}
    assert cancelled.live == {sent.id: "asked", saving.id: "not_possible"}
    again = [store.get(job.id) for job in queued]
    assert {(job.state, job.bill) for job in again if job} == {(State.CANCELLED, ChargeState.RELEASED)}
    assert [event.what for event in store.history(queued[0].id)] == ["placed", "cancelled"]
    untouched = store.get(theirs.id)
    assert untouched == theirs


async def test_no_shot_of_a_chain_is_free_to_begin_while_its_chain_is_cancelled(
    store: Store, cancelling: Cancellation, new_job: New, clock: Clock
) -> None:
    shot = store.place(new_job(), clock()).job
    chain = [shot]
    for n in range(5):
        clock.turn(seconds=1)
        chain.append(store.place(chained_to(chain[-1], new_job(prompt=f"shot {n}")), clock()).job)
    found = await OperatorView(cancelling.database).live("local", LIVE)
    assert list(found) == [job.id for job in reversed(chain)]
    seen: list[Mapping[str, int]] = []
    for job_id in found:  # one at a time, as the worst of batches
        seen.append((await cancelling.cancel("local", [job_id])).outcomes)
        assert all(each.id == shot.id for each in store.live())
    assert seen == [{"never_sent": 1}] * len(chain)


async def test_the_holder_of_running_ones_is_heard(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator) as bench:
        bench.world.work_s = 600
        placed = [await bench.place(text(provider="fal", prompt=f"pond {n}")) for n in range(4)]
        for job in placed:
            await bench.until(job, State.RUNNING, within_s=60)
        found = await bench.jobs.operator.live(CALLER, LIVE)
        cancelled = await bench.jobs.cancelling.cancel(CALLER, list(found))
        assert sum(cancelled.outcomes.values()) == 4
        assert cancelled.outcomes.keys() <= {"stopped", "asked"}
