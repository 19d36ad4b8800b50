"""Where each clip lies in the film: which of its frames are shown, for how long, and what becomes of each seam.

Everything is counted in frames of the film. A frame of the film shows what its clip shows in the middle of that frame.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.decode.source_video import SourceVideo, read_source
from ltx_mcp.media.join.doubled import is_doubled
from ltx_mcp.media.messages import JoinClip, JoinOrder

_SLACK_S = 0.1  # by how much a section may go beyond its video: lengths are reported rounded
_NTSC = [Fraction(count * 1000, 1001) for count in (24, 30, 48, 60, 120)]
_NTSC_SLACK = Fraction(1, 100)


@dataclass(frozen=True)
class FilmPart:
    """A clip in the film: from frame `begins` on, `frames` in all, the first of them at `start` seconds of the clip.

    `skipped` frames of the film before that were already seen. It shares its first `overlap` frames with the part
    before.
    """

    clip: JoinClip
    source: SourceVideo
    rate: Fraction
    start: Fraction
    frames: int
    begins: int = 0
    overlap: int = 0
    skipped: int = 0
    continues: bool = False

    @property
    def ends(self) -> int:
        """The first frame of the film after it."""
        return self.begins + self.frames

    def shown(self, number: int) -> int:
        """Which frame of the source is shown in a frame of the part; those before its first have negative numbers."""
        moment = self.start + (number + Fraction(1, 2)) / self.rate
        return max(0, bisect_right(self.source.moments, moment / self.source.tick) - 1)


def exact_rate(fps: float) -> Fraction:
    """The frame rate that a rounded number stands for, such as 24000/1001 for 23.976."""
    rate = Fraction(fps).limit_denominator(1000)
    near = min(_NTSC, key=lambda ntsc: abs(ntsc - rate))
    return near if rate.denominator != 1 and abs(near - rate) < _NTSC_SLACK else rate


def read_parts(order: JoinOrder) -> list[FilmPart]:
    """All parts of the film, in their places. CallerError: invalid_request for a section outside its video,
    input_failed for a video that cannot be read."""
    rate = exact_rate(order.fps)
    sources: dict[str, SourceVideo] = {}
    parts = []
    for number, clip in enumerate(order.clips, 1):
        if clip.path not in sources:
            sources[clip.path] = read_source(Path(clip.path))
        parts.append(_section(clip, sources[clip.path], rate, number))
    parts = [parts[0], *(_continued(before, part) for before, part in pairwise(parts))]
    return _placed(parts, order)


def _section(clip: JoinClip, source: SourceVideo, rate: Fraction, number: int) -> FilmPart:
    length = source.seconds
    until = float(length) if clip.end is None else clip.end
    # false for NaN too
    if not 0 <= clip.start < min(until, float(length)) or not until <= length + _SLACK_S:
        message = f"The section of clip {number} must lie within its video, from 0 to {float(length):g} s."
        raise CallerError(ErrorCode.INVALID_REQUEST, message, "Give a start before the end, both in seconds.")
    start, end = Fraction(clip.start), min(Fraction(until), length) if clip.end is not None else length
    return FilmPart(clip, source, rate, start, max(1, round((end - start) * rate)))


def _continued(before: FilmPart, part: FilmPart) -> FilmPart:
    """The part without the frame that the one before has shown already."""
    continues = part.clip.continues
    if continues is None:
        continues = is_doubled(before.source, before.shown(before.frames - 1), part.source, part.shown(0))
    if not continues:
        return part
    # the doubled frame is one of the clip's own, whatever the rate of the film is
    end = part.start + part.frames / part.rate
    start = part.start + part.source.shown_for(part.shown(0)) * part.source.tick
    frames = round((end - start) * part.rate)
    if frames < 1:
        return replace(part, continues=True)
    return replace(part, start=start, frames=frames, skipped=1, continues=True)


def _placed(parts: list[FilmPart], order: JoinOrder) -> list[FilmPart]:
    wanted = round(Fraction(order.transition_s) * parts[0].rate) if order.transition == "crossfade" else 0
    placed: list[FilmPart] = []
    for part in parts:
        if not placed:
            placed.append(part)
            continue
        before = placed[-1]
        # each part keeps frames of its own
        overlap = 0 if part.continues else min(wanted, (before.frames - 1) // 2, (part.frames - 1) // 2)
        placed.append(replace(part, begins=before.ends - overlap, overlap=overlap))
    return placed
