"""A film that does not end, trickles, has no room or is cut wrongly: each try ends by itself, and what came is kept
where it can be continued.
"""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.errors import ErrorCode, ProviderError, SetupError
from ltx_mcp.net.download import Downloads
from ltx_mcp.net.flow import MARGIN_BYTES, Bounds
from ltx_mcp.net.provider_client import MAX_REPLY_BYTES, HttpRequest, ProviderClient
from tests.providers.raw import Line, Raw, answer, never_answers, says, serving

pytestmark = pytest.mark.anyio

FILM = bytes(range(256)) * 400
MOST = 300_000
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked\r\n\r\n"
HURRY = Bounds(min_bytes_s=1e9, window_s=0.05)
"""Nothing is fast enough for this one."""
Bring = Callable[[Raw, Path, Bounds], Awaitable[None]]


async def by_address(server: Raw, out: Path, bounds: Bounds) -> None:
    await Downloads().fetch(server.url, out, provider="fal", is_loopback=True, bounds=bounds)


async def by_call(server: Raw, out: Path, bounds: Bounds) -> None:
    client = ProviderClient("bytecompute", is_loopback=True)
    try:
        async with client.stream(HttpRequest("POST", server.url)) as held:
            await held.save(out, bounds)
    finally:
        await client.close()


async def by_order(server: Raw, out: Path, bounds: Bounds) -> None:
    async with ProviderClient("ltx", is_loopback=True).send_once_streamed(HttpRequest("POST", server.url)) as held:
        await held.save(out, bounds)


each_way = pytest.mark.parametrize("bring", [by_address, by_call, by_order])


async def fails(bring: Bring, server: Raw, out: Path, bounds: Bounds) -> ProviderError:
    with pytest.raises(ProviderError) as caught, anyio.fail_after(60):
        await bring(server, out, bounds)
    return caught.value


async def endless(line: Line) -> None:
    await line.read()
    await line.say(CHUNKED)
    while True:
        await line.say(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


async def trickles(line: Line) -> None:
    await line.read()
    await line.say(answer(200, b"ab", 'ETag: "one"', length=len(FILM)))
    while True:
        await line.say(b"c")
        await anyio.sleep(0.01)


@each_way
async def test_a_film_without_end_is_given_up_and_leaves_nothing_on_the_disk(bring: Bring, tmp_path: Path) -> None:
    out = tmp_path / "film.part"
    async with serving(endless) as server:
        error = await fails(bring, server, out, Bounds(MOST))
    assert (error.code, error.accepted, out.exists()) == (ErrorCode.BAD_REPLY, "yes", False)
    assert "no film of this order" in error.message


@each_way
async def test_a_film_that_says_it_is_too_long_is_not_begun(bring: Bring, tmp_path: Path) -> None:
    async with serving(says(answer(200, b"a", length=MOST + 1))) as server:
        assert (await fails(bring, server, tmp_path / "film", Bounds(MOST))).code is ErrorCode.BAD_REPLY


@each_way
async def test_a_film_that_trickles_ends_its_try(bring: Bring, tmp_path: Path) -> None:
    async with serving(trickles) as server:
        error = await fails(bring, server, tmp_path / "film", HURRY)
    assert (error.code, "too slowly" in error.message) == (ErrorCode.UNAVAILABLE, True)
    assert error.accepted == ("unknown" if bring is by_order else "yes")


async def test_what_trickled_is_continued_by_the_next_try(tmp_path: Path) -> None:
    downloads, out = Downloads(), tmp_path / "film"
    with_range: list[str] = []

    async def deed(line: Line) -> None:
        if not with_range:
            with_range.append("")
            await trickles(line)
        with_range.append((await line.read()).headers["range"])
        have = int(re.sub(r"\D", "", with_range[-1]))
        head = f"Content-Range: bytes {have}-{len(FILM) - 1}/{len(FILM)}"
        await line.say(answer(206, b"d" * (len(FILM) - have), head, 'ETag: "one"'))

    async with serving(deed) as server:
        with pytest.raises(ProviderError):
            await downloads.fetch(server.url, out, provider="fal", is_loopback=True, bounds=HURRY)
        had = out.read_bytes()
        await downloads.fetch(server.url, out, provider="fal", is_loopback=True)
    assert had.startswith(b"abc")
    assert out.read_bytes() == had.ljust(len(FILM), b"d")


@each_way
@pytest.mark.parametrize("told", [True, False])
async def test_room_is_asked_for_before_a_byte_is_written(bring: Bring, told: bool, tmp_path: Path) -> None:
    asked: list[int] = []

    def full(needed_bytes: int) -> None:
        asked.append(needed_bytes)
        raise SetupError(ErrorCode.STORAGE_FAILED, "full")

    said = answer(200, FILM) if told else CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"
    async with serving(says(said)) as server:
        with pytest.raises(SetupError):
            await bring(server, tmp_path / "film", Bounds(expected_bytes=7, room=full))
    assert asked == [MARGIN_BYTES + (len(FILM) if told else 7)]
    assert (tmp_path / "film").stat().st_size == 0


# -- parts --------------------------------------------------------------------------------------------------------


async def begun(downloads: Downloads, out: Path, server: Raw) -> None:
    with pytest.raises(ProviderError):
        await downloads.fetch(server.url, out, provider="fal", is_loopback=True)


def in_turn(*said: bytes) -> Callable[[Line], Awaitable[None]]:
    left = list(said)

    async def deed(line: Line) -> None:
        await line.read()
        await line.say(left.pop(0) if len(left) > 1 else left[0])

    return deed


CUT = answer(200, FILM[:500], 'ETag: "one"', length=len(FILM))


async def test_a_part_that_ends_before_the_film_is_continued(tmp_path: Path) -> None:
    first = answer(206, FILM[:500], f"Content-Range: bytes 0-499/{len(FILM)}", 'ETag: "one"')
    rest = answer(206, FILM[500:], f"Content-Range: bytes 500-{len(FILM) - 1}/{len(FILM)}", 'ETag: "one"')
    downloads, out = Downloads(), tmp_path / "film"
    async with serving(in_turn(first, rest)) as server:
        await begun(downloads, out, server)
        await downloads.fetch(server.url, out, provider="fal", is_loopback=True)
    assert out.read_bytes() == FILM


async def test_who_answers_each_range_with_the_beginning_is_asked_for_the_whole(tmp_path: Path) -> None:
    again = answer(206, FILM[:500], f"Content-Range: bytes 0-499/{len(FILM)}", 'ETag: "one"')
    downloads, out = Downloads(), tmp_path / "film"
    async with serving(in_turn(CUT, again, answer(200, FILM))) as server:
        await begun(downloads, out, server)
        await begun(downloads, out, server)
        await downloads.fetch(server.url, out, provider="fal", is_loopback=True)
        assert ["range" in each.headers for each in server.requests] == [False, True, False]
    assert out.read_bytes() == FILM


async def test_another_part_than_the_missing_one_is_not_written(tmp_path: Path) -> None:
    middle = answer(206, FILM[600:], f"Content-Range: bytes 600-{len(FILM) - 1}/{len(FILM)}", 'ETag: "one"')
    downloads, out = Downloads(), tmp_path / "film"
    async with serving(in_turn(CUT, middle)) as server:
        await begun(downloads, out, server)
        await begun(downloads, out, server)
    assert out.read_bytes() == FILM[:500]


@pytest.mark.parametrize(("whole", "ends"), [("500", True), (str(len(FILM)), False), ("*", False)])
async def test_a_range_that_cannot_be_had_is_the_end_only_where_all_is_here(
    whole: str, ends: bool, tmp_path: Path
) -> None:
    downloads, out = Downloads(), tmp_path / "film"
    async with serving(in_turn(CUT, answer(416, b"", f"Content-Range: bytes */{whole}"), answer(200, FILM))) as server:
        await begun(downloads, out, server)
        if not ends:
            await begun(downloads, out, server)
        await downloads.fetch(server.url, out, provider="fal", is_loopback=True)
    assert out.read_bytes() == (FILM[:500] if ends else FILM)


# -- what is read whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["request", "send_once"])
async def test_of_an_answer_without_end_only_the_beginning_is_read(what: str) -> None:
    client = ProviderClient("fal", is_loopback=True)
    async with serving(endless) as server:
        with anyio.fail_after(60):
            reply = await getattr(client, what)(HttpRequest("GET", server.url))
    await client.close()
    assert MAX_REPLY_BYTES < len(reply.content) < 2 * MAX_REPLY_BYTES
    assert reply.json is None


async def trickles_its_head(line: Line) -> None:
    await line.read()
    await line.say(b"HTTP/1.1 200 OK\r\n")
    while True:
        await line.say(b"X-More: and more\r\n")
        await anyio.sleep(0.01)


async def goes_on(line: Line) -> None:
    await line.read()
    while True:
        await line.say(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await anyio.sleep(0.01)


@pytest.mark.parametrize("deed", [trickles_its_head, goes_on, never_answers])
async def test_a_head_without_end_is_not_waited_for(deed: Callable[[Line], Awaitable[None]]) -> None:
    client = ProviderClient("bytecompute", is_loopback=True, connect_s=0.2, order_s=0.2)
    call = HttpRequest("POST", "", read_s=0.2)
    async with serving(deed) as server:
        for held in (client.stream, client.send_once_streamed):
            with pytest.raises(ProviderError), anyio.fail_after(60):
                async with held(HttpRequest(call.method, server.url, read_s=call.read_s)):
                    pass
    await client.close()


async def test_a_stream_of_events_without_end_is_left() -> None:
    client = ProviderClient("fal", is_loopback=True)

    async def floods(line: Line) -> None:
        await line.read()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while True:
            await line.say(b":".ljust(100_000) + b"\n")

    async with serving(floods) as server:
        with pytest.raises(ProviderError, match="without end"), anyio.fail_after(60):
            await anext(client.events(HttpRequest("GET", server.url)))
    await client.close()
