"""What `check_job` gives of a film, and what chats make of a picture, is read as what it is."""

import base64
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent
from PIL import Image

from tests.conftest import Connect

pytestmark = pytest.mark.anyio

SMALL = {"resolution": "720p", "fps": 24, "generate_audio": False, "provider": "local"}


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


def facts_of(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, text_of(result)
    return dict(result.structured_content or {})


async def made(client: Client) -> dict[str, Any]:
    placed = facts_of(await client.call_tool("generate_video", {"prompt": "A pond", **SMALL}))
    seen = await client.call_tool("check_job", {"job_id": placed["job_id"], "wait_seconds": 50, "frames": False})
    assert facts_of(seen)["state"] == "succeeded"
    return facts_of(seen)


async def test_the_path_and_the_address_of_a_film_are_its_job(connect: Connect) -> None:
    async with connect() as client:
        film = await made(client)
        assert film["video_url"].startswith("file:///")
        assert Path(film["file"]).is_absolute()
        for number, place in enumerate(
            (film["video_url"], film["file"], f"http://127.0.0.1:1/videos/{film['job_id']}.mp4")
        ):
            wish = {"prompt": f"It rains, {number}", "video": place, "provider": "local"}
            longer = facts_of(await client.call_tool("extend_video", wish))
            listed = facts_of(await client.call_tool("list_jobs", {"limit": 1}))["jobs"]
            assert (listed[0]["job_id"], listed[0]["sources"]) == (longer["job_id"], [film["job_id"]])
        still = {"prompt": "On it goes", "image": film["file"], **SMALL}
        facts_of(await client.call_tool("animate_image", still))
        assert facts_of(await client.call_tool("list_jobs", {"limit": 1}))["jobs"][0]["sources"] == [film["job_id"]]


async def test_a_copy_under_the_name_of_a_film_is_the_copy(connect: Connect, tmp_path: Path) -> None:
    async with connect() as client:
        film = await made(client)
        (tmp_path / Path(film["file"]).name).write_bytes(b"cut by somebody")
        copied = await client.call_tool("extend_video", {"video": Path(film["file"]).name, "provider": "local"})
        assert copied.is_error
        assert text_of(copied).startswith("input_failed: ")


@pytest.mark.parametrize("form", ["{}", " {}\n", "data:;base64,{}"])
async def test_base64_without_its_head_is_read(connect: Connect, tmp_path: Path, form: str) -> None:
    Image.effect_noise((320, 180), 60).save(tmp_path / "noise.png")
    letters = base64.encodebytes((tmp_path / "noise.png").read_bytes()).decode()
    async with connect() as client:
        facts_of(
            await client.call_tool("animate_image", {"prompt": "It rains", "image": form.format(letters), **SMALL})
        )


@pytest.mark.parametrize("name", ["photo one.png", "\u5bfa.png"])
async def test_a_file_address_is_a_path(connect: Connect, tmp_path: Path, name: str) -> None:
    Image.new("RGB", (640, 360), "teal").save(tmp_path / name)
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(b"")
    async with connect() as client:
        facts_of(await client.call_tool("animate_image", {"prompt": "x", "image": (tmp_path / name).as_uri(), **SMALL}))
        refused = await client.call_tool("animate_image", {"prompt": "x", "image": outside.as_uri(), **SMALL})
        assert "may not be read" in text_of(refused)


@pytest.mark.parametrize("image", ["job_nothere", "job_" + "a" * 20 + "#last"])
async def test_a_job_that_is_not_there_is_said_to_be_none(connect: Connect, image: str) -> None:
    async with connect() as client:
        refused = await client.call_tool("animate_image", {"prompt": "x", "image": image, **SMALL})
        assert text_of(refused).startswith("job_not_found: image: there is no job job_")
