"""Sessions of older protocols are bounded: the one that was unused for the longest ends, and its client is told so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from mcp.server import MCPServer

from ltx_mcp.server.http_sessions import Sessions

pytestmark = pytest.mark.anyio

ACCEPT = {"Accept": "application/json, text/event-stream"}
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


@asynccontextmanager
async def client_of(max_sessions: int) -> AsyncIterator[httpx.AsyncClient]:
    server: MCPServer[Any] = MCPServer("t")
    app = server.streamable_http_app()
    async with server.session_manager.run():
        transport = httpx.ASGITransport(Sessions(app, "/mcp", max_sessions))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1", headers=ACCEPT) as client:
            yield client


async def begin(client: httpx.AsyncClient) -> str:
    answer = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE})
    assert answer.status_code == 200
    return str(answer.headers["mcp-session-id"])


async def ping(client: httpx.AsyncClient, session: str) -> int:
    named = {"mcp-session-id": session}
    answer = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 2, "method": "ping"}, headers=named)
    return answer.status_code


async def test_the_longest_unused_session_ends_for_a_new_one() -> None:
    async with client_of(3) as client:
        used, unused, later = [await begin(client) for _ in range(3)]
        assert await ping(client, used) == 200
        newest = await begin(client)
        assert [await ping(client, each) for each in (unused, used, later, newest)] == [404, 200, 200, 200]


async def test_a_session_whose_client_listens_is_kept() -> None:
    async with client_of(2) as client:
        listening = await begin(client)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: client.get("/mcp", headers={"mcp-session-id": listening}))
            await anyio.wait_all_tasks_blocked()
            for _ in range(5):
                await begin(client)
            assert await ping(client, listening) == 200
            group.cancel_scope.cancel()


async def test_names_that_no_session_has_take_no_place() -> None:
    async with client_of(2) as client:
        known = [await begin(client) for _ in range(2)]
        assert {await ping(client, f"made-up-{number}") for number in range(5)} == {404}
        assert [await ping(client, each) for each in known] == [200, 200]
