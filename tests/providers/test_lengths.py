"""Films and sounds whose heads lie, ordered for money: no provider counts more seconds of them than were held."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import av
import pytest

from ltx_mcp.domain.arguments import EstimateCost, PaidArguments
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job
from ltx_mcp.domain.price import to_micro
from ltx_mcp.emulator.emulator_state import EmulatedOrder, EmulatorState
from ltx_mcp.presentation.result_models import to_estimate
from ltx_mcp.presentation.result_text import estimate_text
from tests.media.lies import LYING_FILMS, LYING_SOUNDS, SAID_S, TRUE_S
from tests.providers.bench import Bench, extends, opened, retakes, speaks

pytestmark = pytest.mark.anyio

HAIR_S = 0.1  # with what an encoder put before a sound
AT = {"provider": "ltx", "adjust": "nearest"}


@pytest.fixture(scope="module")
async def bench(emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    home = tmp_path_factory.mktemp("lengths") / "home"
    async with opened(home, emulated, folders=(Path("/"),), budget_usd=Decimal(1000)) as made:
        yield made


async def sent(bench: Bench, arguments: PaidArguments) -> tuple[Job, EmulatedOrder]:
    """The job, and its order as the provider took it; no film is made."""
    bench.world.wait_s, bench.world.work_s = 0.0, 3600.0
    job = await bench.until(await bench.place(arguments), "running")
    order = bench.orders()[-1]
    offer = job.offer
    paid = Decimal(str(order.facts["billed_s"])) * offer.cost_usd / offer.billed * 1_000_000
    assert (job.bill, job.cost_micro) == (ChargeState.HELD, to_micro(offer.at_most_usd))
    assert paid <= job.cost_micro
    return job, order


def counted(path: str) -> float:
    """What somebody else counts in a file: each stream by its packets, and the file by its head."""
    with av.open(path) as medium:
        longest = (medium.duration or 0) / av.time_base
        totals = dict.fromkeys(range(len(medium.streams)), 0.0)
        for packet in medium.demux():
            if packet.size:
                span = float((packet.duration or 0) * packet.time_base)
                totals[packet.stream.index] += span
                longest = max(longest, float((packet.pts or 0) * packet.time_base) + span)
    return max(longest, *totals.values())


@pytest.mark.parametrize("name", LYING_FILMS)
async def test_a_retake_is_held_for_every_second_that_can_be_counted(bench: Bench, name: str, tmp_path: Path) -> None:
    job, order = await sent(bench, retakes(LYING_FILMS[name](tmp_path / name), start_time=0, **AT))
    assert order.video.edit is not None
    assert counted(order.video.edit.video) <= float(job.offer.billed) + HAIR_S
    assert job.offer.billed >= Decimal(str(TRUE_S))
    (told,) = [each for each in job.all_adjustments if each.field == "video" and each.asked.startswith("3")]
    assert told.got.endswith("s, the longest of what its header says and what was counted")


@pytest.mark.parametrize("name", ["head.avi", "media.mp4", "head.webm"])
async def test_an_extension_is_held_for_all_the_context_there_is(bench: Bench, name: str, tmp_path: Path) -> None:
    job, order = await sent(bench, extends(LYING_FILMS[name](tmp_path / name), context=0, **AT))
    assert job.offer.billed >= Decimal(str(TRUE_S + 2))
    assert float(job.offer.billed) >= order.facts["billed_s"] >= TRUE_S + 1.9


@pytest.mark.parametrize("name", LYING_SOUNDS)
async def test_a_film_from_a_sound_is_held_for_all_of_the_sound(bench: Bench, name: str, tmp_path: Path) -> None:
    job, order = await sent(bench, speaks(LYING_SOUNDS[name](tmp_path / name), **AT))
    assert counted(order.video.audio_path) <= float(job.offer.billed) + HAIR_S
    assert float(job.offer.billed) >= TRUE_S - 0.01


async def test_limits_are_held_by_what_was_counted_and_the_refusal_says_what_the_head_says(
    bench: Bench, tmp_path: Path
) -> None:
    path = LYING_SOUNDS["head.m4a"](tmp_path / "a.m4a")
    with pytest.raises(CallerError, match=r"audio lasts 12\.\d+ s \(3 s by its header\); allowed: ") as raised:
        await bench.place(speaks(path, provider="ltx", resolution="1440p"))
    assert raised.value.code is ErrorCode.NOT_SUPPORTED


async def test_a_section_beyond_the_picture_is_refused_however_long_the_sound_is(bench: Bench, tmp_path: Path) -> None:
    path = LYING_FILMS["sound.mp4"](tmp_path / "a.mp4")
    with pytest.raises(CallerError, match=r"start_time 8 is not offered for a video of 3\.2 s"):
        await bench.place(retakes(path, provider="ltx", start_time=8))


async def test_an_estimate_says_it_in_a_sentence(bench: Bench, tmp_path: Path) -> None:
    path = LYING_SOUNDS["media.m4a"](tmp_path / "a.m4a")
    arguments = EstimateCost(operation="audio_to_video", audio=str(path), provider="ltx")
    plan = await bench.jobs.quotes(arguments, "local")
    text = estimate_text(to_estimate(plan, 1, await bench.jobs.budgets("local")))
    assert f"audio {SAID_S + 0.02:g} s by its header -> 12" in text
