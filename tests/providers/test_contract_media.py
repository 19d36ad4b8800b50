"""Sounds and films on their way into an order: sent ahead once, as what they are, and never with the key."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.domain.arguments import PaidArguments
from ltx_mcp.domain.job import Job, State
from ltx_mcp.emulator.emulator_state import EmulatedOrder, EmulatorState
from ltx_mcp.providers.catalog_loader import read_providers
from tests.providers.bench import Ask, Bench, extends, opened, retakes, speaks
from tests.providers.clips import Clips

pytestmark = pytest.mark.anyio

UPLOADS = ("fal", "ltx")
PLACED = (State.RUNNING, State.SAVING, State.SUCCEEDED)
FORMS = {
    "mp4/h264": ("wide.mp4", "video/mp4"),
    "mov/h264": ("wide.mov", "video/quicktime"),
    "mkv/h264": ("wide.mkv", "video/x-matroska"),
    "mp4/hevc": ("film-hevc.mp4", "video/mp4"),
    "mov/hevc": ("film-hevc.mov", "video/quicktime"),
    "mkv/hevc": ("film-hevc.mkv", "video/x-matroska"),
    "mp3/mp3": ("3.5.mp3", "audio/mpeg"),
    "m4a/aac": ("3.5.m4a", "audio/mp4"),
    "ogg/opus": ("3.5.ogg", "audio/ogg"),
    "wav/pcm": ("3.5.wav", "audio/wav"),
    "wav/mp3": ("3.5-mp3.wav", "audio/wav"),
    "wav/flac": ("3.5-flac.wav", "audio/wav"),
    "aac/aac": ("3.5.aac", "audio/aac"),
}
"""A file of each form and the type it has on the wire; two more that LTX takes cannot be written here."""
NOT_MADE = {"ogg/vorbis", "wav/vorbis", "wav/aac"}
TAKEN = [
    (facts.name, form)
    for facts in read_providers()
    if facts.name in UPLOADS
    for kind in ("video", "audio")
    for form in facts.inputs[kind].accepts
    if form not in NOT_MADE
]


@pytest.fixture(scope="module")
async def opened_once(
    emulated: tuple[str, EmulatorState], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Bench]:
    async with opened(tmp_path_factory.mktemp("media") / "home", emulated, folders=(Path("/"),)) as made:
        yield made


@pytest.fixture
def bench(opened_once: Bench) -> Bench:
    """With nothing ordered, and orders that are never done."""
    opened_once.world.reset()
    opened_once.world.wait_s, opened_once.world.work_s = 0.0, 3600.0
    return opened_once


async def sent(bench: Bench, asked: PaidArguments) -> tuple[Job, EmulatedOrder]:
    """The job, and the order as the provider took it."""
    job = await bench.until(await bench.place(asked), *PLACED)
    return job, bench.orders(asked.provider)[-1]


def uploaded(bench: Bench, order: EmulatedOrder) -> dict[str, Any]:
    """What lies where the order's film or sound is said to be."""
    given = next(str(order.fields[name]) for name in order.fields if name[:6] in ("audio_", "video_"))
    return next(each for uri, each in bench.world.uploads.items() if given in (uri, each.get("url")))


@pytest.mark.parametrize(("provider", "form"), TAKEN)
async def test_each_form_that_is_taken_arrives_as_it_is_under_its_own_type(
    bench: Bench, clips: Clips, tmp_path: Path, provider: str, form: str
) -> None:
    name, mime = FORMS[form]
    path = tmp_path / name
    path.write_bytes(clips.path(name).read_bytes())
    ask: Ask = speaks if mime.startswith("audio") else extends
    job, order = await sent(bench, ask(path, provider=provider, prompt=f"as {form}"))
    found = uploaded(bench, order)
    assert found["content_type"] == mime
    assert found["file"].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [each for each in job.all_adjustments if each.by == "server"] == []


@pytest.mark.parametrize("provider", UPLOADS)
@pytest.mark.parametrize("name", ["wide.mp4", "3.5.mp3"])
async def test_a_medium_is_sent_to_a_provider_once_and_again_when_it_may_be_gone(
    bench: Bench, clips: Clips, tmp_path: Path, provider: str, name: str
) -> None:
    path = clips.own(name, provider, tmp_path)
    orders: tuple[Ask, Ask] = (speaks, speaks) if name.endswith("mp3") else (extends, retakes)
    first, second = [
        (await sent(bench, ask(path, provider=provider, prompt=f"{n}")))[1] for n, ask in enumerate(orders)
    ]
    assert uploaded(bench, first) is uploaded(bench, second)
    assert (bench.count(provider, "upload"), bench.count(provider, "put")) == (1, 1)
    bench.time.turn(bench.jobs.catalog.facts(provider).upload_lives_s or 0)
    _, third = await sent(bench, orders[0](path, provider=provider, prompt="tomorrow"))
    assert uploaded(bench, third) is not uploaded(bench, first)
    assert (bench.count(provider, "upload"), bench.count(provider, "put")) == (2, 2)


@pytest.mark.parametrize("provider", UPLOADS)
async def test_no_credential_goes_to_where_a_film_is_put(
    bench: Bench, clips: Clips, tmp_path: Path, provider: str
) -> None:
    await sent(bench, retakes(clips.own("wide.mp4", f"{provider} put", tmp_path), provider=provider))
    assert [each.authorized for each in bench.world.calls if each.step == "put"] == [False]
    assert [each.authorized for each in bench.world.calls if each.step == "upload"] == [True]


@pytest.mark.parametrize("provider", UPLOADS)
async def test_the_film_of_a_job_arrives_whole_and_is_sent_once_for_all_that_is_made_of_it(
    bench: Bench, clips: Clips, tmp_path: Path, provider: str
) -> None:
    bench.world.work_s = 0.0
    first = await bench.order(extends(clips.own("small.mp4", f"{provider} chain", tmp_path), provider="local"))
    film = bench.jobs.film(first)
    assert (first.state, film is not None) == (State.SUCCEEDED, True)
    bench.world.work_s = 3600.0
    job, order = await sent(bench, extends(first.id, provider=provider))
    again, second = await sent(bench, retakes(first.id, provider=provider))
    assert (job.sources, again.sources) == ((first.id,), (first.id,))
    assert film is not None
    assert uploaded(bench, order)["file"].sha256 == hashlib.sha256(film.read_bytes()).hexdigest()
    assert uploaded(bench, order)["content_type"] == "video/mp4"
    assert uploaded(bench, order) is uploaded(bench, second)
    assert bench.count(provider, "put") == 1


async def test_one_sound_that_several_jobs_have_converted_at_once_serves_them_all(
    bench: Bench, clips: Clips, tmp_path: Path
) -> None:
    sound = clips.own("3.5.wav", "for several", tmp_path)
    sizes = ("720p", "1080p")
    jobs = [await bench.place(speaks(sound, provider="ltx", adjust="nearest", resolution=size)) for size in sizes]
    placed = [await bench.until(job, *PLACED) for job in jobs]
    assert [job.error for job in placed] == [None, None]
    assert len(bench.orders()) == 2
