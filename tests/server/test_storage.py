"""When state cannot be kept: the path and the setting are named, the server stays, and nothing is half done."""

import os
import sys
from pathlib import Path

import pytest
from mcp import Client
from mcp.types import TextContent

from ltx_mcp.domain.job import State
from tests.conftest import Connect
from tests.jobs.test_processes import Look, Server, wait_for
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio


async def refused(client: Client) -> str:
    """What an order is told; the tools are still there."""
    result = await client.call_tool("generate_video", {"prompt": "a pond"})
    assert result.is_error
    assert (await client.list_tools()).tools
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def test_a_corrupt_database_is_told(connect: Connect, home: Path) -> None:
    home.mkdir()
    (home / "jobs.sqlite").write_bytes(b"not a database at all" * 100)
    async with connect() as client:
        text = await refused(client)
    assert text.startswith("storage_failed: ")
    assert str(home / "jobs.sqlite") in text
    assert "LTX_MCP_HOME" in text


async def test_a_home_below_a_file_is_told(connect: Connect, home: Path) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where the home should be", encoding="utf-8")
    async with connect() as client:
        text = await refused(client)
    assert text.startswith("storage_failed: ")
    assert str(home) in text


@pytest.mark.skipif(sys.platform != "linux", reason="sysfs is read-only even for root")
async def test_a_read_only_home_is_told(connect: Connect, home: Path, tmp_path: Path) -> None:
    home.symlink_to("/sys/kernel")
    async with connect() as client:
        text = await refused(client)
    assert text.startswith("storage_failed: ")
    assert "LTX_MCP_HOME" in text


async def test_a_home_that_becomes_usable_is_used_without_a_restart(connect: Connect, home: Path) -> None:
    home.write_text("in the way", encoding="utf-8")
    async with connect() as client:
        assert (await refused(client)).startswith("storage_failed: ")
        home.unlink()
        result = await client.call_tool("list_jobs", {})
    assert result.structured_content == {"jobs": []}


@pytest.mark.skipif(os.name == "nt", reason="the limit on a file's size is POSIX")
def test_a_disk_that_fills_during_a_render_fails_the_job_and_leaves_no_part(home: Path) -> None:
    """No file of the server and its children may grow beyond 700 kB: writing fails as on a full disk."""
    server = Server(home, most_file_bytes=700_000)
    look = Look(home)
    try:
        placed = server.request(
            "tools/call", {"name": "generate_video", "arguments": {"prompt": "a pond", "wait_seconds": 40}}
        )
        job_id = placed["structuredContent"]["job_id"]
        wait_for(lambda: not look.job(job_id).live, HANG_S)
        view = server.call("check_job", job_id=job_id)
    finally:
        look.database.close()
        server.close()
        for stream in (server.process.stdout, server.process.stdin):
            assert stream is not None
            stream.close()
    assert placed["isError"]
    assert view["state"] == State.FAILED
    assert view["error"]["code"] == "storage_failed"
    assert str(home) in view["error"]["message"]
    assert "LTX_MCP_HOME" in view["error"]["hint"]
    assert list((home / "videos").iterdir()) == []
