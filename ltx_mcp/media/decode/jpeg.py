"""A JPEG reduced to its first image, with the end marker added where it is missing."""

import io
import zlib
from pathlib import Path

from PIL import ImageFile, JpegImagePlugin

from ltx_mcp.media.decode.decoding import BROKEN
from ltx_mcp.media.excess import PROGRESSIVE, START_OF_SCAN, segments

_END = b"\xff\xd9"
_NOISE = bytes(range(254, 100, -3))
_MORE = _NOISE + b"".join(bytes((0xFF, 0xD0 + number)) + _NOISE for number in range(8))
"""Data that only an incomplete image would decode as more of itself, even where it waits for a restart marker."""
_STRIP = 64
_COLOUR_SPACE, _INTEROPERABILITY = 0xA001, 0xA005


def open_jpeg(path: str | Path, *, has_end: bool) -> ImageFile.ImageFile:
    """The image, not yet decoded; a second one behind it, such as a gain map or the other eye, is ignored.

    `info` has `is_adobe_rgb` of cameras that say so in EXIF alone, and `has_no_end`.
    """
    image = JpegImagePlugin.JpegImageFile(path if has_end else io.BytesIO(_bare(path) + _END))
    image.info["has_no_end"] = not has_end
    image.info["is_adobe_rgb"] = _is_adobe_rgb(image)
    return image


def is_cut(path: str | Path) -> bool:
    """Whether a JPEG without an end ends in the middle of its image: then what follows becomes part of that."""
    data = _bare(path)
    return _lacks_scans(data) or _seen(data + _END) != _seen(data + _MORE + _END)


def _lacks_scans(data: bytes) -> bool:
    """Whether some coefficient of a progressive image never got its last bit."""
    missing = set[tuple[int, int]]()
    for kind, place in segments(data):
        if kind in PROGRESSIVE and len(data) > place + 7:
            components = data[place + 8 : place + 8 + 3 * data[place + 7] : 3]
            missing = {(each, order) for each in components for order in range(64)}
        elif kind == START_OF_SCAN and missing and len(data) > place + 2:
            count = data[place + 2]
            first, last, bits = data[place + 3 + 2 * count : place + 6 + 2 * count].ljust(3, b"\xff")
            if bits & 15 == 0:
                of = data[place + 3 : place + 3 + 2 * count : 2]
                missing -= {(each, order) for each in of for order in range(first, last + 1)}
    return bool(missing)


def _bare(path: str | Path) -> bytes:
    return Path(path).read_bytes().rstrip(b"\xff")


def _seen(data: bytes) -> int:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        image.load()
        width, height = image.size
        checksum = 0
        for top in range(0, height, _STRIP):
            checksum = zlib.crc32(image.crop((0, top, width, min(top + _STRIP, height))).tobytes(), checksum)
        return checksum


def _is_adobe_rgb(image: ImageFile.ImageFile) -> bool:
    """By the rules of DCF, which cameras follow: an uncalibrated colour space, and the name R03 for it."""
    if "exif" not in image.info or image.mode != "RGB":
        return False
    try:
        exif = image.getexif()
        space = exif.get_ifd(0x8769).get(_COLOUR_SPACE)
        return space in (2, 0xFFFF) and str(exif.get_ifd(_INTEROPERABILITY).get(1, "")).startswith("R03")
    except BROKEN:
        return False
