"""What is made of several videos that are joined: size, rate and length, and whether each part is long enough; pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from ltx_mcp.domain.join import Clip, JoinPlan, JoinSettings
from ltx_mcp.domain.offer import NotOfferedError
from ltx_mcp.domain.request import Input, Request

SHORTEST_CLIP_S = 0.1
ROUNDING_S = 0.05
"""How far a section may exceed the end: durations are reported rounded."""
T = TypeVar("T")


@dataclass(frozen=True)
class JoinedFormat:
    """What a joined film will be. Its size is that of `resolution` and `aspect_ratio`, with even edges."""

    resolution: str
    aspect_ratio: str
    fps: int
    seconds: Decimal
    has_audio: bool
    plan: JoinPlan


def joined_format(request: Request, settings: JoinSettings, inputs: Sequence[Input], longest: Decimal) -> JoinedFormat:
    """The film of these videos and its plan. Raises NotOfferedError."""
    check_clips(inputs, settings)
    (resolution, aspect_ratio), fps = _shape(request, inputs), _rate(request, inputs)
    seconds = joined_s(inputs, settings, fps)
    if seconds > longest:
        raise NotOfferedError(f"The film would last {seconds:f} s; at most {longest:f} s are joined.")
    has_audio = any(given.has_audio for given in inputs)
    return JoinedFormat(resolution, aspect_ratio, fps, seconds, has_audio, _plan(inputs, settings))


def joined_videos(inputs: Sequence[Input]) -> list[Input]:
    """The videos in their order."""
    return [given for given in inputs if given.kind == "video"]


def _shape(request: Request, inputs: Sequence[Input]) -> tuple[str, str]:
    """Resolution and aspect ratio as asked for; what was left out is that of most of the videos."""
    sizes = [(given.width, given.height) for given in joined_videos(inputs) if given.width and given.height]
    if not sizes:
        raise NotOfferedError("The size of none of the videos is known; give aspect_ratio and resolution.")
    if request.resolution is None and request.aspect_ratio == "auto":
        sizes = [_commonest(sizes)]
    resolution = request.resolution or f"{_commonest(min(size) for size in sizes)}p"
    return resolution, _commonest(map(_ratio, sizes)) if request.aspect_ratio == "auto" else request.aspect_ratio


def _rate(request: Request, inputs: Sequence[Input]) -> int:
    """Frames per second, likewise."""
    rates = [round(given.fps) for given in joined_videos(inputs) if round(given.fps)]
    if not request.fps and not rates:
        raise NotOfferedError("The frame rate of none of the videos is known; give fps.")
    return request.fps or _commonest(rates)


def joined_s(inputs: Sequence[Input], settings: JoinSettings, fps: int) -> Decimal:
    """Seconds of the result: all sections without what overlaps, and without frames that would be seen twice."""
    videos = joined_videos(inputs)
    frames = sum(round(given.section_s * fps) for given in videos)
    overlap = round(settings.overlap_s * fps)
    # the transition is made where the story cuts; the first frame of a video that goes on is the last one before it
    frames -= sum(1 if given.continues else overlap for given in videos[1:])
    return round(Decimal(frames) / fps, 3).normalize()


def check_clips(inputs: Sequence[Input], settings: JoinSettings) -> None:
    """Raises NotOfferedError for a part that is too short for the transitions at its ends."""
    videos = joined_videos(inputs)
    for place, given in enumerate(videos):
        seams = sum(not after.continues for after in videos[max(place, 1) : place + 2])
        needed = max(SHORTEST_CLIP_S, float(settings.transition_s) * seams)
        if given.section_s < needed - ROUNDING_S:
            at_ends = f" for its {settings.transition}s of {settings.transition_s:f} s" if settings.transition_s else ""
            asked = f"at least {needed:g} s are needed{at_ends}"
            raise NotOfferedError(f"{given.role} lasts {given.section_s:g} s; {asked}.")


def check_cut(given: Input) -> None:
    """Raises NotOfferedError where the section of a video does not lie within it."""
    end = given.duration if given.end is None else given.end
    if end > given.duration + ROUNDING_S or end - given.start < SHORTEST_CLIP_S:
        raise NotOfferedError(f"{given.role} lasts {given.duration:g} s; {given.section} does not lie within it.")


def _plan(inputs: Sequence[Input], settings: JoinSettings) -> JoinPlan:
    """The parts, and whether one of them is a preview."""
    videos = joined_videos(inputs)
    titles = [*settings.titles, *[""] * (len(videos) - len(settings.titles))]
    clips = (Clip(given.start, given.end, given.continues, title) for given, title in zip(videos, titles, strict=True))
    return JoinPlan(settings, tuple(clips), any(given.is_preview for given in videos))


def _commonest(values: Iterable[T]) -> T:
    """The first one of those that there are most of."""
    return Counter(values).most_common(1)[0][0]


def _ratio(size: tuple[int, int]) -> str:
    ratio = Fraction(*size)
    return f"{ratio.numerator}:{ratio.denominator}"
