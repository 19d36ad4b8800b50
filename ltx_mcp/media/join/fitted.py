"""The frames of a clip as the film shows them: in its size and rate, in the colours of BT.709.

Nothing is stretched. What a clip of another shape leaves free is filled with the same picture, blurred and darkened.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
from av.filter import Graph
from av.filter.context import FilterContext

from ltx_mcp.media.decode.source_video import kept_frames
from ltx_mcp.media.join.timeline import FilmPart

_SAME_SHAPE = Fraction(2, 100)  # what is cut off rather than filled
_BLUR_EDGE = 120
_BLUR_SIGMA = 3
_DARK = "16+(val-16)*0.45"
_TICK = Fraction(1, 1000)


@dataclass(frozen=True)
class FrameSize:
    """Width and height in pixels, both even."""

    width: int
    height: int

    def inside(self, other: "FrameSize") -> "FrameSize":
        """The largest size of this shape that fits into the other."""
        return self._scaled(min(Fraction(other.width, self.width), Fraction(other.height, self.height)))

    def around(self, other: "FrameSize") -> "FrameSize":
        """The smallest size of this shape that covers the other."""
        scale = max(Fraction(other.width, self.width), Fraction(other.height, self.height))
        size = self._scaled(scale)
        return FrameSize(max(size.width, other.width), max(size.height, other.height))

    def is_like(self, other: "FrameSize") -> bool:
        """Whether both have nearly the same shape."""
        one, two = self.width * other.height, other.width * self.height
        return abs(one - two) <= _SAME_SHAPE * max(one, two)

    def _scaled(self, scale: Fraction) -> "FrameSize":
        return FrameSize(max(2, round(self.width * scale / 2) * 2), max(2, round(self.height * scale / 2) * 2))


def fitted_frames(part: FilmPart, size: FrameSize, first: int = 0) -> Iterator[av.VideoFrame]:
    """The frames of a part from the numbered one on, which may be one skipped at its beginning; one that is shown
    longer comes several times."""
    wanted = [part.shown(number) for number in range(first, part.frames)]
    frames = kept_frames(part.source, wanted)
    fit = Fit(FrameSize(part.source.width, part.source.height), size, part.source.matrix)
    shown: av.VideoFrame | None = None
    following = next(frames, None)
    for number in wanted:
        while following is not None and (following[0] <= number or shown is None):
            shown, following = fit.fit(following[1]), next(frames, None)
        assert shown is not None  # a source without frames is refused before
        yield shown


class Fit:
    """Brings frames of one size and matrix to the film's."""

    def __init__(self, source: FrameSize, size: FrameSize, matrix: str) -> None:
        self._graph: Graph | None = None
        self._count = 0
        if source == size and matrix == "bt709":
            return
        # The filters do not keep their graph alive: it must live as long as they do.
        self._graph = Graph()
        self._source = self._graph.add_buffer(
            width=source.width, height=source.height, format=av.VideoFormat("yuv420p"), time_base=_TICK
        )
        colours = f"in_color_matrix={matrix}:out_color_matrix=bt709:in_range=tv:out_range=tv"
        last = self._covering(source, size, colours) if source.is_like(size) else self._filled(source, size, colours)
        self._sink = self._graph.add("buffersink")
        self._graph.link_nodes(last, self._add("format", "yuv420p"), self._sink).configure()

    def fit(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame in the film's size; one that has it already is given back."""
        if self._graph is None:
            return frame
        self._count += 1
        frame.pts, frame.time_base = self._count, _TICK
        self._source.push(frame)
        fitted = self._sink.pull()
        assert isinstance(fitted, av.VideoFrame)
        fitted.pict_type = 0
        return fitted

    def _covering(self, source: FrameSize, size: FrameSize, colours: str) -> FilterContext:
        """Cut at the edges by the little that is too much."""
        around = source.around(size)
        scaled = self._add("scale", f"{around.width}:{around.height}:flags=bicubic:{colours}")
        return self._chained(self._source, scaled, self._add("crop", f"{size.width}:{size.height}"))

    def _filled(self, source: FrameSize, size: FrameSize, colours: str) -> FilterContext:
        split = self._chained(self._source, self._add("split", "2"))
        inner, small = source.inside(size), size.inside(FrameSize(_BLUR_EDGE, _BLUR_EDGE))
        around = source.around(small)
        behind = self._add("scale", f"{around.width}:{around.height}:flags=area:{colours}")
        split.link_to(behind, 0, 0)
        last = self._chained(
            behind,
            self._add("crop", f"{small.width}:{small.height}"),
            self._add("gblur", f"sigma={_BLUR_SIGMA}"),
            self._add("lutyuv", f"y={_DARK}"),
            self._add("scale", f"{size.width}:{size.height}:flags=bilinear"),
        )
        front = self._add("scale", f"{inner.width}:{inner.height}:flags=bicubic:{colours}")
        split.link_to(front, 1, 0)
        left, top = ((size.width - inner.width) // 4 * 2, (size.height - inner.height) // 4 * 2)
        laid = self._add("overlay", f"{left}:{top}:format=yuv420")
        last.link_to(laid, 0, 0)
        front.link_to(laid, 0, 1)
        return laid

    def _add(self, name: str, options: str) -> FilterContext:
        assert self._graph is not None
        return self._graph.add(name, options)

    def _chained(self, *steps: FilterContext) -> FilterContext:
        for one, following in pairwise(steps):
            one.link_to(following, 0, 0)
        return steps[-1]
