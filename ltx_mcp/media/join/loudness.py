"""How loud sounds are by EBU R128, and the gains that bring them all to one loudness.

FFmpeg's ebur128 measures; what it says of every tenth of a second is kept, so that the loudness of the whole film is
known before it is mixed.
"""

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import av

from ltx_mcp.media.join.audio_chain import AudioChain

TARGET_LUFS = -16.0
_GATE_LUFS, _GATE_LU = -70.0, -10.0
_OFFSET = 0.691  # of ITU-R BS.1770
_MAX_GAIN_DB, _MIN_GAIN_DB = 24.0, -30.0
_M = "lavfi.r128.M"


@dataclass(frozen=True)
class Loudness:
    """The power of every 0.4 s of a sound, a tenth of a second apart."""

    powers: tuple[float, ...]

    @property
    def lufs(self) -> float | None:
        """The integrated loudness; None for silence."""
        return integrated(self.powers)

    def gain(self) -> float:
        """The factor that makes it as loud as the film is to be; 1 for silence, and bounded, so that what is nearly
        silent stays soft."""
        if self.lufs is None:
            return 1.0
        return to_factor(min(_MAX_GAIN_DB, max(_MIN_GAIN_DB, TARGET_LUFS - self.lufs)))


class LoudnessMeter:
    """Measures sound that is passed by."""

    def __init__(self) -> None:
        self._chain = AudioChain(("ebur128", "metadata=1"))
        self._powers: list[float] = []

    def add(self, samples: "array[float]") -> None:
        """Takes the next samples."""
        if samples:
            self._read(self._chain.frames(samples))

    def result(self) -> Loudness:
        """Ends the sound. What is shorter than 0.4 s counts as silence."""
        self._read(self._chain.rest())
        return Loudness(tuple(self._powers))

    def _read(self, frames: Iterable[av.AudioFrame]) -> None:
        for frame in frames:
            said = frame.metadata
            if _M in said:
                self._powers.append(_to_power(float(said[_M])))


def measure(blocks: "Iterable[array[float]]") -> Loudness:
    """The loudness of a sound."""
    meter = LoudnessMeter()
    for block in blocks:
        meter.add(block)
    return meter.result()


def integrated(powers: Iterable[float]) -> float | None:
    """The integrated loudness in LUFS, gated as R128 says; None where nothing is above the gate."""
    heard = [power for power in powers if power > _to_power(_GATE_LUFS)]
    if not heard:
        return None
    gate = sum(heard) / len(heard) * 10 ** (_GATE_LU / 10)
    loud = [power for power in heard if power > gate]
    return 10 * math.log10(sum(loud) / len(loud)) - _OFFSET


def to_factor(decibels: float) -> float:
    """What samples are multiplied with."""
    return float(10 ** (decibels / 20))


def _to_power(lufs: float) -> float:
    return float(10 ** ((lufs + _OFFSET) / 10))
