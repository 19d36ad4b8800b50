"""What hosts in strict modes, proxies and models fill in for arguments that nobody gave, and around ids."""

from typing import Any

import pytest
from mcp.client import Client
from mcp.types import CallToolResult, TextContent

from ltx_mcp.domain.arguments import CheckJob, GenerateVideo
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.server.arguments import read_arguments
from tests.conftest import Connect

pytestmark = pytest.mark.anyio

FILLED = {
    "duration": 0,
    "resolution": "",
    "aspect_ratio": " ",
    "fps": 0,
    "generate_audio": None,
    "camera_motion": "",
    "provider": "",
    "model": None,
    "adjust": "",
    "max_cost_usd": "",
    "takes": 0,
    "seed": "",
    "request_key": "",
    "wait_seconds": "",
}
IN_STRINGS = {
    "duration": "6.0",
    "fps": "25.0",
    "generate_audio": "true",
    "wait_seconds": "0",
    "max_cost_usd": "5",
    "takes": "1",
}


def text_of(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def ordered(client: Client, **arguments: Any) -> str:
    result = await client.call_tool("generate_video", {"prompt": "A pond", **arguments})
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return str(result.structured_content["job_id"])


@pytest.mark.parametrize("filled", [FILLED, dict.fromkeys(FILLED, None), IN_STRINGS, {"fps": 0.0, "duration": "0"}])
async def test_what_is_only_filled_in_counts_as_left_out(connect: Connect, filled: dict[str, Any]) -> None:
    async with connect() as client:
        assert await ordered(client, **filled) == await ordered(client)


def test_a_zero_that_can_be_meant_is_meant() -> None:
    given = {"prompt": "A pond", "max_cost_usd": "0", "wait_seconds": 0, "seed": 0}
    capped = read_arguments(GenerateVideo, "generate_video", given)
    at_start = read_arguments(CheckJob, "check_job", {"job_id": "job_12345678", "frame_at": 0, "frames": 0})
    assert (capped.max_cost_usd, capped.wait_seconds, at_start.frame_at, at_start.frames) == (0, 0, 0, False)
    assert capped.seed == 0


def test_takes_and_seeds_are_read_in_any_form_of_a_number() -> None:
    read = read_arguments(GenerateVideo, "generate_video", {"prompt": "A pond", "takes": "3", "seed": "7.0"})
    assert (read.takes, read.seed) == (3, 7)


@pytest.mark.parametrize("arguments", [{"takes": 7}, {"takes": "two"}, {"takes": 1.5}, {"seed": True}, {"seed": -1}])
def test_takes_and_seeds_out_of_bounds_are_refused_by_name(arguments: dict[str, Any]) -> None:
    (name,) = arguments
    with pytest.raises(CallerError, match=name):
        read_arguments(GenerateVideo, "generate_video", {"prompt": "A pond"} | arguments)


@pytest.mark.parametrize(
    "arguments", [{"prompt": ""}, {"prompt": None}, {"prompt": "x", "fps": False}, {"prompt": "x", "provider": "0"}]
)
async def test_what_is_required_or_of_another_kind_is_still_refused(
    connect: Connect, arguments: dict[str, Any]
) -> None:
    async with connect() as client:
        assert (await client.call_tool("generate_video", arguments)).is_error


FORMS = (" {} ", "`{}`", '"{}"', "'{}'\n", "ltx://jobs/{}", "`ltx://jobs/{}`", "\u201c{}\u201d")


async def test_an_id_is_read_out_of_what_stands_around_it(connect: Connect) -> None:
    async with connect() as client:
        job_id = await ordered(client)
        for form in FORMS:
            look = {"job_id": form.format(job_id), "frames": False, "wait_seconds": 0}
            shown = await client.call_tool("check_job", look)
            chain = {"prompt": "On", "image": form.format(f"{job_id}#last"), "wait_seconds": 0}
            chained = await client.call_tool("animate_image", chain)
            assert shown.structured_content is not None, form
            assert shown.structured_content["job_id"] == job_id
            assert not chained.is_error, text_of(chained)


@pytest.mark.parametrize("wait", [51, "600", 10**400])
async def test_a_wait_that_no_call_can_keep_is_cut_and_told(connect: Connect, wait: Any) -> None:
    async with connect() as client:
        listed = await client.call_tool("list_jobs", {"wait_seconds": wait})
        assert not listed.is_error
        assert text_of(listed).endswith("wait_seconds was cut to 50, the longest.")
        assert "cut" not in text_of(await client.call_tool("list_jobs", {"wait_seconds": 50}))
