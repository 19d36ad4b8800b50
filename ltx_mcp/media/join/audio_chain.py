"""FFmpeg's filters for sound, as a chain that samples pass through: 48,000 a second, two channels interleaved."""

from array import array
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av
from av.filter import Graph
from av.filter.context import FilterContext

RATE, LAYOUT = 48_000, "stereo"
Step = tuple[str, str]
"""A filter and its options."""


def to_audio_frame(samples: "array[float]", pts: int) -> av.AudioFrame:
    """Samples as a frame that begins at sample `pts`."""
    frame = av.AudioFrame(format="flt", layout=LAYOUT, samples=len(samples) // 2)
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate, frame.pts, frame.time_base = RATE, pts, Fraction(1, RATE)
    return frame


class AudioChain:
    """Filters one after the other; the first takes `inputs` sounds at once."""

    def __init__(self, *steps: Step, inputs: int = 1) -> None:
        # The filters do not keep their graph alive: it must live as long as they do.
        self._graph = Graph()
        tick = Fraction(1, RATE)
        self._sources = [
            self._graph.add_abuffer(format="flt", sample_rate=RATE, layout=LAYOUT, time_base=tick)
            for _ in range(inputs)
        ]
        filters = [self._graph.add(name, options) for name, options in steps]
        for place, source in enumerate(self._sources):
            source.link_to(filters[0], 0, place)
        out = self._graph.add("aformat", f"sample_fmts=flt:sample_rates={RATE}:channel_layouts={LAYOUT}")
        self._sink: FilterContext = self._graph.add("abuffersink")
        self._graph.link_nodes(*filters, out, self._sink).configure()
        self._given = 0

    def frames(self, *inputs: "array[float]") -> Iterator[av.AudioFrame]:
        """What comes out when these samples, of one length, go in."""
        for source, samples in zip(self._sources, inputs, strict=True):
            source.push(to_audio_frame(samples, self._given))
        self._given += len(inputs[0]) // 2
        yield from self._ready()

    def rest(self) -> Iterator[av.AudioFrame]:
        """What is left at the end."""
        for source in self._sources:
            source.push(None)
        yield from self._ready()

    def through(self, *inputs: "array[float]") -> "array[float]":
        """The samples that come out at once."""
        return array("f", b"".join(map(to_bytes, self.frames(*inputs))))

    def _ready(self) -> Iterator[av.AudioFrame]:
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                frame = self._sink.pull()
                assert isinstance(frame, av.AudioFrame)
                yield frame


def to_bytes(frame: av.AudioFrame) -> bytes:
    """The samples of a frame, without what its memory has beyond them."""
    return bytes(frame.planes[0])[: frame.samples * 8]
