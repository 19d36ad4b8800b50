"""Draws the `local` provider's preview: a real, playable MP4 that says plainly that it is not LTX's work.

Runs in the child process, blocking. Pictures are drawn small and enlarged by the codec library; text is laid over
them at full size.
"""

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import astuple
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.filter.context import FilterContext
from PIL import Image

from ltx_mcp.media.caption import Overlay, make_caption, make_mark
from ltx_mcp.media.facts import RenderNotes, RenderOrder
from ltx_mcp.media.landscape import Landscape
from ltx_mcp.media.sound import RATE, make_pad
from ltx_mcp.media.stills import Stills
from ltx_mcp.media.terrain import Size

__all__ = ["RenderNotes", "RenderOrder", "render"]

# Long side of the pictures before they are enlarged: a drawn scene is soft, a photograph needs more.
_SCENE_EDGE = 960
_STILL_EDGE = 1280
_DRAWERS = 2
_AHEAD = 4
_BT709 = 1  # AVCOL_SPC_BT709, and the same number for primaries and transfer
_NARROW = 1  # AVCOL_RANGE_MPEG
_COLOURS = "out_color_matrix=bt709:out_range=tv"
# One thread makes the same bytes every time, and drawing is the slower half anyway.
_X264 = {"preset": "ultrafast", "crf": "28", "threads": "1"}


class _Scene(Protocol):
    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame `seconds` into the film, when `part` of it (0 to 1) has gone by. Safe to call from threads."""
        ...


def render(order: RenderOrder, out: Path, tell: Callable[[float], None]) -> RenderNotes:
    """Writes the preview to `out`, whatever its name ends in; `tell` hears the part done, from 0 to 1.

    The same order makes the same bytes on one machine. CallerError (input_failed) when a picture cannot be used.
    """
    scene = _make_scene(order, _seeded(order))
    caption = make_caption(order.prompt, order.width, order.height)
    overlays = [make_mark(order.width, order.height), *([caption.overlay] if caption.overlay else [])]
    with av.open(str(out), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        film = _Film(container, order, overlays)
        every = max(1, order.fps // 4)
        for number, frame in enumerate(_drawn(scene, order)):
            film.add(frame)
            if number % every == 0:
                tell(number / order.frames)
        film.finish()
    tell(1.0)
    return RenderNotes(caption.missing)


def _seeded(order: RenderOrder) -> random.Random:
    """Chance that depends on the order alone; paths of pictures do not count, the pictures show themselves."""
    words = (*astuple(order)[:-2], order.image is not None, order.end_image is not None)
    digest = hashlib.sha256(repr(words).encode("utf-8", "backslashreplace")).digest()
    return random.Random(int.from_bytes(digest, "big"))


def _make_scene(order: RenderOrder, rng: random.Random) -> _Scene:
    if order.image is None:
        return Landscape(order.prompt, order.camera_motion, _inner_size(order, _SCENE_EDGE), rng)
    return Stills(order, _inner_size(order, _STILL_EDGE), rng)


def _inner_size(order: RenderOrder, edge: int) -> Size:
    scale = min(1.0, edge / max(order.width, order.height))
    return max(2, round(order.width * scale / 2) * 2), max(2, round(order.height * scale / 2) * 2)


def _drawn(scene: _Scene, order: RenderOrder) -> Iterator[av.VideoFrame]:
    """The frames in order, a few drawn ahead in threads while the earlier ones are encoded."""
    waiting: deque[Future[av.VideoFrame]] = deque()
    with ThreadPoolExecutor(_DRAWERS) as pool:
        for number in range(order.frames):
            waiting.append(pool.submit(_draw_frame, scene, order, number))
            if len(waiting) > _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _draw_frame(scene: _Scene, order: RenderOrder, number: int) -> av.VideoFrame:
    picture = scene.draw(number / max(1, order.frames - 1), number / order.fps)
    frame: av.VideoFrame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
    frame.pts, frame.time_base = number, Fraction(1, order.fps)
    return frame


class _Film:
    """The encoders of one MP4, fed frame by frame; sound follows the picture second by second."""

    def __init__(self, container: OutputContainer, order: RenderOrder, overlays: list[Overlay]) -> None:
        self._container, self._order, self._overlays = container, order, overlays
        self._stream = container.add_stream("libx264", rate=order.fps, options=_X264 | {"g": str(order.fps)})
        self._stream.width, self._stream.height, self._stream.pix_fmt = order.width, order.height, "yuv420p"
        context = self._stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _NARROW
        self._press: _Press | None = None
        self._sound = _Sound(container, order) if order.audio else None

    def add(self, frame: av.VideoFrame) -> None:
        """Enlarges the frame, lays the text over it and encodes it."""
        number = frame.pts
        if self._press is None:
            self._press = _Press(self._order, (frame.width, frame.height), self._overlays)
        full = self._press.print(frame)
        full.pts, full.time_base = number, Fraction(1, self._order.fps)
        self._container.mux(self._stream.encode(full))
        if self._sound and number is not None and (number + 1) % self._order.fps == 0:
            self._sound.follow((number + 1) // self._order.fps)

    def finish(self) -> None:
        """Empties the encoders."""
        self._container.mux(self._stream.encode())
        if self._sound:
            self._sound.finish()


class _Sound:
    """The AAC track, exactly as long as the picture."""

    def __init__(self, container: OutputContainer, order: RenderOrder) -> None:
        self._container = container
        self._stream: AudioStream = container.add_stream("aac", rate=RATE, layout="stereo")
        self._stream.bit_rate = 96_000
        self._samples = make_pad(round(order.frames * RATE / order.fps), _seeded(order))
        self._done = 0

    def follow(self, seconds: float) -> None:
        """Encodes what is due up to that moment of the film."""
        count = min(round(seconds * RATE), len(self._samples) // 4) - self._done
        if count <= 0:
            return
        frame = av.AudioFrame(format="s16", layout="stereo", samples=count)
        frame.planes[0].update(self._samples[self._done * 4 : (self._done + count) * 4])
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._done, Fraction(1, RATE)
        self._done += count
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Encodes the rest and empties the encoder."""
        self.follow(len(self._samples))
        self._container.mux(self._stream.encode())


class _Press:
    """Enlarges a frame and lays the overlays over it: one chain of the codec library's filters."""

    def __init__(self, order: RenderOrder, inner: Size, overlays: list[Overlay]) -> None:
        # The filters do not keep their graph alive: it must live as long as they do.
        self._graph = Graph()
        self._tick = Fraction(1, order.fps)
        self._source = self._entrance(inner, "rgb24")
        scale = f"{order.width}:{order.height}:flags=bicubic:{_COLOURS}"
        chain = _chained(self._source, self._graph.add("scale", scale), self._graph.add("format", "yuv420p"))
        papers = []
        for overlay in overlays:
            papers.append(self._entrance(overlay.image.size, "rgba"))
            chain = self._laid_over(chain, papers[-1], overlay)
        self._sink = _chained(chain, self._graph.add("buffersink"))
        self._graph.configure()
        for paper, overlay in zip(papers, overlays, strict=True):
            _feed_once(paper, overlay.image, self._tick)

    def print(self, frame: av.VideoFrame) -> av.VideoFrame:
        self._source.push(frame)
        full = self._sink.pull()
        assert isinstance(full, av.VideoFrame)
        return full

    def _entrance(self, size: Size, pixels: str) -> FilterContext:
        return self._graph.add_buffer(
            width=size[0], height=size[1], format=av.VideoFormat(pixels), time_base=self._tick
        )

    def _laid_over(self, chain: FilterContext, paper: FilterContext, overlay: Overlay) -> FilterContext:
        sticker = _chained(paper, self._graph.add("scale", _COLOURS), self._graph.add("format", "yuva420p"))
        press = self._graph.add("overlay", f"{overlay.x}:{overlay.y}:format=yuv420:eof_action=repeat")
        chain.link_to(press, 0, 0)
        sticker.link_to(press, 0, 1)
        return press


def _feed_once(paper: FilterContext, image: Image.Image, tick: Fraction) -> None:
    # from_image would drop the transparency.
    frame = av.VideoFrame.from_bytes(image.tobytes(), image.width, image.height, "rgba")
    frame.pts, frame.time_base = 0, tick
    paper.push(frame)
    paper.push(None)


def _chained(*filters: FilterContext) -> FilterContext:
    for one, other in pairwise(filters):
        one.link_to(other)
    return filters[-1]
