"""Who calls a service from outside: a program that orders films, and the shop that is told when they have ended. Not a
test."""

import json
import secrets
import threading
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.auth import OAuthFlowError
from mcp.client.auth.extensions.client_credentials import ClientCredentialsOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent
from standardwebhooks.webhooks import Webhook

from tests.facts import facts_of
from tests.logins.clients import Storage
from tests.logins.provider import MACHINE
from tests.patience import HANG_S
from tests.service.containers import Machine

WISH: dict[str, Any] = {"provider": "bytecompute"}
"""Its films have no address of their own, so that the link is the service's."""
AWAY = ("storage_failed", "unavailable")
"""What a service answers that misses one of its parts."""
LOOK_S, PAUSE_S = 20, 0.2


class Receiver:
    """The shop, which is told of ended jobs, and believes what is signed with its secret."""

    def __init__(self) -> None:
        self.secret = f"whsec_{b64encode(secrets.token_bytes(32)).decode()}"
        self._judge = Webhook(self.secret)
        self._told: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Post, self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks/ltx"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Raises where the signature is not the secret's."""
        self._judge.verify(body, headers)
        event = json.loads(body)
        self._told.append((event["data"]["job_id"], event["type"]))

    @property
    def heard_of(self) -> dict[str, set[str]]:
        """What was said of each job."""
        told = list(self._told)
        return {job_id: {kind for of, kind in told if of == job_id} for job_id, _ in told}

    def close(self) -> None:
        """Hear no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(HANG_S)


class _Post(BaseHTTPRequestHandler):
    def __init__(self, receiver: Receiver, *arguments: Any) -> None:
        self._receiver = receiver
        super().__init__(*arguments)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._receiver.take(body, {name.lower(): value for name, value in self.headers.items()})
        self.send_response(204)
        self.end_headers()

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A shop that listens."""
    one = Receiver()
    try:
        yield one
    finally:
        one.close()


class AwayError(Exception):
    """A call that was not answered, or answered that something is away: the caller does it again."""


class Program:
    """A program with a login of its own (client credentials), which repeats a call that was not answered."""

    def __init__(self, machine: Machine) -> None:
        self.url = f"{machine.url}/mcp"
        self._trust = machine.trust
        self._auth = ClientCredentialsOAuthProvider(
            self.url,
            Storage(),
            MACHINE,
            machine.values["IDENTITY_NIGHTLY_SECRET"],
            issuer=f"{machine.url}/realms/films",
        )
        self.tries = 0

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a tool answers, sooner or later."""
        why = "no answer at all"
        with anyio.move_on_after(HANG_S):
            while True:
                try:
                    return await self._call_once(tool, arguments)
                except AwayError as error:
                    why = str(error)
                    await anyio.sleep(PAUSE_S)
        raise AssertionError(f"{tool}: {why}")

    async def _call_once(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            async with self._connected() as client:
                result = await client.call_tool(tool, arguments)
        except (httpx2.HTTPError, MCPError, OAuthFlowError, TimeoutError) as error:
            raise AwayError(repr(error)) from error
        except BaseExceptionGroup as group:
            lost, rest = group.split((httpx2.HTTPError, MCPError, OAuthFlowError))
            if rest is not None:
                raise
            raise AwayError(repr(lost)) from lost
        finally:
            self.tries += 1
        return _facts(result)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        async with (
            httpx2.AsyncClient(auth=self._auth, verify=self._trust, trust_env=False, timeout=HANG_S) as http_client,
            Client(streamable_http_client(self.url, http_client=http_client)) as client,
        ):
            yield client

    async def order(self, prompt: str) -> str:
        """The id of the one film of this prompt."""
        placed = await self.call("generate_video", prompt=prompt, request_key=prompt, **WISH)
        return str(placed["job_id"])

    async def follow(self, job_id: str) -> dict[str, Any]:
        """The job when it has ended."""
        with anyio.fail_after(HANG_S):
            while True:
                view = await self.call("check_job", job_id=job_id, wait_seconds=LOOK_S)
                if view["state"] not in ("queued", "submitting", "running", "saving"):
                    return view

    async def browse(self, link: str) -> httpx2.Response:
        """What lies where a link leads, for somebody without any login."""
        async with httpx2.AsyncClient(verify=self._trust, trust_env=False, follow_redirects=True) as browser:
            return await browser.get(link, timeout=HANG_S)


def _facts(result: CallToolResult) -> dict[str, Any]:
    if result.is_error:
        text = " ".join(each.text for each in result.content if isinstance(each, TextContent))
        if text.startswith(AWAY):
            raise AwayError(text)
        raise AssertionError(text)
    return facts_of(result)
