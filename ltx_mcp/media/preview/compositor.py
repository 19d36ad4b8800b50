"""Brings drawn images to the screen: enlarged, with text laid over them, in a video's own colours, a few drawn ahead.

One chain of the codec library's filters does the work on pixels.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av
from av.filter import Graph
from av.filter.context import FilterContext
from PIL import Image

from ltx_mcp.media.preview.camera import Size
from ltx_mcp.media.preview.caption import Caption, Overlay, make_mark
from ltx_mcp.media.preview.scenes import Scene

_DRAWERS = 2
_AHEAD = 4


@dataclass(frozen=True)
class Screen:
    """What frames are printed for: size, clock, and the matrix that makes their colours, as the filters name it."""

    width: int
    height: int
    tick: Fraction
    matrix: str = "bt709"

    @property
    def colours(self) -> str:
        """The options of a scale filter that gives these colours."""
        return f"out_color_matrix={self.matrix}:out_range=tv"

    def inner_size(self, edge: int) -> Size:
        """The even size of images of this shape whose long side is at most `edge`."""
        scale = min(1.0, edge / max(self.width, self.height))
        return max(2, round(self.width * scale / 2) * 2), max(2, round(self.height * scale / 2) * 2)


def draw(
    scene: Scene, screen: Screen, caption: Caption, moments: Iterable[tuple[int, float, float]]
) -> Iterator[av.VideoFrame]:
    """The full frames of a scene, all with the mark and the caption, drawn a few ahead; each moment is when the frame
    is shown, in ticks of the screen, the part gone by and the seconds."""
    overlays = [make_mark(screen.width, screen.height), *([caption.overlay] if caption.overlay else [])]
    compositor: Compositor | None = None
    waiting: deque[tuple[int, Future[Image.Image]]] = deque()
    left = iter(moments)
    with ThreadPoolExecutor(_DRAWERS) as pool:
        while True:
            for pts, part, seconds in islice(left, _AHEAD + 1 - len(waiting)):
                waiting.append((pts, pool.submit(scene.draw, part, seconds)))
            if not waiting:
                return
            pts, drawn = waiting.popleft()
            image = drawn.result()
            compositor = compositor or Compositor(screen, image.size, overlays)
            yield compositor.compose(image, pts)


class Compositor:
    """Enlarges images and lays the overlays over them."""

    def __init__(self, screen: Screen, inner: Size, overlays: list[Overlay]) -> None:
        # The filters do not keep their graph alive: it must live as long as they do.
        self._graph = Graph()
        self._screen = screen
        self._source = self._entrance(inner, "rgb24")
        scale = f"{screen.width}:{screen.height}:flags=bicubic:{screen.colours}"
        chain = self._graph.add("format", "yuv420p")
        self._graph.link_nodes(self._source, self._graph.add("scale", scale), chain)
        overlay_sources = []
        for overlay in overlays:
            overlay_sources.append(self._entrance(overlay.image.size, "rgba"))
            chain = self._laid_over(chain, overlay_sources[-1], overlay)
        self._sink = self._graph.add("buffersink")
        self._graph.link_nodes(chain, self._sink).configure()
        for overlay_source, overlay in zip(overlay_sources, overlays, strict=True):
            _feed_once(overlay_source, overlay.image, screen.tick)

    def compose(self, image: Image.Image, pts: int) -> av.VideoFrame:
        """The full frame, to be shown at `pts` ticks."""
        frame: av.VideoFrame = av.VideoFrame.from_image(image)  # type: ignore[no-untyped-call]
        frame.pts, frame.time_base = pts, self._screen.tick
        self._source.push(frame)
        full = self._sink.pull()
        assert isinstance(full, av.VideoFrame)
        full.pts, full.time_base = pts, self._screen.tick
        return full

    def _entrance(self, size: Size, pixels: str) -> FilterContext:
        return self._graph.add_buffer(
            width=size[0], height=size[1], format=av.VideoFormat(pixels), time_base=self._screen.tick
        )

    def _laid_over(self, chain: FilterContext, overlay_source: FilterContext, overlay: Overlay) -> FilterContext:
        sticker = self._graph.add("format", "yuva420p")
        self._graph.link_nodes(overlay_source, self._graph.add("scale", self._screen.colours), sticker)
        overlaid = self._graph.add("overlay", f"{overlay.x}:{overlay.y}:format=yuv420:eof_action=repeat")
        chain.link_to(overlaid, 0, 0)
        sticker.link_to(overlaid, 0, 1)
        return overlaid


def _feed_once(overlay_source: FilterContext, image: Image.Image, tick: Fraction) -> None:
    # from_image would drop the transparency.
    frame = av.VideoFrame.from_bytes(image.tobytes(), image.width, image.height, "rgba")
    frame.pts, frame.time_base = 0, tick
    overlay_source.push(frame)
    overlay_source.push(None)
