"""What is peculiar about the file of a picture, and what is made of that where the picture is read or converted.

`media/image.py` finds these; they are kept by their names. Those of films and sounds (`media/decode/shown.py`) are
words themselves.
"""

from collections.abc import Sequence

TRAITS = {
    "turned": ("turned by EXIF", "turned upright"),
    "animated": ("animated", "its first frame"),
    "hdr": ("in HDR", "toned down to SDR"),
    "display_p3": ("in Display P3 colours", "in sRGB colours"),
    "adobe_rgb": ("in Adobe RGB colours", "in sRGB colours"),
    "prophoto": ("in ProPhoto RGB colours", "in sRGB colours"),
    "rec2020": ("in Rec. 2020 colours", "in sRGB colours"),
    "profile": ("in the colours of its own profile", "in sRGB colours"),
    "gamma": ("in colours of another gamma", "in sRGB colours"),
    "cmyk": ("in CMYK colours", "in sRGB colours"),
    "grey16": ("in 16-bit grey", "in 8 bits"),
    "on_white": ("transparent", "laid on white"),
    "on_black": ("transparent", "laid on black"),
    "bad_metadata": ("with metadata for which some refuse it", "without its metadata"),
    "no_end": ("without its end marker", "complete"),
}
"""By trait, how a picture is and what it becomes."""
SEEN = frozenset({"animated", "hdr", "on_white", "on_black"})
"""Those in which even a picture that is drawn as viewers show it is not the whole of what was given."""


def describe(form: str, traits: Sequence[str]) -> str:
    """A picture, a film or a sound as it was given."""
    return ", ".join([form, *(TRAITS.get(trait, (trait,))[0] for trait in traits)])


def describe_converted(form: str, traits: Sequence[str], scaled: str = "") -> str:
    """What it becomes; `form` and `scaled`, its size, where they change."""
    made = [form, *(TRAITS[trait][1] for trait in traits), f"scaled to {scaled}" if scaled else ""]
    return ", ".join(dict.fromkeys(part for part in made if part))
