"""A service with logins in this process, and what its clients send. Not a test."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import httpx
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Message

from ltx_mcp.domain.plan import Catalog
from ltx_mcp.server.app import make_server
from ltx_mcp.server.auth.logins import Logins
from ltx_mcp.server.http import make_app
from ltx_mcp.settings import read_settings
from tests.patience import HANG_S

PUBLIC_URL = "http://127.0.0.1:8000"
NEWEST, OLDER = "2026-07-28", "2025-06-18"
META = "io.modelcontextprotocol/"
ACCEPT = {"Accept": "application/json, text/event-stream"}
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"} | dict.fromkeys(
    ("tasks/get", "tasks/update", "tasks/cancel"), "taskId"
)
"""The parameter that the header Mcp-Name repeats."""


@asynccontextmanager
async def serving(home: Path, catalog: Catalog, logins: Logins) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the whole app, whose lifespan goes through its middleware as a web server's does."""
    given = {"HOME": str(home), "PUBLIC_URL": PUBLIC_URL, "TOKENS_FILE": str(home), "SIGNING_KEY": "k" * 32}
    settings = read_settings({f"LTX_MCP_{name}": value for name, value in given.items()})
    server, context = make_server(settings, catalog, base_url=PUBLIC_URL)
    app = make_app(server, context, PUBLIC_URL, logins)
    async with living(app):
        web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=PUBLIC_URL, timeout=HANG_S)
        async with web:
            yield web


@asynccontextmanager
async def living(app: ASGIApp) -> AsyncIterator[None]:
    """The lifespan of an app, through all of its middleware."""
    end, ended = anyio.Event(), anyio.Event()

    async def live(*, task_status: TaskStatus[None]) -> None:
        is_new = True

        async def receive() -> Message:
            nonlocal is_new
            if is_new:
                is_new = False
                return {"type": "lifespan.startup"}
            await end.wait()
            return {"type": "lifespan.shutdown"}

        async def send(message: Message) -> None:
            assert not message["type"].endswith("failed"), message
            if message["type"] == "lifespan.startup.complete":
                task_status.started()

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        ended.set()

    async with anyio.create_task_group() as group:
        await group.start(live)
        try:
            yield
        finally:
            end.set()
            await ended.wait()


def bearer(token: str) -> dict[str, str]:
    """The header of a token."""
    return {"Authorization": f"Bearer {token}"}


async def send(
    web: httpx.AsyncClient,
    token: str,
    method: str,
    params: dict[str, Any],
    capabilities: Mapping[str, Any] = MappingProxyType({}),
    **headers: str,
) -> httpx.Response:
    """The answer to a message of today's protocol. Headers are lies where they are given; an empty one is left out."""
    told = params | {"_meta": {f"{META}protocolVersion": NEWEST, f"{META}clientCapabilities": dict(capabilities)}}
    lies = {name.replace("_", "-"): value for name, value in headers.items()}
    honest = {"Mcp-Method": method, "MCP-Protocol-Version": NEWEST}
    if method in NAMED_BY:
        honest["Mcp-Name"] = str(params[NAMED_BY[method]])
    sent = {name: value for name, value in (ACCEPT | honest | lies | bearer(token)).items() if value}
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": told}
    return await web.post("/mcp", json=body, headers=sent)


async def begin(web: httpx.AsyncClient, token: str) -> dict[str, str]:
    """Begin as a client of an older protocol; gives the headers of what it sends from then on."""
    told = {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": told}
    answer = await web.post("/mcp", json=body, headers=ACCEPT | bearer(token))
    assert answer.status_code == 200, answer.text
    kept = {name: value for name, value in answer.headers.items() if name == "mcp-session-id"}
    return ACCEPT | bearer(token) | kept | {"MCP-Protocol-Version": OLDER}


def call(name: str, **arguments: Any) -> dict[str, Any]:
    """The parameters of a call of a tool."""
    return {"name": name, "arguments": arguments}
