"""An agent that writes a relative path is told which file it was taken to mean, in both halves of the answer."""

from pathlib import Path

import pytest
from mcp.types import CallToolResult, TextContent
from PIL import Image

from tests.conftest import Connect

pytestmark = pytest.mark.anyio

SMALL = {"resolution": "720p", "fps": 24, "generate_audio": False, "provider": "local"}


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def test_the_answer_names_the_file_it_took(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project"
    (here / "stills").mkdir(parents=True)
    picture = here / "stills" / "pier.png"
    Image.new("RGB", (640, 360), "teal").save(picture)
    monkeypatch.chdir(here)
    async with connect() as client:
        relative = {"image": "stills/pier.png", "prompt": "waves roll in", **SMALL}
        ordered = await client.call_tool("animate_image", relative)
        assert not ordered.is_error
        taken = {"field": "image", "asked": "stills/pier.png", "got": str(picture.resolve()), "by": "server"}
        assert (ordered.structured_content or {})["adjustments"] == [taken]
        assert f"Read: image stills/pier.png is {picture.resolve()}." in text_of(ordered)
        in_full = await client.call_tool("animate_image", relative | {"image": str(picture), "prompt": "a storm"})
        assert (in_full.structured_content or {})["adjustments"] == []


async def test_two_files_of_one_name_order_nothing(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "project"
    here.mkdir()
    for folder, colour in ((tmp_path, "red"), (here, "blue")):
        Image.new("RGB", (640, 360), colour).save(folder / "pier.png")
    monkeypatch.chdir(here)
    async with connect() as client:
        refused = await client.call_tool("animate_image", {"image": "pier.png", "prompt": "waves", **SMALL})
        listed = await client.call_tool("list_jobs", {})
    assert refused.is_error
    assert text_of(refused).startswith("invalid_request: ")
    for folder in (tmp_path, here):
        assert str(folder.resolve() / "pier.png") in text_of(refused)
    assert (listed.structured_content or {})["jobs"] == []
