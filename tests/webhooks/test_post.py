"""One POST: what is read of an answer, where it may go, and that nothing of it is traced."""

import socket
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import anyio
import pytest
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as UNTRACED

from ltx_mcp.net.address import Address
from ltx_mcp.net.post import NotPostedError, Posted, inside_policy, make_resolver, post, public_policy
from tests.patience import HANG_S
from tests.providers.raw import Line, serving
from tests.webhooks.receiver import Receiver

pytestmark = pytest.mark.anyio

WITHIN_S = 60.0


@pytest.mark.parametrize("is_endless", [True, False])
async def test_a_head_is_an_answer_whatever_becomes_of_its_body(is_endless: bool) -> None:
    async def deed(line: Line) -> None:
        await line.read()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while is_endless:
            await line.say(bytes(1 << 16))
        await line.read()

    async with serving(deed) as made:
        policy = inside_policy(make_resolver())
        assert await post(made.url, b"{}", {}, policy, WITHIN_S) == Posted(200)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "https://127.0.0.1:9/", "https://localhost:9/"])
async def test_without_leave_nothing_goes_to_this_machine_or_by_http(url: str) -> None:
    with pytest.raises(NotPostedError, match=r"public address|https"):
        await post(url, b"{}", {}, public_policy(make_resolver()), WITHIN_S)


async def test_a_silent_name_server_costs_a_thread_a_name_and_keeps_no_other_name_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, is_over, names = [], threading.Event(), [f"hooks{n}.example.com" for n in range(40)]

    def resolve(host: str, port: int, **more: Any) -> Any:
        asked.append(host)
        if host in names:
            is_over.wait(HANG_S)
        return socket.getaddrinfo("127.0.0.1", port, **more)

    monkeypatch.setattr("ltx_mcp.net.post.getaddrinfo", resolve)
    resolver = make_resolver()

    async def ask(name: str) -> None:
        await resolver(name, 443)

    try:
        for _ in range(3):  # tries that are given up
            async with anyio.create_task_group() as group:
                for name in names:
                    group.start_soon(ask, name)
                with anyio.fail_after(HANG_S):
                    while len(asked) < len(names):
                        await anyio.sleep(0.005)
                    assert await resolver("shop.example.com", 443) == [ip_address("127.0.0.1")]
                group.cancel_scope.cancel()
        assert sorted(asked) == sorted([*names, *["shop.example.com"] * 3])
        async with anyio.create_task_group() as group:
            group.start_soon(ask, names[0])
            is_over.set()
        assert await resolver(names[0], 443) == [ip_address("127.0.0.1")]
    finally:
        is_over.set()


async def test_a_name_that_is_not_found_is_said_to_whoever_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr("ltx_mcp.net.post.getaddrinfo", resolve)
    with pytest.raises(NotPostedError, match="does not lead to a public address"):
        await post("https://hooks.example.com/", b"{}", {}, public_policy(make_resolver()), WITHIN_S)


async def test_instruments_of_http_clients_are_told_to_leave_no_trace(receiver: Receiver) -> None:
    seen = []

    async def resolver(host: str, port: int) -> Sequence[Address]:
        seen.append(context.get_value(UNTRACED))
        return [ip_address(host)]

    assert await post(receiver.url, b"{}", {}, inside_policy(resolver), WITHIN_S) == Posted(204)
    assert (seen, context.get_value(UNTRACED)) == ([True], None)
