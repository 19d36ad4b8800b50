"""What floats in the air of the text preview: soft lights, fireflies, snow, rain, petals or embers."""

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ltx_mcp.media.camera import View
from ltx_mcp.media.mood import Colour, Mood, mix
from ltx_mcp.media.terrain import Size, make_disc, seen

_LEVELS = 8  # a mote's brightness goes in this many steps, each drawn once


@dataclass(frozen=True)
class _Kind:
    count: int
    sizes: tuple[float, float]  # in hundredths of the frame's mean side
    fall: float  # frame heights a second; negative rises
    sway: float  # frame widths
    bright: tuple[float, float]
    pulse: float  # radians a second
    shape: str = "glow"


_KINDS = {
    "bokeh": _Kind(26, (0.8, 5.0), -0.012, 0.012, (0.05, 0.2), 0.8),
    "fireflies": _Kind(46, (0.5, 1.3), -0.008, 0.02, (0.0, 0.95), 1.7),
    "snow": _Kind(90, (0.3, 1.2), 0.09, 0.012, (0.35, 0.85), 0.0),
    "rain": _Kind(70, (1.5, 4.0), 0.9, 0.0, (0.16, 0.36), 0.0, "streak"),
    "petals": _Kind(50, (0.6, 1.6), 0.05, 0.03, (0.5, 0.9), 0.0, "petal"),
    "embers": _Kind(60, (0.3, 1.0), -0.07, 0.015, (0.2, 0.95), 3.0),
}


@dataclass(frozen=True)
class _Mote:
    x: float
    y: float
    near: float
    phase: float
    sprite: int


class Air:
    """The motes of a scene; their way is a function of time alone."""

    def __init__(self, mood: Mood, size: Size, rng: random.Random) -> None:
        self._kind = _KINDS[mood.air]
        mean = (size[0] + size[1]) / 2
        low, high = self._kind.sizes
        widths = [max(3, round(mean * (low + (high - low) * step / 4) / 100)) for step in range(5)]
        shapes = [_make_shape(self._kind.shape, width) for width in widths]
        self._sprites = [[_dimmed(shape, level / (_LEVELS - 1)) for level in range(_LEVELS)] for shape in shapes]
        self._bodies = [Image.new("RGB", shape.size, _colour(mood)) for shape in shapes]
        self._motes = [_make_mote(rng) for _ in range(self._kind.count)]

    def draw(self, canvas: Image.Image, view: View, seconds: float) -> None:
        """Draws every mote at its place; those that leave on one side come back on the other."""
        for mote in self._motes:
            sprite = self._sprites[mote.sprite][self._level(mote, seconds)]
            zoom, right, down = seen(view, mote.near, canvas.size)
            x = mote.x + self._kind.sway * math.sin(seconds * 0.7 + mote.phase) - right / canvas.width
            y = mote.y + self._kind.fall * (0.5 + mote.near) * seconds - down / canvas.height
            x, y = (x - 0.5) * zoom % 1.2 - 0.1, (y - 0.5) * zoom % 1.2 - 0.1
            at = (round(x * canvas.width) - sprite.width // 2, round(y * canvas.height) - sprite.height // 2)
            canvas.paste(self._bodies[mote.sprite], at, sprite)

    def _level(self, mote: _Mote, seconds: float) -> int:
        low, high = self._kind.bright
        wave = 0.5 + 0.5 * math.sin(seconds * self._kind.pulse + mote.phase * 3)
        return round((low + (high - low) * wave) * (_LEVELS - 1))


def _make_mote(rng: random.Random) -> _Mote:
    near = rng.random()
    sprite = min(4, int(near * 5))
    return _Mote(rng.uniform(0, 1.2), rng.uniform(0, 1.2), 0.2 + near, rng.uniform(0, math.tau), sprite)


def _colour(mood: Mood) -> Colour:
    light = mood.palette.light
    return {
        "snow": mix(light, (255, 255, 255), 0.7),
        "rain": mix(light, (210, 225, 240), 0.7),
        "petals": (255, 190, 205),
        "embers": (255, 150, 60),
        "fireflies": (255, 232, 140),
    }.get(mood.air, light)


def _make_shape(shape: str, width: int) -> Image.Image:
    if shape == "streak":
        streak = Image.new("L", (max(2, width // 5), width * 3))
        ImageDraw.Draw(streak).line((streak.width - 1, 0, 0, streak.height), fill=255)
        return streak
    if shape == "petal":
        petal = Image.new("L", (width * 4, width * 4))
        ImageDraw.Draw(petal).ellipse((0, width, width * 4 - 1, width * 3), fill=255)
        return petal.rotate(width * 37 % 180, Image.Resampling.BICUBIC).reduce(4)
    if width < 14:
        return make_disc(width * 2, lambda far: 255 * max(0.0, 1 - far) ** 1.5)
    # Large motes are out of focus: discs with an edge.
    return make_disc(width * 2, lambda far: (0.95 - far) * width * 170).reduce(2)


def _dimmed(shape: Image.Image, part: float) -> Image.Image:
    return shape.point([round(level * part) for level in range(256)])
