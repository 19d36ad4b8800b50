"""Brings the colours of a clip to those of the clip that it continues, and lets go of that over its first second.

Both show the same moment once, in the frame that is seen only of the earlier one: its levels are compared.
"""

from dataclasses import dataclass

import av
from PIL import ImageStat

from ltx_mcp.media.join.planes import Tables, planes_of, with_levels

RELEASE_S = 1.0
_GREY = 128
_REDUCED = 8
_MAX_GAIN = 1.5
_SEEN = 0.4  # of 255; less is not seen, nor worth encoding for
_PLAIN = 2.0


@dataclass(frozen=True)
class ColourMatch:
    """For each plane the factor and the levels that are added: around `middle`, which is the later clip's mean."""

    gains: tuple[float, float, float]
    middles: tuple[float, float, float]
    shifts: tuple[float, float, float]

    @property
    def is_seen(self) -> bool:
        """Whether it changes what is seen."""
        return any(abs(shift) > _SEEN for shift in self.shifts) or any(abs(gain - 1) > 0.01 for gain in self.gains)

    def applied(self, frame: av.VideoFrame, strength: float) -> av.VideoFrame:
        """The frame with the match in this strength, from 0 to 1."""
        return with_levels(frame, self._tables(strength))

    def _tables(self, strength: float) -> Tables:
        luma, blue, red = (self._table(plane, strength) for plane in range(3))
        return luma, blue, red

    def _table(self, plane: int, strength: float) -> list[int]:
        gain = 1 + (self.gains[plane] - 1) * strength
        middle, shift = self.middles[plane], self.shifts[plane] * strength
        levels = ((level - middle) * gain + middle + shift for level in range(256))
        return [min(255, max(0, round(level))) for level in levels]


def match_colours(model: av.VideoFrame, own: av.VideoFrame) -> ColourMatch:
    """What brings the levels of the one picture to those of the other, which shows the same."""
    wanted, there = _levels(model), _levels(own)
    gains, shifts = [], []
    for (mean, spread), (own_mean, own_spread) in zip(wanted, there, strict=True):
        gain = spread / own_spread if min(spread, own_spread) > _PLAIN else 1.0
        gains.append(min(_MAX_GAIN, max(1 / _MAX_GAIN, gain)))
        shifts.append(mean - own_mean)
    return ColourMatch(_three(gains), _three([mean for mean, _ in there]), _three(shifts))


def _levels(frame: av.VideoFrame) -> list[tuple[float, float]]:
    """Mean and spread of each plane; reduced first, so that grain and sharpness do not count."""
    stats = [ImageStat.Stat(plane.reduce(_REDUCED if plane.width > 4 * _REDUCED else 1)) for plane in planes_of(frame)]
    return [(stat.mean[0], stat.stddev[0]) for stat in stats]


def _three(values: list[float]) -> tuple[float, float, float]:
    one, two, three = values
    return one, two, three
