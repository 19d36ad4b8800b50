"""The coded frames of a film: encoded here, or copied as their clips store them, in one stream with one clock.

Each run of encoded frames has an encoder of its own, so that it begins with a frame that refers to nothing before it.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from ltx_mcp.media.join.copying import CopiedRun
from ltx_mcp.media.join.fitted import FrameSize
from ltx_mcp.media.join.parameter_sets import ParameterSets, from_stream, to_lengths, to_record

_CRF = 17
_DELAY = 2
"""Frames by which our own storing is ahead of what is shown."""
_BT709 = 1

NumberedFrame = tuple[int, av.VideoFrame]


class FilmEncoder:
    """The video track of a film; `copied` are the parameter sets of frames that are copied, `delay` is theirs."""

    def __init__(
        self, container: OutputContainer, size: FrameSize, rate: Fraction, copied: ParameterSets | None, delay: int
    ) -> None:
        self._size, self._rate = size, rate
        self._number = copied.free_number() if copied else 0
        self._delay = max(_DELAY, delay)
        self._stored = 0
        self.copied_frames = 0
        self._stream: VideoStream = container.add_stream("libx264", rate=rate, options=self._options())
        context = self._stream.codec_context
        self._prepare(context)
        context.open()
        self._unused: VideoCodecContext | None = context
        own = from_stream(context.extradata or b"")
        context.extradata = to_record(copied, own) if copied else to_record(own)

    def packets(self, items: "Iterable[NumberedFrame | CopiedRun]") -> "Iterator[Packet[Any]]":
        """All frames as they are stored; frames are given with their number in the film."""
        encoder: VideoCodecContext | None = None
        for item in items:
            if isinstance(item, CopiedRun):
                yield from self._own(encoder.encode(None) if encoder else [])
                encoder = None
                for packet in item.packets():
                    self.copied_frames += 1
                    yield self._timed(packet)
                continue
            encoder = encoder or self._encoder()
            number, frame = item
            frame.pts, frame.time_base, frame.pict_type = number, 1 / self._rate, 0
            yield from self._own(encoder.encode(frame))
        yield from self._own(encoder.encode(None) if encoder else [])

    def _own(self, packets: "Iterable[Packet[Any]]") -> "Iterator[Packet[Any]]":
        for packet in packets:
            coded: Packet[Any] = Packet(to_lengths(bytes(packet)))
            coded.pts, coded.is_keyframe = packet.pts, packet.is_keyframe
            yield self._timed(coded)

    def _timed(self, packet: "Packet[Any]") -> "Packet[Any]":
        """The packet by the film's clock; its time is the number of its frame."""
        packet.stream, packet.time_base = self._stream, 1 / self._rate
        packet.dts, packet.duration = self._stored - self._delay, 1
        self._stored += 1
        return packet

    def _encoder(self) -> VideoCodecContext:
        """A new encoder; the first one is that of the track, which was opened for its parameter sets."""
        if self._unused is not None:
            encoder, self._unused = self._unused, None
            return encoder
        encoder = av.CodecContext.create("libx264", "w")
        encoder.options = self._options()
        self._prepare(encoder)
        return encoder

    def _prepare(self, context: VideoCodecContext) -> None:
        context.width, context.height, context.pix_fmt = self._size.width, self._size.height, "yuv420p"
        context.time_base, context.framerate = 1 / self._rate, self._rate
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = 1
        context.flags |= Flags.global_header

    def _options(self) -> dict[str, str]:
        # two B-frames without a search for where: a third faster than the preset alone, and smaller
        return {
            "preset": "superfast",
            "crf": str(_CRF),
            "g": str(max(1, round(2 * self._rate))),
            "threads": "4",
            "x264-params": f"bframes=2:b-adapt=0:weightb=0:sps-id={self._number}",
        }
