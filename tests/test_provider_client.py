"""The line to a provider: which connections it takes, what it reads of a reply, what it makes of strange headers."""

from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from ltx_mcp.domain.errors import ProviderError
from ltx_mcp.net.provider_client import HttpRequest, ProviderClient
from ltx_mcp.net.reply import HttpResponse, read_retry_after
from tests.providers.raw import Line, answer, serving

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def keeps_alive(line: Line) -> None:
    """Answers one request after the other on the same connection."""
    while True:
        await line.read()
        await line.say(answer(200, b"{}").replace(b"Connection: close\r\n", b""))


async def test_questions_share_a_connection_and_an_order_never_does() -> None:
    """A connection that was kept may be dead already, and then nobody knows whether the order went out."""
    client = ProviderClient("fal", is_loopback=True)
    async with serving(keeps_alive) as server:
        for _ in range(2):
            await client.request(HttpRequest("GET", server.url))
        assert server.connections == 1
        for _ in range(2):
            await client.send_once(HttpRequest("POST", server.url, body={}))
        assert server.connections == 3
        await client.close()


async def test_a_stream_gives_whole_events_and_no_comments() -> None:
    body = b": alive\n\ndata: one\n\ndata: two\ndata: lines\n\nevent: x\ndata:three\n\ndata: cut"

    async def tells(line: Line) -> None:
        await line.read()
        await line.say(answer(200, body, "Content-Type: text/event-stream"))

    client = ProviderClient("fal", is_loopback=True)
    async with serving(tells) as server:
        assert [event async for event in client.events(HttpRequest("GET", server.url))] == [
            "one",
            "two\nlines",
            "three",
        ]
    await client.close()


async def test_a_stream_that_breaks_off_is_an_error() -> None:
    async def breaks(line: Line) -> None:
        await line.read()
        await line.say(answer(200, b"data: one\n\n", length=999))

    client = ProviderClient("fal", is_loopback=True)
    async with serving(breaks) as server, aclosing(client.events(HttpRequest("GET", server.url))) as events:
        assert await anext(events) == "one"
        with pytest.raises(ProviderError):
            await anext(events)
    await client.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        (" 0 ", 0.0),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(text: str, seconds: float | None) -> None:
    assert read_retry_after(text, NOON) == seconds
    assert read_retry_after(text, NOON + timedelta(days=1)) in (seconds, 0.0)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_none(content: bytes) -> None:
    assert HttpResponse(200, {}, content).json is None


def test_a_page_of_html_is_only_named() -> None:
    assert HttpResponse(502, {}, b"  <!DOCTYPE html><p>long</p>").text == "(an HTML page)"
