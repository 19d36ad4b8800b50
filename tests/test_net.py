"""The guarded fetch against a real TLS server on loopback, and redaction."""

import asyncio
import gzip
import logging
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.net.address import Address, is_public
from ltx_mcp.net.route import Route
from ltx_mcp.net.ssrf import EgressPolicy, fetch_public, resolve
from tests.patience import HANG_S
from tests.providers.gate import Gate, gated, socks_gated

pytestmark = pytest.mark.anyio

LOOPBACK = "127.0.0.1"
Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@dataclass
class Server:
    """A TLS server that answers each path with the bytes it is given, and keeps every request head."""

    port: int = 0
    replies: dict[str, Reply] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "films.example") -> str:
        return f"https://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            reply = self.replies[head.split()[1].split("?")[0]]
            if isinstance(reply, bytes):
                writer.write(reply)
                await writer.drain()
            else:
                await reply(writer)
        writer.close()


@pytest.fixture
async def server(authority: trustme.CA) -> AsyncIterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("films.example", "mirror.example").configure_cert(context)
    made = Server()
    listener = await asyncio.start_server(made.serve, LOOPBACK, ssl=context)
    made.port = listener.sockets[0].getsockname()[1]
    yield made
    listener.close()


class Names:
    """A resolver that gives one answer after the other; the last one stays."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(word) for word in answer.split()]


def answered(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def moved(to: str, *headers: str) -> bytes:
    return answered(b"", f"Location: {to}", *headers, status="302 Found")


Get = Callable[..., Awaitable[str]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "picture"


@pytest.fixture
def get(authority: trustme.CA, out: Path) -> Get:
    trust = ssl.create_default_context()
    authority.configure_trust(trust)

    async def fetch(url: str, **changed: Any) -> str:
        given: dict[str, Any] = {"argument": "image", "max_bytes": 1_000_000, "timeout_s": 10}
        policy: dict[str, Any] = {
            "resolver": Names(LOOPBACK),
            "trust": trust,
            # The test server's address stands for the open internet; everything else is judged as it is.
            "allow": lambda address: str(address) == LOOPBACK or is_public(address),
        }
        policy |= {name: changed.pop(name) for name in ("resolver", "trust", "allow", "route") if name in changed}
        return await fetch_public(url, out, **given | changed, policy=EgressPolicy(**policy))

    return fetch


async def refusal(fetching: Awaitable[str]) -> str:
    with pytest.raises(CallerError) as raised:
        await fetching
    assert raised.value.code is ErrorCode.INPUT_FAILED
    assert raised.value.__cause__ is not None
    assert raised.value.message.startswith("image: ")
    assert "give an https URL" in raised.value.message
    return raised.value.message


async def test_a_public_picture_is_copied_and_its_content_type_told(server: Server, get: Get, out: Path) -> None:
    server.replies["/a.png"] = answered(b"picture", "Content-Type: image/png")
    assert await get(server.url("/a.png?size=1")) == "image/png"
    assert out.read_bytes() == b"picture"


async def test_the_server_is_asked_by_its_name_for_plain_bytes_and_shown_nothing_else(server: Server, get: Get) -> None:
    server.replies["/a"] = answered(b"x")
    await get(server.url("/a?b=c"))
    assert [line.lower() for line in server.heads[0].split("\r\n") if line] == [
        "get /a?b=c http/1.1",
        f"host: films.example:{server.port}",
        "accept: */*",
        "accept-encoding: identity",
        "user-agent: ltx-mcp",
    ]


async def test_a_redirect_is_followed_without_the_cookie_it_set(server: Server, get: Get, out: Path) -> None:
    server.replies["/old"] = moved("/new", "Set-Cookie: session=1")
    server.replies["/new"] = answered(b"moved here")
    await get(server.url("/old"))
    assert out.read_bytes() == b"moved here"
    assert "cookie" not in server.heads[1].lower()


async def test_redirects_end(server: Server, get: Get) -> None:
    server.replies["/round"] = moved("/round")
    assert "redirects more than 3 times" in await refusal(get(server.url("/round")))
    assert len(server.heads) == 4


@pytest.mark.parametrize(
    "url",
    [
        *("http://films.example/a.png", "ftp://films.example/a.png", "file:///etc/hosts", "films.example/a.png", ""),
        *("https:///a.png", "https://films.example:99999/a.png", "https://films.example\n/a.png"),
    ],
)
async def test_only_a_whole_https_url_is_fetched(get: Get, url: str) -> None:
    names = Names(LOOPBACK)
    await refusal(get(url, resolver=names))
    assert names.asked == []


async def test_a_url_with_a_password_is_refused_without_repeating_it(server: Server, get: Get) -> None:
    message = await refusal(get(f"https://me:hunter2@films.example:{server.port}/a"))
    assert "user name or password" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1"])
async def test_this_machine_is_refused_however_it_is_written(server: Server, get: Get, out: Path, host: str) -> None:
    message = await refusal(get(server.url("/a", host), resolver=resolve, allow=is_public))
    assert "does not lead to a public address" in message
    assert server.heads == []
    assert not out.exists()


@pytest.mark.parametrize("answer", ["10.1.2.3", f"{LOOPBACK} 10.1.2.3"])
async def test_one_private_address_of_a_name_is_enough_to_refuse(server: Server, get: Get, answer: str) -> None:
    message = await refusal(get(server.url("/a"), resolver=Names(answer)))
    assert "does not lead to a public address" in message
    assert "10.1.2.3" not in message
    assert server.heads == []


async def test_a_name_that_does_not_exist_reads_like_a_private_one(get: Get) -> None:
    async def nowhere(host: str, port: int) -> Sequence[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert "does not lead to a public address" in await refusal(get("https://films.example/a", resolver=nowhere))


async def test_a_redirect_to_a_private_address_is_refused(server: Server, get: Get, out: Path) -> None:
    server.replies["/a"] = moved("https://169.254.169.254/latest/meta-data?token=1")
    message = await refusal(get(server.url("/a"), resolver=Names(LOOPBACK, "169.254.169.254")))
    assert "does not lead to a public address" in message
    assert "169.254" not in message
    assert not out.exists()


@pytest.mark.parametrize("start", ["http://", "ftp://", "https://me:hunter2@"])
async def test_a_redirect_to_anything_but_plain_https_is_refused(server: Server, get: Get, start: str) -> None:
    server.replies["/a"] = moved(f"{start}films.example:{server.port}/b")
    assert "hunter2" not in await refusal(get(server.url("/a")))
    assert len(server.heads) == 1


async def test_a_name_is_resolved_once_so_a_second_answer_changes_nothing(server: Server, get: Get, out: Path) -> None:
    server.replies["/a"] = answered(b"from the vetted address")
    names = Names(LOOPBACK, "10.0.0.1")
    await get(server.url("/a"), resolver=names)
    assert names.asked == ["films.example"]
    assert out.read_bytes() == b"from the vetted address"


async def test_a_name_that_turns_private_between_two_hops_is_refused(server: Server, get: Get) -> None:
    server.replies["/a"] = moved("/b")
    server.replies["/b"] = answered(b"inner")
    names = Names(LOOPBACK, "10.0.0.1")
    assert "public address" in await refusal(get(server.url("/a"), resolver=names))
    assert names.asked == ["films.example", "films.example"]
    assert len(server.heads) == 1


async def test_a_socket_that_ended_up_elsewhere_is_closed_before_a_byte_is_sent(
    server: Server, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = anyio.connect_tcp

    async def elsewhere(*_: object, **__: object) -> anyio.abc.SocketStream:
        return await connect(LOOPBACK, server.port)

    monkeypatch.setattr(anyio, "connect_tcp", elsewhere)
    server.replies["/a"] = answered(b"inner")
    names = Names("93.184.216.34")
    assert "public address" in await refusal(get(server.url("/a"), resolver=names, allow=is_public))
    assert server.heads == []


@pytest.mark.parametrize("answer", [f"::1 {LOOPBACK}", f"{LOOPBACK} ::1"])
async def test_an_address_that_does_not_answer_is_passed_over(server: Server, get: Get, answer: str) -> None:
    server.replies["/a"] = answered(b"x")
    # Nobody listens on IPv6 loopback at this port.
    await get(server.url("/a"), resolver=Names(answer), allow=lambda address: address.is_loopback)


async def test_a_server_that_only_the_environment_vouches_for_is_refused(
    server: Server, get: Get, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    server.replies["/a"] = answered(b"x")
    assert "connection failed" in await refusal(get(server.url("/a"), trust=None))
    assert server.heads == []


async def test_a_certificate_for_another_name_is_refused(server: Server, get: Get) -> None:
    assert "connection failed" in await refusal(get(server.url("/a", "films.invalid")))
    assert server.heads == []


async def test_a_certificate_is_checked_by_name_at_every_hop(server: Server, get: Get, out: Path) -> None:
    server.replies["/a"] = moved(server.url("/b", "mirror.example"))
    server.replies["/b"] = answered(b"mirrored")
    await get(server.url("/a"))
    assert f"host: mirror.example:{server.port}" in server.heads[1].lower()
    assert out.read_bytes() == b"mirrored"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "403 Forbidden", "500 Oops"])
async def test_anything_but_200_is_told_by_its_number(server: Server, get: Get, out: Path, status: str) -> None:
    server.replies["/a"] = answered(b"", status=status)
    assert f"HTTP status {status[:3]}" in await refusal(get(server.url("/a")))
    assert not out.exists()


async def test_an_announced_length_over_the_limit_is_refused_before_the_body(server: Server, get: Get) -> None:
    server.replies["/a"] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n"
    assert "is too large" in await refusal(get(server.url("/a")))


async def test_an_unannounced_length_over_the_limit_is_cut_off_and_removed(server: Server, get: Get, out: Path) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n" + bytes(65536) + b"\r\n")
        with anyio.fail_after(HANG_S):
            while not out.exists():  # it is being kept
                await asyncio.sleep(0.01)
        while True:
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()

    server.replies["/a"] = endless
    assert re.search("is too large; .* at most 1 MB", await refusal(get(server.url("/a"))))
    assert not out.exists()


async def test_a_slow_server_is_given_up_in_total_time(server: Server, get: Get, out: Path) -> None:
    async def dribble(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    server.replies["/a"] = dribble
    with anyio.fail_after(HANG_S):
        assert "did not arrive within 0.4 s" in await refusal(get(server.url("/a"), timeout_s=0.4))
    assert not out.exists()


async def test_a_slow_resolver_is_within_the_time_limit(get: Get) -> None:
    async def never(host: str, port: int) -> Sequence[Address]:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(HANG_S):
        assert "did not arrive" in await refusal(get("https://films.example/", resolver=never, timeout_s=0.05))


async def test_a_picture_that_is_cut_short_is_refused_and_removed(server: Server, get: Get, out: Path) -> None:
    server.replies["/a"] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this"
    assert "connection failed" in await refusal(get(server.url("/a")))
    assert not out.exists()


async def test_a_cancelled_fetch_leaves_no_file(server: Server, get: Get, out: Path) -> None:
    async with anyio.create_task_group() as group:

        async def stall(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nfirst bytes")
            await writer.drain()
            while not out.exists():
                await asyncio.sleep(0.005)
            group.cancel_scope.cancel()

        server.replies["/a"] = stall
        with anyio.fail_after(HANG_S):
            await get(server.url("/a"))
    assert not out.exists()


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
async def test_a_compressed_body_is_refused_unread(server: Server, get: Get, out: Path, encoding: str) -> None:
    server.replies["/bomb"] = answered(gzip.compress(bytes(20_000_000)), f"Content-Encoding: {encoding}")
    assert "compressed" in await refusal(get(server.url("/bomb")))
    assert not out.exists()


@pytest.mark.parametrize("kind", [gated, socks_gated])
async def test_a_caller_of_this_machine_goes_through_its_proxy_and_no_name_is_looked_up_here(
    server: Server, get: Get, out: Path, kind: Callable[[int], AbstractAsyncContextManager[Gate]]
) -> None:
    server.replies["/a"] = moved("https://mirror.example/b")
    server.replies["/b"] = answered(b"mirrored")
    names = Names("93.184.216.34")
    async with kind(server.port) as gate:
        route = Route(lambda name: gate.url if name == "HTTPS_PROXY" else "")
        await get("https://films.example/a", route=route, resolver=names)
    assert all("authorization" not in head.lower() for head in server.heads)
    assert (gate.targets, names.asked, out.read_bytes()) == (["films.example", "mirror.example"], [], b"mirrored")


@pytest.mark.parametrize(
    "url",
    ["https://127.0.0.1/", "https://10.0.0.1/", "https://[fd00::1]/", "https://printer.local/", "https://intranet/"],
)
async def test_what_is_inside_by_its_form_is_asked_of_no_proxy(get: Get, url: str) -> None:
    async with gated(9) as gate:
        route = Route(lambda name: gate.url if name == "ALL_PROXY" else "")
        assert "does not lead to a public address" in await refusal(get(url, route=route, resolver=Names("10.0.0.1")))
    assert gate.heads == []


async def test_a_way_inside_by_a_redirect_is_asked_of_no_proxy(server: Server, get: Get) -> None:
    server.replies["/a"] = moved("https://169.254.169.254/latest/meta-data/")
    async with gated(server.port) as gate:
        route = Route(lambda name: gate.url if name == "HTTPS_PROXY" else "")
        assert "public address" in await refusal(get("https://films.example/a", route=route))
    assert gate.targets == ["films.example"]


async def test_proxies_and_netrc_of_the_environment_are_ignored(
    server: Server, get: Get, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine films.example login me password hunter2", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:9")
    server.replies["/a"] = answered(b"direct")
    await get(server.url("/a"))
    assert "authorization" not in server.heads[0].lower()


async def test_a_file_that_is_already_there_is_neither_overwritten_nor_removed(
    server: Server, get: Get, out: Path
) -> None:
    out.write_bytes(b"somebody else's")
    server.replies["/a"] = answered(b"x")
    assert "could not be kept" in await refusal(get(server.url("/a")))
    assert out.read_bytes() == b"somebody else's"


async def test_signed_queries_reach_neither_logs_nor_errors(
    server: Server, get: Get, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("httpx", "httpcore.connection", "httpcore.http11", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    caplog.set_level(logging.DEBUG)
    server.replies["/a"] = moved("/b?sig=SIGNED2", "Set-Cookie: key=SIGNED3")
    server.replies["/b"] = moved(server.url("/c?sig=SIGNED4"))
    server.replies["/c"] = answered(b"", status="403 Forbidden")
    message = await refusal(get(server.url("/a?sig=SIGNED1&x='SIGNED5")))
    assert len(server.heads) == 3
    assert "SIGNED" not in message + caplog.text
    assert f"films.example:{server.port}/a " in message
