"""Lengthens a video, or redraws a section of it, as the `local` provider does: what is new says that it is a preview.

Runs in the child process, blocking. Frames that are kept are decoded and encoded again with little loss, at their own
moments; an audio or video track that is kept completely is copied.
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
from av.container import OutputContainer

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.decode.audio_reader import AudioReader, open_audio
from ltx_mcp.media.decode.source_video import SourceVideo, image_at, kept_frames, read_source
from ltx_mcp.media.messages import EditOrder, RenderNotes, ReportProgress
from ltx_mcp.media.preview.backdrop import make_backdrop
from ltx_mcp.media.preview.caption import Caption, make_caption
from ltx_mcp.media.preview.compositor import Screen, draw
from ltx_mcp.media.preview.render import seeded
from ltx_mcp.media.preview.scenes import TransitionScene
from ltx_mcp.media.remux import encode_video, write_all
from ltx_mcp.media.tracks import Dub, EncodedTrack, Pad, Silence, Track, make_track

_EDGE = 1280
"""Pixels of the long side of the images that new frames are made from, before they are enlarged."""
_CRF = 10
_COPIED = ("h264", "hevc", "av1", "vp9")
_HALF_MS = Fraction(1, 2000)  # moments are reported in milliseconds
_SILENT_RATE = 48_000


@dataclass(frozen=True)
class _Plan:
    """Which frames are new and where they stand; moments are in ticks of the video that is made.

    The last new frame is shown until `end`. Of the source, frames before `first` and from `last` on are kept; the
    latter come `shift` later than in the source.
    """

    first: int
    last: int
    shift: int
    new: tuple[int, ...]
    end: int
    start_s: Fraction
    end_s: Fraction
    length: int


def edit(order: EditOrder, out: Path, report: ReportProgress) -> RenderNotes:
    """Writes the edited video to `out`, an MP4; `report` is called with the part done, from 0 to 1.

    CallerError: invalid_request for a section outside the video, input_failed for a video that cannot be read.
    """
    source = read_source(order.video)
    plan = _plan_extension(order, source) if order.what == "extend" else _plan_section(order, source)
    missing = 0
    if order.mode == "replace_audio":
        write_all(out, source, partial(_make_track, order, source, plan), report, _COPIED, _CRF)
    else:
        missing = _write_frames(order, source, plan, out, report)
    report(1.0)
    return RenderNotes(missing)


def _plan_extension(order: EditOrder, source: SourceVideo) -> _Plan:
    count = max(1, round(order.duration * source.rate))
    span = max(count, round(Fraction(order.duration) / source.tick))
    frames, begin = len(source.moments), 0 if order.mode == "start" else source.length
    new = tuple(begin + number * span // count for number in range(count))
    start_s, end_s = begin * source.tick, (begin + span) * source.tick
    if order.mode == "start":
        return _Plan(0, 0, span, new, begin + span, start_s, end_s, source.length + span)
    return _Plan(frames, frames, 0, new, begin + span, start_s, end_s, source.length + span)


def _plan_section(order: EditOrder, source: SourceVideo) -> _Plan:
    start, end = Fraction(order.start_time), min(Fraction(order.start_time) + Fraction(order.duration), source.seconds)
    section = [n for n, moment in enumerate(source.moments) if start <= moment * source.tick + _HALF_MS < end]
    if start < 0 or start >= source.seconds or not section:
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            f"The section must begin between 0 and {float(source.seconds):.3f} s, where this video ends.",
            "Choose a smaller start_time.",
        )
    first, last = section[0], section[-1] + 1
    new_end = source.moments[last - 1] + source.shown_for(last - 1)
    return _Plan(first, last, 0, source.moments[first:last], new_end, start, end, source.length)


def _write_frames(order: EditOrder, source: SourceVideo, plan: _Plan, out: Path, report: ReportProgress) -> int:
    caption = make_caption(order.prompt, source.width, source.height)
    frames = _in_order(source, plan, _redrawn(order, source, plan, caption))
    encode_video(out, source, frames, plan.length, partial(_make_track, order, source, plan), report, _CRF)
    return caption.missing


def _in_order(source: SourceVideo, plan: _Plan, redrawn: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The frames of the video that is made; the new ones stand before the first frame that is kept after them."""
    for number, frame in kept_frames(source):
        if number >= plan.last:
            yield from redrawn
        if number < plan.first:
            yield frame
        elif number >= plan.last:
            frame.pts = (frame.pts or 0) + plan.shift
            yield frame
    yield from redrawn


def _redrawn(order: EditOrder, source: SourceVideo, plan: _Plan, caption: Caption) -> Iterator[av.VideoFrame]:
    before = image_at(source, plan.first - 1, _EDGE) if plan.first else None
    after = image_at(source, plan.last, _EDGE) if plan.last < len(source.moments) else None
    screen = Screen(source.width, source.height, source.tick, source.matrix)
    size = screen.inner_size(_EDGE)
    scene = TransitionScene(size, before, after, make_backdrop(size, _rng(order)))
    frames = draw(scene, screen, caption, _moments(source, plan, before, after))
    for frame, (moment, following) in zip(frames, pairwise((*plan.new, plan.end)), strict=True):
        frame.duration = following - moment
        yield frame


def _moments(source: SourceVideo, plan: _Plan, before: object, after: object) -> Iterator[tuple[int, float, float]]:
    """When each new frame is shown, the part gone by and the seconds; at a seam it is a step away from the frame that
    is kept."""
    steps = len(plan.new) - 1 + (before is not None) + (after is not None)
    for number, moment in enumerate(plan.new):
        part = (number + (before is not None)) / max(1, steps)
        yield moment, part, float((moment - plan.new[0]) * source.tick)


def _make_track(
    order: EditOrder, source: SourceVideo, plan: _Plan, container: OutputContainer, stack: ExitStack
) -> Track:
    """The audio track of the video that is made."""
    is_wanted = source.has_audio or order.mode == "replace_audio"
    if not is_wanted:
        return Silence()
    seconds = plan.length * source.tick
    own: AudioReader | None = None
    if source.has_audio:
        opened, stream = stack.enter_context(open_audio(source.path, "video"))
        if order.mode == "replace_video":
            return make_track(container, opened, stream, source.start_s)
        own = AudioReader(opened, stream, source.start_s)
    rate, layout = (own.rate, own.layout) if own else (_SILENT_RATE, "stereo")
    start, end = round(plan.start_s * rate), round(plan.end_s * rate)
    pad = Pad(plan.end_s - plan.start_s, rate, layout, _rng(order))
    begins = round(plan.shift * source.tick * rate)
    return EncodedTrack(container, Dub(own, begins, pad, start, end - start), seconds)


def _rng(order: EditOrder) -> random.Random:
    return seeded(order.what, order.prompt, order.duration, order.mode, order.start_time)
