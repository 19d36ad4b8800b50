"""Audio tracks of an MP4 being written: encoded from samples, or packets copied from another file.

A track follows the video: it is called with the time written so far and writes what is due; the first frame is at 0 s.
"""

import math
import random
from array import array
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from ltx_mcp.media.decode.audio_reader import AudioReader, Samples, sample_bytes
from ltx_mcp.media.decode.parts import odd_parts
from ltx_mcp.media.probe import codec_name

GOOD_BIT_RATE = 256_000
_FADE_S = 0.03
_ROUNDED_S = 0.002
_LEAD_S = 0.05  # decoders need a little of what comes before
RATE = 48_000
_LOOP_S = 2  # every tone fits this loop a whole number of times, so that it repeats without a click
_PAD_FADE_S = 1.2
_ROOTS_HZ = (98.0, 110.0, 123.5, 130.5, 146.5)
_CHORDS = ((1.0, 1.5, 2.5), (1.0, 2.0, 3.0), (1.0, 1.5, 2.4), (1.0, 1.5, 2.25))


class Track(Protocol):
    def follow(self, seconds: float) -> None:
        """Writes what is due up to that moment of the video."""
        ...

    def finish(self) -> None:
        """Writes the rest."""
        ...


def make_track(
    container: OutputContainer,
    source: InputContainer,
    stream: AudioStream,
    origin: float,
    seconds: Fraction | None = None,
    copied: tuple[str, ...] = ("aac", "mp3"),
) -> Track:
    """The audio of another file from its moment `origin` on: copied where it is in one of these codecs, else encoded.
    The default codecs are those that every player of MP4 plays."""
    is_one_part = not odd_parts(source.name.removeprefix("file:"), source.format.name)
    if codec_name(stream) in copied and is_one_part:
        return CopiedTrack(container, source, stream, origin, seconds)
    return EncodedTrack(container, AudioReader(source, stream, origin), seconds)


class Silence:
    """No track at all."""

    def follow(self, seconds: float) -> None:
        """Nothing is due."""

    def finish(self) -> None:
        """Nothing is left."""


class EncodedTrack:
    """Samples as AAC-LC; `seconds` long, filled up with silence, or as long as the samples are."""

    def __init__(
        self,
        container: OutputContainer,
        source: Samples,
        seconds: float | Fraction | None = None,
        bit_rate: int = GOOD_BIT_RATE,
    ) -> None:
        self._container, self._source = container, source
        self._stream: AudioStream = container.add_stream("aac", rate=source.rate, layout=source.layout)
        self._stream.bit_rate = bit_rate
        self._total = None if seconds is None else round(seconds * source.rate)
        self._done = 0

    def follow(self, seconds: float) -> None:
        """Encodes what is due."""
        due = round(seconds * self._source.rate)
        self._encode((due if self._total is None else min(due, self._total)) - self._done)

    def finish(self) -> None:
        """Encodes the rest and empties the encoder."""
        if self._total is not None:
            self._encode(self._total - self._done)
        while self._total is None and self._encode(self._source.rate):
            pass
        self._container.mux(self._stream.encode())

    def _encode(self, count: int) -> int:
        if count <= 0:
            return 0
        rate, width = self._source.rate, sample_bytes(self._source.layout)
        samples = self._source.read(count)
        if self._total is not None:
            samples += bytes(count * width - len(samples))
        count = len(samples) // width
        if count:
            frame = av.AudioFrame(format="flt", layout=self._source.layout, samples=count)
            frame.planes[0].update(samples)
            frame.sample_rate, frame.pts, frame.time_base = rate, self._done, Fraction(1, rate)
            self._done += count
            self._container.mux(self._stream.encode(frame))
        return count


class CopiedTrack:
    """The packets of another file's audio, moved so that its moment `origin` is 0 s, and cut at `seconds`."""

    def __init__(
        self,
        container: OutputContainer,
        source: InputContainer,
        stream: AudioStream,
        origin: float,
        seconds: float | Fraction | None = None,
    ) -> None:
        self._container = container
        self._stream = container.add_stream_from_template(stream)
        self._packets = _moved(source, stream, origin, seconds)
        self._next = next(self._packets, None)

    def follow(self, seconds: float) -> None:
        """Copies what is due."""
        while self._next is not None and (self._next.pts or 0) * self._next.time_base < seconds:
            self._copy(self._next)

    def finish(self) -> None:
        """Copies the rest."""
        while self._next is not None:
            self._copy(self._next)

    def _copy(self, packet: "Packet[AudioStream]") -> None:
        packet.stream = self._stream
        self._container.mux(packet)
        self._next = next(self._packets, None)


def _moved(
    source: InputContainer, stream: AudioStream, origin: float, seconds: float | Fraction | None
) -> "Iterator[Packet[AudioStream]]":
    """The packets timed by the audio's own rate, as far as the file's rounded times allow."""
    tick, size = Fraction(1, stream.rate), stream.codec_context.frame_size
    slack = _ROUNDED_S * stream.rate
    expected: int | None = None
    for packet in source.demux(stream):
        if not packet.size or packet.pts is None:
            continue
        start = round((packet.pts * packet.time_base - origin) / tick)
        span = round((packet.duration or 0) * packet.time_base / tick)
        span = size if not span or abs(span - size) <= slack else span
        if expected is not None and abs(start - expected) <= slack:
            start = expected
        expected = start + span
        if expected < -_LEAD_S * stream.rate:  # skipped by whoever plays it
            continue
        end = expected if seconds is None else round(seconds / tick)
        if start >= end:
            return
        packet.time_base = tick
        packet.pts = packet.dts = start
        packet.duration = min(span, end - start)
        yield packet


class Pad:
    """The soft pad of a preview, as Samples."""

    def __init__(self, seconds: float | Fraction, rate: int, layout: str, rng: random.Random) -> None:
        self.rate, self.layout = rate, layout
        self._samples, self._done = _to_floats(_make_pad(round(seconds * RATE), rng), rate, layout), 0

    def read(self, count: int) -> bytes:
        """The next samples, fewer than asked only at the end."""
        start, self._done = self._done, self._done + count * sample_bytes(self.layout)
        return self._samples[start : self._done]


class Dub:
    """A video's own audio, if any, which begins at sample `begins`, replaced by another for `count` from `start` on."""

    def __init__(self, own: Samples | None, begins: int, other: Pad, start: int, count: int) -> None:
        self.rate, self.layout = other.rate, other.layout
        self._own, self._other = own, other
        self._begins, self._start, self._end = begins, start, start + count
        self._fade = min(round(_FADE_S * self.rate), count // 2)
        self._done = 0

    def read(self, count: int) -> bytes:
        """The next samples; after the end of both, silence."""
        start, self._done = self._done, self._done + count
        samples = array("f", self._read_own(start, count))
        first, last = max(start, self._start), min(self._done, self._end)
        if first < last:
            self._lay_over(samples, start, first, last)
        return samples.tobytes()

    def _read_own(self, start: int, count: int) -> bytes:
        width = sample_bytes(self.layout)
        before = bytes(min(count, max(0, self._begins - start)) * width)
        wanted = count - len(before) // width
        own = self._own.read(wanted) if self._own and wanted else b""
        return before + own + bytes(count * width - len(before) - len(own))

    def _lay_over(self, samples: "array[float]", start: int, first: int, last: int) -> None:
        channels = sample_bytes(self.layout) // 4
        other = array("f", self._other.read(last - first))
        other.extend([0.0] * ((last - first) * channels - len(other)))
        for place in range(first, last):
            # The two meet within the other's part, so that nothing of what is kept changes.
            away = min(place - self._start, self._end - 1 - place)
            if away < self._fade:
                gain = 1 - away / self._fade
                for channel in range(channels):
                    other[(place - first) * channels + channel] += gain * samples[(place - start) * channels + channel]
        samples[(first - start) * channels : (last - start) * channels] = other


def _to_floats(pad: bytes, rate: int, layout: str) -> bytes:
    if not pad:
        return b""
    frame = av.AudioFrame(format="s16", layout="stereo", samples=len(pad) // 4)
    frame.planes[0].update(pad)
    frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
    resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
    parts = [*resampler.resample(frame), *resampler.resample(None)]
    width = sample_bytes(layout)
    return b"".join(bytes(part.planes[0])[: part.samples * width] for part in parts)


def _make_pad(samples: int, rng: random.Random) -> bytes:
    """That many samples of 16-bit stereo at 48 kHz, faded in and out."""
    loop = _make_loop(rng)
    track = array("h", (loop * (samples * 4 // len(loop) + 1))[: samples * 4])
    fade = min(round(_PAD_FADE_S * RATE), samples // 2)
    for step in range(fade):
        gain = (step / fade) ** 2
        for place in (2 * step, 2 * step + 1, -2 * step - 1, -2 * step - 2):
            track[place] = round(track[place] * gain)
    return track.tobytes()


def _make_loop(rng: random.Random) -> bytes:
    count = RATE * _LOOP_S
    sine = [math.sin(step * math.tau / count) for step in range(count)]
    root = rng.choice(_ROOTS_HZ)
    chord = [0.0] * count
    for number, ratio in enumerate(rng.choice(_CHORDS)):
        # Two tones half a hertz apart beat once in the loop: the pad breathes.
        cycles, level, lag = round(root * ratio * _LOOP_S), 1700 / (1 + number * 0.6), rng.randrange(count)
        tones = [sine[step * cycles % count] + sine[(step * (cycles + 1) + lag) % count] for step in range(count)]
        chord = [old + level * new for old, new in zip(chord, tones, strict=True)]
    left = array("h", map(int, chord))
    stereo = array("h", bytes(4 * count))
    stereo[0::2] = left
    # The other channel has the same loop, shifted: width at no cost.
    stereo[1::2] = left[count // 3 :] + left[: count // 3]
    return stereo.tobytes()
