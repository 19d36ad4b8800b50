"""What comes in at the emulated providers lies in files as long as the emulator runs, and is measured."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ltx_mcp.emulator.app import running
from ltx_mcp.emulator.inputs import Inputs
from ltx_mcp.media.client import MediaClient
from tests.emulator.ltx_orders import AUTH, upload
from tests.emulator.made import film, tone

pytestmark = pytest.mark.anyio


@pytest.fixture
async def inputs() -> AsyncIterator[Inputs]:
    """A folder for this test."""
    media = MediaClient()
    opened = Inputs(media)
    yield opened
    await media.close()
    opened.close()


async def test_a_file_is_kept_by_its_hash_with_its_size_and_first_bytes(inputs: Inputs) -> None:
    content = tone("mp3")
    kept = await inputs.keep(content)
    assert kept.path.read_bytes() == content
    assert (kept.size, kept.sha256, kept.head) == (len(content), hashlib.sha256(content).hexdigest(), content[:32])
    assert [each.name for each in kept.path.parent.iterdir()] == [kept.sha256]
    assert await inputs.join([await inputs.keep(content[:7]), await inputs.keep(content[7:])]) == kept


async def test_a_file_that_breaks_off_is_not_kept(inputs: Inputs) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    folder = (await inputs.keep(b"whole")).path.parent
    with pytest.raises(ConnectionError):
        await inputs.store(breaking())
    assert len(list(folder.iterdir())) == 1


async def test_a_film_is_measured_as_one_and_its_sound_as_a_sound(inputs: Inputs) -> None:
    file = await inputs.keep(film("mp4", frames=80))
    video, audio = await inputs.probe(file, "video"), await inputs.probe(file, "audio")
    assert video is not None
    assert audio is not None
    assert (video.path, video.facts.frames, video.facts.width, video.facts.video_codec) == (
        str(file.path),
        80,
        320,
        "h264",
    )
    assert audio.facts.duration == pytest.approx(3.2, abs=0.05)
    assert await inputs.probe(await inputs.keep(tone("mp3")), "video") is None
    assert await inputs.probe_image(file) is None


async def test_uploads_are_gone_when_the_emulator_ends(emulator_films: Path) -> None:
    with running(emulator_films) as (base_url, state), httpx.Client(base_url=base_url, headers=AUTH) as http:
        uri = upload(http, tone("mp3"), "audio/mpeg")
        path: Path = state.uploads[uri]["file"].path
        assert path.read_bytes() == tone("mp3")
    assert not path.parent.exists()
