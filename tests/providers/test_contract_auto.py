"""A length that the provider chooses: held at the longest it may be, paid at what it is, refused where not offered."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from ltx_mcp.domain.arguments import PaidArguments
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.providers.catalog_loader import read_providers
from tests.patience import HANG_S
from tests.providers.bench import Bench, extends, image, opened, retakes, text
from tests.providers.clips import Clips

pytestmark = pytest.mark.anyio

LTX_API = "LTX_MCP_LTX_API"
FAST = {"provider": "ltx", "model": "ltx-2.5-fast", "duration": "auto", "resolution": "720p"}
RATE = Decimal("0.09")
LONGEST, CHOSEN = int(20 * RATE * 1_000_000), int(8 * RATE * 1_000_000)
"""In micro-dollars: the longest film of this size is of 20 s, and the emulator makes one of 8."""
OTHERS = sorted(
    {
        (facts.name, row.model)
        for facts in read_providers()
        for row in facts.offer
        if row.operation == "text_to_video" and "2.5" not in row.model
    }
)


@pytest.fixture(scope="module", params=["v2", "v1"])
async def bench(
    request: pytest.FixtureRequest, emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    home, env = tmp_path_factory.mktemp("auto") / "home", {LTX_API: request.param}
    async with opened(home, emulated, folders=(Path("/"),), env=env, budget_usd=Decimal(100)) as made:
        yield made


def asked(kind: str, clips: Clips, **changed: str) -> PaidArguments:
    given = FAST | changed
    return image(clips.path("wide.png"), **given) if kind == "image" else text(**given)


@pytest.mark.parametrize("kind", ["text", "image"])
async def test_it_is_held_at_the_longest_and_booked_at_what_came(bench: Bench, clips: Clips, kind: str) -> None:
    bench.world.reset()
    bench.world.wait_s, bench.world.work_s = 0.0, 0.3
    before = await bench.jobs.budget()
    job = await bench.place(asked(kind, clips, prompt=f"as long as it likes, {kind}"))
    held = await bench.jobs.budget()
    assert (job.cost_micro, held.held - before.held) == (LONGEST, LONGEST)
    job = await bench.end(job)
    assert job.film is not None
    assert (job.state, job.film.duration, job.all_adjustments) == (State.SUCCEEDED, 8.0, ())
    after = await bench.jobs.budget()
    assert (job.cost_micro, bench.view(job).cost_usd) == (CHOSEN, CHOSEN / 1_000_000)
    assert (after.held - before.held, after.booked - before.booked) == (0, CHOSEN)
    (order,) = bench.orders()
    assert (order.fields["duration"], order.facts["billed_s"]) == (None, 8)


async def test_what_is_made_from_it_before_it_is_done_is_paid_by_what_it_came_to(bench: Bench, clips: Clips) -> None:
    bench.world.reset()
    bench.world.wait_s, bench.world.work_s = 0.0, 0.3
    first = await bench.place(asked("text", clips, prompt="as long as it likes, and more"))
    redone = await bench.place(retakes(first.id, provider="ltx"))
    longer = await bench.place(extends(first.id, provider="ltx", duration=2, context=0))
    assert (redone.cost_micro, longer.cost_micro) == (2_000_000, 2_020_000)
    redone, longer = await bench.end(redone, within_s=HANG_S), await bench.end(longer, within_s=HANG_S)
    # 8 seconds were given: all of them for the retake, two more for the extension
    assert (redone.cost_micro, longer.cost_micro) == (800_000, 1_000_000)
    billed = {order.endpoint.rsplit("/", 1)[-1]: order.facts["billed_s"] for order in bench.orders()[1:]}
    assert billed == {"retake": 8, "extend": 10}


async def test_a_section_beyond_what_it_came_to_is_refused_before_it_is_ordered(bench: Bench, clips: Clips) -> None:
    bench.world.reset()
    bench.world.wait_s, bench.world.work_s = 0.0, 0.3
    first = await bench.place(asked("text", clips, prompt="as long as it likes, and a late section"))
    redone = await bench.end(await bench.place(retakes(first.id, provider="ltx", start_time=15)), within_s=HANG_S)
    assert redone.error is not None
    assert (redone.state, redone.error.code, redone.bill) == (
        State.FAILED,
        ErrorCode.INPUT_FAILED,
        ChargeState.RELEASED,
    )
    assert "lasts 8 s" in redone.error.message
    assert len(bench.orders()) == 1


async def test_while_nobody_knows_how_it_ended_the_longest_stays_held(bench: Bench, clips: Clips) -> None:
    bench.world.reset()
    bench.world.faults.append(Fault("ltx", "submit", "drop_after"))
    before = (await bench.jobs.budget()).held
    job = await bench.order(asked("text", clips, prompt="nobody knows"))
    assert (job.state, job.bill) == (State.UNKNOWN, ChargeState.HELD)
    assert (await bench.jobs.budget()).held - before == LONGEST


async def test_it_does_not_go_with_a_last_frame(bench: Bench, clips: Clips) -> None:
    bench.world.reset()
    with pytest.raises(CallerError, match="duration auto is not offered with end_image; give a number") as raised:
        await bench.place(asked("image", clips, end_image=str(clips.path("tall.png"))))
    assert (raised.value.code, bench.orders()) == (ErrorCode.NOT_SUPPORTED, [])


@pytest.mark.parametrize(("provider", "model"), OTHERS)
async def test_where_it_is_not_offered_the_lengths_that_are_stand_in_the_refusal(
    bench: Bench, clips: Clips, provider: str, model: str
) -> None:
    bench.world.reset()
    for ask in (
        text(**FAST | {"provider": provider, "model": model}),
        image(clips.path("wide.png"), **FAST | {"provider": provider, "model": model}),
    ):
        with pytest.raises(CallerError, match=r"duration auto is not offered; allowed: duration \d") as raised:
            await bench.place(ask)
        assert (raised.value.code, bench.orders()) == (ErrorCode.NOT_SUPPORTED, [])


# -- fal ------------------------------------------------------------------------------------------------------------

OVERLAY = """
name = "fal"
[[offer]]
model = "ltx-2.3-fast"
operation = "text_to_video"
endpoint = "fal-ai/ltx-2.3/text-to-video/fast"
automatic = true
limits = [{ duration = [6, 20], fps = [25], resolution = ["1080p"] }]
aspect_ratio = ["16:9"]
price = { as_of = "2026-11-29", source = "a test", usd_per_second = { 1080p = "0.04" } }
"""


@pytest.mark.parametrize("kind", ["text", "image"])
async def test_at_fal_it_is_the_word_auto_and_paid_at_what_came(bench: Bench, clips: Clips, kind: str) -> None:
    bench.world.reset()
    bench.world.wait_s, bench.world.work_s = 0.0, 0.3
    before = await bench.jobs.budget()
    job = await bench.place(asked(kind, clips, provider="fal", prompt=f"as long as it likes at fal, {kind}"))
    held = await bench.jobs.budget()
    assert (job.cost_micro, held.held - before.held) == (LONGEST, LONGEST)
    job = await bench.end(job)
    assert (job.state, job.cost_micro, job.all_adjustments) == (State.SUCCEEDED, CHOSEN, ())
    after = await bench.jobs.budget()
    assert (after.held - before.held, after.booked - before.booked) == (0, CHOSEN)
    (order,) = bench.orders()
    assert (order.fields["duration"], order.facts["billed_s"]) == ("auto", 8)


async def test_an_automatic_row_of_the_operators_never_orders_the_longest(
    emulated: tuple[str, EmulatorState], home: Path
) -> None:
    async with opened(home, emulated, overlay=OVERLAY, budget_usd=Decimal(1)) as bench:
        bench.world.reset()
        job = await bench.order(text(provider="fal", model="ltx-2.3-fast", duration="auto"))
        assert (job.state, job.bill, bench.orders()) == (State.FAILED, ChargeState.RELEASED, [])
        assert job.error is not None
        assert "duration" in job.error.provider_detail
