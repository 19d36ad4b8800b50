"""Lanes: what one of them is busy with holds up no other, and each has so many children and no more.

A named pipe that nobody writes to keeps a child busy for as long as a test wants.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import astuple, replace
from functools import partial
from pathlib import Path

import anyio
import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.media.client import MediaClient, MediaProcess
from ltx_mcp.media.lanes import QUICK_MIB, Lane, Sizes, Work
from ltx_mcp.media.messages import MEMORY_MIB, EditOrder, ProcessLimits
from tests.media.films import Recipe, make
from tests.media.processes import workers, writing_end
from tests.media.test_excess import with_scans

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("started_media")]

Slow = Callable[[], Awaitable[object]]
SMALL = Sizes(quick=1, patient=1, videos=1, images=1, conversions=2, renders=1)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make(tmp_path / "film.mp4", Recipe(frames=10))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 36), "red").save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.fixture
async def media() -> AsyncIterator[MediaClient]:
    made = MediaClient(sizes=SMALL, probe_limits=(ProcessLimits(3600), ProcessLimits(3600)))
    yield made
    await made.close()


def pipes(folder: Path, count: int) -> list[Path]:
    """Inputs that never end."""
    found = [folder / f"endless-{number}" for number in range(count)]
    for path in found:
        os.mkfifo(path)
    return found


def is_read(pipe: Path) -> bool:
    """Whether a child has begun with it."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


@asynccontextmanager
async def kept_busy(media: MediaClient, works: Sequence[Slow], begun: Sequence[Path]) -> AsyncIterator[None]:
    """All works under way, those with the pipes of `begun` in their children; stopped at the end.

    What waits for one of them waits for ever, which is a failure here.
    """

    async def work(each: Slow) -> None:
        with suppress(LtxError):
            await each()

    async with anyio.create_task_group() as group:
        for each in works:
            group.start_soon(work, each)
        with ExitStack() as ends, anyio.fail_after(300):
            for pipe in begun:
                ends.callback(os.close, await writing_end(pipe))
            yield
            await media.close()


async def test_inputs_that_never_end_hold_up_no_film_no_conversion_and_no_render(
    media: MediaClient, film: Path, picture: Path, tmp_path: Path
) -> None:
    endless = pipes(tmp_path, 3)
    looks = [partial(media.probe_media, path, "video") for path in endless]
    async with kept_busy(media, looks, endless[:1]):
        assert (await media.measure_film(film)).frames == 10
        assert (await media.probe_video(film)).frames == 10
        await media.make_sheet(film, tmp_path / "sheet.jpg")
        await media.convert_image(picture, tmp_path / "a.jpg", "jpeg", (64, 36))
        assert (await media.convert_media(film, tmp_path / "a.m4a", "audio")).format == "m4a"
        await media.edit(EditOrder("extend", str(film), "green hills", 0.4, "end"), tmp_path / "longer.mp4")


async def test_conversions_are_so_many_at_a_time_and_hold_up_no_film_and_no_input(
    media: MediaClient, film: Path, picture: Path, tmp_path: Path
) -> None:
    endless = pipes(tmp_path, 8)
    works = [partial(media.convert_media, path, tmp_path / f"{path.name}.part", "video") for path in endless]
    async with kept_busy(media, works, endless[:2]):
        assert (await media.measure_film(film)).frames == 10
        assert (await media.probe_image(picture)).width == 64
        assert not any(is_read(path) for path in endless[2:])
        # two conversions, a film's and an input's warm child
        assert len(workers()) == 4


async def test_an_input_that_takes_long_steps_aside_for_those_that_do_not(picture: Path, tmp_path: Path) -> None:
    media = MediaClient(sizes=SMALL, probe_limits=(ProcessLimits(4), ProcessLimits(600)))
    (endless,) = pipes(tmp_path, 1)
    ended: list[CallerError] = []

    async def look() -> None:
        with pytest.raises(CallerError) as caught:
            await media.probe_image(endless)
        ended.append(caught.value)

    async with kept_busy(media, [partial(look)], [endless]):
        assert (await media.probe_image(picture)).width == 64
        assert not ended
    assert "was stopped" in ended[0].message


async def test_an_input_that_takes_too_long_is_refused_with_what_to_do(tmp_path: Path) -> None:
    media = MediaClient(sizes=SMALL, probe_limits=(ProcessLimits(600, cpu_s=1), ProcessLimits(600, cpu_s=1)))
    path = tmp_path / "scans.jpg"
    path.write_bytes(with_scans(20, (16_000, 6_000)))
    with pytest.raises(CallerError, match=r"The picture takes longer to be looked at than the 10 s") as caught:
        await media.probe_image(path)
    assert caught.value.code is ErrorCode.INPUT_FAILED
    assert "plain form" in caught.value.hint
    await media.close()


async def test_whoever_would_wait_too_long_for_a_turn_is_told_to_come_again(tmp_path: Path, picture: Path) -> None:
    lane = Lane(MediaProcess, 1)
    (endless,) = pipes(tmp_path, 1)
    work = Work("picture", {"path": str(endless)}, ProcessLimits(600), (endless,))
    async with anyio.create_task_group() as group:
        group.start_soon(lane.run, work)
        end = await writing_end(endless)
        mine = replace(work, arguments={"path": str(picture)}, reads=(picture,))
        with pytest.raises(CallerError, match="too many") as caught:
            await lane.run(mine, patience_s=0.01)
        assert caught.value.code is ErrorCode.RATE_LIMITED
        assert "Nothing was ordered" in caught.value.hint
        group.cancel_scope.cancel()
    os.close(end)
    assert (await lane.run(mine, patience_s=60))["width"] == 64
    await lane.close()


async def test_a_closed_lane_gives_up_those_that_wait_and_starts_nothing(tmp_path: Path) -> None:
    media = MediaClient(sizes=SMALL)
    endless = pipes(tmp_path, 3)
    works = [partial(media.convert_image, path, tmp_path / f"{path.name}.part", "png", (64, 36)) for path in endless]
    async with kept_busy(media, works, endless[:1]):
        assert len(workers()) == 1
    assert not workers()


async def test_a_child_takes_work_in_another_folder_only_when_it_is_made_for_it(picture: Path, tmp_path: Path) -> None:
    """A warm child cannot be given more room: another takes its place."""
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "a.png"
    other.write_bytes(picture.read_bytes())
    media = MediaClient(sizes=SMALL)
    await media.probe_image(other)
    (first,) = workers()
    assert (await media.probe_image(picture)).width == 64
    (second,) = workers()
    assert first != second
    await media.probe_image(other)
    assert workers() == [second]
    await media.close()


@pytest.mark.parametrize(("cores", "children", "most_gib"), [(1, 10, 34), (2, 10, 34), (64, 40, 136)])
def test_how_many_children_there_can_be_is_bound_by_the_cores(cores: int, children: int, most_gib: int) -> None:
    sizes = Sizes.of(cores)
    assert sum(astuple(sizes)) == children
    most_mib = sizes.quick * QUICK_MIB + (children - sizes.quick) * MEMORY_MIB
    assert most_mib == most_gib * 1024
