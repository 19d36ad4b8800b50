"""An order's life at each provider, seen through `Jobs`: waiting, running, done; cancelled; failed in its own words."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import anyio
import pytest

from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.providers.base import SupportsCancel
from tests.patience import HANG_S
from tests.providers.bench import CALLER, REMOTE, Bench, known_prices, opened, text

pytestmark = pytest.mark.anyio

LIFE = ["queued", "submitting", "running", "saving", "succeeded"]
TOLD = {
    "fal": ("1st in line", "“step "),
    "ltx": ("waiting in line", "rendering"),
    "netwrck": ("rendering", "rendering"),
    "bytecompute": ("waiting in line", "rendering"),
}
"""How what a reader is told begins while an order waits, and while it is worked on; Netwrck has one word for both."""
ASKED_FOR = {
    "fal": {"submit", "stream", "result"},
    "ltx": {"submit", "poll"},
    "netwrck": {"submit", "poll"},
    "bytecompute": {"submit", "poll", "download"},
}


@pytest.fixture(scope="module")
async def opened_once(
    emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    async with opened(tmp_path_factory.mktemp("life") / "home", emulated) as made:
        yield made


@pytest.fixture
def bench(opened_once: Bench) -> Bench:
    """With nothing ordered, and a quarter of a second for each half of an order's life."""
    opened_once.world.reset()
    opened_once.world.wait_s, opened_once.world.work_s = 0.25, 0.25
    return opened_once


async def _told(bench: Bench, job: Job, beginning: str) -> None:
    """Until the job has said this of itself."""
    with anyio.fail_after(HANG_S):
        while not any(each.status_message.startswith(beginning) for each in bench.changes.get(job.id, ())):
            await anyio.sleep(0.005)


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_order_waits_runs_and_is_done(bench: Bench, provider: str) -> None:
    bench.world.wait_s = bench.world.work_s = HANG_S
    placed = await bench.place(text(provider=provider, prompt="from the beginning to the end"))
    async with anyio.create_task_group() as group:
        group.start_soon(bench.end, placed)
        in_line, at_work = TOLD[provider]
        await _told(bench, placed, in_line)
        bench.orders()[0].placed_at -= timedelta(seconds=HANG_S * 1.5)  # to the middle of the work
        await _told(bench, placed, at_work)
        bench.world.work_s = 0.0
    job, seen = await bench.jobs.get(placed.id, CALLER), bench.states(placed)
    assert (job.state, job.bill) == (State.SUCCEEDED, ChargeState.BOOKED)
    assert seen == [state for state in LIFE if state in seen]  # one that passes quickly may be missed
    assert [each.what for each in await bench.history(job)] == [
        "placed",
        "submitting",
        "accepted",
        "saving",
        "succeeded",
    ]
    steps = {each.step for each in bench.world.calls if each.provider == provider}
    assert steps - {"prices"} == ASKED_FOR[provider]
    assert (bench.count(provider, "submit"), len(bench.orders())) == (1, 1)


@pytest.mark.parametrize("provider", REMOTE)
async def test_the_film_is_the_one_that_was_ordered(bench: Bench, provider: str) -> None:
    job = await bench.order(text(provider=provider, prompt="as ordered", fps=25))
    assert job.film is not None
    assert (job.film.width, job.film.height, job.film.fps, job.film.duration, job.film.has_audio) == (
        1920,
        1080,
        25.0,
        6.0,
        True,
    )
    assert job.all_adjustments == ()
    film = bench.jobs.film(job)
    assert film is not None
    assert film.stat().st_size == job.film.size_bytes


async def test_what_the_provider_says_it_changed_is_told(bench: Bench) -> None:
    bench.world.faults.append(Fault("bytecompute", "order", "adjusts"))
    job = await bench.order(text(provider="bytecompute", prompt="busy machine", duration=8, resolution="720p"))
    told = [(each.field, each.asked, each.got) for each in job.all_adjustments if each.by == "provider"]
    assert told == [("duration", "8", "4")]


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_wish_to_cancel_while_it_waits(bench: Bench, provider: str) -> None:
    bench.world.wait_s = 1000.0
    job = await bench.until(await bench.place(text(provider=provider, prompt="cancel it waiting")), State.RUNNING)
    said = await bench.jobs.cancel(job.id, job.caller)
    assert isinstance(said, Job)
    if provider == "fal":
        assert (said.state, said.cancel, said.bill) == (State.CANCELLED, CancelOutcome.STOPPED, ChargeState.RELEASED)
        return
    assert (said.state, said.cancel) == (State.RUNNING, CancelOutcome.NOT_POSSIBLE)
    bench.world.wait_s = 0.0
    job = await bench.end(job)
    assert (job.state, job.cancel, job.bill) == (State.SUCCEEDED, CancelOutcome.NOT_POSSIBLE, ChargeState.BOOKED)


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_wish_to_cancel_while_it_runs(bench: Bench, provider: str) -> None:
    bench.world.wait_s, bench.world.work_s = 0.0, 1000.0
    job = await bench.until(await bench.place(text(provider=provider, prompt="cancel it running")), State.RUNNING)
    said = await bench.jobs.cancel(job.id, job.caller)
    assert isinstance(said, Job)
    assert said.cancel is (CancelOutcome.ASKED if provider == "fal" else CancelOutcome.NOT_POSSIBLE)
    bench.world.work_s = 0.0
    job = await bench.end(job)
    assert (job.state, job.bill, job.film is not None) == (State.SUCCEEDED, ChargeState.BOOKED, True)
    assert job.cancel is said.cancel


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_wish_to_cancel_after_the_end_changes_nothing(bench: Bench, provider: str) -> None:
    bench.world.wait_s = bench.world.work_s = 0.0
    job = await bench.order(text(provider=provider, prompt="cancel it ended"))
    again = await bench.jobs.cancel(job.id, job.caller)
    assert isinstance(again, Job)
    assert (again.state, again.bill, again.film) == (State.SUCCEEDED, ChargeState.BOOKED, job.film)
    assert bench.count(provider, "cancel") == 0


async def test_a_cancel_that_fal_answers_with_already_completed_is_not_possible(bench: Bench) -> None:
    bench.world.wait_s = bench.world.work_s = 0.0
    job = await bench.order(text(provider="fal", prompt="too late"))
    adapter = bench.jobs._adapters.by_name["fal"]
    assert job.provider_ref is not None
    assert isinstance(adapter, SupportsCancel)
    assert await adapter.cancel(job.provider_ref) is CancelOutcome.NOT_POSSIBLE


@pytest.mark.parametrize("provider", ["fal", "netwrck"])
async def test_the_providers_own_figure_is_recorded(bench: Bench, provider: str) -> None:
    bench.world.wait_s = bench.world.work_s = 0.0
    await known_prices(bench)
    job = await bench.order(text(provider=provider, prompt="what it cost"))
    expected = {"fal": Decimal("0.24"), "netwrck": Decimal("0.288")}[provider]
    assert job.charged_micro == expected * 1_000_000
    assert bench.view(job).charged_usd == float(expected)


@pytest.mark.parametrize("provider", ["ltx", "bytecompute"])
async def test_where_the_provider_names_no_figure_none_is_made_up(bench: Bench, provider: str) -> None:
    bench.world.wait_s = bench.world.work_s = 0.0
    job = await bench.order(text(provider=provider, prompt="what did it cost"))
    assert (job.charged_micro, bench.view(job).charged_usd) == (None, None)


FAL_ENDS = [
    ("runner_server_error", 500, ErrorCode.UNAVAILABLE, ChargeState.RELEASED),
    ("runner_connection_timeout", 503, ErrorCode.UNAVAILABLE, ChargeState.RELEASED),
    ("request_timeout", 504, ErrorCode.UNAVAILABLE, ChargeState.RELEASED),
    ("generation_timeout", 504, ErrorCode.UNAVAILABLE, ChargeState.RELEASED),
    ("content_policy_violation", 422, ErrorCode.CONTENT_REFUSED, ChargeState.BOOKED),
    ("no_media_generated", 422, ErrorCode.REJECTED, ChargeState.BOOKED),
    ("downstream_service_error", 400, ErrorCode.REJECTED, ChargeState.BOOKED),
]


@pytest.mark.parametrize(("kind", "status", "code", "bill"), FAL_ENDS)
async def test_how_fal_says_that_it_failed(
    bench: Bench, kind: str, status: int, code: ErrorCode, bill: ChargeState
) -> None:
    bench.world.wait_s = bench.world.work_s = 0.0
    options = {"type": kind, "status": status, "message": "as it says"}
    bench.world.faults.append(Fault("fal", "order", "fails", 1, options))
    job = await bench.order(text(provider="fal", prompt=f"it fails by {kind}"))
    assert job.error is not None
    assert (job.state, job.error.code, job.bill, job.error.provider_detail) == (State.FAILED, code, bill, "as it says")


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_unknown_end_is_learned_when_somebody_looks_again(bench: Bench, provider: str) -> None:
    bench.world.wait_s, bench.world.work_s = 0.0, 3600.0
    bench.time.run(20_000)
    job = await bench.order(text(provider=provider, prompt="it comes after all"))
    assert (job.state, job.bill) == (State.UNKNOWN, ChargeState.HELD)
    bench.time.run(500)
    bench.world.work_s = 0.0
    again = await bench.jobs.get_rechecked(job.id, job.caller)
    assert isinstance(again, Job)
    job = await bench.end(again)
    assert (job.state, job.bill, job.error, bench.count(provider, "submit")) == (
        State.SUCCEEDED,
        ChargeState.BOOKED,
        None,
        1,
    )
