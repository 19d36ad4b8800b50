"""Opens a picture that somebody else made: which formats, how large, upright, and without transparency.

Runs in the child process: the caller's bytes meet a decoder here.
"""

import importlib
import importlib.util
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import AvifImagePlugin as _avif
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL import WebPImagePlugin as _webp

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.excess import find_excess
from ltx_mcp.media.facts import PictureFacts

MAX_EDGE = 16_384
MAX_PIXELS = 100_000_000

# Pillow's own guard stays on in front of ours: it refuses twice as much while it reads a header.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS

_PLUGINS = (_avif, _webp)
_FORMATS = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp", "AVIF": "avif", "HEIF": "heif"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}
# What decoders have been seen to raise over bytes that lie.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def accepted_formats() -> list[str]:
    """The picture formats readable on this machine, in our spelling."""
    names = ["png", "jpeg", "webp", "avif"]
    return [*names, "heif"] if importlib.util.find_spec("pillow_heif") else names


def open_header(path: str | Path, name: str = "picture") -> ImageFile.ImageFile:
    """The picture, not yet decoded, once its header shows an accepted format and size.

    `name` is what the caller calls it: image, end_image. CallerError (input_failed) otherwise.
    """
    with _telling(name):
        if excess := find_excess(path):
            raise _excessive(name, excess)
        image = _identify(path, name)
    width, height = image.size
    if max(width, height) > MAX_EDGE or width * height > MAX_PIXELS:
        image.close()
        raise _too_large(name, f"is {width} x {height} pixels")
    return image


def open_picture(path: str | Path, name: str = "picture", edge: int | None = None) -> Image.Image:
    """The whole picture, upright, as RGB on white; may be given smaller, but with edges no shorter than `edge`."""
    with open_header(path, name) as image, _telling(name):
        if edge:
            image.draft("RGB", (edge, edge))
        image.load()
        upright = _turned(image)
        if edge:
            upright = _reduced(upright, edge)
        return _flattened(upright)


def convert_picture(path: str | Path, out: Path, target: str) -> PictureFacts:
    """Write the picture to `out` as `target`, jpeg or png, as it is seen; gives the new picture's facts."""
    with open_picture(path) as upright:
        if target == "jpeg":
            upright.save(out, "JPEG", quality=95, subsampling=0)
        else:
            upright.save(out, "PNG", compress_level=6)
        return PictureFacts(target, *upright.size)


def picture_format(image: ImageFile.ImageFile) -> str:
    """Our word for the format of an opened picture."""
    return _FORMATS[image.format or ""]


def is_turned(image: ImageFile.ImageFile) -> bool:
    """Whether it is seen upright only by those who read its EXIF orientation."""
    return _orientation(image) in _TURNS


def measure_upright(image: ImageFile.ImageFile, name: str = "picture") -> tuple[int, int]:
    """Width and height as seen; decodes everything, at the least cost, to prove that the picture is whole."""
    width, height = image.size
    with _telling(name):
        image.draft("RGB", (1, 1))
        image.load()
        sideways = _orientation(image) in _SIDEWAYS
    return (height, width) if sideways else (width, height)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    """Turns whatever a decoder raises into one sentence for the caller."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Image.DecompressionBombError as error:
        raise _too_large(name, "has more pixels than are allowed") from error
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise CallerError(ErrorCode.INPUT_FAILED, f"The {name} cannot be read: {error.strerror}.") from error
    except UnidentifiedImageError as error:
        raise _refused(f"The {name} is not in an accepted format or is cut short.") from error
    except _BROKEN as error:
        raise _refused(f"The {name} is damaged or cut short and cannot be decoded.") from error


def _identify(path: str | Path, name: str) -> ImageFile.ImageFile:
    try:
        return Image.open(path, formats=["PNG", "JPEG", "WEBP", "AVIF"])
    except UnidentifiedImageError:
        if not _looks_like_heif(path):
            raise
    if "heif" not in accepted_formats():
        raise CallerError(
            ErrorCode.INPUT_FAILED,
            f"The {name} is HEIF, which needs an optional package here: {_allowed()} are accepted.",
            "Install it with: pip install pillow-heif",
        )
    importlib.import_module("pillow_heif").register_heif_opener()
    return Image.open(path, formats=["HEIF"])


def _looks_like_heif(path: str | Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def _excessive(name: str, what: str) -> CallerError:
    return CallerError(
        ErrorCode.INPUT_FAILED,
        f"The {name} {what}, which takes too long to decode.",
        "Save it anew as a plain PNG or JPEG.",
    )


def _too_large(name: str, what: str) -> CallerError:
    allowed = f"at most {MAX_EDGE:,} pixels on an edge and {MAX_PIXELS:,} in all are allowed"
    return CallerError(ErrorCode.INPUT_FAILED, f"The {name} {what}: {allowed}.")


def _refused(message: str) -> CallerError:
    return CallerError(ErrorCode.INPUT_FAILED, f"{message[:-1]}: {_allowed()} are accepted.", "Send a whole picture.")


def _allowed() -> str:
    return ", ".join(name.upper() if name != "webp" else "WebP" for name in accepted_formats())


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        # A whole picture with damaged EXIF is still a picture.
        return 1


def _turned(image: Image.Image) -> Image.Image:
    turn = _TURNS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _reduced(image: Image.Image, edge: int) -> Image.Image:
    factor = min(image.size) // edge
    return image.reduce(factor) if factor > 1 and image.mode in {"L", "LA", "RGB", "RGBA", "CMYK"} else image


def _flattened(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow clips wide greys instead of scaling them.
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if not image.has_transparency_data:
        return image.convert("RGB")
    colours = image.convert("RGBA")
    paper = Image.new("RGB", image.size, "white")
    paper.paste(colours, mask=colours.getchannel("A"))
    return paper
