"""What one row of the catalog makes of a request: which media it accepts, and what length, rate and size the result
will have, made anew or from another video; pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal
from fractions import Fraction

from ltx_mcp.domain.catalog import InputLimits, Limit, OfferSpec, ProviderSpec
from ltx_mcp.domain.join import JoinPlan
from ltx_mcp.domain.joined_format import joined_format
from ltx_mcp.domain.media_formats import has_smaller_form
from ltx_mcp.domain.offer import NotOfferedError
from ltx_mcp.domain.request import EDITS, Input, Request, family_of, find_input, to_decimal

ROUNDING_S = Decimal("0.05")
"""How far a section may exceed the end: durations are reported rounded."""
PADDING_S = Decimal("0.05")
_PADDED = ("aac", "he-aac", "mp3", "opus", "vorbis")


@dataclass(frozen=True)
class OutputFormat:
    """What the result will be. `duration` is what is ordered; see Offer. `usual_size` is the size that is expected,
    where it has another; `deviation` is how much differs from the request, 0 if nothing does."""

    duration: Decimal
    fps: int
    resolution: str
    aspect_ratio: str
    width: int
    height: int
    has_audio: bool
    output_duration: Decimal | None = None
    billed_s: Decimal | None = None
    context: Decimal | None = None
    frames: int | None = None
    usual_size: tuple[int, int] | None = None
    join: JoinPlan | None = None
    deviation: float = 0.0

    @property
    def paid_s(self) -> Decimal:
        """Seconds that are paid for."""
        return self.billed_s or self.output_duration or self.duration


def check_media(request: Request, inputs: Sequence[Input], provider: ProviderSpec, row: OfferSpec) -> None:
    """Raises NotOfferedError for media this row does not accept, in this format or at all."""
    for given in inputs:
        if family_of(given.role) not in row.media:
            others = f" for {request.operation}; it takes {', '.join(row.media)}" if row.media else ""
            raise NotOfferedError(f"{given.role} is not accepted{others}.")
        rule = provider.inputs[given.kind]
        limit = row.media_limits.get(family_of(given.role))
        max_bytes = min(filter(None, (rule.max_bytes, limit.max_bytes if limit else None)), default=None)
        if max_bytes is not None and given.size_bytes > max_bytes:
            allowed = f"at most {max_bytes:,} are accepted"
            if not has_smaller_form(given, rule):
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
    seconds = seconds_within(given, limit.duration.high) if limit.duration else given.seconds
    if limit.duration and given.duration and not limit.duration.low <= seconds <= limit.duration.high:
        raise NotOfferedError(f"{given.role} {given.duration_text}; allowed: {limit.duration} s.")
    if limit.min_frames and given.frames and given.frames < limit.min_frames:
        shortest = f" ({limit.min_frames / given.fps:.2f} s at {given.fps:g} fps)" if given.fps else ""
        raise NotOfferedError(
            f"{given.role} has {given.frames} frames; at least {limit.min_frames}{shortest} are needed."
        )
    if limit.max_frames and given.frames > limit.max_frames:
        raise NotOfferedError(f"{given.role} has {given.frames} frames; at most {limit.max_frames} are accepted.")
    short, long = sorted((given.width, given.height))
    if limit.min_short_edge and 0 < short < limit.min_short_edge:
        least = f"each edge must have at least {limit.min_short_edge} pixels"
        raise NotOfferedError(f"{given.role} is {given.width}x{given.height}; {least}.")
    max_long, max_short = limit.max_long_edge or long, limit.max_short_edge or short
    if long > max_long or short > max_short:
        raise NotOfferedError(
            f"{given.role} is {given.width}x{given.height}; at most {max_long}x{max_short} is accepted."
        )
    if limit.aspect_ratio and short and nearest_ratio(given, limit.aspect_ratio)[1] > 0.01:
        ratios = ", ".join(limit.aspect_ratio)
        raise NotOfferedError(
            f"{given.role} is {given.width}x{given.height}; its aspect ratio must be one of {ratios}."
        )


def seconds_within(given: Input, longest: Decimal) -> Decimal:
    """The duration, compared with the longest allowed: an encoder's padding makes no audio too long."""
    is_padding = given.kind == "audio" and given.codec in _PADDED and longest < given.seconds <= longest + PADDING_S
    return longest if is_padding else given.seconds


def nearest_ratio(given: Input, ratios: Sequence[str]) -> tuple[str, float]:
    """The aspect ratio nearest to that of an image or a video, and how far it is."""
    shape = given.width / given.height
    apart = {ratio: abs(math.log(shape / float(Fraction(ratio.replace(":", "/"))))) for ratio in ratios}
    nearest = min(ratios, key=apart.__getitem__)
    return nearest, apart[nearest]


def output_format(request: Request, inputs: Sequence[Input], row: OfferSpec) -> OutputFormat:
    """What this row makes of a request, and how far that is from it. Raises NotOfferedError."""
    form = _form(request, inputs, row)
    form = replace(form, billed_s=_billed(row, form, find_input(inputs, "audio") or find_input(inputs, "video")))
    frames = form.frames or count_frames(row, form.paid_s, form.fps)
    return replace(form, frames=frames, deviation=_deviation(request, form))


def _form(request: Request, inputs: Sequence[Input], row: OfferSpec) -> OutputFormat:
    if request.operation in EDITS:
        return _edited(request, inputs, row)
    if request.operation == "reframe":
        return _reframed(request, inputs, row)
    return _made(request, inputs, row) if request.operation != "join" else _joined(request, inputs, row)


def _billed(row: OfferSpec, form: OutputFormat, media: Input | None) -> Decimal | None:
    """Seconds that are paid for, if they are not those of the result."""
    match row.bills:
        case "input" if media is not None:
            return form.duration if media.role == "audio" else media.seconds
        case "new+context":
            return form.duration + (form.context or Decimal())
    return None


def _deviation(request: Request, form: OutputFormat) -> float:
    """How much differs from the request; an edited video has no size of its own to differ from."""
    changed = _change(request, form.duration, form.fps, form.resolution)
    if form.usual_size is None or request.operation in EDITS:
        return changed
    width, height = form.usual_size
    return changed + abs(math.log(form.width * form.height / (width * height)))


def _change(request: Request, duration: Decimal, fps: int, resolution: str) -> float:
    """A sum of relative changes."""
    pairs = [(float(duration), float(request.duration or duration))]
    if request.fps:
        pairs.append((fps, request.fps))
    if request.resolution:
        pairs.append((_short_side(resolution), _short_side(request.resolution)))
    return sum(abs(math.log(got / asked)) for got, asked in pairs)


def _short_side(resolution: str) -> int:
    return int(resolution.removesuffix("p"))


def _made(request: Request, inputs: Sequence[Input], row: OfferSpec) -> OutputFormat:
    """The format of a video whose size and rate are part of the request."""
    aspect_ratio = _aspect_ratio(request, inputs, row)
    audio = find_input(inputs, "audio")
    duration, fps, resolution = _fit(request, row, audio)
    usual_size = video_size(resolution, aspect_ratio)
    width, height = (_to_step(edge, row.edge_step) for edge in usual_size)
    frames = count_frames(row, duration, fps)
    # of audio, the provider counts the frames itself
    exact = None if frames is None or audio else round(Decimal(frames) / fps, 3)
    output_duration = None if exact is None or exact == duration else exact.normalize()
    return OutputFormat(
        duration=duration,
        fps=fps,
        resolution=resolution,
        aspect_ratio=aspect_ratio,
        width=width,
        height=height,
        has_audio=request.generate_audio,
        output_duration=output_duration,
        frames=frames,
        usual_size=usual_size,
    )


def video_size(resolution: str, aspect_ratio: str) -> tuple[int, int]:
    """Width and height in pixels: `resolution` labels the short side."""
    across, down = (int(side) for side in aspect_ratio.split(":"))
    scale = Fraction(_short_side(resolution), min(across, down))
    return round(across * scale), round(down * scale)


def _to_step(edge: int, step: int | None) -> int:
    """The allowed edge nearest to this one."""
    return edge if step is None else max(1, round(edge / step)) * step


def count_frames(row: OfferSpec, seconds: Decimal, fps: int) -> int | None:
    """The fewest frames with which these seconds are filled; None where neither the order nor its price names any."""
    if row.frame_step is None and row.price.usd_per_megapixel is None:
        return None
    step = row.frame_step or 1
    return math.ceil((seconds * fps - 1) / step) * step + 1


def _aspect_ratio(request: Request, inputs: Sequence[Input], row: OfferSpec) -> str:
    """The requested ratio; for `auto` the offered one nearest to the first image whose size is known."""
    if request.aspect_ratio != "auto":
        if request.aspect_ratio not in row.aspect_ratio:
            allowed = ", ".join(row.aspect_ratio)
            raise NotOfferedError(f"aspect_ratio {request.aspect_ratio} is not offered; allowed: {allowed}.")
        return request.aspect_ratio
    sized = next((given for given in inputs if given.kind == "image" and given.width and given.height), None)
    return row.aspect_ratio[0] if sized is None else nearest_ratio(sized, row.aspect_ratio)[0]


def _fit(request: Request, row: OfferSpec, audio: Input | None) -> tuple[Decimal, int, str]:
    """Duration, fps and resolution: as requested if a limit allows them, or with adjust=nearest the nearest. The
    duration of audio is never changed."""
    audio_s = audio.seconds if audio else None
    limits = [limit for limit in row.limits if audio is None or _lasts_within(audio, limit)]
    if audio and not limits:
        longest = "; or ".join(map(str, row.limits))
        raise NotOfferedError(f"audio {audio.duration_text}; allowed: {longest}.")
    fits = [_nearest(request, limit, audio_s) for limit in limits]
    best = min(fits, key=lambda fit: (_change(request, *fit), -fit[0] if request.duration is None else fit[0]))
    if _change(request, *best) == 0 or request.adjust == "nearest":
        return best
    asked = (request.duration, request.fps, request.resolution)
    wrong = [
        f"{name} {value}"
        for name, value, got in zip(("duration", "fps", "resolution"), asked, best, strict=True)
        if value not in (None, got)
    ]
    raise NotOfferedError(f"{' with '.join(wrong)} is not offered; allowed: {_allowed(request, row, wrong)}.")


def _allowed(request: Request, row: OfferSpec, wrong: Sequence[str]) -> str:
    """What is offered instead: if one size or rate is wrong, and in any combination, those there are; else all
    combinations."""
    sizes = dict.fromkeys(label for limit in row.limits for label in limit.resolution)
    rates = sorted({rate for limit in row.limits for rate in limit.fps})
    if wrong == [f"resolution {request.resolution}"] and request.resolution not in sizes:
        return ", ".join(sizes)
    if wrong == [f"fps {request.fps}"] and request.fps not in rates:
        return ", ".join(map(str, rates))
    return "; or ".join(map(str, row.limits))


def _lasts_within(audio: Input, limit: Limit) -> bool:
    seconds = seconds_within(audio, limit.duration.longest)
    return limit.duration.nearest(seconds) == seconds


def _nearest(request: Request, limit: Limit, audio_s: Decimal | None) -> tuple[Decimal, int, str]:
    fps = min(limit.fps, key=lambda rate: (abs(math.log(rate / request.fps)), rate))
    side = _short_side(request.resolution or limit.resolution[0])
    resolution = min(limit.resolution, key=lambda label: (abs(math.log(_short_side(label) / side)), label))
    asked_s = audio_s if audio_s is not None else request.duration
    return limit.duration.longest if asked_s is None else limit.duration.nearest(asked_s), fps, resolution


def _reframed(request: Request, inputs: Sequence[Input], row: OfferSpec) -> OutputFormat:
    """The format of a video that is shown in another shape: its size is asked for, its length and rate are kept."""
    video = find_input(inputs, "video")
    assert video is not None
    assert request.resolution is not None
    aspect_ratio, offered = _aspect_ratio(request, inputs, row), row.limits[0].resolution
    side = _short_side(request.resolution)
    resolution = min(offered, key=lambda label: (abs(math.log(_short_side(label) / side)), label))
    if resolution != request.resolution and request.adjust == "never":
        raise NotOfferedError(f"resolution {request.resolution} is not offered; allowed: {', '.join(offered)}.")
    size = video_size(resolution, aspect_ratio)
    return OutputFormat(video.seconds, round(video.fps), resolution, aspect_ratio, *size, video.has_audio)


def _joined(request: Request, inputs: Sequence[Input], row: OfferSpec) -> OutputFormat:
    """The format of a film that is joined from others."""
    assert request.join is not None
    film = joined_format(request, request.join, inputs, row.limits[0].duration.longest)
    size = (max(2, edge // 2 * 2) for edge in video_size(film.resolution, film.aspect_ratio))
    return OutputFormat(film.seconds, film.fps, *_named(*size), film.has_audio, join=film.plan)


def _edited(request: Request, inputs: Sequence[Input], row: OfferSpec) -> OutputFormat:
    """The format of a video made from another: that one's size and rate, and a duration that follows from its own."""
    video = find_input(inputs, "video")
    assert video is not None
    assert request.duration is not None
    extends = request.operation == "extend"
    duration = _new_part(request, video, row) if extends else _section(request, video, row)
    return OutputFormat(
        duration,
        round(video.fps),
        *_named(*_edited_size(video, row)),
        video.has_audio or request.mode == "replace_audio",
        output_duration=video.seconds + (duration if extends else 0),
        context=_context(request, video, row, duration) if extends else None,
        usual_size=(video.width, video.height),
    )


def _named(width: int, height: int) -> tuple[str, str, int, int]:
    """A size with the resolution and the aspect ratio that it has."""
    ratio = Fraction(width, height)
    return f"{min(width, height)}p", f"{ratio.numerator}:{ratio.denominator}", width, height


def _edited_size(video: Input, row: OfferSpec) -> tuple[int, int]:
    """The video's own size, or 16:9 or 9:16 with the short edge that the provider scales to."""
    if row.film_short_edge is None:
        return video.width, video.height
    return video_size(f"{row.film_short_edge}p", "16:9" if video.width >= video.height else "9:16")


def _asked_length(request: Request, row: OfferSpec, longest: Decimal, reason: str) -> Decimal:
    """The requested seconds, or with adjust=nearest the nearest allowed ones; never above `longest`."""
    asked = request.duration or Decimal()
    limit = row.limits[0].duration
    nearest = min(limit.nearest(asked), longest)
    if nearest < limit.shortest:
        raise NotOfferedError(f"{reason}.")
    if nearest != asked and request.adjust != "nearest":
        allowed = str(limit) if longest >= limit.longest else f"{limit.shortest:f} to {longest:f}, because {reason}"
        raise NotOfferedError(f"duration {asked:f} is not offered; allowed: {allowed}.")
    return nearest


def _new_part(request: Request, video: Input, row: OfferSpec) -> Decimal:
    """Seconds to add, with which the shortest possible context must fit."""
    if request.context and row.context and not row.context.low <= request.context <= row.context.high:
        raise NotOfferedError(f"context {request.context:f} is not offered; allowed: {row.context}, or 0.")
    budget = _frame_budget(video, row)
    if budget is None:
        return _asked_length(request, row, row.limits[0].duration.longest, "")
    asked, shortest_context = request.context or Decimal(), row.context.low if row.context else Decimal()
    if asked and (request.duration or 0) + asked > budget and request.adjust == "never":
        most = max(budget - (request.duration or 0), Decimal())
        raise NotOfferedError(
            f"context {asked:f} with duration {request.duration:f} is not offered: both together may have "
            f"{row.context_frames} frames, which is {budget:f} s at {video.fps:g} fps; allowed: context up to {most:f}."
        )
    reason = f"the new part and its context may have {row.context_frames} frames, {budget:f} s at {video.fps:g} fps"
    return _asked_length(request, row, budget - shortest_context, reason)


def _frame_budget(video: Input, row: OfferSpec, rounding: str = ROUND_DOWN) -> Decimal | None:
    """Seconds that a new part and its context may have together; None: any."""
    if row.context_frames is None or not video.fps:
        return None
    return (Decimal(row.context_frames) / Decimal(str(video.fps))).quantize(Decimal("0.01"), rounding).normalize()


def _context(request: Request, video: Input, row: OfferSpec, duration: Decimal) -> Decimal:
    """Seconds of the video that the provider uses, and may charge."""
    # a context that is sent must fit; one the provider chooses may be a fraction of a frame longer, and is charged
    longest = context_within(video, row, duration, ROUND_DOWN if request.context else ROUND_UP)
    return min(request.context, longest) if request.context else longest


def context_within(video: Input, row: OfferSpec, duration: Decimal, rounding: str = ROUND_UP) -> Decimal:
    """Seconds of the video that a provider can use, and does if no context is given."""
    if row.context is None:
        return Decimal()
    budget, longest = _frame_budget(video, row, rounding), min(row.context.high, video.seconds)
    return longest if budget is None else min(longest, budget - duration)


def _section(request: Request, video: Input, row: OfferSpec) -> Decimal:
    """Seconds to redo: the section must begin and end within the video."""
    start, length = request.start_time or Decimal(), shown_s(video)
    shortest = row.limits[0].duration.shortest
    latest = length - shortest
    if row.start_time is not None:
        latest = min(latest, row.start_time.high)
    if latest < 0:
        raise NotOfferedError(f"video lasts {length:f} s; at least {shortest:f} s are needed.")
    if start > latest + ROUNDING_S:
        raise NotOfferedError(
            f"start_time {start:f} is not offered for a video of {length:f} s; allowed: 0 to {latest:f}."
        )
    left = length - start
    within = request.duration is not None and request.duration <= left + ROUNDING_S
    longest = max(left, request.duration) if within and request.duration else left
    return _asked_length(request, row, longest, f"{left:f} s are left of the video from {start:f} s on")


def shown_s(video: Input) -> Decimal:
    """How long there are frames; the audio may be much longer."""
    seconds, counted = video.seconds, video.frames / video.fps if video.fps else 0.0
    return to_decimal(round(counted, 3)) if video.doubt and 0 < counted < seconds else seconds
