"""What the numbers of an image mean as colours, and the same image in sRGB.

An ICC profile is applied by Little CMS. A space that is only named (by the code points of ITU-T H.273, as PNG, AVIF and
HEIF do) or described (by a gamma and primaries) becomes a table; HDR is brought down to what an ordinary screen shows.
"""

import io
import struct
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageCms, ImageFilter

from ltx_mcp.media.decode.light import (
    ADOBE_RGB,
    GAMMAS,
    HDR,
    LINEAR,
    PRIMARIES,
    SRGB,
    SRGB_CURVE,
    Vector,
    make_profile,
    to_level,
    to_light,
    to_screen,
)

MAX_PROFILE = 16 << 20
"""Bytes of a profile that is read: no JPEG can hold a larger one."""
_SPACES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}
_CLASSES = {b"scnr", b"mntr", b"prtr", b"spac"}
_GREYS = {"1", "L", "LA", "I", "I;16"}
# Searched in a profile's description, which itself is never shown: its words are from whoever made the file.
_NAMES = {"p3": "display_p3", "adobe rgb": "adobe_rgb", "prophoto": "prophoto", "romm": "prophoto", "2020": "rec2020"}
# So far, of 255, the sRGB profiles of different makers are apart.
_SAME = 3
_CUBE = 25
_FAILS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, ArithmeticError, LookupError, struct.error)


@dataclass(frozen=True)
class Colours:
    """What an image's numbers mean where that is not sRGB: an ICC profile for images of `mode`.

    `trait` is the word for it in `domain/media_info.py`. Before an HDR image has the profile's colours, its `transfer`
    curve is that of HDR. CMYK may have no profile.
    """

    trait: str
    profile: bytes = b""
    mode: str = "RGB"
    transfer: int = SRGB_CURVE


def read_colours(image: Image.Image) -> Colours | None:
    """What an image says of its colours, in the order in which its format ranks that.

    None for sRGB, and where what it says is broken, or speaks of other colours than its pixels have.
    """
    info, found = image.info, None
    if info.get("cicp") and image.format == "PNG":
        return _of_code_points(*info["cicp"])
    if info.get("icc_profile"):
        found = _of_profile(bytes(info["icc_profile"]), image.mode)
    elif info.get("cicp"):
        found = _of_code_points(*info["cicp"])
    elif info.get("is_adobe_rgb"):
        found = Colours("adobe_rgb", make_profile(563 / 256, ADOBE_RGB))
    elif info.get("gamma") and "srgb" not in info:
        found = _of_gamma(float(info["gamma"]), info.get("chromaticity"))
    return found or (Colours("cmyk", mode="CMYK") if image.mode == "CMYK" else None)


def to_srgb(image: Image.Image, colours: Colours | None) -> Image.Image:
    """An image without transparency as RGB in sRGB."""
    if colours is None or not colours.profile:
        return image.convert("RGB")
    image = image.convert(colours.mode)
    if colours.transfer in HDR:
        image = image.filter(_to_screen(colours.transfer))
    return _applied(image, colours.profile)


def _of_code_points(primaries: int, transfer: int) -> Colours | None:
    known = PRIMARIES.get(primaries, SRGB)
    if transfer in HDR:
        return Colours("hdr", make_profile(SRGB_CURVE, known), transfer=transfer)
    curve = transfer if transfer in GAMMAS or transfer == LINEAR else SRGB_CURVE
    if (curve, known) == (SRGB_CURVE, SRGB):
        return None
    return Colours({9: "rec2020", 12: "display_p3"}.get(primaries, "gamma"), make_profile(curve, known))


def _of_gamma(encoded: float, chromaticity: tuple[float, ...] | None) -> Colours | None:
    """Of a PNG's gAMA, which is 1/2.2 in an image like sRGB, and cHRM."""
    primaries = SRGB
    if chromaticity and min(chromaticity) > 0:
        white, red, green, blue = zip(chromaticity[::2], chromaticity[1::2], strict=True)
        primaries = (red, green, blue, white)
    apart = [abs(a - b) for one, two in zip(primaries, SRGB, strict=True) for a, b in zip(one, two, strict=True)]
    is_usual = abs(encoded * 2.2 - 1) < 0.05  # what libpng takes for the same
    if not 0.1 < encoded < 10 or (is_usual and max(apart) < 0.01):
        return None
    curve = SRGB_CURVE if is_usual else LINEAR if encoded == 1 else 1 / encoded
    try:
        return Colours("gamma", make_profile(curve, primaries))
    except _FAILS:
        return None


def _of_profile(profile: bytes, mode: str) -> Colours | None:
    space = _SPACES.get(profile[16:20])
    is_usable = profile[36:40] == b"acsp" and profile[12:16] in _CLASSES and len(profile) <= MAX_PROFILE
    if space is None or not is_usable or (space == "CMYK") != (mode == "CMYK") or (space == "L" and mode not in _GREYS):
        return None
    try:
        sample = _sample(space)
        shown = _applied(sample, profile)
        if space != "CMYK" and _apart(sample.convert("RGB"), shown) <= _SAME:
            return None
        words = ImageCms.getProfileDescription(_opened(profile)).lower()
    except _FAILS:
        return None
    name = next((trait for word, trait in _NAMES.items() if word in words), "profile")
    return Colours("cmyk" if space == "CMYK" else name, profile, space)


def _applied(image: Image.Image, profile: bytes) -> Image.Image:
    srgb, intent = ImageCms.createProfile("sRGB"), ImageCms.Intent.PERCEPTUAL
    transform = ImageCms.buildTransform(_opened(profile), srgb, image.mode, "RGB", intent)
    shown = ImageCms.applyTransform(image, transform)
    assert shown is not None  # it is None only where the image itself is changed
    return shown


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def _sample(mode: str) -> Image.Image:
    """An image of a few hundred colours from everywhere."""
    if mode == "L":
        return Image.frombytes("L", (256, 1), bytes(range(256)))
    steps = range(0, 256, 51)
    levels = [bytes((r, g, b, 0)[: len(mode)]) for r in steps for g in steps for b in steps]
    return Image.frombytes(mode, (len(levels), 1), b"".join(levels))


def _apart(one: Image.Image, other: Image.Image) -> int:
    counts = ImageChops.difference(one, other).histogram()
    return max(place % 256 for place, count in enumerate(counts) if count)


def _to_screen(transfer: int) -> ImageFilter.Color3DLUT:
    light = to_light(transfer)

    def shown(*levels: float) -> Vector:
        red, green, blue = to_screen((light(levels[0]), light(levels[1]), light(levels[2])), transfer)
        return to_level(red), to_level(green), to_level(blue)

    return ImageFilter.Color3DLUT.generate(_CUBE, shown)
