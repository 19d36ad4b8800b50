"""Bodies that come compressed although nobody asked for it: decompressed as they come, a small piece at a time, so that
the reader can stop where it is too much. The bytes decide, not the label: what is not compressed is passed on as it is.
"""

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

PIECE = 1 << 18
HEAD = 512
"""How many first bytes can be read before the rest is."""
SAMPLE = 64
"""How many bytes it takes to recognize a compression that has no magic number."""
MAX_LABELS = 3
_GZIP, _ZSTD = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
_GZIP_BITS, _RAW_BITS = 31, -15


class PackedError(Exception):
    """A body that cannot be decompressed here, as the middle of a sentence."""


class CutError(PackedError):
    """It ended too early."""


class _Unpacker(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def end(self) -> None: ...


class _Source:
    """Pieces whose first ones can be read ahead."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._ahead: list[bytes] = []

    async def peek(self, min_bytes: int) -> bytes:
        """At least so many of the next bytes, where there are as many."""
        while sum(map(len, self._ahead)) < min_bytes and (piece := await anext(self._pieces, None)) is not None:
            self._ahead.append(piece)
        return b"".join(self._ahead)

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        while self._ahead:
            yield self._ahead.pop(0)
        async for piece in self._pieces:
            yield piece


class Body:
    """What an answer holds. `labels` is its Content-Encoding; with `raw` nothing is decompressed."""

    def __init__(self, chunks: AsyncIterator[bytes], labels: str = "", *, raw: bool = False) -> None:
        # what carries no label may be compressed all the same
        self._labels = [] if raw else [*(each.strip().lower() for each in labels.split(",")[::-1]), ""]
        self._source = _Source(chunks)
        self._is_open = False
        self.is_packed = False

    async def open(self) -> None:
        """Read as much as it takes to know whether it is compressed. Raises PackedError."""
        if self._is_open:
            return
        if len(self._labels) > MAX_LABELS + 1:
            raise PackedError("is packed more often than anybody would")
        for label in self._labels:
            first = await self._source.peek(SAMPLE if label in ("deflate", "br") else 1)
            if first[:1] in (_GZIP[:1], _ZSTD[:1]):
                first = await self._source.peek(len(_ZSTD))
            unpacker = _unpacker(label, first)
            if unpacker is not None:
                self.is_packed = True
                self._source = _Source(_through(unpacker, self._source))
        self._is_open = True

    async def head(self) -> bytes:
        """The first bytes, decompressed; the rest still follows, and these once more. Raises PackedError."""
        await self.open()
        return (await self._source.peek(HEAD))[:HEAD]

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Pieces of at most PIECE bytes where it was compressed; some may be empty. Raises PackedError."""
        await self.open()
        async for piece in self._source:
            yield piece


async def _through(unpacker: _Unpacker, source: _Source) -> AsyncGenerator[bytes, None]:
    async for chunk in source:
        for piece in unpacker.feed(chunk):
            yield piece
        yield b""  # so that the reader can measure time where nothing comes out
    unpacker.end()


def _unpacker(label: str, first: bytes) -> _Unpacker | None:
    """What undoes one label; None where nothing is compressed, whatever it says."""
    if first.startswith(_GZIP):
        return _Zlib(_GZIP_BITS)
    if first.startswith(_ZSTD):
        raise PackedError("is packed as zstd, which cannot be read here")
    if label == "deflate":
        bits = zlib.MAX_WBITS if first[:1] and first[0] & 0x0F == zlib.DEFLATED else _RAW_BITS
        return _Zlib(bits) if _unpacks(bits, first) else None
    return _make_brotli() if label == "br" and not _is_plain(first) else None


def _unpacks(bits: int, first: bytes) -> bool:
    try:
        return bool(first) and zlib.decompressobj(bits).decompress(first, PIECE) is not None
    except zlib.error:
        return False


def _is_plain(first: bytes) -> bool:
    """Whether it begins as JSON, a page or a video does."""
    return not first or first.lstrip()[:1] in (b"{", b"[", b"<") or first[4:8] == b"ftyp"


class _Zlib:
    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._stream = zlib.decompressobj(bits)

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while data or not self._stream.eof:
                if self._stream.eof:
                    # gzip members may follow each other; anything else after the end does not belong to it
                    if self._bits != _GZIP_BITS or not data.startswith(_GZIP[: len(data)]):
                        return
                    self._stream = zlib.decompressobj(self._bits)
                piece = self._stream.decompress(data, PIECE)
                if piece:
                    yield piece
                data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
                if not data and len(piece) < PIECE:
                    return
        except zlib.error as error:
            raise PackedError("is packed in a way that cannot be read") from error

    def end(self) -> None:
        if not self._stream.eof:
            raise CutError("breaks off")


def _make_brotli() -> _Unpacker:
    made = None
    with suppress(ImportError):
        made = getattr(import_module("brotli"), "Decompressor", None)
    if made is None or not hasattr(made, "can_accept_more_data"):  # older ones cannot be kept from filling the memory
        raise PackedError("is packed as br, which is read where the package brotli is installed (1.2 or newer)")
    return _Brotli(made())


class _Brotli:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def feed(self, data: bytes) -> Iterator[bytes]:
        try:
            while True:
                piece: bytes = self._stream.process(data, output_buffer_limit=PIECE)
                if piece:
                    yield piece
                data = b""
                if self._stream.can_accept_more_data() and not piece:
                    return
        except Exception as error:  # the library's own class is none that every version has
            raise PackedError("is packed in a way that cannot be read") from error

    def end(self) -> None:
        if not self._stream.is_finished():
            raise CutError("breaks off")
