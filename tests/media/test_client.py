"""The child process: it answers, it obeys its limits, and it is gone when it should be. Real processes throughout."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

import anyio
import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.media.client import MediaClient, MediaProcess
from ltx_mcp.media.lanes import Sizes
from ltx_mcp.media.messages import ChildFailed, EditOrder, ProcessLimits, ReframeOrder, RenderOrder, Sandbox
from tests.conftest import ENDS_S
from tests.media.films import Recipe, make
from tests.media.processes import children_of, exists, until, workers, writing_end
from tests.patience import HANG_S

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("started_media")]

SMALL = RenderOrder("green hills", 320, 180, 25, 0.4, audio=False)
ENDLESS = RenderOrder("green hills", 3840, 2160, 50, 600.0, audio=False)
procfs = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")


@pytest.fixture
async def media() -> AsyncIterator[MediaClient]:
    made = MediaClient()
    yield made
    await made.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.new("RGB", (64, 36), "red").save(path)
    return path


# -- it answers


async def test_each_kind_of_work_comes_back_as_its_facts(media: MediaClient, picture: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.part"
    told: list[float] = []
    assert (await media.render(SMALL, film, told.append)).missing_glyphs == 0
    assert await media.probe_image(picture) == MediaInfo("png", 64, 36)
    assert (await media.measure_film(film)).frames == 10
    assert len((await media.make_sheet(film, tmp_path / "sheet.jpg")).moments) == 6
    assert (await media.take_frame(film, "last", tmp_path / "a.png", "png", 160)).width == 160
    assert (await media.take_frame(film, 0.2, tmp_path / "a.jpg")).moment == 0.2
    assert told[-1] == 1.0


async def test_each_kind_of_work_on_media_comes_back_as_its_facts(media: MediaClient, tmp_path: Path) -> None:
    sound = make(tmp_path / "a.wav", Recipe(video=None, audio="pcm_s16le", seconds=0.4))
    film, longer, told = tmp_path / "film.part", tmp_path / "longer.part", list[float]()
    await media.render(replace(SMALL, sound=str(sound)), film)
    assert (await media.probe_media(film, "video")).audio_codec == "aac"
    assert (await media.probe_media(sound, "audio")).duration == 0.4
    assert (await media.convert_media(sound, tmp_path / "a.part", "audio")).format == "m4a"
    order = EditOrder("extend", str(film), "green hills", 0.4, "end")
    assert (await media.edit(order, longer, told.append)).missing_glyphs == 0
    assert (await media.probe_media(longer, "video")).frames == 20
    await media.reframe(ReframeOrder(str(film), 180, 320), tmp_path / "tall.part")
    assert (await media.probe_media(tmp_path / "tall.part", "video")).height == 320
    assert told[-1] == 1.0


@pytest.mark.parametrize("kind", ["video", "audio"])
async def test_a_failed_conversion_leaves_no_file(
    media: MediaClient, kind: Literal["video", "audio"], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_text("no film", encoding="utf-8")
    out = tmp_path / "out.part"
    out.write_bytes(b"left over")
    with pytest.raises(CallerError) as caught:
        await media.convert_media(tmp_path / "a.mp4", out, kind)
    assert caught.value.code is ErrorCode.INPUT_FAILED
    assert not out.exists()


async def test_a_failed_edit_leaves_no_file(media: MediaClient, tmp_path: Path) -> None:
    film = make(tmp_path / "a.mp4", Recipe(frames=10, audio=None))
    # the frames are whole until the last third
    data = bytearray(film.read_bytes())
    place = data.index(b"mdat") + 4
    data[place + 9000 : data.index(b"moov") - 4] = bytes(data.index(b"moov") - 4 - place - 9000)
    film.write_bytes(data)
    out = tmp_path / "out.part"
    with pytest.raises(CallerError):
        await media.edit(EditOrder("extend", str(film), "green hills", 0.4, "end"), out)
    assert not out.exists()


async def test_a_cancelled_edit_leaves_no_file_and_no_process(media: MediaClient, tmp_path: Path) -> None:
    film = make(tmp_path / "a.mp4", Recipe(frames=10, audio=None))
    out, begun = tmp_path / "out.part", anyio.Event()
    async with anyio.create_task_group() as group:

        async def work() -> None:
            order = EditOrder("extend", str(film), "green hills", 3600.0, "end")
            await media.edit(order, out, lambda part: begun.set())

        group.start_soon(work)
        with anyio.fail_after(HANG_S):
            await begun.wait()
        assert out.exists()
        group.cancel_scope.cancel()
    assert not out.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited on Linux")
async def test_a_child_that_dies_over_a_medium_makes_it_an_input_that_failed(tmp_path: Path) -> None:
    film = make(tmp_path / "a.mp4", Recipe(frames=10))
    starved = MediaClient(memory_mib=1)
    with pytest.raises(CallerError, match=r"^The video could not be decoded here: the process") as caught:
        await starved.probe_media(film, "video")
    assert caught.value.code is ErrorCode.INPUT_FAILED
    with pytest.raises(CallerError, match=r"^The audio could not be decoded here: the process"):
        await starved.convert_media(film, tmp_path / "out", "audio")
    await starved.close()


async def test_an_error_of_the_caller_stays_one_across_the_pipe(media: MediaClient, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(CallerError, match="PNG, JPEG") as caught:
        await media.probe_image(tmp_path / "a.png")
    assert (caught.value.code, bool(caught.value.hint)) == (ErrorCode.INPUT_FAILED, True)


async def test_another_failure_keeps_its_code_across_the_pipe(media: MediaClient, picture: Path) -> None:
    with pytest.raises(LtxError) as caught:
        await media.measure_film(picture)
    assert type(caught.value) is LtxError
    assert caught.value.code is ErrorCode.BAD_REPLY


async def test_a_folder_that_is_not_there_is_a_storage_failure(media: MediaClient, tmp_path: Path) -> None:
    with pytest.raises(LtxError) as caught:
        await media.render(SMALL, tmp_path / "nowhere" / "film.part")
    assert caught.value.code is ErrorCode.STORAGE_FAILED


async def test_a_bug_in_the_child_is_told_in_general_words_and_does_not_end_it(picture: Path, tmp_path: Path) -> None:
    async with aclosing(MediaProcess(Sandbox((str(tmp_path),), (str(tmp_path),)))) as child:
        with pytest.raises(LtxError) as caught:
            await child.run("picture", {"no_such_argument": 1}, ProcessLimits(30))
        assert caught.value.code is ErrorCode.INTERNAL_ERROR
        assert "argument" not in caught.value.message
        assert (await child.run("picture", {"path": str(picture)}, ProcessLimits(30)))["width"] == 64


async def test_a_failed_render_leaves_no_file(media: MediaClient, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture", encoding="utf-8")
    out = tmp_path / "film.part"
    out.write_bytes(b"left over")
    with pytest.raises(CallerError):
        await media.render(replace(SMALL, image=str(tmp_path / "bad.png")), out)
    assert not out.exists()


# -- it is where it should be, and only there


@procfs
async def test_short_work_shares_the_warm_children_of_its_lane(picture: Path) -> None:
    media = MediaClient(sizes=replace(Sizes.of(2), quick=1))
    await media.probe_image(picture)
    first = workers()
    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(media.probe_image, picture)
    assert workers() == first
    assert len(first) == 1
    await media.close()


@procfs
async def test_an_idle_child_is_closed_and_a_new_one_serves_the_next_call(picture: Path) -> None:
    media = MediaClient(warm_s=0.05)
    await media.probe_image(picture)
    await until(lambda: not workers())
    assert (await media.probe_image(picture)).width == 64
    await media.close()
    assert not workers()


@procfs
async def test_a_warm_child_that_died_is_replaced(media: MediaClient, picture: Path) -> None:
    await media.probe_image(picture)
    os.kill(workers()[0], signal.SIGKILL)
    assert (await media.probe_image(picture)).width == 64


@procfs
async def test_cancelling_kills_the_child_and_leaves_nothing(media: MediaClient, tmp_path: Path) -> None:
    out = tmp_path / "film.part"
    drawing = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(media.render, ENDLESS, out, lambda part: drawing.set())
        with anyio.fail_after(HANG_S):
            await drawing.wait()
        begun = time.monotonic()
        group.cancel_scope.cancel()
    assert time.monotonic() - begun < ENDS_S
    assert not workers()
    assert not out.exists()


@procfs
def test_a_start_that_is_cancelled_leaves_no_process_that_nobody_waited_for() -> None:
    async def cancelled_after(steps: int) -> None:
        media = MediaClient()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(media.measure_film, "/no such film")
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
        await media.close()

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", ResourceWarning)
        for steps in range(20):
            anyio.run(cancelled_after, steps)
            gc.collect()
    assert [str(each.message) for each in told] == []


@procfs
async def test_cancelling_short_work_kills_the_warm_child(media: MediaClient, picture: Path, tmp_path: Path) -> None:
    await media.probe_image(picture)
    warm = workers()
    os.mkfifo(tmp_path / "never.png")
    with anyio.move_on_after(0.1) as scope:
        await media.probe_image(tmp_path / "never.png")
    assert scope.cancelled_caught
    assert len([each for each in warm if not exists(each)]) == 1
    assert (await media.probe_image(picture)).width == 64


@procfs
@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM"])
async def test_the_child_dies_with_its_parent_in_the_middle_of_a_render(end: str, tmp_path: Path) -> None:
    code = f"""
        import anyio, sys
        from pathlib import Path
        from ltx_mcp.media.client import MediaClient, RenderOrder
        order = RenderOrder(**{asdict(ENDLESS)!r})
        part = Path({str(tmp_path / "film.part")!r})
        anyio.run(MediaClient().render, order, part, lambda done: print(done, flush=True))
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    parent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, env=environment())
    assert parent.stdout is not None
    with anyio.fail_after(HANG_S):
        assert await parent.stdout.readline()
    (child,) = children_of(parent.pid)
    assert exists(child)
    parent.send_signal(signal.Signals[end])
    await parent.wait()
    await until(lambda: not exists(child))


@procfs
async def test_a_blocked_child_dies_with_its_parent_too(tmp_path: Path) -> None:
    pipe = tmp_path / "never.png"
    os.mkfifo(pipe)
    code = f"""if 1:
        import anyio
        from ltx_mcp.media.client import MediaClient
        anyio.run(MediaClient().probe_image, {str(pipe)!r})
    """
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=environment())
    writer = await writing_end(pipe)
    (child,) = children_of(parent.pid)
    parent.kill()
    await parent.wait()
    await until(lambda: not exists(child))
    os.close(writer)


@procfs
async def test_closing_stops_a_call_and_nothing_is_started_again(
    media: MediaClient, picture: Path, tmp_path: Path
) -> None:
    await media.probe_image(picture)
    os.mkfifo(tmp_path / "never.png")
    async with anyio.create_task_group() as group:

        async def look() -> None:
            with pytest.raises(CallerError, match="was stopped"):
                await media.probe_image(tmp_path / "never.png")

        group.start_soon(look)
        writer = await writing_end(tmp_path / "never.png")
        await media.close()
    os.close(writer)
    assert not workers()


@procfs
async def test_leaving_the_block_ends_the_child(picture: Path, tmp_path: Path) -> None:
    async with aclosing(MediaProcess(Sandbox((str(tmp_path),), (str(tmp_path),)))) as child:
        await child.run("picture", {"path": str(picture)}, ProcessLimits(30))
        assert len(workers()) == 1
    assert not workers()


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}


# -- its limits


async def test_work_that_takes_too_long_is_stopped_and_said_to_be(tmp_path: Path) -> None:
    async with aclosing(MediaProcess(Sandbox((str(tmp_path),), (str(tmp_path),)))) as child:
        with pytest.raises(ChildFailed, match=r"stopped after 0\.5 s") as caught:
            await child.run("render", {"order": asdict(ENDLESS), "out": str(tmp_path / "film")}, ProcessLimits(0.5))
        assert caught.value.code is ErrorCode.INTERNAL_ERROR
        assert not child.is_alive


@procfs
async def test_a_child_that_is_killed_at_work_is_told_with_its_signal(media: MediaClient, tmp_path: Path) -> None:
    def kill(part: float) -> None:
        os.kill(workers()[0], signal.SIGKILL)

    with pytest.raises(ChildFailed, match="signal 9, perhaps for lack of memory"):
        await media.render(ENDLESS, tmp_path / "film.part", kill)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="address space is limited on Linux")
async def test_a_picture_beyond_the_memory_limit_is_refused_and_the_next_one_read(
    picture: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (9_900, 9_900)).save(tmp_path / "large.png", compress_level=1)
    media = MediaClient(memory_mib=400)
    with pytest.raises(CallerError, match="memory") as caught:
        await media.probe_image(tmp_path / "large.png")
    assert caught.value.code is ErrorCode.INPUT_FAILED
    assert (await media.probe_image(picture)).width == 64
    await media.close()


@procfs
async def test_no_key_reaches_the_child(media: MediaClient, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FAL_KEY", "LTX_API_KEY", "LTX_MCP_DATABASE_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "a-secret-value")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    await media.probe_image(picture)
    given = Path(f"/proc/{workers()[0]}/environ").read_bytes()
    assert b"a-secret-value" not in given
    assert b"FAL_KEY" not in given
    assert b"LC_ALL=C.UTF-8" in given


async def test_what_is_printed_in_the_child_never_reaches_the_wire(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = """
        import os, sys, threading, time
        print("before the child is ready", flush=True)
        def chatter():
            while True:
                print("noise from Python", flush=True)
                os.write(1, b'{"id": 1, "result": {"format": "noise", "width": 0, "height": 0}}')
                time.sleep(0.002)
        def wait():
            while sys.stdout is not sys.stderr:
                time.sleep(0.001)
            chatter()
        threading.Thread(target=wait, daemon=True).start()
    """
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(noise), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    media = MediaClient()
    for _ in range(3):
        assert await media.probe_image(picture) == MediaInfo("png", 64, 36)
    film = tmp_path / "film.part"
    await media.render(SMALL, film)
    assert (await media.measure_film(film)).frames == 10
    await media.close()
    captured = capfd.readouterr()
    assert "noise from Python" in captured.err
    assert captured.out == ""


async def test_a_module_in_the_working_directory_is_not_taken_for_ours(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("av.py", "json.py", "PIL.py"):
        (tmp_path / name).write_text("raise SystemExit('a stranger was imported')", encoding="utf-8")
    monkeypatch.setattr(sys, "path", [os.path.abspath(entry) for entry in sys.path])
    monkeypatch.chdir(tmp_path)
    media = MediaClient()
    assert (await media.probe_image(picture)).width == 64
    await media.close()
