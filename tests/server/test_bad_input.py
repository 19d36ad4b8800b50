"""Every bad input is one clear sentence that names the argument; no job comes of it and nothing is left on disk."""

import base64
import tempfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.types import CallToolResult, TextContent

from ltx_mcp.domain.arguments import AnimateImage
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.server.arguments import read_arguments
from tests.conftest import ERAS, Connect, Era

pytestmark = pytest.mark.anyio

GENERATE = [
    ({"prompt": ""}, "invalid_request", "prompt"),
    ({"prompt": "   "}, "invalid_request", "prompt"),
    ({"prompt": "x" * 5001}, "invalid_request", "5000"),
    ({}, "invalid_request", "prompt is required"),
    ({"prompt": "x", "duration": 7}, "not_supported", "6 to 20 in steps of 2"),
    ({"prompt": "x", "duration": -1}, "invalid_request", "duration should be greater than 0, or be 'auto'"),
    ({"prompt": "x", "duration": -1}, "invalid_request", "duration"),
    ({"prompt": "x", "duration": "six"}, "invalid_request", "duration"),
    ({"prompt": "x", "duration": "NaN"}, "invalid_request", "duration should be a finite number, or be 'auto'"),
    ({"prompt": "x", "fps": 30}, "invalid_request", "24, 25, 48 or 50"),
    ({"prompt": "x", "resolution": "8k"}, "invalid_request", "'720p', '1080p', '1440p' or '2160p'"),
    ({"prompt": "x", "provider": "sora"}, "invalid_request", "auto, fal"),
    ({"prompt": "x", "model": "sora-2"}, "invalid_request", "auto, ltx-2.3-fast"),
    ({"prompt": "x", "seconds": 6}, "invalid_request", "seconds is not an argument of generate_video"),
    ({"prompt": "x", "wait_seconds": -1}, "invalid_request", "greater than or equal to 0"),
    ({"prompt": "x", "max_cost_usd": -1}, "invalid_request", "max_cost_usd"),
    (
        {"prompt": "x", "max_cost_usd": True},
        "invalid_request",
        "max_cost_usd should be an amount in USD, or null for no cap (got true)",
    ),
    ({"prompt": "x", "max_cost_usd": False}, "invalid_request", "max_cost_usd should be an amount in USD, or null"),
    ({"prompt": "x", "max_cost_usd": "1e-400"}, "invalid_request", "max_cost_usd should be 0, or an amount"),
    ({"prompt": "x", "max_cost_usd": "free"}, "invalid_request", "max_cost_usd"),
]
IMAGE = [
    ("", "image"),
    ("/etc/passwd", "image"),
    ("../outside.png", "image"),
    ("file:///etc/passwd", "may not be read"),
    ("http://example.com/a.png", "https URL"),
    ("https://127.0.0.1/a.png", "image"),
    ("https://169.254.169.254/latest/meta-data", "image"),
    ("ftp://example.com/a.png", "https URL"),
    ("missing.png", "image"),
    ("notes.txt", "image"),
    ("data:image/png;base64,AAAA", "image"),
    ("data:image/png,plain", "image"),
    ("job_" + "a" * 20, "there is no job"),
    ("job_" + "a" * 20 + "#middle", "#first"),
]


def text_of(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go in these tests."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def nothing_came_of_it(client: Client, home: Path) -> None:
    listed = await client.call_tool("list_jobs", {})
    assert listed.structured_content == {"jobs": []}
    kept = [path for folder in ("videos", "inputs", "../scratch") for path in (home / folder).rglob("*")]
    assert kept == []


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("arguments", "code", "words"), GENERATE)
async def test_a_bad_order_is_refused_in_a_sentence(
    connect: Connect, home: Path, era: Era, arguments: dict[str, Any], code: str, words: str
) -> None:
    async with connect(era) as client:
        result = await client.call_tool("generate_video", arguments)
        assert result.is_error
        assert text_of(result).startswith(f"{code}: ")
        assert words in text_of(result)
        assert result.structured_content is None
        await nothing_came_of_it(client, home)


@pytest.mark.parametrize(("image", "words"), IMAGE)
async def test_a_bad_picture_is_refused_in_a_sentence(
    connect: Connect, home: Path, tmp_path: Path, image: str, words: str
) -> None:
    (tmp_path / "notes.txt").write_text("not a picture", encoding="utf-8")
    async with connect() as client:
        result = await client.call_tool("animate_image", {"prompt": "x", "image": image})
        assert result.is_error
        assert words in text_of(result)
        assert "image" in text_of(result)
        await nothing_came_of_it(client, home)


async def test_a_bad_end_image_leaves_nothing_of_the_good_image(connect: Connect, home: Path) -> None:
    square = "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQAAAABbAUdZAAAAEUlEQVR4nGP8z8DAwMQwaAkAswEBPxOv44gAAAAASUVORK5CYII="
    assert base64.b64decode(square)
    async with connect() as client:
        result = await client.call_tool(
            "animate_image", {"prompt": "x", "image": f"data:image/png;base64,{square}", "end_image": "/etc/passwd"}
        )
        assert result.is_error
        assert "end_image" in text_of(result)
        await nothing_came_of_it(client, home)


@pytest.mark.parametrize(
    ("tool", "arguments", "code", "words"),
    [
        ("check_job", {"job_id": "job_nothere00"}, "job_not_found", "job_nothere00"),
        ("check_job", {"job_id": "../../etc"}, "job_not_found", "list_jobs"),
        ("check_job", {}, "invalid_request", "job_id is required"),
        ("check_job", {"job_id": "job_x", "frame_at": -2}, "invalid_request", "frame_at"),
        ("cancel_job", {"job_id": "job_nothere00"}, "job_not_found", "job_nothere00"),
        ("list_jobs", {"cursor": "bm93aGVyZQ=="}, "invalid_request", "cursor"),
        ("list_jobs", {"cursor": "\u2603"}, "invalid_request", "cursor"),
        ("list_jobs", {"limit": -1}, "invalid_request", "limit"),
        ("list_jobs", {"state": "lost"}, "invalid_request", "queued"),
        ("estimate_cost", {"operation": "dance"}, "invalid_request", "text_to_video"),
        ("estimate_cost", {"video": "job_x"}, "invalid_request", "video"),
        ("estimate_cost", {"count": -1}, "invalid_request", "count"),
    ],
)
async def test_the_other_tools_refuse_in_a_sentence_too(
    connect: Connect, tool: str, arguments: dict[str, Any], code: str, words: str
) -> None:
    async with connect() as client:
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert text_of(result).startswith(f"{code}: ")
    assert words in text_of(result)


async def test_one_key_for_two_requests_is_refused_with_the_difference(connect: Connect) -> None:
    async with connect() as client:
        first = await client.call_tool("generate_video", {"prompt": "a", "request_key": "k"})
        assert not first.is_error
        second = await client.call_tool("generate_video", {"prompt": "a", "duration": 8, "request_key": "k"})
        listed = await client.call_tool("list_jobs", {})
        await client.call_tool("cancel_job", {"job_id": str(first.structured_content["job_id"])})
    assert second.is_error
    assert "duration ('6' before)" in text_of(second)
    assert len(listed.structured_content["jobs"]) == 1


async def test_null_for_an_optional_argument_means_not_given(connect: Connect) -> None:
    async with connect() as client:
        result = await client.call_tool("estimate_cost", {"duration": None, "provider": None})
    assert not result.is_error


async def test_a_refused_order_that_made_a_job_carries_it_in_the_published_form(
    connect: Connect, tmp_path: Path
) -> None:
    async with connect() as client:
        schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
        shot = await client.call_tool("generate_video", {"prompt": "a"})
        job_id = shot.structured_content["job_id"]
        chained = {"prompt": "b", "image": f"{job_id}#last", "request_key": "k"}
        await client.call_tool("animate_image", chained)
        await client.call_tool("cancel_job", {"job_id": job_id})
        await client.call_tool("list_jobs", {"wait_seconds": 20, "state": "queued"})
        result = await client.call_tool("animate_image", chained)
    assert result.is_error
    assert text_of(result).startswith("input_failed: ")
    Draft202012Validator(schemas["animate_image"] or {}).validate(result.structured_content)
    assert result.structured_content["state"] == "failed"
    assert "new request_key" in result.structured_content["next"]


def test_an_argument_of_two_kinds_of_words_is_refused_with_all_of_them() -> None:
    with pytest.raises(CallerError, match=r"aspect_ratio should be '16:9'.* or 'auto' .got false"):
        read_arguments(AnimateImage, "animate_image", {"prompt": "a", "image": "a.png", "aspect_ratio": False})
