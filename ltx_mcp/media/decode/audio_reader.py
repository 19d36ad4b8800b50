"""Audio as samples, decoded from a file as one continuous run from a given moment on, and its loudness.

Samples are 32-bit floats, channels interleaved; a count of samples is of all channels at once.
"""

import math
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph

from ltx_mcp.media.decode.parts import odd_parts
from ltx_mcp.media.probe import Kind, find_audio, open_media, refused

_SLACK_S = 0.015  # timestamps in milliseconds are off by less; the ear notices more
_LOUDNESS_RATE = 16_000
_SILENCE = 0.0005
_MIXES = {(1, 2): "stereo|c0=c0|c1=c0", (2, 1): "mono|c0=0.5*c0+0.5*c1"}
"""By the channels there are and those that are wanted."""
_RELEASE_S = 0.25


class Samples(Protocol):
    """A source of audio samples."""

    rate: int
    layout: str

    def read(self, count: int) -> bytes:
        """The next samples, fewer than asked only at the end."""
        ...


def sample_bytes(layout: str) -> int:
    """How many bytes one sample of all channels has."""
    return 4 if layout == "mono" else 8


class AudioReader:
    """An audio stream as Samples, mono or stereo; gaps are filled with silence, overlaps are left out.

    `origin` is the moment of the file that is sample 0; None is the first audible one.
    """

    def __init__(
        self, container: InputContainer, stream: AudioStream, origin: float | None, rate: int = 0, layout: str = ""
    ) -> None:
        self.rate = rate or _usual_rate(stream.rate)
        self.layout = layout or ("mono" if stream.channels == 1 else "stereo")
        self._frames = audio_frames(container, stream)
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._origin = origin
        self._width = sample_bytes(self.layout)
        self._ready = bytearray()
        self._made = 0
        self._surplus = 0
        self._is_first, self._is_over = True, False

    def read(self, count: int) -> bytes:
        """The next samples, fewer than asked only at the end."""
        wanted = count * self._width
        while len(self._ready) < wanted and not self._is_over:
            self._decode_next()
        samples = bytes(self._ready[:wanted])
        del self._ready[:wanted]
        return samples

    def _decode_next(self) -> None:
        frame = next(self._frames, None)
        if frame is None:
            self._is_over = True
        elif frame.time is not None:
            self._keep_time(frame.time)
        for part in self._resampled(frame):
            self._take(bytes(part.planes[0])[: part.samples * self._width])

    def _resampled(self, frame: av.AudioFrame | None) -> list[av.AudioFrame]:
        """The frame in our own rate and channels; what was joined may have others from some moment on."""
        shape = (frame.format.name, frame.layout.name, frame.sample_rate) if frame is not None else None
        rest: list[av.AudioFrame] = []
        if shape != self._shape:
            rest = self._resampler.resample(None) if self._resampler else []
            self._resampler = av.AudioResampler(format="flt", layout=self.layout, rate=self.rate) if shape else None
            self._shape = shape
        return [*rest, *(self._resampler.resample(frame) if self._resampler else [])]

    def _keep_time(self, moment: float) -> None:
        if self._origin is None:
            self._origin = moment
        drift = round((moment - self._origin) * self.rate) - self._made + self._surplus
        if self._is_first or abs(drift) > _SLACK_S * self.rate:
            self._is_first = False
            if drift > 0:
                self._ready += bytes(drift * self._width)
                self._made += drift
            else:
                self._surplus -= drift

    def _take(self, data: bytes) -> None:
        left_out = min(self._surplus, len(data) // self._width)
        self._surplus -= left_out
        self._ready += data[left_out * self._width :]
        self._made += len(data) // self._width - left_out


@contextmanager
def open_audio(path: str | Path, kind: Kind) -> Iterator[tuple[InputContainer, AudioStream]]:
    """The audio of a file. CallerError (input_failed) where there is none, or it is damaged."""
    with open_media(path, kind) as container:
        stream = find_audio(container)
        if stream is None:
            raise refused(kind, "has no sound that can be decoded")
        yield container, stream


def audio_frames(container: InputContainer, stream: AudioStream) -> Iterator[av.AudioFrame]:
    """The audio of an opened file, part by part where it was joined: each begins where the one before ends."""
    path = container.name.removeprefix("file:")
    parts = odd_parts(path, container.format.name)
    if not parts:
        yield from container.decode(stream)
        return
    begins = 0.0
    for part in parts:
        with open_media(path, "audio", part) as opened:
            alike = _Mix(opened.streams.audio[0], stream.channels)
            for decoded in opened.decode(audio=0):
                frame = alike(decoded)
                frame.time_base, frame.pts = Fraction(1, frame.sample_rate), round(begins * frame.sample_rate)
                begins += frame.samples / frame.sample_rate
                yield frame


class _Mix:
    """Makes two channels of one, or one of two, as loud as before, where mono and stereo files were joined."""

    def __init__(self, stream: AudioStream, channels: int) -> None:
        how = _MIXES.get((stream.channels, channels))
        self._graph = Graph() if how else None
        if self._graph is not None and how:
            source = self._graph.add_abuffer(template=stream)
            self._graph.link_nodes(source, self._graph.add("pan", how), self._graph.add("abuffersink")).configure()

    def __call__(self, frame: av.AudioFrame) -> av.AudioFrame:
        if self._graph is None:
            return frame
        self._graph.push(frame)
        mixed = self._graph.pull()
        assert isinstance(mixed, av.AudioFrame)
        return mixed


def first_audio_s(path: str | Path) -> float:
    """The moment in seconds at which the audio of a file begins; an MP3 begins after its encoder's padding."""
    with open_audio(path, "audio") as (container, stream):
        frame = next(audio_frames(container, stream), None)
        return (frame.time if frame is not None else None) or 0.0


def measure_loudness(path: str | Path, fps: int, frames: int) -> list[float]:
    """How loud the audio is at each frame, from 0 to 1, the loudest; quick to rise and slow to fall."""
    with open_audio(path, "audio") as (container, stream):
        listener = AudioReader(container, stream, None, _LOUDNESS_RATE, "mono")
        edges = [round(number * _LOUDNESS_RATE / fps) for number in range(frames + 1)]
        powers = [_power(listener.read(end - start)) for start, end in pairwise(edges)]
    loudest = max(powers)
    if loudest < _SILENCE:
        return [0.0] * frames
    fall, level, levels = 1 / (_RELEASE_S * fps), 0.0, []
    for power in powers:
        level = max(power / loudest, level - fall)
        levels.append(level)
    return levels


def _power(samples: bytes) -> float:
    values = array("f", samples)
    return math.sqrt(sum(value * value for value in values) / len(values)) if values else 0.0


def _usual_rate(rate: int) -> int:
    """44.1 kHz for 11.025 kHz and its multiples, 48 kHz for all other rates."""
    return 44_100 if rate % 11_025 == 0 else 48_000
