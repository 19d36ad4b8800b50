"""What a balancer asks a server: whether its process answers, and whether it should be sent calls."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ltx_mcp.server.app import make_server
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.auth.logins import Logins
from ltx_mcp.server.http import make_app
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS
from tests.databases import PostgresServer
from tests.patience import HANG_S
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio

META = {"protocolVersion": "2026-07-28", "clientCapabilities": {}}
POD = {"Host": "10.1.2.3:8000"}


@asynccontextmanager
async def served(
    home: Path, database_url: str = "", *, logins: Logins | None = None, public_url: str = "https://films.example.com"
) -> AsyncIterator[tuple[httpx.AsyncClient, AppContext]]:
    """A prober of a server, which calls it by the address of a pod."""
    env = {"LTX_MCP_HOME": str(home), "LTX_MCP_DATABASE_URL": database_url}
    server, current_context = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env), base_url="http://x")
    app = make_app(server, current_context, public_url, logins)
    web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:1", headers=POD)
    async with app.router.lifespan_context(app), web:
        app_context = current_context()
        assert app_context is not None
        yield web, app_context


async def ready(web: httpx.AsyncClient) -> None:
    """The first probe has the database opened."""
    with anyio.fail_after(HANG_S):
        while (await web.get("/readyz")).status_code != 200:
            await anyio.sleep(0.02)


async def test_both_are_answered_without_a_login_at_any_address(home: Path, database_url: str) -> None:
    async with served(home, database_url, logins=Logins(None, None)) as (web, _):
        assert (await web.get("/readyz")).text == "the database is not open yet"
        assert (await web.get("/healthz")).text == "ok"
        await ready(web)
        assert (await web.post("/mcp")).status_code == 401
        assert (await web.post("/readyz")).headers["allow"] == "GET, HEAD"


async def test_a_server_whose_database_is_silent_lives_but_is_not_ready(home: Path, postgres: PostgresServer) -> None:
    async with served(home, postgres.new_database()) as (web, app_context):
        await ready(web)
        with postgres.frozen():
            silent = await web.get("/readyz")
            assert (silent.status_code, silent.text) == (503, "the database does not answer")
            assert (await web.get("/healthz")).status_code == 200
        await ready(web)
        # the question that was not waited for gives its connection back
        pool: Any = (await app_context.jobs())._database._engine.pool
        with anyio.fail_after(HANG_S):
            while pool.checkedout():
                await anyio.sleep(0.02)


async def test_a_server_that_is_about_to_end_is_not_ready_and_keeps_no_connection(home: Path) -> None:
    async with served(home) as (web, app_context):
        await ready(web)
        app_context.drain()
        told = await web.get("/readyz")
        assert (told.status_code, told.text, told.headers["connection"]) == (503, "about to end", "close")
        assert (await web.get("/healthz")).status_code == 200


async def test_streams_of_changes_end_with_their_result_when_the_server_is_about_to_end(home: Path) -> None:
    headers = {
        "Accept": "application/json, text/event-stream",
        "Mcp-Method": "subscriptions/listen",
        "MCP-Protocol-Version": "2026-07-28",
    }
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in META.items()}
    params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": params}
    async with served(home, public_url="http://10.1.2.3:8000") as (web, app_context):
        answers: list[httpx.Response] = []

        async def listen() -> None:
            answers.append(await web.post("/mcp", json=body, headers=headers))

        with anyio.fail_after(HANG_S):
            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                while not app_context.listening.count:
                    await anyio.sleep(0.01)
                app_context.drain()
    messages = [json.loads(line[6:]) for line in answers[0].text.splitlines() if line.startswith("data: ")]
    assert "result" in messages[-1]
