"""Brings a video into another shape, as the `local` provider does: a crop that follows what moves or stands out,
enlarged or reduced to the asked size. Every frame says that it is not LTX's work.

Runs in the child process, blocking. Frames keep their moments, the audio is copied where an MP4 can hold it. The crop
lies between pixels, so that it moves smoothly; that is why the planes are cut by Pillow, FFmpeg's crop knows only
complete pixels.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

import av
from av.container import OutputContainer
from PIL import Image

from ltx_mcp.media.decode.audio_reader import open_audio
from ltx_mcp.media.decode.source_video import SourceVideo, kept_frames, read_source, small_frames
from ltx_mcp.media.messages import ReframeOrder, RenderNotes, ReportProgress
from ltx_mcp.media.preview.attention import window_path
from ltx_mcp.media.preview.camera import Size
from ltx_mcp.media.preview.caption import make_mark
from ltx_mcp.media.remux import encode_video
from ltx_mcp.media.tracks import Silence, Track, make_track

MARK = "cropped here, not LTX"
_SMALL_EDGE = 128
_CRF = 14
_WATCHING = 0.3
"""The part of the work after which the path of the crop is known."""
_THREADS, _AHEAD = 2, 4
_GREY, _BLACK, _LUMA = 128, 16, 219 / 255

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Crop:
    """The largest part of a video that has the asked shape: it can move along one axis, or not at all."""

    source: Size
    width: float
    height: float

    @property
    def is_upright(self) -> bool:
        """Whether it moves up and down."""
        return self.height < self.source[1]

    @property
    def window(self) -> float:
        """Which part of the source's width, or height, is seen."""
        return self.width / self.source[0] * self.height / self.source[1]

    @property
    def moves(self) -> bool:
        """Whether there is so much to either side that it matters."""
        return max(self.source[0] - self.width, self.source[1] - self.height) >= 2

    def at(self, place: float) -> Box:
        """The crop that begins at this part of the axis."""
        left = 0.0 if self.is_upright else min(place * self.source[0], self.source[0] - self.width)
        top = min(place * self.source[1], self.source[1] - self.height) if self.is_upright else 0.0
        return left, top, left + self.width, top + self.height


def reframe(order: ReframeOrder, out: Path, report: ReportProgress) -> RenderNotes:
    """Writes the video in the other shape to `out`, an MP4; `report` is called with the part done, from 0 to 1.

    CallerError (input_failed) for a video that cannot be read.
    """
    source = read_source(order.video)
    crop = _make_crop(source, order)
    boxes = [crop.at(place) for place in _places(source, crop, report)]
    target = replace(source, width=order.width, height=order.height)
    frames = _cropped(source, boxes, _Printer(order.width, order.height))

    def rest(part: float) -> None:
        report(_WATCHING + (1 - _WATCHING) * part)

    encode_video(out, target, frames, source.length, partial(_make_track, source), rest, _CRF)
    report(1.0)
    return RenderNotes(0)


def _make_crop(source: SourceVideo, order: ReframeOrder) -> _Crop:
    shape = Fraction(order.width, order.height)
    width = min(Fraction(source.width), source.height * shape)
    return _Crop((source.width, source.height), float(width), float(width / shape))


def _places(source: SourceVideo, crop: _Crop, report: ReportProgress) -> list[float]:
    moments = [float(moment * source.tick) for moment in source.moments]
    if not crop.moves:
        return [(1 - crop.window) / 2] * len(moments)
    frames = _watched(small_frames(source, _SMALL_EDGE), len(moments), report)
    return window_path(frames, moments, crop.window, is_upright=crop.is_upright)


def _watched(
    frames: Iterator[tuple[int, Image.Image]], count: int, report: ReportProgress
) -> Iterator[tuple[int, Image.Image]]:
    for number, image in frames:
        if number % 25 == 0:
            report(_WATCHING * number / count)
        yield number, image


def _cropped(source: SourceVideo, boxes: list[Box], printer: "_Printer") -> Iterator[av.VideoFrame]:
    """The frames in their new shape, at their own moments, a few made ahead."""
    frames = kept_frames(source)
    waiting: deque[tuple[av.VideoFrame, Future[av.VideoFrame]]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        while True:
            for number, frame in islice(frames, _AHEAD + 1 - len(waiting)):
                waiting.append((frame, pool.submit(printer.print, frame, boxes[number])))
            if not waiting:
                return
            own, printed = waiting.popleft()
            frame = printed.result()
            frame.pts, frame.time_base, frame.duration = own.pts, own.time_base, own.duration
            yield frame


class _Printer:
    """Cuts out, scales and marks frames, plane by plane."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        mark = make_mark(width, height, MARK)
        self._place = mark.x, mark.y
        self._letters = mark.image.convert("L").point([round(_BLACK + level * _LUMA) for level in range(256)])
        self._mask = mark.image.getchannel("A")

    def print(self, frame: av.VideoFrame, box: Box) -> av.VideoFrame:
        """The part of a frame in the box. Safe to call from threads."""
        printed = av.VideoFrame(*self._size, "yuv420p")
        for number, (plane, into) in enumerate(zip(frame.planes, printed.planes, strict=True)):
            image = Image.frombuffer("L", (plane.width, plane.height), bytes(plane), "raw", "L", plane.line_size, 1)
            part = 2 if number else 1
            size = into.width, into.height
            cut = image.resize(size, Image.Resampling.BICUBIC, _within(box, part, image.size))
            self._lay_over(cut, part)
            into.update(cut.tobytes("raw", "L", into.line_size, 1))
        return printed

    def _lay_over(self, cut: Image.Image, part: int) -> None:
        """The mark is grey, and in the planes of colour it takes the colour away."""
        place = self._place[0] // part, self._place[1] // part
        mask = self._mask.reduce(part)
        cut.paste(self._letters if part == 1 else Image.new("L", mask.size, _GREY), place, mask)


def _within(box: Box, part: int, size: Size) -> Box:
    left, top, right, bottom = (edge / part for edge in box)
    return left, top, min(right, size[0]), min(bottom, size[1])


def _make_track(source: SourceVideo, container: OutputContainer, stack: ExitStack) -> Track:
    if not source.has_audio:
        return Silence()
    opened, stream = stack.enter_context(open_audio(source.path, "video"))
    return make_track(container, opened, stream, source.start_s)
