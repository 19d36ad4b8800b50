"""One POST: what is read of an answer, where it may go, and that nothing of it is traced."""

from collections.abc import Sequence
from ipaddress import ip_address

import pytest
from opentelemetry import context
from opentelemetry.context import _SUPPRESS_HTTP_INSTRUMENTATION_KEY as UNTRACED

from ltx_mcp.net.address import Address
from ltx_mcp.net.post import NotPostedError, Posted, inside_policy, make_resolver, post, public_policy
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


async def test_instruments_of_http_clients_are_told_to_leave_no_trace(receiver: Receiver) -> None:
    seen = []

    async def resolver(host: str, port: int) -> Sequence[Address]:
        seen.append(context.get_value(UNTRACED))
        return [ip_address(host)]

    assert await post(receiver.url, b"{}", {}, inside_policy(resolver), WITHIN_S) == Posted(204)
    assert (seen, context.get_value(UNTRACED)) == ([True], None)
