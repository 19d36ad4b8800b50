"""Brings the colours of a clip to those of the clip that it continues, and lets go of that over its first second.

Both show the same moment once, in the frame that is seen only of the earlier one: its levels are compared.
"""

from dataclasses import dataclass
from itertools import accumulate

import av
from PIL import Image, ImageChops, ImageStat

from ltx_mcp.media.join.planes import Tables, planes_of, with_levels

RELEASE_S = 1.0
_GREY = 128
_REDUCED = 8
_MAX_GAIN = 1.5
_SEEN = 0.4  # of 255; less is not seen, nor worth encoding for
_PLAIN = 2.0
_ALIKE, _ROUNDS = 0.7, 4
"""The part of a picture that is taken to show the same in both, and how often that part is looked for again."""


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
        return with_levels(frame, self.tables(strength))

    def tables(self, strength: float) -> Tables:
        """What becomes of each level in this strength."""
        luma, blue, red = (self._table(plane, strength) for plane in range(3))
        return luma, blue, red

    def _table(self, plane: int, strength: float) -> list[int]:
        gain = 1 + (self.gains[plane] - 1) * strength
        middle, shift = self.middles[plane], self.shifts[plane] * strength
        levels = ((level - middle) * gain + middle + shift for level in range(256))
        return [min(255, max(0, round(level))) for level in levels]


def match_colours(model: av.VideoFrame, own: av.VideoFrame) -> ColourMatch:
    """What brings the levels of the one picture to those of the other, which shows the same. Parts that the one shows
    and the other does not are found by what stays different, and left out."""
    wanted, there = _reduced(model), _reduced(own)
    match = _match_levels(wanted, there, None)
    for _ in range(_ROUNDS):
        match = _match_levels(wanted, there, _most_alike(wanted[0], there[0].point(match.tables(1)[0])))
    return match


def _reduced(frame: av.VideoFrame) -> list[Image.Image]:
    """The planes reduced, so that grain and sharpness do not count."""
    return [plane.reduce(_REDUCED if plane.width > 4 * _REDUCED else 1) for plane in planes_of(frame)]


def _match_levels(wanted: list[Image.Image], there: list[Image.Image], alike: Image.Image | None) -> ColourMatch:
    """By mean and spread of each plane, where `alike` is not black."""
    gains, middles, shifts = [], [], []
    for one, other in zip(wanted, there, strict=True):
        mask = alike and alike.resize(one.size, Image.Resampling.NEAREST)
        given, own = ImageStat.Stat(one, mask), ImageStat.Stat(other, mask)
        spread, own_spread = given.stddev[0], own.stddev[0]
        gain = spread / own_spread if min(spread, own_spread) > _PLAIN else 1.0
        gains.append(min(_MAX_GAIN, max(1 / _MAX_GAIN, gain)))
        middles.append(own.mean[0])
        shifts.append(given.mean[0] - own.mean[0])
    return ColourMatch(_three(gains), _three(middles), _three(shifts))


def _most_alike(one: Image.Image, other: Image.Image) -> Image.Image:
    """White where two planes differ least, in at least this part of them."""
    off = ImageChops.difference(one, other)
    needed = _ALIKE * off.width * off.height
    limit = next(level for level, found in enumerate(accumulate(off.histogram())) if found >= needed)
    return off.point([255 if level <= limit else 0 for level in range(256)])


def _three(values: list[float]) -> tuple[float, float, float]:
    one, two, three = values
    return one, two, three
