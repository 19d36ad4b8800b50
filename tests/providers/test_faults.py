"""Whatever goes wrong at a provider, the job ends as tests/providers/faults.py says, and is never ordered twice.

Here one row for each step of each provider, and for each way in which a step can go wrong; test_every_fault.py has all
others.
"""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp.domain.arguments import PaidArguments
from ltx_mcp.domain.errors import ErrorCode
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.patience import HANG_S
from tests.providers.bench import FACTOR, Ask, Bench, extends, image, opened, reframes, retakes, speaks, text
from tests.providers.clips import Clips
from tests.providers.faults import EDIT_FAULTS, FAULTS, OFTEN, V1, Row

__all__ = ["FAULTS"]

pytestmark = pytest.mark.anyio

DEADLINE_FACTOR = 20_000.0
DO_NOT = "Do not order it again"


@pytest.fixture(scope="module")
async def bench(emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with opened(tmp_path_factory.mktemp("v2") / "home", emulated, folders=(Path("/"),)) as made:
        yield made


@pytest.fixture(scope="module")
async def bench_v1(
    emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    home = tmp_path_factory.mktemp("v1") / "home"
    async with opened(home, emulated, folders=(Path("/"),), env={"LTX_MCP_LTX_API": "v1"}) as made:
        yield made


def first_of(rows: Iterable[Row]) -> list[Row]:
    """The first row for each step of each provider, and for each kind of fault at a step and end that it leads to."""
    steps = {(row.provider, row.step): row for row in reversed([*rows])}
    kinds = {(row.step, row.kind, row.end): row for row in reversed([*rows])}
    firsts = {row.name for row in (*steps.values(), *kinds.values())}
    return [row for row in rows if row.name in firsts]


ROWS = (*FAULTS, *EDIT_FAULTS)
FIRST = first_of(ROWS)


@pytest.mark.parametrize("row", FIRST, ids=[row.name for row in FIRST])
async def test_the_job_ends_as_the_table_says(
    row: Row, bench: Bench, bench_v1: Bench, clips: Clips, tmp_path: Path
) -> None:
    await check(row, bench_v1 if row.provider == V1 else bench, clips, tmp_path)


async def check(row: Row, used: Bench, clips: Clips, tmp_path: Path) -> None:
    """Let it go wrong as the row says, and look at the job's end."""
    uploads = dict(used.world.uploads)
    used.world.reset()
    used.world.uploads |= uploads  # what was sent before still lies there
    used.world.wait_s = used.world.work_s = 0.3 if row.step == "cancel" else 0.0
    if row.end.state is State.CANCELLED:  # only a queued order is surely stopped: it waits however busy the machine is
        used.world.wait_s = 1000.0
    used.world.faults = faults(row)
    # nor does its time end, while a busy machine is still cancelling it
    unhurried = FACTOR / 10 if row.end.state is State.CANCELLED else FACTOR
    used.time.run(DEADLINE_FACTOR if row.deadline else unhurried)
    asked = edit(row, clips, tmp_path) if row.operation else arguments(row, tmp_path)
    job = await used.place(asked)
    if row.step == "cancel":
        await used.until(job, State.RUNNING)
        await used.jobs.cancel(job.id, job.caller)
    job = await used.end(job, within_s=HANG_S)
    assert all(fault.times < row.times for fault in used.world.faults[-1:]), "the fault was never met"
    code = job.error.code if job.error else None
    assert (job.state, code, job.bill, len(used.orders())) == (
        row.end.state,
        row.end.code,
        row.end.bill,
        row.end.orders,
    )
    check_words(used, job)
    if job.state is State.SUCCEEDED:
        assert used.jobs.film(job) is not None
        assert ("film" in {each.by for each in job.all_adjustments}) == (row.kind in ("smaller_film", "adjusts"))


def faults(row: Row) -> list[Fault]:
    """The row's fault last; fal is asked only where its stream cannot be had."""
    provider = row.provider.split()[0]
    no_stream = [Fault("fal", "stream", "status", OFTEN, {"status": 503})] if row.step == "poll" else []
    media = "media" if row.step == "download" and provider != "bytecompute" else provider
    each = [{"status": code, **row.options} for code in row.statuses] or [dict(row.options)]
    return [*no_stream, *(Fault(media, row.step, row.kind, row.times, options) for options in each)]


def arguments(row: Row, folder: Path) -> PaidArguments:
    """A request of its own, with a picture of its own where the fault is on the picture's way."""
    provider = row.provider.split()[0]
    model = "auto" if provider in ("netwrck", "bytecompute") else "ltx-2.3-fast"
    resolution = "720p" if provider in ("ltx", "bytecompute") else "1080p"
    prompt = f"a pond: {row.name}"
    if row.step not in ("upload", "put"):
        return text(prompt=prompt, provider=provider, model=model, resolution=resolution)
    path = folder / "pond.png"
    Image.frombytes("RGB", (64, 36), prompt.encode().ljust(64 * 36 * 3)).save(path)
    return image(path, prompt=prompt, provider=provider, model=model, resolution=resolution)


def edit(row: Row, clips: Clips, folder: Path) -> PaidArguments:
    """A request that is made from a sound or a film, from one of its own where the fault is on its way."""
    made: dict[str, Ask] = {"audio_to_video": speaks, "extend": extends, "retake": retakes}
    name = "2.mp3" if row.operation == "audio_to_video" else "small.mp4"
    provider, prompt = row.provider.split()[0], f"a pond: {row.name}"
    path = clips.own(name, prompt, folder) if row.step in ("upload", "put") else clips.path(name)
    sized = {"resolution": "720p"} if (provider, row.operation) == ("ltx", "audio_to_video") else {}
    if row.operation == "reframe":
        path = clips.own(name, prompt, folder)  # it has no prompt, by which requests differ
        return reframes(path, provider=provider, model="ltx-2.3-pro", resolution="720p")
    return made[row.operation](path, prompt=prompt, provider=provider, model="ltx-2.3-pro", **sized)


def check_words(used: Bench, job: Job) -> None:
    """What a reader is told is a whole sentence that helps, and forbids what would be paid twice."""
    view = used.view(job)
    assert view.next.endswith(".")
    if job.state is State.UNKNOWN:
        assert DO_NOT in view.next
    if job.state in (State.FAILED, State.UNKNOWN):
        assert job.error is not None
        assert job.error.message.endswith(".")
        assert job.error.hint, f"no hint: {job.error.message}"
        assert job.error.code in ErrorCode
        if job.bill is ChargeState.BOOKED and job.error.code in (ErrorCode.EXPIRED, ErrorCode.BAD_REPLY):
            assert "Change the request" not in view.next
