"""MCP over HTTP has no sessions: any server answers any call, and a stream that nothing would ever come by is refused.

An older client's connection has a name, by which alone its calls are recognized.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.server import patience
from ltx_mcp.server.app import make_server
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.http import make_app
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS, Emulated
from tests.patience import HANG_S
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio

ACCEPT = {"Accept": "application/json, text/event-stream"}
OLDER = "2025-06-18"
INITIALIZE = {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@asynccontextmanager
async def served(home: Path, more: Mapping[str, str] = {}) -> AsyncIterator[tuple[httpx.AsyncClient, AppContext]]:
    """A client of one server, and what the server's calls share."""
    env = {**more, "LTX_MCP_HOME": str(home)}
    server, current_context = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env), base_url="http://x")
    app = make_app(server, current_context)
    async with server.session_manager.run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1", headers=ACCEPT) as client:
            app_context = current_context()
            assert app_context is not None
            yield client, app_context


@asynccontextmanager
async def client_of(home: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(home) as (client, _):
        yield client


async def ask(client: httpx.AsyncClient, method: str, params: dict[str, Any], **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return await client.post("/mcp", json=body, headers=named)


async def begin(client: httpx.AsyncClient) -> str:
    answer = await ask(client, "initialize", INITIALIZE)
    assert answer.status_code == 200
    return str(answer.headers["mcp-session-id"])


async def test_a_call_is_answered_by_a_server_that_never_heard_of_the_connection(tmp_path: Path) -> None:
    async with client_of(tmp_path / "one") as one, client_of(tmp_path / "other") as other:
        name = await begin(one)
        answer = await ask(other, "tools/list", {}, mcp_session_id=name, mcp_protocol_version=OLDER)
    assert answer.status_code == 200
    assert "generate_video" in answer.text


async def test_each_older_connection_gets_a_name_once(tmp_path: Path) -> None:
    async with client_of(tmp_path / "home") as client:
        names = [await begin(client) for _ in range(3)]
        again = await ask(client, "ping", {}, mcp_session_id=names[0], mcp_protocol_version=OLDER)
        nameless = await ask(client, "ping", {}, mcp_protocol_version=OLDER)
    assert len(set(names)) == 3
    assert all("mcp-session-id" not in answer.headers for answer in (again, nameless))


@pytest.mark.parametrize("version", [OLDER, "2026-07-28", None])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "PUT", "OPTIONS"])
async def test_anything_but_post_is_refused_at_once(tmp_path: Path, method: str, version: str | None) -> None:
    headers = {"mcp-protocol-version": version} if version else {}
    async with client_of(tmp_path / "home") as client:
        answer = await client.request(method, "/mcp", headers=headers)
        foreign = await client.request(method, "/mcp", headers={**headers, "Host": "evil.example"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert foreign.status_code == 421


async def test_a_call_that_an_older_client_gave_up_by_another_request_shortens_its_later_waits(
    home: Path, emulator: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SHORT_S", 0.0)
    base_url, world = emulator
    world.work_s = HANG_S
    async with served(home, settings(base_url)) as (client, app_context), anyio.create_task_group() as group:
        headers = {"mcp-session-id": await begin(client), "mcp-protocol-version": OLDER}

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            answer = await ask(client, "tools/call", {"name": tool, "arguments": arguments}, **headers)
            (told,) = [line for line in answer.text.splitlines() if line.startswith("data: {")]
            return dict(json.loads(told.removeprefix("data: "))["result"]["structuredContent"])

        job_id = (await call("generate_video", prompt="A pond", provider="fal"))["job_id"]
        learned = app_context.patiences.of(SimpleNamespace(headers=headers, scope={}))
        group.start_soon(lambda: call("check_job", job_id=job_id, wait_seconds=45))
        with anyio.fail_after(HANG_S):
            while not learned._began:
                await anyio.sleep(0.01)
            cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
            assert (await client.post("/mcp", json=cancelled, headers=headers)).status_code == 202
            while learned.asked_s(inf) == inf:
                await anyio.sleep(0.01)
        await call("cancel_job", job_id=job_id)
