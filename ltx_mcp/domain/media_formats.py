"""Formats and limits of input media: what an offer accepts as it is, what must be converted, what is refused."""

from collections.abc import Sequence

from ltx_mcp.domain.catalog import InputLimits, InputSpec, OfferSpec, ProviderSpec
from ltx_mcp.domain.offer import NotOfferedError
from ltx_mcp.domain.request import Input, Request

CONVERSION_TARGETS = {"video": "mp4/h264", "audio": "m4a/aac"}
"""What video and audio are converted to where their own format is not accepted."""


def check_media(request: Request, inputs: Sequence[Input], provider: ProviderSpec, row: OfferSpec) -> None:
    """Raises NotOfferedError for media this row does not accept, in this format or at all."""
    for given in inputs:
        if given.role not in row.media:
            others = f" for {request.operation}; it takes {', '.join(row.media)}" if row.media else ""
            raise NotOfferedError(f"{given.role} is not accepted{others}.")
        rule = provider.inputs[given.kind]
        limit = row.media_limits.get(given.role)
        max_bytes = min(filter(None, (rule.max_bytes, limit.max_bytes if limit else None)), default=None)
        if max_bytes is not None and given.size_bytes > max_bytes:
            allowed = f"at most {max_bytes:,} are accepted"
            if not _smaller_form(given, rule):
                raise NotOfferedError(f"{given.role} has {given.size_bytes:,} bytes; {allowed}.")
            if request.adjust == "never":
                reason = f"{given.role} has {given.size_bytes:,} bytes; {allowed}, or adjust=nearest converts it."
                raise NotOfferedError(reason)
        if given.form and given.form not in rule.accepts and request.adjust == "never":
            raise NotOfferedError(
                f"{given.role} is {given.form}; accepted: {', '.join(rule.accepts)}, or adjust=nearest converts it."
            )
        if limit:
            check_limits(given, limit)
        if request.is_automatic and given.role == "end_image":
            raise NotOfferedError("duration auto is not offered with end_image; give a number of seconds.")


def check_limits(given: Input, limit: InputLimits) -> None:
    """Duration, frames, edges and aspect ratio of an input, as far as they are known. Raises NotOfferedError."""
    seconds = given.seconds_within(limit.duration.high) if limit.duration else given.seconds
    if limit.duration and given.duration and not limit.duration.low <= seconds <= limit.duration.high:
        raise NotOfferedError(f"{given.role} {given.duration_text}; allowed: {limit.duration} s.")
    if limit.min_frames and given.frames and given.frames < limit.min_frames:
        shortest = f" ({limit.min_frames / given.fps:.2f} s at {given.fps:g} fps)" if given.fps else ""
        raise NotOfferedError(
            f"{given.role} has {given.frames} frames; at least {limit.min_frames}{shortest} are needed."
        )
    short, long = sorted((given.width, given.height))
    max_long, max_short = limit.max_long_edge or long, limit.max_short_edge or short
    if long > max_long or short > max_short:
        raise NotOfferedError(
            f"{given.role} is {given.width}x{given.height}; at most {max_long}x{max_short} is accepted."
        )
    if limit.aspect_ratio and short and given.nearest_ratio(limit.aspect_ratio)[1] > 0.01:
        ratios = ", ".join(limit.aspect_ratio)
        raise NotOfferedError(
            f"{given.role} is {given.width}x{given.height}; its aspect ratio must be one of {ratios}."
        )


def _smaller_form(given: Input, rule: InputSpec) -> bool:
    """Whether conversion may bring a file below the size limit."""
    if given.kind == "image":
        is_smaller = given.converted_size != (given.width, given.height)
        return is_smaller or (given.format != "jpeg" and "jpeg" in rule.accepts)
    return given.codec in ("pcm", "flac")


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
