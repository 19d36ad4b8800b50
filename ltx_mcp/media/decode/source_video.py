"""A video that is kept at least in part: its properties, when each frame is shown, and the frames as they are written,
upright and in 8 bits. Only the moments of its frames are held in memory.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.video.stream import VideoStream
from PIL import Image

from ltx_mcp.domain.errors import LtxError
from ltx_mcp.media.decode.frame_reader import FrameReader, use_threads
from ltx_mcp.media.decode.shown import KIND_FRAMES, Shown, shown_as
from ltx_mcp.media.decode.tone import MATRICES, Tone, is_full_range
from ltx_mcp.media.probe import codec_name, find_audio, open_media, refused, require_video

_MIN_HD = 720
_UNKNOWN = 2
_STRAY_S = 0.0011  # containers that count milliseconds round each moment
_STEADY = Fraction(3, 100)
_LEAD_S = 0.5  # frames that others refer to are stored before these


@dataclass(frozen=True)
class SourceVideo:
    """The properties of a video that are kept in what is made from it. Moments are in ticks from the first frame on.

    width and height are as seen, and even: what is left over is cut off. `shown` is what players do with its frames.
    `stored` numbers the frames in the order of the file; it is empty where that cannot be copied.
    """

    path: Path
    width: int
    height: int
    shown: Shown
    rate: Fraction
    tick: Fraction
    moments: tuple[int, ...]
    stored: tuple[int, ...]
    length: int
    start_s: float
    matrix: str
    colours: tuple[int, int, int]
    container: str
    codec: str
    pixels: str
    has_audio: bool

    @property
    def seconds(self) -> Fraction:
        """How long its frames are shown."""
        return self.length * self.tick

    def shown_for(self, number: int) -> int:
        """How many ticks a frame is on the screen."""
        later = self.moments[number + 1] if number + 1 < len(self.moments) else self.length
        return max(1, later - self.moments[number])


def read_source(path: str | Path) -> SourceVideo:
    """Reads a video once from start to end. CallerError (input_failed) where it cannot be read."""
    with open_media(path, "video") as container:
        stream = require_video(container)
        found, end, is_plain = _read_moments(container, stream)
        if not found:
            raise refused("video", "has no moving picture that can be decoded")
        shown = sorted(found)
        assert stream.time_base is not None
        stated = shown[0] + stream.duration if stream.duration else end
        # a head that says less than the frames show is wrong
        end = stated if stated > shown[-1] else max(end, shown[-1] + 1)
        counted = Fraction(len(shown), max(1, end - shown[0])) / stream.time_base
        rate = stream.average_rate or stream.guessed_rate or counted
        rate = rate if stated == end or abs(rate - counted) <= counted * _STEADY else counted.limit_denominator(1001)
        tick, moments, length = _counted(shown, end, stream.time_base, rate)
        container.seek(0)
        frames = _first_frames(container, stream)
        first, appearance = frames[0], shown_as(frames, stream)
        return SourceVideo(
            path=Path(path),
            width=_even(appearance.width),
            height=_even(appearance.height),
            shown=appearance,
            rate=rate,
            tick=tick,
            moments=moments,
            stored=_ranks(found) if is_plain and container.format.name != "avi" else (),
            length=length,
            start_s=float(shown[0] * stream.time_base),
            matrix="bt709" if appearance.tone else MATRICES.get(first.colorspace, _usual_matrix(first)),
            colours=(1, 1, 1) if appearance.tone else _colours(first),
            container=container.format.name.split(",")[0],
            codec=codec_name(stream),
            pixels=first.format.name,
            has_audio=find_audio(container) is not None,
        )


def kept_frames(source: SourceVideo, only: Sequence[int] = ()) -> Iterator[tuple[int, av.VideoFrame]]:
    """Every frame and its number, as it is written: as players show it, 8 bits, narrow range, at its own moment.

    `only` names some of them, in order: the others are not made ready, and before the first nothing is decoded that is
    not needed for it.
    """
    wanted = frozenset(only)
    with open_media(source.path, "video") as container:
        frames: Iterator[av.VideoFrame] = _timed(source, container, only[0] if only else 0)
        if source.shown.is_interlaced:
            frames = _without_fields(source, frames)
        narrow: Callable[[av.VideoFrame], av.VideoFrame] | None = None
        transform: _FrameTransform | None = None
        last = -1
        for frame in frames:
            moment = round((frame.pts or 0) * (frame.time_base or source.tick) / source.tick)
            last = bisect_right(source.moments, moment) - 1
            if wanted and last not in wanted:
                if last > only[-1]:
                    return
                continue
            narrow = narrow or (Tone(frame) if source.shown.tone else _narrowed)
            ready = narrow(frame)
            transform = transform or _FrameTransform(source, ready)
            ready = transform.turn(ready)
            ready.pts, ready.time_base = source.moments[last], source.tick
            ready.duration = source.shown_for(last)
            # A decoded frame remembers of which type it was, and would be made one again.
            ready.pict_type = 0
            yield last, ready
        # Some codecs end on a frame that is only there for others to refer to.
        if last < (only[-1] if only else len(source.moments) - 1) - 1:
            raise refused("video", "has frames that cannot be decoded")


def small_frames(source: SourceVideo, edge: int) -> Iterator[tuple[int, Image.Image]]:
    """Every frame and its number as an image, upright, its long side `edge` pixels; for measuring, not for show."""
    scale = edge / max(source.width, source.height)
    size = max(1, round(source.width * scale)), max(1, round(source.height * scale))
    # as it is stored: turning it back swaps the sides once more
    width, height = source.shown.rotation.size(*size)
    with open_media(source.path, "video") as container:
        for frame in _timed(source, container):
            number = bisect_right(source.moments, frame.pts or 0) - 1
            image: Image.Image = frame.to_image(width=width, height=height, interpolation="AREA")  # type: ignore[no-untyped-call]
            yield number, source.shown.rotation.image(image)


def _timed(source: SourceVideo, container: InputContainer, first: int = 0) -> Iterator[av.VideoFrame]:
    """The frames by the clock of the source, each once and in order, from before the frame `first` on."""
    stream = require_video(container)
    use_threads(stream)
    last = -1
    for frame in chain(_from_before(source, container, stream, first), container.decode(stream)):
        is_timed = frame.pts is not None and source.container != "avi"
        number = _number_at(source, frame.time - source.start_s) if is_timed else last + 1
        if last < number < len(source.moments):
            frame.pts, frame.time_base, last = source.moments[number], source.tick, number
            yield frame


def _from_before(
    source: SourceVideo, container: InputContainer, stream: VideoStream, first: int
) -> list[av.VideoFrame]:
    """Goes to where decoding may begin, and gives the frame that was decoded to see whether that is early enough."""
    early = source.start_s + float(source.moments[first] * source.tick) - _LEAD_S
    if not first or early <= source.start_s or source.container == "avi":
        return []
    with suppress(av.FFmpegError):
        container.seek(int(early / (stream.time_base or 1)), stream=stream, backward=True)
        frame = next(container.decode(stream), None)
        if frame is not None and frame.pts is not None and _number_at(source, frame.time - source.start_s) <= first:
            return [frame]
    # an index that points too far, or a frame that needs what lies before
    container.seek(0)
    return []


def _without_fields(source: SourceVideo, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The frames, the interlaced ones completed from their neighbours."""
    graph: Graph | None = None
    for frame in chain(frames, [None]):
        if graph is None:
            if frame is None:
                return
            graph = Graph()
            entrance = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=source.tick
            )
            fields = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
            graph.link_nodes(entrance, fields, graph.add("buffersink")).configure()
        graph.push(frame)
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                yield graph.vpull()


def _number_at(source: SourceVideo, seconds: float) -> int:
    """Which frame is shown from that moment on."""
    tick = Fraction(seconds) / source.tick
    after = bisect_right(source.moments, tick)
    near = range(max(0, after - 1), min(after + 1, len(source.moments)))
    return min(near, key=lambda number: abs(source.moments[number] - tick))


def image_at(source: SourceVideo, number: int, edge: int) -> Image.Image:
    """The numbered frame as seen, its long side at most `edge` pixels."""
    with open_media(source.path, "video") as container:
        try:
            reader = FrameReader(container, require_video(container))
            return reader.image(reader.at(float(source.moments[number] * source.tick) + _STRAY_S), edge)
        except LtxError as error:
            raise refused("video", "has frames that cannot be decoded") from error


def add_video_stream(container: OutputContainer, source: SourceVideo, options: dict[str, str]) -> VideoStream:
    """An H.264 stream for frames of the source, and for new ones between them."""
    stream = container.add_stream("libx264", rate=source.rate, options=options)
    stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
    context = stream.codec_context
    context.time_base, context.framerate = source.tick, source.rate
    context.color_primaries, context.color_trc, context.colorspace = source.colours
    context.color_range = 1
    return stream


def _read_moments(container: InputContainer, stream: VideoStream) -> tuple[list[int], int, bool]:
    """The times of all frames as they are stored, in the stream's own ticks, and the end of the last one shown.

    The third is false where a frame has no time of its own, or is only there for others to refer to.
    """
    found, end, is_plain = [], 0, True
    for packet in container.demux(stream):
        moment = packet.pts if packet.pts is not None else packet.dts
        is_plain &= not packet.size or (packet.pts is not None and not packet.is_discard)
        if packet.size and moment is not None and not packet.is_discard:
            found.append(moment)
            end = max(end, moment + (packet.duration or 0))
    return found, end, is_plain


def _ranks(found: list[int]) -> tuple[int, ...]:
    places = {moment: number for number, moment in enumerate(sorted(found))}
    return tuple(places[moment] for moment in found) if len(places) == len(found) else ()


def _counted(shown: list[int], end: int, tick: Fraction, rate: Fraction) -> tuple[Fraction, tuple[int, ...], int]:
    """The clock, the moments and the length; frames that come evenly are counted by their rate."""
    away = (abs((moment - shown[0]) * tick - number / rate) for number, moment in enumerate(shown))
    if all(far <= _STRAY_S for far in away):
        return 1 / rate, tuple(range(len(shown))), len(shown)
    last = shown[-1] - shown[0]
    return tick, tuple(moment - shown[0] for moment in shown), max(end - shown[0], last + 1)


def _first_frames(container: InputContainer, stream: VideoStream) -> list[av.VideoFrame]:
    frames = list(islice(container.decode(stream), KIND_FRAMES))
    if not frames:
        raise refused("video", "has frames that cannot be decoded")
    return frames


def _usual_matrix(frame: av.VideoFrame) -> str:
    return "bt709" if min(frame.width, frame.height) >= _MIN_HD else "smpte170m"


def _colours(frame: av.VideoFrame) -> tuple[int, int, int]:
    if frame.format.is_rgb:
        return 1, 1, 1
    return int(frame.color_primaries) or _UNKNOWN, int(frame.color_trc) or _UNKNOWN, int(frame.colorspace)


def _narrowed(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame as yuv420p; frames that are so already are given back."""
    if frame.format.is_rgb:
        return frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
    if is_full_range(frame):
        return frame.reformat(format="yuv420p", src_color_range="JPEG", dst_color_range="MPEG")
    return frame if frame.format.name == "yuv420p" else frame.reformat(format="yuv420p")


class _FrameTransform:
    """Turns frames as they are seen, makes their pixels square, and takes the last column or row of those that have an
    odd number of them."""

    def __init__(self, source: SourceVideo, sample: av.VideoFrame) -> None:
        filters = list(source.shown.rotation.filters)
        if sample.width % 2 or sample.height % 2:
            filters = [f"crop={_even(sample.width)}:{_even(sample.height)}:0:0", *filters]
        if source.shown.stretch != 1:
            filters = [*filters, f"scale={source.width}:{source.height}:flags=bicubic", "setsar=1"]
        if "vflip" in filters:
            # it only has the lines counted from below, which who reads them as bytes cannot see
            filters = [*filters, "copy"]
        self._graph: Graph | None = Graph() if filters else None
        if self._graph is not None:
            pixels = av.VideoFormat(sample.format.name)
            entrance = self._graph.add_buffer(
                width=sample.width, height=sample.height, format=pixels, time_base=source.tick
            )
            steps_text = [each.partition("=") for each in (*filters, "buffersink")]
            steps = [self._graph.add(name, options or None) for name, _, options in steps_text]
            self._graph.link_nodes(entrance, *steps).configure()

    def turn(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame upright; one that is so already is given back."""
        if self._graph is None:
            return frame
        self._graph.push(frame)
        return self._graph.vpull()


def _even(edge: int) -> int:
    return max(2, edge - edge % 2)
