"""A film's way here: continued where it was cut, started anew when it changed, and never sent a credential for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.net.download import Downloads
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio

FILM = bytes(range(256)) * 400


@dataclass
class Host:
    """A media host on loopback: serves FILM by Range, cut where the test says, and keeps every request head."""

    port: int = 0
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    etags: list[str] = field(default_factory=lambda: ['"one"'])
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/film.mp4?signature=s3cret"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            writer.write(self.answer(head))
            await writer.drain()
        writer.close()

    def answer(self, head: str) -> bytes:
        etag = self.etags.pop(0) if len(self.etags) > 1 else self.etags[0]
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:9/\r\n\r\n".encode()
        wanted = [line for line in head.splitlines() if line.lower().startswith("range: bytes=")]
        same = f"if-range: {etag}" in head.lower()
        start = int(wanted[0].partition("=")[2].rstrip("-")) if wanted and same else 0
        body = FILM[start:]
        lines = [
            "HTTP/1.1 206 Part" if start else "HTTP/1.1 200 OK",
            f"Content-Length: {len(body)}",
            f"ETag: {etag}",
            f"Content-Range: bytes {start}-{len(FILM) - 1}/{len(FILM)}" if start else "Accept-Ranges: bytes",
        ]
        cut = self.cuts.pop(0) if self.cuts else len(body)
        return "\r\n".join([*lines, "", ""]).encode() + body[:cut]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    listener = await asyncio.start_server(made.serve, "127.0.0.1")
    made.port = listener.sockets[0].getsockname()[1]
    yield made
    listener.close()


async def fails(downloads: Downloads, host: Host, out: Path, is_loopback: bool = True) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await downloads.fetch(host.url, out, provider="fal", is_loopback=is_loopback)
    return caught.value


async def test_a_download_that_was_cut_goes_on_where_it_stopped(host: Host, tmp_path: Path) -> None:
    downloads, out = Downloads(), tmp_path / "film.part"
    host.cuts = [30_000, 20_000]
    for have in (30_000, 50_000):
        assert (await fails(downloads, host, out)).code is ErrorCode.UNAVAILABLE
        assert out.stat().st_size == have
    await downloads.fetch(host.url, out, provider="fal", is_loopback=True)
    assert out.read_bytes() == FILM
    assert [("Range: bytes=" in head) for head in host.heads] == [False, True, True]


async def test_a_film_that_changed_in_between_is_fetched_anew(host: Host, tmp_path: Path) -> None:
    downloads, out = Downloads(), tmp_path / "film.part"
    host.cuts, host.etags = [30_000], ['"one"', '"two"']
    await fails(downloads, host, out)
    await downloads.fetch(host.url, out, provider="fal", is_loopback=True)
    assert out.read_bytes() == FILM


@pytest.mark.parametrize("etags", [['W/"weak"'], [""]])
async def test_without_a_strong_name_nothing_is_continued(host: Host, tmp_path: Path, etags: list[str]) -> None:
    downloads, out = Downloads(), tmp_path / "film.part"
    host.cuts, host.etags = [30_000], etags
    await fails(downloads, host, out)
    await downloads.fetch(host.url, out, provider="fal", is_loopback=True)
    assert (out.read_bytes(), "Range" in host.heads[1]) == (FILM, False)


async def test_bytes_of_nobody_knows_what_are_not_continued(host: Host, tmp_path: Path) -> None:
    out = tmp_path / "film.part"
    out.write_bytes(b"left by another process")
    await Downloads().fetch(host.url, out, provider="fal", is_loopback=True)
    assert out.read_bytes() == FILM


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_an_address_that_is_gone_is_told_as_expired(host: Host, tmp_path: Path, status: int) -> None:
    host.statuses = [status]
    error = await fails(Downloads(), host, tmp_path / "film.part")
    assert (error.code, str(status) in error.message, "s3cret" in str(error)) == (ErrorCode.EXPIRED, True, False)


@pytest.mark.parametrize("status", [500, 503, 429, 416])
async def test_any_other_status_may_pass(host: Host, tmp_path: Path, status: int) -> None:
    host.statuses = [status]
    assert (await fails(Downloads(), host, tmp_path / "film.part")).code is ErrorCode.UNAVAILABLE


async def test_a_host_that_falls_silent_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    async def stalls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\nETag: "one"\r\n\r\nhalf')
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(stalls, "127.0.0.1")
    host, out = Host(listener.sockets[0].getsockname()[1]), tmp_path / "film.part"
    with anyio.fail_after(HANG_S):
        assert (await fails(Downloads(read_s=0.2), host, out)).code is ErrorCode.UNAVAILABLE
    listener.close()
    assert out.read_bytes() == b"half"


async def test_a_provider_elsewhere_may_not_point_at_this_machine(host: Host, tmp_path: Path) -> None:
    error = await fails(Downloads(), host, tmp_path / "film.part", is_loopback=False)
    assert (error.code, host.heads) == (ErrorCode.UNAVAILABLE, [])


async def test_a_near_provider_may_not_point_at_plain_http_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="https"):
        await Downloads().fetch("http://8.8.8.8/film.mp4", tmp_path / "f", provider="fal", is_loopback=True)


async def test_nothing_but_the_request_is_sent(host: Host, tmp_path: Path) -> None:
    await Downloads().fetch(host.url, tmp_path / "film.part", provider="fal", is_loopback=True)
    head = host.heads[0].lower()
    assert "authorization" not in head
    assert "cookie" not in head
