"""Writes a film's packets of pictures, sound and captions in the order in which a player needs them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from fractions import Fraction
from heapq import merge
from typing import Any, TypeAlias

from av.container import OutputContainer
from av.packet import Packet

from ltx_mcp.domain.captions import Cue
from ltx_mcp.media.join.audio_chain import LAYOUT, RATE
from ltx_mcp.media.join.caption_track import add_captions, to_packets
from ltx_mcp.media.join.soundtrack import BIT_RATE, Soundtrack

_Packet: TypeAlias = "Packet[Any]"


class FilmWriter:
    """Packets of pictures wait until the sound is made; then all go out together."""

    def __init__(
        self, container: OutputContainer, sound: "Future[Soundtrack]", cues: Sequence[Cue], seconds: Fraction
    ) -> None:
        self._container, self._sound, self._cues, self._seconds = container, sound, cues, seconds
        self._waiting: list[_Packet] = []
        self._others: Iterator[_Packet] | None = None
        self._next: _Packet | None = None
        self.written = 0

    def write(self, packet: _Packet) -> None:
        """Takes the next packet of pictures."""
        self.written += 1
        self._waiting.append(packet)
        if self._sound.done():
            self._write_waiting()

    def finish(self) -> None:
        """Writes all that is left, once the sound is made."""
        self._sound.result()
        self._write_waiting()
        while self._next is not None:
            self._write_next()

    def _write_waiting(self) -> None:
        if self._others is None:
            self._others = self._begin()
            self._next = next(self._others, None)
        for packet in self._waiting:
            while self._next is not None and _moment(self._next) < _moment(packet):
                self._write_next()
            self._container.mux(packet)
        self._waiting.clear()

    def _begin(self) -> Iterator[_Packet]:
        """The packets of the other tracks, which must all be there before the first is written."""
        sound: Sequence[_Packet] = self._sound.result().packets
        if sound:
            stream = self._container.add_stream("aac", rate=RATE, layout=LAYOUT)
            stream.bit_rate = BIT_RATE
            for packet in sound:
                packet.stream = stream
        captions: Sequence[_Packet] = ()
        if self._cues:
            captions = to_packets(add_captions(self._container), self._cues, self._seconds)
        return merge(sound, captions, key=_moment)

    def _write_next(self) -> None:
        assert self._others is not None
        assert self._next is not None
        self._container.mux(self._next)
        self._next = next(self._others, None)


def _moment(packet: _Packet) -> Fraction:
    at = packet.dts if packet.dts is not None else packet.pts
    return (at or 0) * packet.time_base
