"""Formats of input media: which are sent as they are, and what the others are converted to."""

from collections.abc import Sequence

from ltx_mcp.domain.catalog import InputSpec, ProviderSpec
from ltx_mcp.domain.request import Input

CONVERSION_TARGETS = {"video": "mp4/h264", "audio": "m4a/aac"}
"""What video and audio are converted to where their own format is not accepted."""


def conversions(inputs: Sequence[Input], provider: ProviderSpec) -> dict[str, str]:
    """By role, the format an input is converted to before this provider gets it.

    Whatever decoders may show differently (EXIF, matrix, colours, transparency) is made plain by conversion: no
    provider documents what it reads. Previews read every file as it is.
    """
    return {given.role: target for given in inputs if (target := conversion(given, provider.inputs.get(given.kind)))}


def conversion(given: Input, rule: InputSpec | None) -> str:
    """The format an input must be converted to; empty if it can be sent as it is."""
    if rule is None or rule.ways == ("file",) or not given.form:
        return ""
    is_plain = not (given.exif_rotated or given.traits)
    is_too_large = rule.max_bytes is not None and given.size_bytes > rule.max_bytes
    if given.form in rule.accepts and is_plain and not is_too_large:
        return ""
    if given.kind == "image":
        return "jpeg" if "jpeg" in rule.accepts else "png"
    return CONVERSION_TARGETS[given.kind]


def has_smaller_form(given: Input, rule: InputSpec) -> bool:
    """Whether conversion may bring a file below the size limit."""
    if given.kind == "image":
        is_smaller = given.converted_size != (given.width, given.height)
        return is_smaller or (given.format != "jpeg" and "jpeg" in rule.accepts)
    return given.codec in ("pcm", "flac")
