"""No log tells what opens a video or who a caller is, at DEBUG either, and no matter who logs."""

import logging
import secrets
import socket
from pathlib import Path

import httpx
import pytest

from ltx_mcp.server import resources
from tests.server.auth.people import ANN, BACKEND, served

pytestmark = pytest.mark.anyio

CLIENTS = ("httpx", "httpcore", "mcp.client", "asyncio")
"""What this process logs as a client."""


async def test_no_log_has_a_signature_a_token_or_the_name_of_a_caller(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    # an emulator in this process keeps its own access log from being heard
    caplog.set_level(logging.DEBUG, "uvicorn.access")
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)
    monkeypatch.setattr(resources, "MAX_BLOB_BYTES", 1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with served(home, secrets.token_urlsafe(32), listener=listener) as service:
            user = "wolfgang.amadeus"
            ann = service.person(BACKEND, user)
            film = await ann.film()
            query = httpx.URL(film["video_url"]).query.decode()
            await ann.begin()
            older = await ann.send_older("tools/call", {"name": "check_job", "arguments": {"job_id": film["job_id"]}})
            too_large = await ann.send("resources/read", {"uri": f"ltx://jobs/{film['job_id']}/video"})
            assert query in older.text
            assert query in too_large.text
            assert (await service.web.get(film["video_url"])).status_code == 200
            assert (await service.web.get(f"/videos/job_nothere12.mp4?{query}")).status_code == 404
            await ann.call("list_jobs")
            await service.person(ANN).call("list_jobs")
    lines = {
        logging.Formatter("%(name)s %(message)s").format(record)
        for record in caplog.records
        if not record.name.startswith(CLIENTS)
    }
    places = {line.split()[0] for line in lines}
    assert {"uvicorn.access", "mcp.server.mcpserver.server"} <= places
    assert any("too many to send here" in line and "sig=…" in line for line in lines)
    hidden = (query.partition("sig=")[2], user, ANN, *service.tokens.values())
    assert [line for line in lines if any(each in line for each in hidden)] == []
