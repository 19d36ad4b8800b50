"""The route that serves films, without a socket: a job has a film, or is not there as one."""

from pathlib import Path

import httpx
import pytest
from mcp import Client

from ltx_mcp.server.app import make_server
from ltx_mcp.server.http import make_app
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio


async def test_only_a_film_that_is_there_is_served(home: Path) -> None:
    env = {"LTX_MCP_HOME": str(home)}
    server, current_context = make_server(
        read_settings(env, PROVIDER_SETTINGS), catalog_of(env), base_url="http://127.0.0.1:1"
    )
    transport = httpx.ASGITransport(make_app(server, current_context))
    async with Client(server) as client, httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as web:
        long = {"prompt": "A pond", "resolution": "2160p", "duration": 20, "provider": "local"}
        placed = (await client.call_tool("generate_video", long)).structured_content or {}
        before = await web.get(f"/videos/{placed['job_id']}.mp4")
        await client.call_tool("cancel_job", {"job_id": placed["job_id"]})
        answers = [before] + [
            await web.get(f"/videos/{name}") for name in (f"{placed['job_id']}.mp4", "job_nothere12.mp4", "x.txt")
        ]
        film = home / "videos" / "not-a-job.mp4"
        film.write_bytes(b"a film that nobody ordered")
        answers.append(await web.get("/videos/not-a-job.mp4"))
        assert [each.status_code for each in answers] == [404] * 5
        assert (await web.get("/videos/x.mp4", headers={"Host": "evil.example"})).status_code == 421
