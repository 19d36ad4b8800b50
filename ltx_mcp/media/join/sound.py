"""The sound of a film: what is heard of each clip, exactly as long as its pictures, and how one passes into the next.

Samples are 32-bit floats, two channels interleaved, 48,000 a second. The sound of each clip reaches a little over its
cuts where the file has more of it, so that the two can be mixed there.
"""

import math
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from av.audio.stream import AudioStream
from av.container import InputContainer

from ltx_mcp.media.decode.audio_reader import AudioReader, open_audio
from ltx_mcp.media.join.audio_chain import LAYOUT, RATE, AudioChain
from ltx_mcp.media.join.timeline import FilmPart
from ltx_mcp.media.messages import Transition

WIDTH = 8
BLOCK = RATE
"""Samples that are handled at once."""
_CUT = round(0.08 * RATE)
_EXACT = ("mov,mp4,m4a,3gp,3g2,mj2",)
_WORTH_A_JUMP_S = 2.0
_DECODED_BEFORE_S = 0.1  # decoders need a little of what comes before


def to_samples(frame: int, rate: Fraction) -> int:
    """The first sample that is heard with a frame of the film."""
    return round(frame * RATE / rate)


@dataclass(frozen=True)
class Stretch:
    """The samples `first` to `last` of the film in which a clip is heard; it grows louder over its first `rise` samples
    and fades over its last `fall`."""

    part: FilmPart
    first: int
    last: int
    rise: int = 0
    fall: int = 0

    @property
    def origin_s(self) -> float:
        """The moment of the file that is its first sample."""
        begins = to_samples(self.part.begins, self.part.rate)
        return float(self.part.source.start_s + self.part.start + Fraction(self.first - begins, RATE))


def make_stretches(parts: list[FilmPart], transition: Transition, transition_s: float) -> list[Stretch]:
    """Where each clip is heard, and how it begins and ends."""
    heads, tails = [(0, 0)], []
    for before, part in pairwise(parts):
        tail, head = _meeting(before, part, transition, transition_s)
        tails.append(tail)
        heads.append(head)
    tails.append((0, 0))
    return [
        Stretch(
            part,
            to_samples(part.begins, part.rate) - head,
            to_samples(part.ends, part.rate) + tail,
            min(rise, _half(part)),
            min(fall, _half(part)),
        )
        for part, (head, rise), (tail, fall) in zip(parts, heads, tails, strict=True)
    ]


def _half(part: FilmPart) -> int:
    return to_samples(part.frames, part.rate) // 2


def _meeting(
    before: FilmPart, part: FilmPart, transition: Transition, transition_s: float
) -> tuple[tuple[int, int], ...]:
    """Of both sounds that meet: how far it reaches over the cut, and over how many samples it falls or rises."""
    if part.overlap:
        shared = to_samples(before.ends, part.rate) - to_samples(part.begins, part.rate)
        return (0, shared), (0, shared)
    if transition == "fade" and not part.continues:
        dark = round(transition_s * RATE / 2)
        return (0, dark), (0, dark)
    half = min(_CUT // 2, _half(before) // 2, _half(part) // 2)
    left = before.source.seconds - before.start - before.frames / before.rate
    tail = min(half, max(0, math.floor(left * RATE)))
    head = min(half, max(0, math.floor(part.start * RATE)))
    return (tail, half + tail), (head, half + head)


class StretchSound:
    """The sound of one stretch from its first sample to its last; a clip without sound is silent."""

    def __init__(self, stretch: Stretch, gain: float = 1.0) -> None:
        self._stretch = stretch
        self._volume = AudioChain(("volume", f"{gain:.6f}:precision=float")) if gain != 1.0 else None
        self._length, self._done = stretch.last - stretch.first, 0
        self._open = ExitStack()
        self._reader: AudioReader | None = None
        if stretch.part.source.has_audio:
            container, stream = self._open.enter_context(open_audio(stretch.part.source.path, "video"))
            self._reader = _reader_from(container, stream, stretch.origin_s)

    def read(self, count: int) -> "array[float]":
        """The next samples; what its file lacks is silence."""
        count = min(count, self._length - self._done)
        data = self._reader.read(count) if self._reader is not None else b""
        samples = array("f", data + bytes(count * WIDTH - len(data)))
        if self._volume is not None and count:
            samples = self._volume.through(samples)
        self._shape(samples, count)
        self._done += count
        if self._done == self._length:
            self.close()
        return samples

    def close(self) -> None:
        """Closes its file."""
        self._reader = None
        self._open.close()

    def _shape(self, samples: "array[float]", count: int) -> None:
        first, last = self._done, self._done + count
        for place in range(first, min(last, self._stretch.rise)):
            _scale_at(samples, place - first, math.sin(math.pi / 2 * (place + 0.5) / self._stretch.rise))
        for place in range(max(first, self._length - self._stretch.fall), last):
            left = self._length - place - 0.5
            _scale_at(samples, place - first, math.sin(math.pi / 2 * left / self._stretch.fall))


def _reader_from(container: InputContainer, stream: AudioStream, origin_s: float) -> AudioReader:
    """The sound from a moment of its file on; the way there is jumped where the file says exactly where it is."""
    early = origin_s - _DECODED_BEFORE_S
    if early > _WORTH_A_JUMP_S and container.format.name in _EXACT and stream.time_base:
        container.seek(int(early / stream.time_base), stream=stream, backward=True)
    return AudioReader(container, stream, origin_s, RATE, LAYOUT)


def _scale_at(samples: "array[float]", place: int, gain: float) -> None:
    samples[2 * place] *= gain
    samples[2 * place + 1] *= gain


def mixed(stretches: list[Stretch], gains: list[float]) -> "Iterator[array[float]]":
    """The sound of the whole film in blocks; at most two files are open at once."""
    held = array("f")
    """What of a clip is heard after the next one has begun."""
    for number, (stretch, gain) in enumerate(zip(stretches, gains, strict=True)):
        following = stretches[number + 1].first if number + 1 < len(stretches) else stretch.last
        sound = StretchSound(stretch, gain)
        alone = following - stretch.first
        begun = sound.read(len(held) // 2)
        yield array("f", [one + other for one, other in zip(held, begun, strict=True)])
        yield from _blocks(sound, alone - len(held) // 2)
        held = sound.read(stretch.last - following)
        sound.close()


def _blocks(sound: StretchSound, count: int) -> "Iterator[array[float]]":
    while count > 0:
        yield sound.read(min(BLOCK, count))
        count -= BLOCK
