"""A JPEG as its first picture alone, with its end put behind it where that is missing."""

import io
import zlib
from pathlib import Path

from PIL import ImageFile, JpegImagePlugin

from ltx_mcp.media.decoding import BROKEN

_END = b"\xff\xd9"
_NOISE = bytes(range(1, 97)) * 4
_STRIP = 64
_COLOUR_SPACE, _INTEROPERABILITY = 0xA001, 0xA005


def open_jpeg(path: str | Path, *, has_end: bool) -> ImageFile.ImageFile:
    """The picture, not yet decoded; a second one behind it, as of a gain map or the other eye, is not looked for.

    `info` has `is_adobe_rgb` of cameras that say so in EXIF alone, and `has_no_end`.
    """
    image = JpegImagePlugin.JpegImageFile(path if has_end else io.BytesIO(_bare(path) + _END))
    image.info["has_no_end"] = not has_end
    image.info["is_adobe_rgb"] = _is_adobe_rgb(image)
    return image


def is_cut(path: str | Path) -> bool:
    """Whether a JPEG without an end ends in the middle of its picture: then what follows becomes part of that."""
    data = _bare(path)
    return _seen(data + _END) != _seen(data + _NOISE + _END)


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
