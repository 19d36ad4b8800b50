"""What comes packed although nobody asked for it is read as what it is, within the same limits as everything else."""

import gzip
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.net.download import Downloads
from ltx_mcp.net.flow import WIDEST, Bounds
from ltx_mcp.net.provider_client import MAX_REPLY_BYTES, HttpRequest, ProviderClient
from ltx_mcp.net.reply import HttpResponse
from ltx_mcp.net.unpack import PIECE, Body, CutError, PackedError
from tests.providers.raw import Line, answer, says, serving

pytestmark = pytest.mark.anyio

PLAIN = b'{"request_id": "r-1"}' + b" " * 5_000
FILM = b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 400
BOMB = gzip.compress(bytes(64 << 20))


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


async def pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def unpacked(data: bytes, label: str, size: int = 7) -> bytes:
    body = Body(pieces(data, size), label)
    head = await body.head()
    whole = b"".join([piece async for piece in body])
    assert whole.startswith(head)
    return whole


FORMS = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "gzip by its old name": ("x-gzip", gzip.compress(PLAIN)),
    "gzip without a label": ("", gzip.compress(PLAIN)),
    "gzip twice": ("gzip, gzip", gzip.compress(gzip.compress(PLAIN))),
    "gzip in two members, with something behind": (
        "gzip",
        gzip.compress(PLAIN[:9]) + gzip.compress(PLAIN[9:]) + b"\0\0",
    ),
    "deflate": ("deflate", zlib.compress(PLAIN)),
    "deflate as some servers mean it": ("Deflate", raw_deflate(PLAIN)),
    "a label that is not true": ("gzip", PLAIN),
    "another label that is not true": ("deflate", PLAIN),
    "a label of a store": ("aws-chunked", PLAIN),
}


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
@pytest.mark.parametrize("form", FORMS)
async def test_every_form_is_read_by_its_bytes(form: str, size: int) -> None:
    label, data = FORMS[form]
    assert await unpacked(data, label, size) == PLAIN


async def test_what_breaks_off_or_cannot_be_read_is_told() -> None:
    with pytest.raises(CutError):
        await unpacked(gzip.compress(PLAIN)[:-9], "gzip")
    for label, data in (("gzip", b"\x1f\x8b\x08\x00 garbage"), ("zstd", b"\x28\xb5\x2f\xfd"), ("br", b"\x8b\x02\x80x")):
        with pytest.raises(PackedError):
            await unpacked(data, label)


async def test_a_bomb_comes_in_small_pieces() -> None:
    sizes = [len(piece) async for piece in Body(pieces(BOMB, len(BOMB)), "gzip")]
    assert (max(sizes), sum(sizes)) == (PIECE, 64 << 20)


async def asked(data: bytes, *heads: str) -> HttpResponse:
    client = ProviderClient("fal", is_loopback=True)
    async with serving(says(answer(200, data, *heads))) as server:
        reply = await client.request(HttpRequest("GET", server.url))
    await client.close()
    return reply


async def test_an_answer_that_is_a_bomb_is_read_as_far_as_any_answer() -> None:
    reply = await asked(BOMB, "Content-Encoding: gzip")
    assert MAX_REPLY_BYTES < len(reply.content) <= MAX_REPLY_BYTES + PIECE


async def test_an_answer_in_another_alphabet_is_read_and_one_packed_as_nobody_can_is_named() -> None:
    assert (await asked('{"id": "r", "note": "café"}'.encode("latin-1"))).json["id"] == "r"
    reply = await asked(b"\x8b\x02\x80{}\x03", "Content-Encoding: br")
    assert reply.json is None
    assert "br" in reply.text


async def fetched(out: Path, data: bytes, *heads: str, bounds: Bounds = WIDEST) -> None:
    async with serving(says(answer(200, data, *heads))) as server:
        await Downloads().fetch(server.url, out, provider="fal", is_loopback=True, bounds=bounds)


@pytest.mark.parametrize("form", ["gzip", "deflate"])
async def test_a_film_that_comes_packed_is_written_as_it_is(tmp_path: Path, form: str) -> None:
    out = tmp_path / "film.part"
    packed = gzip.compress(FILM) if form == "gzip" else zlib.compress(FILM)
    await fetched(out, packed, f"Content-Encoding: {form}", 'ETag: "one"')
    assert out.read_bytes() == FILM


async def test_a_film_that_is_a_bomb_ends_at_the_most_that_a_film_may_have(tmp_path: Path) -> None:
    out = tmp_path / "film.part"
    with pytest.raises(ProviderError) as caught:
        await fetched(out, BOMB, "Content-Encoding: gzip", bounds=Bounds(1 << 20))
    assert (caught.value.code, out.exists()) == (ErrorCode.BAD_REPLY, False)


async def test_a_packed_film_that_was_cut_is_asked_for_from_its_beginning(tmp_path: Path) -> None:
    out, packed = tmp_path / "film.part", gzip.compress(FILM)
    downloads, cut = Downloads(), [True]

    async def deed(line: Line) -> None:
        await line.read()
        head = ("Content-Encoding: gzip", 'ETag: "one"')
        whole = answer(200, packed, *head)
        await line.say(whole[:-50] if cut[0] else whole)

    async with serving(deed) as server:
        with pytest.raises(ProviderError, match="whole film"):
            await downloads.fetch(server.url, out, provider="fal", is_loopback=True)
        cut[0] = False
        await downloads.fetch(server.url, out, provider="fal", is_loopback=True)
        assert "range" not in server.requests[1].headers
    assert out.read_bytes() == FILM
