"""The objects of a bucket: what is refused, and what is told of it; where signed addresses lead."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from ltx_mcp.cli.checks.bucket import check_bucket
from ltx_mcp.domain.errors import SetupError
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.bucket import objects as module
from ltx_mcp.jobs.bucket.files import BucketFiles
from ltx_mcp.jobs.bucket.objects import SETTING, Objects
from ltx_mcp.jobs.bucket.origin import origin_of
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.errors import BucketUnavailableError
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.settings import read_settings
from tests.bucket.seaweed import S3Server
from tests.bucket.slow_store import FILM, SlowStore
from tests.conftest import Clock
from tests.jobs.test_store import New
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio

KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
UNWELL = f"The bucket of {SETTING} does not answer as it should."
AZURE = {"AZURE_STORAGE_ACCOUNT_NAME": "films", "AZURE_STORAGE_ACCOUNT_KEY": "YWJj"}


def opened(address: str, s3: S3Server) -> Objects:
    return Objects(address, lambda name: s3.env.get(name, ""))


async def test_an_object_is_created_once(s3: S3Server, bucket: str) -> None:
    objects = opened(bucket, s3)
    assert await objects.create("videos/a.json", b"first", "application/json")
    assert not await objects.create("videos/a.json", b"second", "application/json")
    assert await objects.read("videos/a.json") == b"first"
    assert (await objects.read("videos/b.json"), await objects.size("videos/b.json")) == (None, None)
    objects.remove(["videos/a.json", "videos/never"])
    assert [name for name, _ in objects.below("videos")] == []


async def test_wrong_keys_are_refused_and_not_repeated(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(bucket, s3).create("first", b"", "text/plain")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with pytest.raises(BucketUnavailableError, match="refuses these keys") as raised:
        await opened(bucket, s3).read("first")
    assert raised.value.__cause__ is None
    assert "hunter2" not in f"{raised.value} {raised.value.hint}"
    assert s3.env["AWS_ACCESS_KEY_ID"] not in f"{raised.value}"


async def test_the_doctor_says_whether_the_bucket_can_be_read(
    s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened(bucket, s3).create("first", b"", "text/plain")

    async def found(address: str) -> str:
        return " ".join(
            f"{line.status} {line.found}"
            for line in await check_bucket(read_settings(dict(os.environ) | {SETTING: address}))
        )

    assert await found("folder") == ""
    assert await found(bucket) == f"OK {bucket} can be read"
    assert await found("s3://nothing-there") == f"failure s3://nothing-there: {UNWELL}"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    assert "refuses these keys" in await found(bucket)


@pytest.mark.parametrize(
    ("address", "env"),
    [
        ("s3://films/ltx", KEYS),
        ("s3://films/ltx", KEYS | {"AWS_REGION": "eu-central-1"}),
        ("s3://films", KEYS | {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}),
        ("s3://films", KEYS | {"AWS_ENDPOINT_URL": "https://store.example:9000/here"}),
        ("s3://films", KEYS | {"AWS_ENDPOINT_URL_S3": "https://s3.example", "AWS_ENDPOINT_URL": "https://all.example"}),
        ("az://films", AZURE),
    ],
)
async def test_the_player_may_load_from_where_signed_addresses_lead(
    address: str, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    signed = await Objects(address, lambda name: env.get(name, "")).sign("GET", "videos/a.mp4")
    assert signed.startswith(f"{origin_of(address, lambda name: env.get(name, ''))}/")


def test_a_bucket_without_its_library_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(SetupError, match="obstore") as raised:
        Objects("s3://films", lambda name: "")
    assert "pip install obstore" in raised.value.hint


def test_without_a_bucket_the_library_is_never_imported(tmp_path: Path) -> None:
    script = (
        "import sys, ltx_mcp.jobs.service, ltx_mcp.server.app; from pathlib import Path;"
        "from ltx_mcp.jobs.bucket.files import open_files; open_files(Path(sys.argv[1]), '', lambda name: '');"
        "print('obstore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, check=True)
    assert done.stdout.strip() == b"False"


async def test_inputs_that_no_job_uses_go_when_their_time_is_over(s3: S3Server, bucket: str, tmp_path: Path) -> None:
    files = BucketFiles(tmp_path / "home", opened(bucket, s3))
    given = [Input("image", letter * 64, "png", 1, 8, 8) for letter in "ab"]
    for each in given:
        path = tmp_path / each.sha256
        path.write_bytes(b"x")
        await files.save_input(each, path)
    before = datetime.now(UTC)
    files.remove_inputs(lambda digests: {*digests} - {given[0].sha256}, before - timedelta(days=1))
    assert [await files.has(files.input(each)) for each in given] == [True, True]
    files.remove_inputs(lambda digests: {*digests} - {given[0].sha256}, before + timedelta(days=1))
    assert [await files.has(files.input(each)) for each in given] == [False, True]


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowStore]:
    monkeypatch.setattr(module, "RETRY_S", 0)
    store = SlowStore()
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": store.url}).items():
        monkeypatch.setenv(name, value)
    yield store
    store.close()


async def test_a_film_may_take_longer_to_go_up_than_a_store_may_be_silent(
    slow: SlowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 1)
    monkeypatch.setattr(module, "PART_S", int(HANG_S))
    film = tmp_path / "film.mp4"
    film.write_bytes(FILM)
    objects = Objects("s3://films", lambda name: os.environ.get(name, ""))
    async with anyio.create_task_group() as group:
        group.start_soon(objects.put, "film.mp4", film, "video/mp4")
        assert await anyio.to_thread.run_sync(slow.is_under_way.wait, HANG_S)
        with pytest.raises(BucketUnavailableError):  # which began later, and is not waited for any more
            await objects.read("silent")
        slow.may_go_on.set()


async def test_a_film_may_take_longer_to_come_than_one_of_its_parts_to_go_up(
    slow: SlowStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", int(HANG_S))
    monkeypatch.setattr(module, "PART_S", 1)
    film, came = tmp_path / "film.mp4", tmp_path / "came.mp4"
    film.write_bytes(FILM)
    objects = Objects("s3://films", lambda name: os.environ.get(name, ""))
    async with anyio.create_task_group() as group:
        group.start_soon(objects.get, "film.mp4", came, lambda size: None)
        assert await anyio.to_thread.run_sync(slow.is_under_way.wait, HANG_S)
        with pytest.raises(BucketUnavailableError):
            await objects.put("silent", film, "video/mp4")
        slow.may_go_on.set()
    assert came.read_bytes() == FILM


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"])
async def test_a_plain_address_may_have_any_name_that_the_library_reads(
    s3: S3Server, bucket: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv(name, s3.url)
    objects = Objects(bucket, lambda asked: os.environ.get(asked, ""))
    assert await objects.create("first", b"x", "text/plain")


async def test_who_was_second_with_a_film_shows_the_pictures_of_the_first(
    s3: S3Server, bucket: str, tmp_path: Path, home: Path, new_job: New, clock: Clock
) -> None:
    with closing(Database.open(home)) as database:
        job = Store(database).place(new_job(), clock()).job
    for name in ("one", "two"):
        files = BucketFiles(tmp_path / name, opened(bucket, s3))
        files.part(job).write_text(name)
        files.sheet(job.id).write_text(name)
        await files.save_video(job, files.part(job), VideoInfo(6.0, 1920, 1080, 25.0, 150, True, 3))
    for path in (files.video(job.id), files.sheet(job.id)):
        brought = await files.bring(path)
        assert brought is not None
        assert brought.read_text() == "one"


async def test_a_bucket_that_is_gone_is_told_like_one_that_is_away(slow: SlowStore, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"x")
    objects = Objects("s3://gone", lambda name: os.environ.get(name, ""))
    for write in (objects.put("film.mp4", film, "video/mp4"), objects.create("film.json", b"{}", "application/json")):
        with pytest.raises(BucketUnavailableError, match="does not answer") as raised:
            await write
        assert raised.value.__suppress_context__


async def test_a_film_that_is_gone_from_this_disk_is_not_told_as_a_bucket_that_is_away(
    slow: SlowStore, tmp_path: Path
) -> None:
    objects = Objects("s3://films", lambda name: os.environ.get(name, ""))
    with pytest.raises(FileNotFoundError, match=r"film\.mp4"):
        await objects.put("film.mp4", tmp_path / "film.mp4", "video/mp4")


@pytest.mark.parametrize("content", [b"<html>log in first</html>", b"[]", b'{"film": {"hue": 3}}'])
async def test_an_answer_that_is_none_of_ours_is_a_bucket_that_does_not_answer_as_it_should(
    s3: S3Server, bucket: str, home: Path, new_job: New, clock: Clock, content: bytes
) -> None:
    with closing(Database.open(home)) as database:
        job = Store(database).place(new_job(), clock()).job
    await opened(bucket, s3).create(f"videos/{job.id}.json", content, "application/json")
    with pytest.raises(BucketUnavailableError, match="does not answer"):
        await BucketFiles(home, opened(bucket, s3)).saved(job)
