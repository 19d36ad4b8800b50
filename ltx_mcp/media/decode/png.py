"""A PNG down to what says how it looks: without texts and other programs' data, however large or damaged those are."""

import io
import mmap
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from ltx_mcp.media.decode.colours import MAX_PROFILE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_TEXT, MAX_TEXTS = 1 << 20, 64 << 20
"""Bytes of one unpacked text and of all, which common readers take; they refuse the image for more."""
_SEEN = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"gAMA", b"cHRM", b"sRGB", b"eXIf", b"acTL", b"fcTL", b"fdAT"}
_END = b"\0\0\0\0IEND\xaeB`\x82"


def read_seen(data: mmap.mmap) -> tuple[io.BytesIO, dict[str, Any]]:
    """The PNG again with nothing but what is seen, and what there is to know of it besides.

    That is `icc_profile`, `cicp` (primaries and transfer curve), `has_no_end`, and `has_bad_metadata`: whether others
    would refuse it for what was left out.
    """
    kept, texts, profile, is_damaged = io.BytesIO(), _TextSize(), b"", False
    info: dict[str, Any] = {"has_no_end": True}
    kept.write(SIGNATURE)
    for name, start, end in _chunks(data):
        body, stop = start + 8, end - 4
        if name == b"IEND":
            info["has_no_end"] = False
        elif name[:1].islower() and zlib.crc32(data[start + 4 : stop]) != int.from_bytes(data[stop:end], "big"):
            is_damaged = True
        elif name in _SEEN:
            kept.write(data[start:end])
        elif name == b"iCCP":
            profile = profile or _unpacked(data[body:stop].partition(b"\0")[2][1:], MAX_PROFILE)
        elif name == b"cICP" and stop - body == 4:
            info.setdefault("cicp", tuple(data[body : body + 2]))
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            texts.add(name, data, body, stop)
    kept.write(_END)
    kept.seek(0)
    has_bad_metadata = is_damaged or texts.are_large or len(profile) > MAX_TEXT
    return kept, info | {"icc_profile": profile, "has_bad_metadata": has_bad_metadata}


class _TextSize:
    """How much text there is, unpacked no further than until that is too much."""

    def __init__(self) -> None:
        self.are_large = False
        self._size = 0

    def add(self, name: bytes, data: mmap.mmap, start: int, end: int) -> None:
        """Count one more."""
        if self.are_large:
            return
        size = end - start
        if packed := _packed(name, data, start, end):
            size = len(_unpacked(packed, MAX_TEXT))
            self.are_large = size > MAX_TEXT
        self._size += size
        self.are_large |= self._size > MAX_TEXTS


def _chunks(data: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk, with its length and its checksum, up to the end of the image."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, end = data[place + 4 : place + 8], place + 12 + length
        yield name, place, end
        if name == b"IEND":
            return
        place = end


def _packed(name: bytes, data: mmap.mmap, start: int, end: int) -> bytes:
    """The packed part of a text; empty where none of it is packed."""
    if name == b"tEXt":
        return b""
    rest = data[start:end].partition(b"\0")[2]
    if name == b"zTXt":
        return rest[1:]
    return rest[2:].split(b"\0", 2)[-1] if rest[:1] == b"\1" else b""


def _unpacked(packed: bytes, most: int) -> bytes:
    """What is unpacked of this, or one byte more than `most`; empty where it is broken."""
    try:
        return zlib.decompressobj().decompress(packed, most + 1)
    except zlib.error:
        return b""
