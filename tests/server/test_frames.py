"""A picture reaches the model: nothing stands beside it that hosts show instead; and a host that cannot show one gets
none, and is told so.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult, ImageContent, TextContent

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.emulator.app import settings
from ltx_mcp.server.app import make_server
from ltx_mcp.server.results import JOB
from ltx_mcp.settings import read_settings
from tests.conftest import ERAS, PROVIDER_SETTINGS, Emulated, Era
from tests.facts import facts_of
from tests.patience import HANG_S
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio

POND = {"prompt": "A pond", "provider": "fal"}
Opened = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def opened(home: Path, emulator: Emulated) -> Opened:
    """A client of a server with these settings, whose orders are done at once."""
    base_url, world = emulator
    world.wait_s = world.work_s = 0

    @asynccontextmanager
    async def connected(era: Era = "auto", **ours: str) -> AsyncIterator[Client]:
        env = settings(base_url) | {"LTX_MCP_HOME": str(home), **ours}
        server, _ = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env))
        async with Client(server, mode=era, read_timeout_seconds=HANG_S) as client:
            yield client

    return connected


def told(result: CallToolResult) -> tuple[str, int]:
    """The text, and how many pictures came with it."""
    assert not result.is_error, result.content
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text, sum(isinstance(each, ImageContent) for each in result.content)


async def made(client: Client) -> str:
    """A job that is done."""
    job_id = str(facts_of(await client.call_tool("generate_video", POND))["job_id"])
    state = "queued"
    while state != "succeeded":
        looked = await client.call_tool("check_job", {"job_id": job_id, "wait_seconds": 45, "frames": False})
        assert looked.structured_content is not None
        state = looked.structured_content["state"]
        assert state != "failed"
    return job_id


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_that_hosts_show_instead_stands_beside_a_picture(opened: Opened, era: Era) -> None:
    async with opened(era) as client:
        job_id = await made(client)
        bare = await client.call_tool("check_job", {"job_id": job_id, "frames": False})
        shown = [await client.call_tool("check_job", {"job_id": job_id, **more}) for more in ({}, {"frame_at": 0.5})]
    assert told(bare)[1] == 0
    for each in shown:
        text, pictures = told(each)
        assert pictures == 1
        assert each.structured_content is None
        assert (each.meta or {})[JOB] == bare.structured_content
        assert text == told(bare)[0]


async def test_without_frames_no_answer_holds_or_asks_for_a_picture(opened: Opened) -> None:
    async with opened(LTX_MCP_FRAMES="OFF") as client:
        job_id = await made(client)
        asked = [await client.call_tool("check_job", {"job_id": job_id, **more}) for more in ({}, {"frame_at": 0.5})]
        unasked = await client.call_tool("check_job", {"job_id": job_id, "frames": False})
        said = [client.instructions or "", *(tool.description or "" for tool in (await client.list_tools()).tools)]
    for each in (*asked, unasked):
        assert told(each)[1] == 0
        facts: dict[str, Any] = facts_of(each)
        assert "frames" not in facts["next"]
        assert (
            ("LTX_MCP_FRAMES is off" in facts["next"]) == ("LTX_MCP_FRAMES is off" in told(each)[0]) == (each in asked)
        )
    assert not [text for text in said if "contact sheet" in text]


@pytest.mark.parametrize("value", ["no", "0", "of"])
def test_another_word_for_it_is_refused_by_name(value: str) -> None:
    with pytest.raises(SetupError, match=rf"LTX_MCP_FRAMES='{value}' cannot be used; give on or off"):
        read_settings({"LTX_MCP_FRAMES": value})
