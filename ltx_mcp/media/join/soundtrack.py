"""The sound track of a film, finished: clips made equally loud, music laid under them, peaks limited, encoded as AAC.

It is made in a thread of its own while the pictures are encoded, and kept in memory: 1 MB for 40 s.
"""

from array import array
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

import av
from av.audio.codeccontext import AudioCodecContext
from av.packet import Packet

from ltx_mcp.media.join.audio_chain import LAYOUT, RATE, AudioChain, to_audio_frame, to_bytes
from ltx_mcp.media.join.loudness import TARGET_LUFS, LoudnessMeter, measure, to_factor
from ltx_mcp.media.join.music import Music
from ltx_mcp.media.join.sound import BLOCK, Stretch, StretchSound, make_stretches, mixed, to_samples
from ltx_mcp.media.join.timeline import FilmPart
from ltx_mcp.media.messages import JoinOrder, ReportProgress

BIT_RATE = 192_000
_PEAK = to_factor(-1.6)
"""The peak in the samples: encoding adds up to half a decibel."""
_NEAR_LU = 0.2
_ROUNDS = 3
_OVERSAMPLED = 192_000
_THREADS = 2
_MEASURED = 0.4
"""The part of the work after which the clips' loudness is known."""


@dataclass(frozen=True)
class Soundtrack:
    """Packets of AAC for the whole film, and its loudness; no packets where nothing makes a sound."""

    packets: "tuple[Packet[av.AudioStream], ...]"
    lufs: float | None


def make_soundtrack(order: JoinOrder, parts: list[FilmPart], report: ReportProgress) -> Soundtrack:
    """The sound of the film, as long as its pictures to the sample."""
    if order.sound is None and not any(part.source.has_audio for part in parts):
        return Soundtrack((), None)
    count = to_samples(parts[-1].ends, parts[-1].rate)
    stretches = make_stretches(parts, order.transition, order.transition_s)
    gains = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for gain in pool.map(_gain, stretches):
            gains.append(gain)
            report(_MEASURED * len(gains) / len(stretches))
    music = Music(order.sound, order.sound_level, count) if order.sound is not None else None
    mix = _FilmMix(stretches, gains, music, count)
    return _mastered(mix, _part_of(report, _MEASURED, 1.0))


def _part_of(report: ReportProgress, first: float, last: float) -> ReportProgress:
    return lambda part: report(first + (last - first) * part)


def _gain(stretch: Stretch) -> float:
    """What makes a clip as loud as the film is to be."""
    sound = StretchSound(stretch)
    return measure(iter(lambda: sound.read(BLOCK), array("f"))).gain()


@dataclass(frozen=True)
class _FilmMix:
    """Everything that is heard, before it is made as loud as it is to be; `count` samples."""

    stretches: list[Stretch]
    gains: list[float]
    music: Music | None
    count: int

    def blocks(self) -> "Iterator[array[float]]":
        """The samples from the start."""
        clips = mixed(self.stretches, self.gains)
        return clips if self.music is None else self.music.under(clips)


def _mastered(mix: _FilmMix, report: ReportProgress) -> Soundtrack:
    """Encoded with the gain that makes the whole as loud as it is to be: where the limiter took too much of that, or
    the clips are heard together, once more."""
    gain_db = 0.0
    made = Soundtrack((), None)
    for number in range(_ROUNDS):
        made = _encoded(mix, gain_db, _part_of(report, number / _ROUNDS, (number + 1) / _ROUNDS))
        if made.lufs is None or abs(made.lufs - TARGET_LUFS) <= _NEAR_LU:
            break
        gain_db += TARGET_LUFS - made.lufs
    report(1.0)
    return made


def _encoded(mix: _FilmMix, gain_db: float, report: ReportProgress) -> Soundtrack:
    encoder, meter = _encoder(), LoudnessMeter()
    packets, done = [], 0
    blocks = _limited(mix.blocks(), gain_db, mix.count)
    with ThreadPoolExecutor(1) as pool:
        # one block is mixed while the one before is encoded
        ahead = pool.submit(next, blocks, None)
        while (samples := ahead.result()) is not None:
            ahead = pool.submit(next, blocks, None)
            meter.add(samples)
            packets += encoder.encode(to_audio_frame(samples, done))
            done += len(samples) // 2
            report(done / mix.count)
    packets += encoder.encode(None)
    return Soundtrack(tuple(packets), meter.result().lufs)


def _limited(blocks: "Iterable[array[float]]", gain_db: float, count: int) -> "Iterator[array[float]]":
    """The samples with a gain, and no peak too high, between samples neither; exactly `count` of them."""
    chain = AudioChain(
        ("volume", f"{gain_db:.4f}dB:precision=float"),
        ("aresample", str(_OVERSAMPLED)),
        ("alimiter", f"limit={_PEAK:.5f}:attack=3:release=60:level=disabled:latency=1"),
        ("aresample", str(RATE)),
    )
    left = count
    for frame in _frames(chain, blocks):
        samples = array("f", to_bytes(frame))[: 2 * left]
        left -= len(samples) // 2
        if samples:
            yield samples
    if left:
        yield array("f", bytes(8 * left))


def _frames(chain: AudioChain, blocks: "Iterable[array[float]]") -> Iterator[av.AudioFrame]:
    for block in blocks:
        if block:
            yield from chain.frames(block)
    yield from chain.rest()


def _encoder() -> AudioCodecContext:
    encoder = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, LAYOUT, "fltp"
    encoder.bit_rate, encoder.time_base = BIT_RATE, Fraction(1, RATE)
    # at this rate not heard, and twice as fast
    encoder.options = {"aac_coder": "fast"}
    return encoder
