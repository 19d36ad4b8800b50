"""Opens an image file of any accepted format and reads its header.

Runs in the child process: the caller's bytes meet a decoder here.
"""

import importlib
import mmap
import re
from pathlib import Path

from PIL import AvifImagePlugin as _avif
from PIL import GifImagePlugin as _gif
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL import WebPImagePlugin as _webp

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.decode.decoding import (
    MAX_EDGE,
    MAX_PIXELS,
    accepted,
    accepted_formats,
    decode_errors,
    refused,
    too_large,
)
from ltx_mcp.media.decode.jpeg import open_jpeg
from ltx_mcp.media.decode.png import SIGNATURE, read_seen
from ltx_mcp.media.excess import find_excess, has_end
from ltx_mcp.media.signatures import name_image

_PLUGINS = (_avif, _gif, _webp)
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_HEAD = 1 << 16
_CODE_POINTS = re.compile(rb"colrnclx(..)(..)", re.DOTALL)


def open_header(path: str | Path, name: str = "picture") -> ImageFile.ImageFile:
    """The image, not yet decoded, once its header shows an accepted format and size.

    Its `info` has `cicp`, the code points of its primaries and transfer curve where it names them, beside what Pillow
    puts there. `name` is what the caller calls it: image, end_image. CallerError (input_failed) otherwise.
    """
    with decode_errors(name):
        if excess := find_excess(path):
            raise CallerError(
                ErrorCode.INPUT_FAILED,
                f"The {name} {excess}, which takes too long to decode.",
                "Save it anew as a plain PNG or JPEG.",
            )
        image = _identify(path, name)
    width, height = image.size
    if max(width, height) > MAX_EDGE or width * height > MAX_PIXELS:
        image.close()
        raise too_large(name, f"is {width} x {height} pixels")
    return image


def _identify(path: str | Path, name: str) -> ImageFile.ImageFile:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"\xff\xd8"):
        return open_jpeg(path, has_end=has_end(path))
    if head.startswith(SIGNATURE) and head[12:16] == b"IHDR":
        return _open_png(path)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and b"avif" not in head[:64]:
        return _open_heif(path, name)
    try:
        image = Image.open(path, formats=["WEBP", "AVIF", "GIF"])
    except UnidentifiedImageError:
        if known := name_image(head):
            raise refused(name, f"is {known}", "Save or export it as one of these.") from None
        raise
    if image.format == "AVIF" and (named := _CODE_POINTS.search(head)):
        image.info["cicp"] = (int.from_bytes(named[1], "big"), int.from_bytes(named[2], "big"))
    return image


def _open_png(path: str | Path) -> ImageFile.ImageFile:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        seen, info = read_seen(data)
        depth = data[24]
    image = Image.open(seen, formats=["PNG"])
    image.info.update(info)
    if image.mode == "L" and depth < 8 and "transparency" in image.info:
        # Pillow widens the greys, but not the one that is not seen.
        image.info["transparency"] *= 255 // ((1 << depth) - 1)
    return image


def _open_heif(path: str | Path, name: str) -> ImageFile.ImageFile:
    if "heif" not in accepted_formats():
        raise CallerError(
            ErrorCode.INPUT_FAILED,
            f"The {name} is HEIC, which needs an optional package here: {accepted()} are accepted.",
            "Install it with: pip install pillow-heif",
        )
    importlib.import_module("pillow_heif").register_heif_opener()
    image = Image.open(path, formats=["HEIF"])
    if named := image.info.get("nclx_profile"):
        image.info["cicp"] = (int(named["color_primaries"]), int(named["transfer_characteristics"]))
    return image
