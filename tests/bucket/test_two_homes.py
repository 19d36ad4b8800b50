"""Two homes on one database and one bucket: what one has saved the other has, whatever becomes of the first."""

import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from ltx_mcp.domain.job import NOT_KEPT, NOT_SENT, ChargeState, Job, State
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.bucket import objects
from ltx_mcp.jobs.bucket.files import BucketFiles
from ltx_mcp.jobs.files import digest_of
from tests.bucket.seaweed import S3Server
from tests.conftest import Emulated
from tests.databases import PostgresServer
from tests.media.films import Recipe, make
from tests.patience import HANG_S
from tests.providers.bench import Bench, extends, image, joins, opened, text

pytestmark = pytest.mark.anyio

FAL: dict[str, Any] = {"provider": "fal", "resolution": "1080p"}
SMALL: dict[str, Any] = {"resolution": "720p", "fps": 24}
AWAY_S = 600.0


class Homes:
    """Homes that share a database and a bucket."""

    def __init__(self, folder: Path, emulated: Emulated, database_url: str, bucket: str, s3: S3Server) -> None:
        self._folder, self._emulated = folder, emulated
        self._options: dict[str, Any] = {"database_url": database_url, "bucket": bucket, "env": s3.env}

    def open(self, name: str, **options: Any) -> AbstractAsyncContextManager[Bench]:
        return opened(self._folder / name, self._emulated, **self._options, **options)


@pytest.fixture
def homes(tmp_path: Path, emulator: Emulated, postgres: PostgresServer, bucket: str, s3: S3Server) -> Iterator[Homes]:
    url = postgres.new_database()
    yield Homes(tmp_path, emulator, url, bucket, s3)
    postgres.take_back(url)


def files_of(bench: Bench) -> BucketFiles:
    files = bench.jobs.keeping.context.files
    assert isinstance(files, BucketFiles)
    return files


def asked(url: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    """The status and the body that the store answers with."""
    request = urllib.request.Request(url, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=HANG_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, b""


async def ask(*request: str, **headers: str) -> tuple[int, bytes]:
    """The same, with the loop going on."""
    return await anyio.to_thread.run_sync(partial(asked, *request, **headers))


async def test_a_film_of_one_home_is_looked_at_joined_extended_and_removed_in_another(homes: Homes) -> None:
    async with homes.open("one") as one:
        film = await one.order(text(**FAL))
        assert (film.state, film.bill) == (State.SUCCEEDED, ChargeState.BOOKED)
        digest = digest_of(files_of(one).video(film.id))
    async with homes.open("two") as two:
        assert not list((two.home / "videos").glob("*.mp4"))
        assert (await two.jobs.keeping.frame(film, 0.5)).data[:2] == b"\xff\xd8"
        sheet = await two.jobs.keeping.sheet(film)
        assert sheet is not None
        assert sheet.data[:2] == b"\xff\xd8"
        made = [
            await two.order(joins(film.id, f"{film.id}@1-3", **SMALL)),
            await two.order(extends(film.id, provider="fal")),
            await two.order(image(f"{film.id}#last", **FAL)),
        ]
        assert [each.state for each in made] == [State.SUCCEEDED] * 3, [each.error for each in made]
        path = await two.jobs.keeping.fetch(film)
        assert digest_of(path) == digest
        assert two.count("media", "download") == 3
        await two.jobs.keeping.remove(film)
        assert not await two.jobs.keeping.is_there(film)
    async with homes.open("one", works=False) as one:
        assert await one.jobs.keeping.place(film, "GET") is None
        assert await one.jobs.keeping.sheet(film) is None


async def test_what_was_given_to_an_order_is_prepared_in_another_home(homes: Homes, tmp_path: Path) -> None:
    given = tmp_path / "pond.mp4"
    make(given, Recipe(size=(1920, 1080), frames=100, seconds=4))
    async with homes.open("one", works=False, folders=None) as one:
        job = await one.place(extends(data_uri(given), provider="fal"))
        assert job.state is State.QUEUED
    async with homes.open("two") as two:
        ended = await two.end(job)
        assert ended.state is State.SUCCEEDED, ended.error
        assert two.count("fal", "upload") >= 1


async def test_an_order_that_is_not_sent_yet_waits_for_a_store_that_is_away(
    homes: Homes, s3: S3Server, tmp_path: Path
) -> None:
    given = tmp_path / "pond.mp4"
    make(given, Recipe(size=(1920, 1080), frames=100, seconds=4))
    async with homes.open("one", works=False, folders=None) as one:
        job = await one.place(extends(data_uri(given), provider="fal"))
    s3.stop()
    try:
        async with homes.open("two") as two:
            with anyio.fail_after(HANG_S):
                while not (waiting := await two.jobs.get(job.id, job.caller)).status_message.startswith(NOT_SENT):
                    assert waiting.live, waiting.error
                    await anyio.sleep(0.01)
            assert (waiting.state, two.orders()) == (State.QUEUED, [])
            await anyio.to_thread.run_sync(s3.start)
            assert (await two.end(job)).state is State.SUCCEEDED
    finally:
        if not s3.is_running:
            s3.start()


def data_uri(path: Path) -> str:
    import base64

    return f"data:video/mp4;base64,{base64.b64encode(path.read_bytes()).decode()}"


async def test_a_film_is_put_once_whoever_repeats_it(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    puts: list[str] = []
    put, save, lost = objects.Objects.put, BucketFiles.save_video, anyio.Event()

    async def counted(self: objects.Objects, name: str, path: Path, mime_type: str) -> None:
        puts.append(name)
        await put(self, name, path, mime_type)

    async def saved_and_lost(self: BucketFiles, job: Job, part: Path, video: VideoInfo) -> VideoInfo:
        copy = part.read_bytes()
        await save(self, job, part, video)
        part.write_bytes(copy)
        await save(self, job, part, video)
        lost.set()
        await anyio.sleep_forever()
        raise AssertionError

    monkeypatch.setattr(objects.Objects, "put", counted)
    monkeypatch.setattr(BucketFiles, "save_video", saved_and_lost)
    async with homes.open("one") as one:
        job = await one.place(text(**FAL))
        with anyio.fail_after(HANG_S):
            await lost.wait()
        assert [name for name in puts if name.endswith(".mp4")] == [puts[0]]
    async with homes.open("two") as two:
        ended = await two.end(job)
        assert (ended.state, ended.bill) == (State.SUCCEEDED, ChargeState.BOOKED)
        assert ended.film is not None
        assert (two.count("media", "download"), len(two.orders())) == (1, 1)


async def test_a_store_that_is_away_costs_no_film_though_its_address_ends(homes: Homes, s3: S3Server) -> None:
    async with homes.open("one") as one:
        s3.stop()
        try:
            job = await one.place(text(**FAL))
            with anyio.fail_after(HANG_S):
                while not (waiting := await one.jobs.get(job.id, job.caller)).status_message.startswith(NOT_KEPT):
                    assert waiting.live, waiting.error
                    await anyio.sleep(0.01)
            assert waiting.state is State.SAVING
            assert list((one.home / "videos").glob("*.part"))
            one.world.orders[0].fault = Fault("fal", "order", "url_expires")
            until = one.time.now() + timedelta(seconds=AWAY_S)
            with anyio.fail_after(HANG_S):
                while one.time.now() < until:
                    await anyio.sleep(0.01)
            assert (await one.jobs.get(job.id, job.caller)).state is State.SAVING
        finally:
            await anyio.to_thread.run_sync(s3.start)
        ended = await one.end(job)
        assert (ended.state, ended.bill, ended.error) == (State.SUCCEEDED, ChargeState.BOOKED, None)
        assert one.count("media", "download") == 1
        assert await one.jobs.keeping.is_there(ended)


@asynccontextmanager
async def filmed(homes: Homes) -> AsyncIterator[tuple[Bench, Job]]:
    async with homes.open("one") as one:
        yield one, await one.order(text(**FAL))


async def test_a_link_into_the_bucket_is_for_its_film_its_method_and_its_time(
    homes: Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with filmed(homes) as (one, film):
        url, head = await one.jobs.keeping.place(film, "GET"), await one.jobs.keeping.place(film, "HEAD")
        assert isinstance(url, str)
        assert isinstance(head, str)
        assert "X-Amz-Expires=600" in url
        assert film.film is not None
        status, body = await ask(url)
        assert (status, len(body)) == (200, film.film.size_bytes)
        assert (await ask(url, Range="bytes=10-19"))[0] == 206
        assert (await ask(head, "HEAD"))[0] == 200
        signature = url.rpartition("=")[2]
        forged = url.replace(signature, signature[::-1])
        for wrong in (forged, url.partition("?")[0], head, url.replace(film.id, "job_other")):
            assert (await ask(wrong))[0] in (403, 404)
        monkeypatch.setattr(objects, "LINK_LIFE", timedelta(seconds=1))
        brief = await one.jobs.keeping.place(film, "GET")
        assert isinstance(brief, str)
        with anyio.fail_after(HANG_S):
            while (await ask(brief))[0] != 403:
                await anyio.sleep(0.1)
