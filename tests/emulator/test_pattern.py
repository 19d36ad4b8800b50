"""The film of an order without files: cheap to draw, and of exactly the size, rate, length and sound asked for."""

from pathlib import Path

import anyio
import av
import pytest

from ltx_mcp.emulator.emulator_state import VideoSpec
from ltx_mcp.emulator.pattern import draw
from ltx_mcp.emulator.videos import Videos
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.measure import measure_film


@pytest.mark.parametrize(
    ("size", "fps", "seconds", "has_sound"),
    [((64, 36), 24, 2.5, True), ((36, 64), 50, 0.5, True), ((66, 50), 25, 20, False)],
)
def test_it_is_what_was_asked_for(
    tmp_path: Path, size: tuple[int, int], fps: int, seconds: float, has_sound: bool
) -> None:
    path = tmp_path / "film"
    draw(path, size, fps, seconds, has_sound)
    facts = measure_film(path)
    assert (facts.width, facts.height, facts.fps, facts.has_audio) == (*size, fps, has_sound)
    assert facts.duration == pytest.approx(seconds, abs=0.001)
    with av.open(str(path)) as film:
        shown = [frame.time for frame in film.decode(video=0)]
    assert shown == pytest.approx([number / fps for number in range(round(fps * seconds))], abs=0.001)


def test_its_sound_can_be_heard_to_the_end(tmp_path: Path) -> None:
    draw(tmp_path / "film", (64, 36), 24, 2.5, True)
    with av.open(str(tmp_path / "film")) as film:
        blocks = [(block.samples, any(bytes(block.planes[0]))) for block in film.decode(audio=0)]
    assert sum(samples for samples, _ in blocks) / 48_000 == pytest.approx(2.5, abs=0.05)
    assert all(is_loud for _, is_loud in blocks[2:-2])


@pytest.mark.anyio
async def test_emulators_that_share_a_folder_draw_each_film_whole_and_keep_one(tmp_path: Path) -> None:
    film, media = VideoSpec(64, 36, 24, 1), MediaClient()
    sharing = [Videos(tmp_path, media) for _ in range(4)]
    async with anyio.create_task_group() as group:
        for films in sharing:
            group.start_soon(films.path, film)
    (path,) = tmp_path.iterdir()
    drawn = path.stat()
    assert {await films.path(film) for films in sharing} == {path}
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (drawn.st_ino, drawn.st_mtime_ns)
    assert measure_film(path).frames == 24
