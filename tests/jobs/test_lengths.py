"""What is only known once a medium or a film is here: what would cost more than was held is not ordered, and what is
paid in the end is what was measured."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.arguments import GenerateFromAudio, GenerateVideo, PaidArguments, RetakeVideo
from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.domain.job import ChargeState, Job, State, input_of
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import Input, canonical_form, to_request
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.providers.base import SubmittedOrder
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.conftest import on_sqlite
from tests.jobs.test_steps import DONE, WORKER, Bench, bench, film
from tests.media.films import Recipe, make
from tests.media.lies import LIVE, LYING_FILMS, LYING_SOUNDS, SAID_S, lying, short_matroska

__all__ = ["bench", "film"]

pytestmark = pytest.mark.anyio

AUTO = GenerateVideo(prompt="a pond", provider="ltx", model="ltx-2.5-fast", duration="auto", resolution="720p")
RATE = Decimal("0.09")
SHORTEST_S = 6


@pytest.fixture
def ltx() -> Catalog:
    """With a key for LTX."""
    return make_catalog(read_providers(), (), lambda name: "k" if name == "LTX_API_KEY" else "")


@pytest.fixture
def at_ltx(bench: Bench, ltx: Catalog) -> Bench:
    """The scripted provider in LTX's place."""
    context = replace(bench.steps._context, specs={"ltx": ltx.facts("ltx")}, adapters={"ltx": bench.provider})
    bench.steps = Steps(context)
    return bench


def planned(catalog: Catalog, arguments: PaidArguments, *inputs: Input) -> NewJob:
    request = to_request(arguments)
    return NewJob("local", "", canonical_form(request, inputs), select_offers(request, inputs, catalog), inputs)


async def refused(bench: Bench, job: Job) -> Job:
    """The job after a step that failed."""
    with pytest.raises(LtxError) as caught:
        await bench.until(job, State.SUBMITTING)
    return await bench.steps.fail(bench.store.get(job.id) or job, caught.value)


def check_refused(bench: Bench, job: Job, says: str, orders: int = 0) -> None:
    assert job.error is not None
    assert (job.state, job.error.code, job.bill) == (State.FAILED, ErrorCode.INPUT_FAILED, ChargeState.RELEASED)
    assert says in job.error.message
    assert "Nothing was ordered, and nothing is held" in job.error.hint
    assert len(bench.provider.orders) == orders


async def test_a_converted_film_that_would_cost_more_than_is_held_is_not_sent(
    at_ltx: Bench, ltx: Catalog, tmp_path: Path
) -> None:
    """The row is of a version that believed the header. The second time, it lies here converted."""
    path = LYING_FILMS["head.avi"](tmp_path / "a.avi")
    given = Input(
        "video", "f00", "avi", path.stat().st_size, 64, 36, codec="mjpeg", duration=SAID_S, fps=25, frames=300
    )
    retake = RetakeVideo(prompt="a hat", video="v", start_time=0, duration=2, provider="ltx", adjust="nearest")
    at_ltx.files.keep_input(given, path)
    job = at_ltx.begin(planned(ltx, retake, given))
    assert job.cost_micro == 300_000
    says = "video lasts 12 s as it would be sent to ltx, and would cost 1.20 USD; the order was quoted at 0.30 USD"
    check_refused(at_ltx, await refused(at_ltx, job), says)
    check_refused(at_ltx, await refused(at_ltx, at_ltx.begin(planned(ltx, retake, given))), says)
    assert at_ltx.provider.uploaded == []


@on_sqlite
async def test_a_converted_sound_that_would_cost_more_than_is_held_is_not_sent(
    at_ltx: Bench, ltx: Catalog, tmp_path: Path
) -> None:
    path = LYING_SOUNDS["head.flac"](tmp_path / "a.flac")
    given = Input("audio", "f00", "flac", path.stat().st_size, codec="flac", duration=SAID_S)
    speak = GenerateFromAudio(prompt="a singer", audio="a", provider="ltx", adjust="nearest")
    at_ltx.files.keep_input(given, path)
    job = await refused(at_ltx, at_ltx.begin(planned(ltx, speak, given)))
    check_refused(at_ltx, job, "audio lasts 12 s as it would be sent to ltx")


async def test_a_film_that_came_longer_than_it_was_ordered_is_not_paid_for_beyond_what_is_held(
    at_ltx: Bench, ltx: Catalog, tmp_path: Path
) -> None:
    """Ordered of a film that was still under way, whose six seconds have become twelve."""
    at_ltx.comes.append(LYING_FILMS["head.mp4"](tmp_path / "a.mp4").read_bytes())
    at_ltx.provider.answers, at_ltx.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    first = GenerateVideo(prompt="a pond", provider="ltx", duration=6, resolution="720p")
    source = await at_ltx.until(at_ltx.begin(planned(ltx, first)), State.SAVING)
    retake = RetakeVideo(prompt="a hat", video=source.id, start_time=0, duration=2, provider="ltx")
    at_ltx.store.place(planned(ltx, retake, input_of(source, "video")), at_ltx.clock())
    source = await at_ltx.until(source, State.SUCCEEDED)
    assert source.film is not None
    assert source.film.duration == pytest.approx(12, abs=0.1)
    job = at_ltx.store.claim(WORKER, {}, at_ltx.clock())
    assert job is not None
    check_refused(at_ltx, await refused(at_ltx, job), " as it would be sent to ltx, and would cost 1.2", orders=1)


# -- what is booked


async def booked(bench: Bench, catalog: Catalog, film: Path, **held: Any) -> Job:
    bench.comes.append(film.read_bytes())
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    return await bench.until(bench.begin(planned(catalog, AUTO)), State.SUCCEEDED)


def seconds(count: float, recipe: Recipe = LIVE) -> Recipe:
    return replace(recipe, frames=round(25 * count), seconds=count)


@pytest.mark.parametrize(("length", "paid_s"), [(7, 7), (4, SHORTEST_S)])
async def test_a_film_without_a_length_in_its_head_is_paid_by_what_was_counted(
    at_ltx: Bench, ltx: Catalog, tmp_path: Path, length: float, paid_s: float
) -> None:
    job = await booked(at_ltx, ltx, make(tmp_path / "a.webm", seconds(length)))
    assert job.film is not None
    assert job.film.duration == pytest.approx(length, abs=0.05)
    assert job.bill is ChargeState.BOOKED
    assert job.cost_micro == pytest.approx(int(paid_s * float(RATE) * 1_000_000), abs=5_000)


@on_sqlite
async def test_a_film_whose_head_says_less_is_paid_by_what_was_counted(
    at_ltx: Bench, ltx: Catalog, tmp_path: Path
) -> None:
    recipe = replace(seconds(12), muxing=())
    job = await booked(at_ltx, ltx, lying(recipe, short_matroska)(tmp_path / "a.webm"))
    assert job.cost_micro == pytest.approx(int(12 * RATE * 1_000_000), abs=5_000)


@on_sqlite
async def test_where_nobody_knows_the_shortest_any_more_all_that_is_held_is_booked(
    at_ltx: Bench, ltx: Catalog, tmp_path: Path
) -> None:
    """The facts have lost the row since."""
    specs = {"ltx": ltx.facts("ltx").model_copy(update={"offer": ()})}
    at_ltx.steps = Steps(replace(at_ltx.steps._context, specs=specs))
    job = await booked(at_ltx, ltx, make(tmp_path / "a.webm", seconds(4)))
    assert job.cost_micro == int(20 * RATE * 1_000_000)
