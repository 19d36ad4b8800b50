"""A caller's image as a viewer shows it: upright, in sRGB, its first frame, and without transparency.

All code that uses a caller's image opens it here. Runs in the child process.
"""

from pathlib import Path
from typing import Literal

from PIL import Image, ImageFile

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.media.decode.colours import read_colours, to_srgb
from ltx_mcp.media.decode.decoding import BROKEN, MAX_EDGE, cut_short, decode_errors, refused
from ltx_mcp.media.decode.jpeg import is_cut
from ltx_mcp.media.decode.opening import open_header

__all__ = ["MAX_EDGE", "convert_image", "open_image", "probe_image"]

MIN_EDGE = 8
MAX_SHAPE = 10
"""How many times as long as wide an image may be; videos have less than a fifth of that."""
_ORIENTATION = 0x0112
_ROTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {5, 6, 7, 8}
_INVISIBLE = 8  # of 255: alpha below which nothing of an image is seen
_JUDGED_EDGE = 256
_LIGHT, _DARK = 192, 64
_OPAQUE = "Save it without transparency, or give another."


def probe_image(path: str | Path, name: str = "picture") -> MediaInfo:
    """What is read of a complete, decodable image that a video can be made of. CallerError (input_failed) otherwise."""
    with open_header(path, name) as image, decode_errors(name):
        width, height = image.size
        _check_shape(name, width, height)
        _check_end(image, path, name)
        traits = _traits(image)
        _load(image, 1)
        background = _background(image, name)
        orientation = _orientation(image)
        size = (height, width) if orientation in _SIDEWAYS else (width, height)
        traits += (f"on_{background}",) if background else ()
        return MediaInfo((image.format or "").lower(), *size, orientation in _ROTATIONS, traits)


def open_image(path: str | Path, name: str = "picture", edge: int | None = None) -> Image.Image:
    """The complete image as a viewer shows it, as RGB; it may be smaller, but with edges no shorter than `edge`.

    Transparent parts are laid on white, or on black where too little could be seen on white.
    """
    with open_header(path, name) as image, decode_errors(name):
        _check_end(image, path, name)
        colours = read_colours(image)
        _load(image, edge)
        background = _background(image, name)
        upright = _upright_image(image)
        if edge:
            upright = _reduced(upright, edge)
        shown = to_srgb(_opaque(upright), colours)
        if background:
            shown = _on_background(background, shown, _alpha(upright))
        shown.info = {}  # a profile or a see-through colour would be written with what is made of it
        return shown


def convert_image(path: str | Path, out: Path, target: str, width: int, height: int) -> MediaInfo:
    """Write the image to `out` as `target`, jpeg or png, in this size, as viewers show it; gives what was written."""
    with open_image(path) as upright:
        size = width, height
        scaled = upright if size == upright.size else upright.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
        if target == "jpeg":
            scaled.save(out, "JPEG", quality=95, subsampling=0)
        else:
            scaled.save(out, "PNG", compress_level=6)
        return MediaInfo(target, *size)


def _check_shape(name: str, width: int, height: int) -> None:
    short, long = sorted((width, height))
    if short >= MIN_EDGE and long <= MAX_SHAPE * short:
        return
    raise CallerError(
        ErrorCode.INPUT_FAILED,
        f"The {name} is {width} x {height} pixels: at least {MIN_EDGE} on each edge are needed, and at most"
        f" {MAX_SHAPE} times as many on one as on the other.",
        "Give a larger one, or one cut to the shape of a film, such as 16:9.",
    )


def _check_end(image: ImageFile.ImageFile, path: str | Path, name: str) -> None:
    # Of other formats the decoder itself says so.
    if image.format == "JPEG" and image.info["has_no_end"] and is_cut(path):
        raise cut_short(name)


def _traits(image: ImageFile.ImageFile) -> tuple[str, ...]:
    """What is peculiar about a file, by the words of `domain/media_info.py`, as far as its header tells."""
    colours = read_colours(image)
    found = {
        "animated": image.format != "HEIF" and getattr(image, "is_animated", False),
        colours.trait if colours else "": colours is not None,
        "grey16": _is_wide_grey(image),
        "bad_metadata": image.info.get("has_bad_metadata", False),
        "no_end": image.info.get("has_no_end", False),
    }
    return tuple(trait for trait, is_there in found.items() if is_there)


def _load(image: ImageFile.ImageFile, edge: int | None) -> None:
    """Decodes the first frame completely, at the least cost for edges no shorter than `edge`."""
    if edge and image.format == "JPEG":
        image.draft("RGB", (edge, edge))
    if image.info.get("default_image") and getattr(image, "is_animated", False):
        image.seek(1)  # what those see who know no animation comes before
    image.load()


def _orientation(image: Image.Image) -> int:
    # Of EXIF alone: Pillow would also use XMP, which no viewer does.
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif", b""))
        return int(exif.get(_ORIENTATION, 1))
    except BROKEN:
        # A complete image with damaged EXIF is still an image.
        return 1


def _upright_image(image: Image.Image) -> Image.Image:
    turn = _ROTATIONS.get(_orientation(image))
    return image if turn is None else image.transpose(turn)


def _reduced(image: Image.Image, edge: int) -> Image.Image:
    factor = min(image.size) // edge
    return image.reduce(factor) if factor > 1 and image.mode in {"L", "LA", "RGB", "RGBA", "CMYK"} else image


def _is_wide_grey(image: Image.Image) -> bool:
    return image.mode.startswith("I") or image.mode == "F"


def _opaque(image: Image.Image) -> Image.Image:
    """Its colours, as L, RGB or CMYK, also where they are hidden."""
    if _is_wide_grey(image):
        # Pillow clips wide greys instead of scaling them.
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.mode in ("1", "L", "LA", "La"):
        return image.convert("L")
    return image if image.mode == "CMYK" else image.convert("RGB")


def _alpha(image: Image.Image) -> Image.Image | None:
    """How far it is seen, from 0 to 255; None where all of it is."""
    if not image.has_transparency_data:
        return None
    if _is_wide_grey(image):
        seen = [255] * 65_536
        seen[image.info["transparency"]] = 0
        alpha = image.convert("I").point(seen, "L")
    else:
        alpha = (image if image.mode in ("RGBA", "LA") else image.convert("RGBA")).getchannel("A")
    return alpha if any(alpha.histogram()[:255]) else None


def _background(image: Image.Image, name: str) -> Literal["", "white", "black"]:
    """What it is laid on so that it is seen: black for what is light; empty where nothing of it is transparent."""
    alpha = _alpha(image)
    if alpha is None:
        return ""
    if not any(alpha.histogram()[_INVISIBLE:]):
        raise refused(name, "is wholly transparent, so nothing of it can be seen", _OPAQUE)
    small = _opaque(image).convert("L")
    small.putalpha(alpha)
    small = small.reduce(max(1, max(image.size) // _JUDGED_EDGE))
    levels, weights = small.getchannel("L").tobytes(), small.getchannel("A").tobytes()
    light = sum(weight for level, weight in zip(levels, weights, strict=True) if level >= _LIGHT)
    dark = sum(weight for level, weight in zip(levels, weights, strict=True) if level < _DARK)
    return "black" if light > dark and 4 * light >= sum(weights) else "white"


def _on_background(background: str, image: Image.Image, alpha: Image.Image | None) -> Image.Image:
    laid = Image.new("RGB", image.size, background)
    laid.paste(image, mask=alpha)
    return laid
