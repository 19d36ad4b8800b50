"""A set at work: its takes end one after the other, whoever waits is told each time, and the next shot goes on from the
one that was chosen before it was made.
"""

from pathlib import Path

import pytest

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.store.rows import PlacedSet
from tests.conftest import Emulated
from tests.patience import HANG_S
from tests.providers.bench import CALLER, Bench, image, opened, text

pytestmark = pytest.mark.anyio


async def placed(bench: Bench, takes: int, provider: str = "fal") -> JobSet:
    """A set that is worked on."""
    arguments = text(provider=provider, resolution="1080p", takes=takes)
    ordered = await bench.jobs.order_or_ask(arguments, CALLER, None, can_ask=False)
    assert isinstance(ordered, PlacedSet)
    return ordered.job_set


async def test_one_take_is_refused_for_its_content_and_the_others_are_made_and_paid(
    home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.faults.append(Fault("fal", "order", "content"))
        job_set = await placed(bench, 3)
        seen: list[list[State]] = []

        async def report(now: JobSet) -> None:
            seen.append([take.state for take in now.takes])

        ended = await bench.jobs.following.wait(job_set, HANG_S, report)
    assert sorted(take.state for take in ended.takes) == ["failed", "succeeded", "succeeded"]
    (refused,) = (take for take in ended.takes if take.error is not None)
    assert refused.error is not None
    assert refused.error.code is ErrorCode.CONTENT_REFUSED
    assert {take.bill for take in ended.takes if take is not refused} == {ChargeState.BOOKED}
    assert (ended.state, len(bench.orders("fal"))) == (State.SUCCEEDED, 3)
    ends = [sum(state in ("failed", "succeeded") for state in states) for states in seen]
    assert {0, 1, 2, 3} >= set(ends) >= {0, 3}
    assert ends == sorted(ends)
    assert ended.finished_at == max(take.finished_at for take in ended.takes if take.finished_at)


async def test_the_wait_for_the_providers_word_is_for_that_on_every_take(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator) as bench:
        bench.world.work_s = 600
        job_set = await placed(bench, 3)

        async def report(now: JobSet) -> None:
            pass

        now = await bench.jobs.following.wait_for_submission(job_set, 0, report, HANG_S)
        assert {take.state for take in now.takes} == {State.RUNNING}
        assert len(bench.orders("fal")) == 3
        await bench.jobs.cancel(job_set.id, CALLER)


async def test_a_shot_is_made_from_a_take_that_was_named_before_it_was_done(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator) as bench:
        job_set = await placed(bench, 2)
        shot = await bench.place(image(f"{job_set.id}/2#last", provider="fal"))
        assert shot.blocked_by == job_set.takes[1].id
        ended = await bench.end(shot)
        assert (ended.state, ended.sources) == (State.SUCCEEDED, (job_set.takes[1].id,))


async def test_a_take_whose_outcome_is_unknown_is_asked_about_once_more_when_somebody_looks_at_the_set(
    home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.work_s = 3600.0
        bench.time.run(20_000)
        job_set = await placed(bench, 2)

        async def report(now: JobSet) -> None:
            pass

        job_set = await bench.jobs.following.wait(job_set, HANG_S, report)
        assert {take.state for take in job_set.takes} == {State.UNKNOWN}
        bench.time.run(500)
        bench.world.work_s = 0.0
        again = await bench.jobs.get_rechecked(job_set.id, CALLER)
        assert isinstance(again, JobSet)
        ended = await bench.jobs.following.wait(again, HANG_S, report)
    assert {take.state for take in ended.takes} == {State.SUCCEEDED}
    assert len(bench.orders("fal")) == 2


async def test_cancelling_a_set_reaches_the_provider_for_each_take_under_way(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator) as bench:
        bench.world.wait_s = 1000.0
        job_set = await placed(bench, 3)
        for take in job_set.takes:
            await bench.until(take, State.RUNNING)
        said = await bench.jobs.cancel(job_set.id, CALLER)
        assert isinstance(said, JobSet)
        assert {(take.state, take.bill) for take in said.takes} == {(State.CANCELLED, ChargeState.RELEASED)}
        assert (bench.count("fal", "cancel"), said.state) == (3, State.CANCELLED)
