"""A disk that is full or cannot be written: real small file systems, where one may be mounted. What is paid waits for
room, what is not yet ordered is not, and nothing half-written has a final name.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest
from mcp import Client
from mcp.types import TextContent
from PIL import Image

from ltx_mcp.domain.arguments import ListJobs, PaidArguments
from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.jobs.files import digest_of
from ltx_mcp.jobs.store.database import Database
from tests.conftest import Connect, Emulated
from tests.jobs.moments import ltx
from tests.media.films import Recipe, make
from tests.patience import HANG_S
from tests.providers.bench import CALLER, Bench, image, joins, opened, text

pytestmark = pytest.mark.anyio

SIZE_BYTES = 12 << 20
SOON_S = SAVED_S = HANG_S
LONG = Recipe(size=(1920, 1080), frames=250, seconds=10, options=(("preset", "ultrafast"), ("g", "25")))


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[None]:
    """A real file system of this size at `folder`; the test is skipped where nobody lets us mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "ltx-mcp-test", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, encoding="utf-8", check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> None:
    """Let nothing be written on the small disk at `folder` any more."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """Fill the disk that `folder` lies on but for this much; the file that fills it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    with ballast.open("rb+") as file:
        file.truncate(max(0, ballast.stat().st_size - leave_bytes))
    return ballast


async def told_full(bench: Bench, job: Job) -> Job:
    """The job, once it is told that there is no room for its film."""
    with anyio.fail_after(SOON_S):
        while (job := await bench.jobs.get(job.id, CALLER)).error is None:
            assert job.live
            await anyio.sleep(0.01)
    return job


async def test_a_film_for_which_the_disk_has_no_room_waits_and_says_so_and_comes_when_there_is_room(
    home: Path, emulator: Emulated, caplog: pytest.LogCaptureFixture
) -> None:
    videos = home / "videos"
    with small_disk(videos, SIZE_BYTES):
        async with opened(home, emulator) as bench:
            bench.world.work_s = 600
            job = await bench.until(await bench.place(text(provider="fal")), State.RUNNING)
            ballast = fill(videos, leave_bytes=500_000)
            bench.world.work_s = 0
            job = await told_full(bench, job)
            view = bench.view(job)
            assert (view.state, view.error and view.error.code) == ("saving", "storage_failed")
            assert view.error is not None
            assert "LTX_MCP_HOME" in (view.error.hint or "")
            assert "0.5 MB left" in job.status_message
            assert {path.suffix for path in videos.iterdir() if path != ballast} <= {".part"}
            ballast.unlink()
            job = await bench.end(job, within_s=SAVED_S)
            assert (job.state, job.bill, job.error, len(bench.orders())) == (
                State.SUCCEEDED,
                ChargeState.BOOKED,
                None,
                1,
            )
            assert {path.suffix for path in videos.iterdir()} == {".mp4", ".json", ".jpg"}
    told = [record for record in caplog.records if "could not be moved" in record.getMessage()]
    assert {record.__dict__["trouble"] for record in told} == {"storage_failed"}  # one line a minute


async def test_a_disk_that_is_full_for_the_database_too_costs_no_film_and_no_second_order(
    home: Path, emulator: Emulated
) -> None:
    with small_disk(home, SIZE_BYTES):
        async with opened(home, emulator) as bench:
            bench.world.work_s = 600
            job = await bench.until(await bench.place(text(provider="ltx")), State.RUNNING)
            ballast = fill(home)
            bench.world.work_s = 0
            asked = bench.count("ltx", "poll")
            with anyio.fail_after(SOON_S):
                while bench.count("ltx", "poll") < asked + 2:
                    await anyio.sleep(0.01)
            assert not list((home / "videos").glob("*.mp4"))
            ballast.unlink()
            job = await bench.end(job, within_s=SAVED_S)
            assert (job.state, job.bill, len(bench.orders())) == (State.SUCCEEDED, ChargeState.BOOKED, 1)


@pytest.mark.parametrize(("what", "room"), [("words", 0.0), ("picture", 0.0), ("picture", 0.5), ("picture", 1.5)])
async def test_an_order_for_which_the_disk_has_no_room_is_refused_whole_and_can_be_repeated(
    what: str, room: float, home: Path, emulator: Emulated, tmp_path: Path
) -> None:
    """`room`: for how many copies of the picture there is some; it is copied when it is read and when it is kept."""
    picture = tmp_path / "pond.png"
    Image.effect_noise((800, 600), 60).convert("RGB").save(picture)
    arguments: PaidArguments = text(request_key="k") if what == "words" else image(picture, request_key="k")
    with small_disk(home, SIZE_BYTES):
        async with opened(home, emulator, folders=(tmp_path,)) as bench:
            await bench.jobs.page(ListJobs(), CALLER)
            ballast = fill(home, leave_bytes=int(room * picture.stat().st_size))
            with pytest.raises(SetupError) as caught:
                await bench.jobs.order(arguments, CALLER)
            assert caught.value.code is ErrorCode.STORAGE_FAILED
            assert "LTX_MCP_HOME" in caught.value.hint or what == "picture"
            assert (await bench.jobs.page(ListJobs(), CALLER)).jobs == ()
            assert [path for folder in ("inputs", "incoming") for path in (home / folder).glob("**/*")] == []
            assert bench.orders() == []
            ballast.unlink()
            job = await bench.order(arguments)
            assert (job.state, len(bench.orders())) == (State.SUCCEEDED, 1)


async def test_an_order_whose_film_would_find_no_room_is_refused_at_once_and_a_repeat_still_gives_its_job(
    home: Path, emulator: Emulated
) -> None:
    with small_disk(home / "videos", SIZE_BYTES):
        async with opened(home, emulator) as bench:
            bench.world.work_s = 600
            live = await bench.until(await bench.place(text(provider="fal")), State.RUNNING)
            too_large = text(provider="fal", resolution="2160p")
            for _ in range(2):
                with pytest.raises(SetupError, match=r"videos has 12\.\d MB left, and 3\d\.\d MB are needed") as caught:
                    await bench.jobs.order(too_large, CALLER)
                assert caught.value.code is ErrorCode.STORAGE_FAILED
            fill(home / "videos")
            for provider in ("fal", "ltx", "local"):
                with pytest.raises(SetupError, match="LTX_MCP_HOME"):
                    await bench.jobs.order(text(provider=provider, prompt="another pond"), CALLER)
            again = await bench.jobs.order(text(provider="fal"), CALLER)
            assert (again.job.id, again.fresh) == (live.id, False)
            assert [job.id for job in (await bench.jobs.page(ListJobs(), CALLER)).jobs] == [live.id]
            assert len(bench.orders()) == 1


@pytest.mark.parametrize("provider", ["fal", "netwrck", "local"])
async def test_a_job_that_finds_the_disk_full_when_its_turn_comes_fails_before_anything_is_sent_or_paid(
    provider: str, home: Path, emulator: Emulated
) -> None:
    with small_disk(home / "videos", SIZE_BYTES):
        async with opened(home, emulator) as bench:
            bench.world.work_s = 600
            shot = await bench.until(await bench.place(text(provider="fal")), State.RUNNING)
            chained = await bench.place(image(f"{shot.id}#last", provider=provider, resolution="1080p"))
            assert chained.blocked_by == shot.id
            ballast = fill(home / "videos", leave_bytes=4_000_000)
            bench.world.work_s = 0
            assert (await bench.end(shot, within_s=SAVED_S)).state is State.SUCCEEDED
            job = await bench.end(chained, within_s=SAVED_S)
            assert (job.state, job.error and job.error.code, job.bill) == (
                State.FAILED,
                "storage_failed",
                ChargeState.RELEASED,
            )
            assert job.error is not None
            assert "MB left" in job.error.message
            assert len(bench.orders()) == 1
            assert {each.step for each in bench.world.calls} <= {
                *["submit", "poll", "stream", "download", "result", "prices"]
            }
            ballast.unlink()
            redone = await bench.order(image(f"{shot.id}#last", provider=provider, resolution="1080p"))
            assert redone.state is State.SUCCEEDED


async def test_a_disk_that_fills_while_a_film_is_joined_leaves_none_of_it_and_it_can_be_joined_again(
    home: Path, emulator: Emulated, tmp_path: Path
) -> None:
    videos, clip = home / "videos", make(tmp_path / "clip.mp4", LONG)
    with small_disk(videos, 4 * SIZE_BYTES):
        async with opened(home, emulator, folders=(tmp_path,), factor=20) as bench:
            shot = await bench.order(text(provider="local", resolution="720p"))
            before = {path: digest_of(path) for path in (*videos.iterdir(), clip)}
            again = joins(
                shot.id, clip, f"{clip}@2-9.5", resolution="720p", fps=24
            )  # no rate of theirs: all is encoded
            film = await bench.until(await bench.place(again), State.RUNNING)
            with anyio.fail_after(SOON_S):
                while not any(part.stat().st_size for part in videos.glob(f"{film.id}.*.part")):
                    await anyio.sleep(0.01)
            ballast = fill(videos)
            ended = await bench.end(film)
            assert (ended.state, ended.bill, ended.cost_micro) == (State.FAILED, ChargeState.RELEASED, 0)
            assert ended.error is not None
            assert ended.error.code is ErrorCode.STORAGE_FAILED
            assert "could not be written: No space left on device" in ended.error.message
            assert "LTX_MCP_HOME" in (ended.error.hint or "")
            assert set(videos.iterdir()) == {*before, ballast} - {clip}
            assert {path: digest_of(path) for path in before} == before
            ballast.unlink()
            joined = await bench.order(again)
    assert joined.id != film.id
    assert (joined.state, joined.bill, joined.cost_micro) == (State.SUCCEEDED, ChargeState.BOOKED, 0)
    assert joined.film is not None
    assert joined.film.duration == pytest.approx(6 + 10 + 7.5, abs=0.05)


# -- a disk that cannot be written ------------------------------------------------------------------------------------


@contextmanager
def read_only_home(home: Path, used: bool) -> Iterator[None]:
    """A home that nothing can be written to, with a database from better days or without."""
    with small_disk(home, SIZE_BYTES):
        if used:
            Database.open(home).close()
        make_read_only(home)
        yield


async def answered(client: Client, tool: str, **arguments: str) -> str:
    """What a call that cannot succeed is told."""
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
async def test_a_home_that_became_read_only_is_told_by_the_tools_with_the_setting(
    used: bool, connect: Connect, home: Path
) -> None:
    with read_only_home(home, used):
        async with connect() as client:
            for told in (
                await answered(client, "generate_video", prompt="a pond"),
                await answered(client, "list_jobs"),
            ):
                assert told.startswith("storage_failed: ")
                assert str(home) in told
                assert "LTX_MCP_HOME" in told


@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_a_home_that_became_read_only_is_told_by_the_commands_with_the_setting(used: bool, home: Path) -> None:
    with read_only_home(home, used):
        ended: list[subprocess.CompletedProcess[str]] = [ltx(home, "generate", "a pond"), ltx(home, "jobs")]
    for each in ended:
        assert (each.returncode, each.stdout) == (3, "")
        assert each.stderr.startswith("ltx-mcp: storage_failed: ")
        assert each.stderr.count("\n") == 1
        assert "LTX_MCP_HOME" in each.stderr
