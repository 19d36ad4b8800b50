"""Captions as a track of an MP4 that players show or hide: 3GPP timed text, which FFmpeg calls mov_text."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from av.container import OutputContainer
from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from ltx_mcp.domain.captions import Cue

_TICK = Fraction(1, 1000)
# The encoder takes its style from the head of an ASS file.
_STYLE = b"""\
[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def add_captions(container: OutputContainer) -> SubtitleStream:
    """A track for captions; before the first packet of any track is written."""
    stream = container.add_stream("mov_text")
    assert isinstance(stream, SubtitleStream)
    stream.codec_context.subtitle_header = _STYLE
    stream.codec_context.time_base = stream.time_base = _TICK
    return stream


def to_packets(stream: SubtitleStream, cues: Sequence[Cue], seconds: Fraction) -> "list[Packet[Any]]":
    """The cues of a film of this length; none may overlap."""
    packets = []
    for cue in cues:
        start, end = round(cue.start_s * 1000), min(round(cue.end_s * 1000), int(seconds * 1000))
        if start < end:
            text = cue.text.encode()
            packet: Packet[Any] = Packet(len(text).to_bytes(2, "big") + text)
            packet.stream, packet.time_base = stream, _TICK
            packet.pts = packet.dts = start
            packet.duration = end - start
            packets.append(packet)
    return packets
