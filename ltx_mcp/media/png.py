"""A PNG down to what says how it looks: without texts and other programs' data, however large or damaged those are."""

import io
import mmap
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from ltx_mcp.media.colours import MAX_PROFILE

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SEEN = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"gAMA", b"cHRM", b"sRGB", b"eXIf", b"acTL", b"fcTL", b"fdAT"}
_END = b"\0\0\0\0IEND\xaeB`\x82"


def read_seen(data: mmap.mmap) -> tuple[io.BytesIO, dict[str, Any]]:
    """The PNG again with nothing but what is seen, and its `icc_profile` and `cicp` (primaries and transfer curve)."""
    kept, info = io.BytesIO(), dict[str, Any]()
    kept.write(SIGNATURE)
    for name, start, end in _chunks(data):
        if name in _SEEN and (name[:1].isupper() or _is_sound(data, start, end)):
            kept.write(data[start:end])
        elif name == b"iCCP" and (profile := _unpacked(data[start + 8 : end - 4])):
            info.setdefault("icc_profile", profile)
        elif name == b"cICP" and end - start == 16:
            info.setdefault("cicp", tuple(data[start + 8 : start + 10]))
    kept.write(_END)
    kept.seek(0)
    return kept, info


def _chunks(data: mmap.mmap) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk, with its length and its checksum, up to the end of the picture."""
    place = len(SIGNATURE)
    while place + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        name, end = data[place + 4 : place + 8], place + 12 + length
        if name == b"IEND":
            break
        yield name, place, end
        place = end


def _is_sound(data: mmap.mmap, start: int, end: int) -> bool:
    return zlib.crc32(data[start + 4 : end - 4]) == int.from_bytes(data[end - 4 : end], "big")


def _unpacked(chunk: bytes) -> bytes:
    """The profile of an iCCP chunk: after a name, a NUL and the method. Empty where it is broken or too large."""
    packed = chunk.partition(b"\0")[2][1:]
    try:
        profile = zlib.decompressobj().decompress(packed, MAX_PROFILE + 1)
    except zlib.error:
        return b""
    return profile if len(profile) <= MAX_PROFILE else b""
