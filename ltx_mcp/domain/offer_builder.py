"""Whether one row of the catalog fits a request, and the complete order it makes; pure."""

from collections.abc import Sequence
from decimal import Decimal

from ltx_mcp.domain.catalog import OfferSpec, ProviderSpec
from ltx_mcp.domain.media_formats import conversions
from ltx_mcp.domain.media_info import SEEN, describe, describe_converted
from ltx_mcp.domain.offer import Adjustment, Candidate, NotOfferedError, Offer, Refusal
from ltx_mcp.domain.output_format import OutputFormat, check_media, output_format
from ltx_mcp.domain.price import Quantity, make_cost, why_no_price
from ltx_mcp.domain.request import EDITS, Input, Request

_OTHER_COLOURS = ("HDR", "wide colours")
THE_LONGEST = "the longest of what its header says and what was counted"
"""How media are priced whose header and packets disagree: the end of the adjustment that reports it."""


def make_offer(
    request: Request, inputs: Sequence[Input], provider: ProviderSpec, row: OfferSpec
) -> Candidate | Refusal:
    """The order this row makes of a request, or why it cannot."""
    try:
        _check_options(request, row)
        check_media(request, inputs, provider, row)
        form = output_format(request, inputs, row)
        offer = _complete(request, inputs, provider, row, form, conversions(inputs, provider))
        return Candidate(offer, form.deviation)
    except NotOfferedError as reason:
        return Refusal(provider.name, row.model, str(reason))


def _complete(
    request: Request,
    inputs: Sequence[Input],
    provider: ProviderSpec,
    row: OfferSpec,
    form: OutputFormat,
    converted: dict[str, str],
) -> Offer:
    is_offered, changes = _fits_frame(row, form), _adjustments(request, inputs, form, converted)
    paid = Quantity(form.paid_s, form.resolution, form.width * form.height, form.frames or 0, row.spare_frames)
    cost = make_cost(row.price, paid, provider.usd_per_credit)
    if cost is None and (reason := why_no_price(row.price, form.width, form.height)):
        raise NotOfferedError(reason)
    if cost is None or not is_offered:
        raise NotOfferedError(f"{form.width}x{form.height} ({form.resolution} at {form.aspect_ratio}) is not offered.")
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
        generate_audio=form.has_audio,
        camera_motion=request.camera_motion,
        cost_usd=cost.usd,
        credits=cost.credits,
        as_of=row.price.as_of.isoformat(),
        source=row.price.source,
        conversions=converted,
        adjustments=changes,
        whole_credits_usd=cost.credits_usd,
        mode=request.mode,
        start_time=request.start_time,
        context=form.context if request.context else None,
        output_duration=form.output_duration,
        billed_s=form.billed_s,
        auto_duration=request.is_automatic,
        seed=request.seed,
        frames=form.frames,
        join=form.join,
        highest_usd=cost.highest_usd,
    )


def _check_options(request: Request, row: OfferSpec) -> None:
    """Check the options that adjust=nearest never changes."""
    if request.camera_motion not in row.camera_motion:
        others = ", ".join(motion for motion in row.camera_motion if motion != "none")
        allowed = f"allowed: {others}" if others else "leave it out, and describe it in the prompt"
        raise NotOfferedError(f"camera_motion {request.camera_motion} is not offered; {allowed}.")
    if request.generate_audio not in row.generate_audio:
        raise NotOfferedError(f"generate_audio={str(request.generate_audio).lower()} is not offered.")
    if request.is_automatic and not row.automatic:
        raise NotOfferedError(f"duration auto is not offered; allowed: {'; or '.join(map(str, row.limits))}.")
    if request.seed is not None and not row.seed:
        raise NotOfferedError("seed is not offered.")
    if row.needs_prompt and request.prompt == "":
        raise NotOfferedError("prompt is required.")
    if request.mode and request.mode not in row.modes:
        raise NotOfferedError(f"mode {request.mode} is not offered; allowed: {', '.join(row.modes)}.")


def _fits_frame(row: OfferSpec, form: OutputFormat) -> bool:
    short, long = sorted((form.width, form.height))
    return (
        short >= row.min_edge
        and (row.max_short_edge is None or short <= row.max_short_edge)
        and (row.max_long_edge is None or long <= row.max_long_edge)
    )


def _adjustments(
    request: Request, inputs: Sequence[Input], form: OutputFormat, converted: dict[str, str]
) -> tuple[Adjustment, ...]:
    asked: list[tuple[str, object, object]] = [("duration", request.duration, form.duration)]
    if request.operation not in EDITS:
        asked += [("fps", request.fps or None, form.fps), ("resolution", request.resolution, form.resolution)]
    changed = [
        Adjustment(name, _format_value(was), _format_value(got), "server")
        for name, was, got in asked
        if was not in (None, got)
    ]
    size = form.width, form.height
    usual = form.usual_size or size
    if usual != size:
        changed.append(Adjustment("resolution", "{}x{}".format(*usual), "{}x{}".format(*size), "provider"))
    if request.context and form.context is not None and form.context != request.context:
        changed.append(Adjustment("context", _format_value(request.context), _format_value(form.context), "server"))
    changed += [
        Adjustment(given.role, given.doubt, f"{given.seconds:f} s, {THE_LONGEST}", "server")
        for given in inputs
        if given.doubt
    ]
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
    size = given.converted_size
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
