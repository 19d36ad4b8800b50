"""Each message is served for the caller that sent it, wherever the SDK runs its handler."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from mcp.server import MCPServer
from mcp.types import Completion

from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.server.auth.current import current_caller, know_caller
from tests.server.auth.people import BASE_URL, WHO, Door, Person, result_of

pytestmark = pytest.mark.anyio


class Waiting:
    """A server whose tools tell whom they serve; `stay` does so once it is let go."""

    def __init__(self) -> None:
        self.entered, self.let_go = anyio.Event(), anyio.Event()
        self.server: MCPServer[None] = MCPServer("t", middleware=[know_caller])
        self.server.tool()(self.stay)
        self.server.tool()(self.whose)
        self.server.resource("who://{name}")(self.resource)
        self.server.prompt()(self.prompt)
        self.server.completion()(self.complete)  # type: ignore[no-untyped-call]

    async def stay(self) -> str:
        before = current_caller()
        self.entered.set()
        await self.let_go.wait()
        return f"{before} {current_caller()}"

    def whose(self) -> str:
        """In a thread."""
        return current_caller()

    def resource(self, name: str) -> str:
        return current_caller()

    def prompt(self, word: str = "") -> str:
        return current_caller()

    async def complete(self, ref: object, argument: object, context: object) -> Completion:
        return Completion(values=[current_caller()])


@asynccontextmanager
async def people(waiting: Waiting, *, has_users: bool) -> AsyncIterator[tuple[Person, Person]]:
    app = waiting.server.streamable_http_app()
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(Door(app, has_users=has_users))
        async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as web:
            yield Person("token|ann", web, {WHO: "token|ann"}), Person("token|bob", web, {WHO: "token|bob"})


def text_of(answer: httpx.Response) -> str:
    return str(result_of(answer)["content"][0]["text"])


ASKS: dict[str, dict[str, Any]] = {
    "tools/call": {"name": "whose", "arguments": {}},
    "resources/read": {"uri": "who://x"},
    "prompts/get": {"name": "prompt"},
    "completion/complete": {
        "ref": {"type": "ref/prompt", "name": "prompt"},
        "argument": {"name": "word", "value": ""},
    },
}


@pytest.mark.parametrize("method", ASKS)
async def test_every_kind_of_handler_knows_its_caller_in_both_eras(method: str) -> None:
    async with people(Waiting(), has_users=False) as (ann, bob):
        await ann.begin()
        bob.session = ann.session
        for _ in range(2):
            for person, other in ((ann, bob), (bob, ann)):
                for send in (person.send, person.send_older):
                    answer = (await send(method, ASKS[method])).text
                    assert person.caller in answer
                    assert other.caller not in answer


async def test_a_call_keeps_its_caller_while_another_calls_in_the_same_session() -> None:
    waiting = Waiting()
    async with people(waiting, has_users=False) as (ann, bob):
        await ann.begin()
        bob.session = ann.session
        told: list[str] = []

        async def stay() -> None:
            told.append(text_of(await ann.send_older("tools/call", {"name": "stay"})))

        async with anyio.create_task_group() as group:
            group.start_soon(stay)
            await waiting.entered.wait()
            headers = bob.session | {"MCP-Protocol-Version": "2025-06-18"}
            body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": ASKS["tools/call"]}
            accept = {"Accept": "application/json, text/event-stream", "x-caller": bob.caller}
            assert text_of(await bob.web.post("/mcp", json=body, headers=accept | headers)) == bob.caller
            waiting.let_go.set()
        assert told == [f"{ann.caller} {ann.caller}"]


async def test_a_session_is_of_the_caller_that_began_it() -> None:
    async with people(Waiting(), has_users=True) as (ann, bob):
        await ann.begin()
        bob.session = ann.session
        seen = await bob.send_older("tools/call", ASKS["tools/call"])
        bob.session = {"mcp-session-id": "0" * 32}
        assert (seen.status_code, seen.text) == (404, (never := await bob.send_older("ping", {})).text)
        assert never.status_code == 404
        assert text_of(await ann.send_older("tools/call", ASKS["tools/call"])) == ann.caller


async def test_nobody_has_to_log_in_where_there_is_no_door() -> None:
    app = Waiting().server.streamable_http_app()
    web = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE_URL)
    async with app.router.lifespan_context(app), web:
        assert text_of(await Person("token|ann", web, {}).send("tools/call", ASKS["tools/call"])) == LOCAL
    assert current_caller() == LOCAL
