"""Whether one row of the catalog fits a request, and the complete order it makes; pure."""

import math
from collections.abc import Sequence
from decimal import Decimal

from ltx_mcp.domain.catalog import Limit, OfferSpec, ProviderSpec
from ltx_mcp.domain.edits import OutputFormat, edit_output
from ltx_mcp.domain.media_formats import (
    check_media,
    conversions,
    duration_text,
    nearest_ratio,
    scaled_size,
    seconds_of,
    seconds_within,
)
from ltx_mcp.domain.media_info import SEEN, describe, describe_converted
from ltx_mcp.domain.offer import Adjustment, NotOfferedError, Offer, Refusal
from ltx_mcp.domain.price import from_credits, highest_price, make_price, to_credits
from ltx_mcp.domain.request import EDITS, Input, Request, video_size

_OTHER_COLOURS = ("HDR", "wide colours")
THE_LONGEST = "the longest of what its header says and what was counted"
"""How media are priced whose header and packets disagree: the end of the adjustment that reports it."""


def make_offer(request: Request, inputs: Sequence[Input], provider: ProviderSpec, row: OfferSpec) -> Offer | Refusal:
    """The order this row makes of a request, or why it cannot."""
    try:
        _check_options(request, row)
        check_media(request, inputs, provider, row)
        form = edit_output(request, inputs, row) if request.operation in EDITS else _made(request, inputs, row)
        return _priced(request, inputs, provider, row, form)
    except NotOfferedError as reason:
        return Refusal(provider.name, row.model, str(reason))


def limit_text(limit: Limit) -> str:
    """A limit as callers read it."""
    rates = f" at {', '.join(map(str, limit.fps))} fps" if limit.fps else ""
    sizes = f" in {', '.join(limit.resolution)}" if limit.resolution else ""
    return f"duration {limit.duration}{rates}{sizes}"


def deviation(request: Request, duration: Decimal, fps: int, resolution: str) -> float:
    """How much differs from the request, as a sum of relative changes; 0 if nothing does."""
    pairs = [(float(duration), float(request.duration or duration))]
    if request.fps and request.resolution:
        pairs += [(fps, request.fps), (_short_side(resolution), _short_side(request.resolution))]
    return sum(abs(math.log(got / asked)) for got, asked in pairs)


def _short_side(resolution: str) -> int:
    return int(resolution.removesuffix("p"))


def _priced(
    request: Request, inputs: Sequence[Input], provider: ProviderSpec, row: OfferSpec, form: OutputFormat
) -> Offer:
    video, audio = _first(inputs, "video"), _first(inputs, "audio")
    billed_s = _billed(row, form, audio or video)
    seconds = billed_s or form.output_duration or form.duration
    cost_usd = make_price(row.price, seconds, form.resolution, form.width * form.height)
    if cost_usd is None or not _fits_frame(row, form.width, form.height):
        largest = max((tier.up_to or 0 for tier in row.price.pixel_tiers), default=0)
        raise NotOfferedError(
            f"{form.width}x{form.height} ({form.resolution} at {form.aspect_ratio}) is not offered."
            if cost_usd is not None or not row.price.pixel_tiers
            else f"No price is known for {form.width}x{form.height}, only up to {largest:,} pixels."
        )
    return Offer(
        provider=provider.name,
        model=row.model,
        operation=row.operation,
        endpoint=row.endpoint,
        prompt=request.prompt or "",
        duration=form.duration,
        resolution=form.resolution,
        aspect_ratio=form.aspect_ratio,
        width=form.width,
        height=form.height,
        fps=form.fps,
        generate_audio=_has_audio(request, video),
        camera_motion=request.camera_motion,
        cost_usd=cost_usd,
        credits=to_credits(cost_usd, provider.usd_per_credit),
        as_of=row.price.as_of.isoformat(),
        source=row.price.source,
        conversions=conversions(inputs, provider),
        adjustments=_adjustments(request, inputs, provider, form),
        whole_credits_usd=from_credits(cost_usd, provider.usd_per_credit),
        mode=request.mode,
        start_time=request.start_time,
        context=form.context if request.context else None,
        output_duration=form.output_duration,
        billed_s=billed_s,
        auto_duration=request.is_automatic,
        highest_usd=highest_price(row.price, seconds, form.resolution, form.width * form.height),
    )


def _first(inputs: Sequence[Input], role: str) -> Input | None:
    return next((given for given in inputs if given.role == role), None)


def _has_audio(request: Request, video: Input | None) -> bool:
    """An edited video has audio if the input has, or if audio is what is redone."""
    if video is None:
        return request.generate_audio
    return video.has_audio or request.mode == "replace_audio"


def _billed(row: OfferSpec, form: OutputFormat, media: Input | None) -> Decimal | None:
    """Seconds that are paid for, if they are not those of the result."""
    match row.bills:
        case "input" if media is not None:
            return form.duration if media.role == "audio" else seconds_of(media)
        case "new+context":
            return form.duration + (form.context or Decimal())
    return None


def _check_options(request: Request, row: OfferSpec) -> None:
    """Check the options that adjust=nearest never changes."""
    if request.camera_motion not in row.camera_motion:
        others = ", ".join(motion for motion in row.camera_motion if motion != "none")
        allowed = f"allowed: {others}" if others else "leave it out, and describe it in the prompt"
        raise NotOfferedError(f"camera_motion {request.camera_motion} is not offered; {allowed}.")
    if request.generate_audio not in row.generate_audio:
        raise NotOfferedError(f"generate_audio={str(request.generate_audio).lower()} is not offered.")
    if request.is_automatic and not row.automatic:
        raise NotOfferedError(f"duration auto is not offered; allowed: {'; or '.join(map(limit_text, row.limits))}.")
    if row.needs_prompt and request.prompt == "":
        raise NotOfferedError("prompt is required.")
    if request.mode and request.mode not in row.modes:
        raise NotOfferedError(f"mode {request.mode} is not offered; allowed: {', '.join(row.modes)}.")


def _made(request: Request, inputs: Sequence[Input], row: OfferSpec) -> OutputFormat:
    """The format of a video whose size and rate are part of the request."""
    aspect_ratio = _aspect_ratio(request, inputs, row)
    if aspect_ratio not in row.aspect_ratio:
        raise NotOfferedError(f"aspect_ratio {aspect_ratio} is not offered; allowed: {', '.join(row.aspect_ratio)}.")
    audio = _first(inputs, "audio")
    duration, fps, resolution = _fit(request, row, audio)
    return OutputFormat(duration, fps, resolution, aspect_ratio, *video_size(resolution, aspect_ratio))


def _aspect_ratio(request: Request, inputs: Sequence[Input], row: OfferSpec) -> str:
    """The requested ratio; for `auto` the offered one nearest to the first image whose size is known."""
    if request.aspect_ratio != "auto":
        return request.aspect_ratio
    sized = next((given for given in inputs if given.kind == "image" and given.width and given.height), None)
    return row.aspect_ratio[0] if sized is None else nearest_ratio(sized, row.aspect_ratio)[0]


def _fit(request: Request, row: OfferSpec, audio: Input | None) -> tuple[Decimal, int, str]:
    """Duration, fps and resolution: as requested if a limit allows them, or with adjust=nearest the nearest. The
    duration of audio is never changed."""
    audio_s = seconds_of(audio) if audio else None
    limits = [limit for limit in row.limits if audio is None or _lasts_within(audio, limit)]
    if audio and not limits:
        longest = "; or ".join(map(limit_text, row.limits))
        raise NotOfferedError(f"audio {duration_text(audio)}; allowed: {longest}.")
    fits = [_nearest(request, limit, audio_s) for limit in limits]
    best = min(fits, key=lambda fit: (deviation(request, *fit), -fit[0] if request.duration is None else fit[0]))
    if deviation(request, *best) == 0 or request.adjust == "nearest":
        return best
    asked = (request.duration, request.fps, request.resolution)
    wrong = [
        f"{name} {value}"
        for name, value, got in zip(("duration", "fps", "resolution"), asked, best, strict=True)
        if value not in (None, got)
    ]
    raise NotOfferedError(
        f"{' with '.join(wrong)} is not offered; allowed: {'; or '.join(map(limit_text, row.limits))}."
    )


def _lasts_within(audio: Input, limit: Limit) -> bool:
    seconds = seconds_within(audio, limit.duration.longest)
    return limit.duration.nearest(seconds) == seconds


def _nearest(request: Request, limit: Limit, audio_s: Decimal | None) -> tuple[Decimal, int, str]:
    fps = min(limit.fps, key=lambda rate: (abs(math.log(rate / request.fps)), rate))
    side = _short_side(request.resolution or limit.resolution[0])
    resolution = min(limit.resolution, key=lambda label: (abs(math.log(_short_side(label) / side)), label))
    asked_s = audio_s if audio_s is not None else request.duration
    return limit.duration.longest if asked_s is None else limit.duration.nearest(asked_s), fps, resolution


def _fits_frame(row: OfferSpec, width: int, height: int) -> bool:
    short, long = sorted((width, height))
    return (
        short >= row.min_edge
        and (row.max_short_edge is None or short <= row.max_short_edge)
        and (row.max_long_edge is None or long <= row.max_long_edge)
    )


def _adjustments(
    request: Request, inputs: Sequence[Input], provider: ProviderSpec, form: OutputFormat
) -> tuple[Adjustment, ...]:
    asked: list[tuple[str, object, object]] = [("duration", request.duration, form.duration)]
    if request.operation not in EDITS:
        asked += [("fps", request.fps, form.fps), ("resolution", request.resolution, form.resolution)]
    changed = [
        Adjustment(name, _format_value(was), _format_value(got), "server")
        for name, was, got in asked
        if was not in (None, got)
    ]
    video = _first(inputs, "video")
    if video is not None and (video.width, video.height) != (form.width, form.height):
        was, got = f"{video.width}x{video.height}", f"{form.width}x{form.height}"
        changed.append(Adjustment("resolution", was, got, "provider"))
    if request.context and form.context is not None and form.context != request.context:
        changed.append(Adjustment("context", _format_value(request.context), _format_value(form.context), "server"))
    changed += [
        Adjustment(given.role, given.doubt, f"{seconds_of(given):f} s, {THE_LONGEST}", "server")
        for given in inputs
        if given.doubt
    ]
    converted = conversions(inputs, provider)
    changed += [
        Adjustment(given.role, *_made_of(given, converted.get(given.role, "")), "server")
        for given in inputs
        if given.role in converted or SEEN & set(given.traits) or _is_toned(given)
    ]
    return tuple(changed)


def _format_value(value: object) -> str:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else str(value)


def _made_of(given: Input, target: str) -> tuple[str, str]:
    """What an input is, and what it is converted to; previews keep its format."""
    if given.kind != "image":
        return describe(given.form, given.traits), _plain_text(given, target)
    traits = ("turned", *given.traits) if given.exif_rotated else given.traits
    if not target:
        seen = [trait for trait in given.traits if trait in SEEN]
        return describe(given.form, seen), describe_converted("", seen)
    size = scaled_size(given.width, given.height)
    scaled = f"{size[0]}x{size[1]}" if size != (given.width, given.height) else ""
    return describe(given.form, traits), describe_converted(target, traits, scaled)


def _is_toned(given: Input) -> bool:
    return any(trait.startswith(_OTHER_COLOURS) for trait in given.traits)


def _plain_text(given: Input, target: str) -> str:
    """What video or audio becomes; for a preview only its colours change."""
    parts = [target] if target else []
    if _is_toned(given):
        parts.append("SDR (BT.709)")
    return ", ".join([*parts, "as a player shows it"] if given.traits and given.kind == "video" else parts)
