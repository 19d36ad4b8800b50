"""People who call one server over HTTP, in this process, and what each of them sends. Not a test."""

import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from socket import socket
from typing import Any

import anyio
import httpx
from mcp.server import MCPServer
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.types import CallToolResult
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ltx_mcp.jobs.callers import token_caller, user_caller
from ltx_mcp.jobs.service import Jobs
from ltx_mcp.private import create_private
from ltx_mcp.server.app import make_server
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.auth.links import LinkSigner
from ltx_mcp.server.auth.principal import SCOPE_KEY, SCOPES, Principal
from ltx_mcp.server.auth.setup import open_logins
from ltx_mcp.server.http import make_app
from ltx_mcp.server.http_limits import WebServer, make_limits
from ltx_mcp.server.tasks import TASKS
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS
from tests.facts import facts_of
from tests.patience import HANG_S
from tests.providers.bench import catalog_of
from tests.server.auth.service import ACCEPT, META, NAMED_BY, NEWEST, OLDER, living

BASE_URL = "http://127.0.0.1:1"
WHO = "x-caller"
ANN, BOB, BACKEND = "ann.of.the.pond", "bob", "backend"
SMALL: dict[str, Any] = {"resolution": "720p", "fps": 24, "generate_audio": False}


class Door:
    """ASGI middleware: who says to be somebody is somebody. Who says nothing has not logged in; without `has_users` the
    SDK is not told who it is, and lets everybody use every session."""

    def __init__(self, app: ASGIApp, *, has_users: bool = True) -> None:
        self._app, self._has_users = app, has_users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = next((value.decode() for name, value in scope.get("headers", ()) if name == WHO.encode()), None)
        if caller is not None:
            scope = {**scope, SCOPE_KEY: Principal(caller, frozenset(SCOPES))}
            if self._has_users:
                token = AccessToken(token="", client_id=caller, scopes=[*SCOPES], subject=caller)
                scope["user"] = AuthenticatedUser(token)
        await self._app(scope, receive, send)


@dataclass
class Person:
    """One caller, and the headers that say so. Each message is sent as it stands, and its answer is kept as it came."""

    caller: str
    web: httpx.AsyncClient
    who: dict[str, str]
    session: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, method: str = "GET", **headers: str) -> httpx.Response:
        """The answer to a path."""
        return await self.web.request(method, path, headers=_in_utf8(self.who | headers))

    async def post(self, method: str, params: dict[str, Any], headers: dict[str, str]) -> httpx.Response:
        """The answer to a message."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.web.post("/mcp", json=body, headers=_in_utf8(self.who | ACCEPT | headers))

    async def send(self, method: str, params: dict[str, Any], **capabilities: Any) -> httpx.Response:
        """A message of today's protocol, from a host that follows tasks and can do nothing else."""
        return await self.post(*to_message(method, params, **capabilities))

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured result of a tool that did what was asked."""
        result = result_of(await self.send("tools/call", {"name": tool, "arguments": arguments}, extensions={}))
        assert not result.get("isError"), result
        return facts_of(CallToolResult.model_validate(result))

    async def film(self, **arguments: Any) -> dict[str, Any]:
        """A job of this person's with its film."""
        placed = await self.call("generate_video", **{"prompt": "a pond", "provider": "local", **SMALL, **arguments})
        view = await self.call("check_job", job_id=placed["job_id"], wait_seconds=45)
        assert view["state"] == "succeeded", view
        return view

    async def begin(self) -> None:
        """Begin a session of an older protocol."""
        told = {"protocolVersion": OLDER, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        answer = await self.post("initialize", told, {})
        assert answer.status_code == 200, answer.text
        self.session = {name: value for name, value in answer.headers.items() if name == "mcp-session-id"}

    async def send_older(self, method: str, params: dict[str, Any]) -> httpx.Response:
        """A message within the session."""
        return await self.post(method, params, self.session | {"MCP-Protocol-Version": OLDER})


def to_message(
    method: str, params: Mapping[str, Any], **capabilities: Any
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """The method, the parameters and the headers of a message of today's protocol."""
    can = {"extensions": {TASKS: {}}} | capabilities
    meta = {f"{META}protocolVersion": NEWEST, f"{META}clientCapabilities": can}
    headers = {"Mcp-Method": method, "MCP-Protocol-Version": NEWEST}
    if method in NAMED_BY:
        headers["Mcp-Name"] = params[NAMED_BY[method]]
    return method, {**params, "_meta": meta}, headers


def _in_utf8(headers: Mapping[str, str]) -> dict[bytes, bytes]:
    """As they go over the wire: users have names of all kinds."""
    return {name.encode(): value.encode() for name, value in headers.items()}


def message_of(answer: httpx.Response) -> dict[str, Any]:
    """The one message of an answer, whether it came as a stream or not."""
    text = (
        answer.text.rpartition("data: ")[2] if answer.text.startswith(("event:", "data:", "id:", ":")) else answer.text
    )
    message: dict[str, Any] = json.loads(text)
    return message


def result_of(answer: httpx.Response) -> dict[str, Any]:
    """The result of an answer that is no error."""
    result: dict[str, Any] = message_of(answer)["result"]
    return result


@dataclass(frozen=True)
class Service:
    """A service where Ann, Bob and a backend that acts for many have a token each."""

    web: httpx.AsyncClient
    server: MCPServer[AppContext]
    routes: Sequence[BaseRoute]
    signer: LinkSigner
    tokens: Mapping[str, str]
    current_context: Callable[[], AppContext | None]

    async def jobs(self) -> Jobs:
        """Its open jobs, of all callers."""
        app_context = self.current_context()
        assert app_context is not None
        return await app_context.jobs()

    def person(self, name: str, user: str = "") -> Person:
        """Who holds the token of this name, or a user for whom its holder acts."""
        who = {"Authorization": f"Bearer {self.tokens[name]}"}
        caller = token_caller(name)
        if user:
            who["X-LTX-User"], caller = user, user_caller(caller, user)
        return Person(caller, self.web, who)


@asynccontextmanager
async def served(
    home: Path,
    *signing_keys: str,
    listener: socket | None = None,
    more: Mapping[str, str] | None = None,
    overlay: str = "",
) -> AsyncIterator[Service]:
    """A service over this home, with its door; with `listener` behind a web server, whose clients come by the net.
    `overlay` is what LTX_MCP_MODELS has."""
    tokens = {name: f"ltx_{secrets.token_urlsafe(32)}" for name in (ANN, BOB, BACKEND)}
    url = f"http://127.0.0.1:{listener.getsockname()[1]}" if listener else BASE_URL
    given = {"HOME": str(home), "TOKENS_FILE": str(_tokens_file(home.with_name("tokens.toml"), tokens))}
    given |= {"PUBLIC_URL": url, "SIGNING_KEY": ",".join(signing_keys)}
    env = {f"LTX_MCP_{name}": value for name, value in given.items()} | dict(more or {})
    settings = read_settings(env, PROVIDER_SETTINGS)
    server, current_context = make_server(settings, catalog_of(env, overlay=overlay), base_url=url)
    app = make_app(server, current_context, url, open_logins(settings))
    transport = None if listener else httpx.ASGITransport(app)
    web = httpx.AsyncClient(transport=transport, base_url=url, timeout=HANG_S)
    async with _listening(app, listener) if listener else living(app), web:
        yield Service(web, server, app.routes, LinkSigner(signing_keys), tokens, current_context)


@asynccontextmanager
async def _listening(app: ASGIApp, listener: socket) -> AsyncIterator[None]:
    web_server = WebServer(app, make_limits())
    async with anyio.create_task_group() as group:
        group.start_soon(web_server.serve, [listener])
        yield
        web_server.leave(1)


def _tokens_file(path: Path, tokens: Mapping[str, str]) -> Path:
    rows = [
        f'[[token]]\nname = "{name}"\nsha256 = "{sha256(token.encode()).hexdigest()}"\n'
        f'scopes = ["ltx:read", "ltx:order"]\nmay_act = {"true" if name == BACKEND else "false"}\n'
        for name, token in tokens.items()
    ]
    create_private(path)
    path.write_text("\n".join(rows))
    return path
