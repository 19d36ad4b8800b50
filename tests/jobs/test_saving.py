"""A film that is made and paid: brought here whatever stands in the way, and never given up for less than itself."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.catalog import InputSpec
from ltx_mcp.domain.errors import ErrorCode, JobError, LtxError, ProviderError
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.steps.context import WorkInProgress
from ltx_mcp.jobs.steps.save import PATIENCE_S, STEADY_BYTES, TRIES_WHEN_LATE
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import ContactSheet
from ltx_mcp.net.flow import Bounds
from ltx_mcp.providers.base import DeferredVideo, PollResult, SubmittedOrder
from tests.jobs.test_steps import DONE, WORKER, Bench, Scripted, bench, film
from tests.jobs.test_store import New, priced

__all__ = ["bench", "film"]

pytestmark = pytest.mark.anyio


def gone() -> ProviderError:
    return ProviderError(ErrorCode.EXPIRED, "gone", provider="fal", accepted="yes")


async def test_a_film_whose_address_is_gone_is_looked_for_at_its_new_one(
    bench: Bench, new_job: New, film: Path
) -> None:
    """LTX may sign its address anew when the job is asked after again."""
    asked: list[str] = []

    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        asked.append(url)
        if url == DONE.result_url:
            raise gone()
        out.write_bytes(film.read_bytes())

    specs = {"fal": bench.steps._context.specs["fal"].model_copy(update={"film_lives_s": 3600})}
    bench.steps = Steps(replace(bench.steps._context, fetch=fetch, specs=specs))
    bench.provider.answers = [SubmittedOrder({"id": "r1"})]
    bench.provider.looks = [DONE, replace(DONE, result_url="https://media.example/new.mp4")]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert asked == [DONE.result_url, "https://media.example/new.mp4"]
    assert job.result_url == "https://media.example/new.mp4"
    assert job.result_url_expires_at == bench.clock() + timedelta(hours=1)


async def test_a_film_that_stays_gone_has_expired_and_stays_paid(bench: Bench, new_job: New) -> None:
    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        raise gone()

    bench.steps = Steps(replace(bench.steps._context, fetch=fetch))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE] * 9
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    with pytest.raises(LtxError) as caught:
        await bench.take(job)
    job = await bench.steps.fail(bench.store.get(job.id) or job, caught.value)
    assert (job.error and job.error.code, job.bill) == (ErrorCode.EXPIRED, ChargeState.BOOKED)


def cut() -> ProviderError:
    return ProviderError(ErrorCode.UNAVAILABLE, "cut", provider="fal", accepted="yes")


async def test_a_film_that_is_whole_but_always_cut_by_a_wrong_length_is_kept(
    bench: Bench, new_job: New, film: Path
) -> None:
    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        out.write_bytes(film.read_bytes())
        raise cut()

    bench.steps = Steps(replace(bench.steps._context, fetch=fetch))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    assert bench.files.video(job.id).read_bytes() == film.read_bytes()


async def test_an_old_order_whose_film_still_comes_on_is_not_given_up(bench: Bench, new_job: New, film: Path) -> None:
    """A slow line: each try brings a piece and is cut."""
    whole, tried = film.read_bytes().ljust(15 * STEADY_BYTES), []

    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        tried.append(url)
        have = out.stat().st_size if out.exists() else 0
        with out.open("ab") as file:
            file.write(whole[have : have + STEADY_BYTES])
        if out.stat().st_size < len(whole):
            raise cut()

    bench.steps = Steps(replace(bench.steps._context, fetch=fetch))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    bench.clock.turn(seconds=3 * PATIENCE_S)
    job = await bench.until(job, State.SUCCEEDED)
    assert len(tried) == 15 > TRIES_WHEN_LATE


async def test_what_is_fetched_is_held_to_what_was_ordered_and_to_the_room_there_is(
    bench: Bench, new_job: New, film: Path
) -> None:
    given: list[Bounds] = []

    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        given.append(bounds)
        assert bounds.room is not None
        bounds.room(1)
        bounds.room(1 << 60)

    bench.steps = Steps(replace(bench.steps._context, fetch=fetch))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    with pytest.raises(LtxError) as caught:
        await bench.take(job)
    told = bench.store.get(job.id)
    assert told is not None
    assert told.error is not None
    assert (told.state, told.error.code) == (State.SAVING, ErrorCode.STORAGE_FAILED)
    assert (given[0].max_bytes, given[0].expected_bytes) == (job.offer.max_bytes, job.offer.expected_bytes)
    assert "are needed" in caught.value.message
    assert "LTX_MCP_HOME" in told.error.hint


@pytest.mark.parametrize(
    ("width", "fps", "seconds", "least_mbit_s", "most_bytes"),
    [
        (1920, 25, 6, 250, 250e6),
        (3840, 50, 20, 2_000, 8 << 30),
        (3840, 25, 10, 1_000, 2e9),
        (15360, 60, 60, 0, 8 << 30),
    ],
)
def test_the_most_a_film_may_have_is_wide_for_any_order(
    new_job: New, width: int, fps: int, seconds: int, least_mbit_s: float, most_bytes: float
) -> None:
    """Of the strongest camera codecs 2160p50 takes some 1,800 Mbit/s; LTX's films some 50."""
    offer = replace(
        new_job().offers[0],
        width=width,
        height=width * 9 // 16,
        fps=fps,
        duration=Decimal(seconds),
        output_duration=None,
    )
    assert least_mbit_s * 1e6 / 8 * seconds <= offer.max_bytes <= most_bytes
    assert offer.expected_bytes * 10 <= offer.max_bytes


async def test_a_film_without_a_contact_sheet_is_still_a_film(bench: Bench, new_job: New) -> None:
    class NoSheet(MediaClient):
        async def make_sheet(self, path: str | Path, out: Path) -> ContactSheet:
            raise LtxError(ErrorCode.INTERNAL_ERROR, "no sheet today")

    media = NoSheet()
    bench.steps = Steps(replace(bench.steps._context, media=media))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SUCCEEDED)
    await media.close()
    assert job.film is not None
    assert bench.files.video(job.id).exists()


async def test_a_disk_that_is_full_during_the_download_ends_nothing(bench: Bench, new_job: New) -> None:
    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        raise OSError(28, "No space left on device")

    bench.steps = Steps(replace(bench.steps._context, fetch=fetch))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    with pytest.raises(LtxError) as caught:
        await bench.take(job)
    assert caught.value.code is ErrorCode.STORAGE_FAILED
    latest = bench.store.get(job.id)
    assert latest is not None
    assert (latest.state, latest.result_url) == (State.SAVING, DONE.result_url)


async def test_what_was_announced_for_a_film_that_failed_for_free_is_not_told_as_charged(
    bench: Bench, new_job: New
) -> None:
    specs = {"fal": bench.steps._context.specs["fal"].model_copy(update={"failure_is_free": True})}
    bench.steps = Steps(replace(bench.steps._context, specs=specs))
    bench.provider.answers = [SubmittedOrder({"id": "r1"}, charged_usd=Decimal("0.29"))]
    bench.provider.looks = [PollResult("failed", problem=JobError(ErrorCode.UNAVAILABLE, "broken"))]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.FAILED)
    assert (job.bill, job.charged_micro) == (ChargeState.RELEASED, 0)


async def test_a_paid_film_that_was_held_and_lost_is_unknown_and_not_ordered_again(bench: Bench, new_job: New) -> None:
    class Held(Scripted):
        async def submit(self, offer: Any, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            return DeferredVideo(self._never)

        async def _never(self, path: Path, tell: Any) -> tuple[()]:
            raise AssertionError

    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": Held()}))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    fresh = Steps(replace(bench.steps._context))
    job = await fresh.take(job, WorkInProgress())
    assert (job.state, job.bill) == (State.UNKNOWN, ChargeState.HELD)


async def test_a_frame_of_our_own_film_that_is_too_large_goes_as_jpeg(
    bench: Bench, new_job: New, tmp_path: Path
) -> None:
    """A 4K frame as PNG is more than LTX takes, and nobody was asked about its format."""
    noise = tmp_path / "frame.png"
    Image.effect_noise((1280, 720), 60).convert("RGB").save(noise)
    size = noise.stat().st_size
    rule = InputSpec(accepts=("png", "jpeg"), ways=("upload",), max_bytes=size - 1)
    specs = {"fal": bench.steps._context.specs["fal"].model_copy(update={"inputs": {"image": rule}})}
    bench.steps = Steps(replace(bench.steps._context, specs=specs))
    frame = Input("image", "f", "png", size, 1280, 720, job_id="job_x", frame_position="last")
    bench.files.keep_input(frame, noise)
    bench.provider.answers = [SubmittedOrder({"id": "r1"})]
    await bench.until(bench.begin(replace(priced(new_job(), "0.30"), inputs=(frame,))), State.RUNNING)
    sent = bench.provider.uploaded[0]
    with Image.open(sent) as picture:
        assert (picture.format, picture.size) == ("JPEG", (1280, 720))
    assert bench.store.claim(WORKER, {}, bench.clock()) is None


async def test_a_film_is_not_given_up_because_of_one_failure_after_a_long_sleep(
    bench: Bench, new_job: New, film: Path
) -> None:
    tried: list[str] = []

    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        tried.append(url)
        if len(tried) == 1:
            raise ProviderError(ErrorCode.UNAVAILABLE, "away", provider="fal", accepted="yes")
        out.write_bytes(film.read_bytes())

    bench.steps = Steps(replace(bench.steps._context, fetch=fetch))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    bench.clock.turn(days=3)
    job = await bench.until(job, State.SUCCEEDED)
    assert (len(tried), job.bill) == (2, ChargeState.BOOKED)
