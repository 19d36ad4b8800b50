"""The land of the text preview: ridges of hills, peaks, trees, dunes or towers, drawn once and moved by the camera."""

import math
import random
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

from ltx_mcp.media.camera import View
from ltx_mcp.media.mood import Colour, Mood, mix

PAN = 0.12  # how far the nearest land moves when the camera goes all the way to one side, in frame widths
_FINE = 2  # outlines are drawn this much larger and reduced, which smooths their edges
_PAD = 2

Size = tuple[int, int]
_Decorate = Callable[[ImageDraw.ImageDraw, list[float], random.Random, float], None]


@dataclass(frozen=True)
class Ridge:
    """One layer of land: an outline, a body of colour below it, and lights or snow on it."""

    top: float
    depth: float
    outline: Image.Image
    body: Image.Image
    accent: Image.Image | None = None
    accent_colour: Colour = (255, 255, 255)

    def draw(self, canvas: Image.Image, view: View) -> None:
        """Draws the layer as the camera sees it: the nearer, the more it moves and grows."""
        zoom, right, down = seen(view, self.depth, canvas.size)
        width, height = canvas.size
        top = (self.top - down - height / 2) * zoom + height / 2
        first = max(0, math.ceil(top))
        last = min(height, math.floor(top + (self.outline.height - 1) * zoom))
        if last > first:
            left = (self.outline.width - width / zoom) / 2 + right
            box = (left, (first - top) / zoom, left + width / zoom, (last - top) / zoom)
            self._stamp(canvas, first, last, box, first - math.ceil(top))
        if last < height:
            begin = max(0, last)
            canvas.paste(self.body.crop((0, begin - math.ceil(top), width, height - math.ceil(top))), (0, begin))

    def _stamp(
        self, canvas: Image.Image, first: int, last: int, box: tuple[float, float, float, float], skip: int
    ) -> None:
        size = (canvas.width, last - first)
        body = self.body.crop((0, skip, size[0], skip + size[1]))
        canvas.paste(body, (0, first), self.outline.resize(size, Image.Resampling.BILINEAR, box))
        if self.accent is not None:
            mask = self.accent.resize(size, Image.Resampling.BILINEAR, box)
            canvas.paste(Image.new("RGB", size, self.accent_colour), (0, first), mask)


def seen(view: View, depth: float, size: Size) -> tuple[float, float, float]:
    """Zoom, and shift right and down in pixels, of things at a depth from 0 (far) to 1 (near)."""
    return 1 + (view.zoom - 1) * depth, view.x * depth * size[0] * PAN, view.y * depth * size[1] * PAN


def make_ridges(mood: Mood, size: Size, rng: random.Random) -> list[Ridge]:
    """The layers of a place, the farthest first."""
    layers = _LAYERS[mood.place]
    ridges = []
    for number, layer in enumerate(layers):
        nearness = number / (len(layers) - 1)
        colour = mix(mood.palette.far, mood.palette.near, nearness**0.8)
        mist = mix(colour, mood.palette.horizon, 0.5 * (1 - nearness))
        ridges.append(_make_ridge(layer, size, (colour, mist), mood, rng))
    return ridges


@dataclass(frozen=True)
class _Layer:
    shape: str
    base: float  # where its valleys lie, in frame heights from the top
    rise: float  # how far its summits rise above them, in mean sides of the frame
    depth: float
    decorate: _Decorate | None = None
    accent: str = ""


def _make_ridge(layer: _Layer, size: Size, shades: tuple[Colour, Colour], mood: Mood, rng: random.Random) -> Ridge:
    width = round(size[0] * (1 + 2 * PAN * layer.depth)) + 4
    # In a tall frame summits stay as wide as they are high.
    rise = layer.rise * min((size[0] + size[1]) / 2, size[0] * 1.05)
    room = rise * 0.5 if layer.decorate else 0.0
    heights = [room + _PAD + (1 - part) * rise for part in _profile(layer.shape, width, rng)]
    tall = math.ceil(room + rise) + 2 * _PAD
    outline = _outline(heights, (width, tall), layer.decorate, rng)
    body = fade(shades[0], shades[1], (size[0], round(size[1] * 0.35)), size[1] * 2)
    top = layer.base * size[1] - tall
    ridge = Ridge(top, layer.depth, outline, body)
    light = mood.palette.light
    if layer.accent == "windows":
        return replace(
            ridge, accent=_windows(outline, layer.depth, rng), accent_colour=mix(light, (255, 196, 110), 0.6)
        )
    if layer.accent == "snow":
        caps = _snow(heights, outline.size, rise, rng)
        return replace(ridge, accent=caps, accent_colour=mix(light, shades[0], 0.25))
    return ridge


def make_disc(side: int, level: Callable[[float], float]) -> Image.Image:
    """A round mask: `level` gives its value, 0 to 255, at a distance from the middle, 1 being the middle of a side."""
    # Pillow's gradient is 255 in the corners, so that its sides lie at 255 / sqrt(2).
    levels = [max(0, min(255, round(level(step / 180)))) for step in range(256)]
    return Image.radial_gradient("L").resize((side, side), Image.Resampling.BICUBIC).point(levels)


def fade(above: Colour, below: Colour, size: Size, height: int) -> Image.Image:
    """A picture that goes from one colour to another within `size`, and stays the latter down to `height`."""
    strip = Image.linear_gradient("L").resize((1, size[1]))
    column = Image.new("RGB", (1, height), below)
    column.paste(Image.composite(Image.new("RGB", strip.size, below), Image.new("RGB", strip.size, above), strip))
    return column.resize((size[0], height), Image.Resampling.NEAREST)


def noise_line(rng: random.Random, width: int, cells: int, octaves: int, resample: Image.Resampling) -> list[float]:
    """Smooth or jagged noise along a line, stretched to go from 0 to 1."""
    total = [0.0] * width
    for octave in range(octaves):
        count = (cells << octave) + 3
        row = Image.frombytes("L", (count, 1), rng.randbytes(count)).convert("F").resize((width, 1), resample)
        total = [old + value * 0.45**octave for old, value in zip(total, array("f", row.tobytes()), strict=True)]
    low, high = min(total), max(total)
    return [(value - low) / ((high - low) or 1) for value in total]


def _profile(shape: str, width: int, rng: random.Random) -> list[float]:
    if shape == "towers":
        return _towers(width, rng)
    if shape == "peaks":
        line = noise_line(rng, width, 4, 6, Image.Resampling.BILINEAR)
        return [part**1.8 for part in line]
    if shape == "dunes":
        line = noise_line(rng, width, 2, 2, Image.Resampling.BICUBIC)
        return [1 - abs(2 * part - 1) ** 1.3 for part in line]
    return noise_line(rng, width, 3, 3, Image.Resampling.BICUBIC)


def _towers(width: int, rng: random.Random) -> list[float]:
    line: list[float] = []
    while len(line) < width:
        wide = round(width * rng.uniform(0.018, 0.05))
        tall = rng.uniform(0.15, 0.7) if rng.random() < 0.8 else rng.uniform(0.7, 1.0)
        line += [tall] * wide
        if tall > 0.8:
            middle = len(line) - wide // 2
            line[middle - 1 : middle + 1] = [min(1.0, tall + 0.12)] * 2
        if rng.random() < 0.3:
            line += [0.08] * round(width * 0.008)
    return line[:width]


def _outline(heights: list[float], size: Size, decorate: _Decorate | None, rng: random.Random) -> Image.Image:
    large = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
    pen = ImageDraw.Draw(large)
    points = [(x * _FINE, y * _FINE) for x, y in enumerate(heights)]
    pen.polygon([(0, large.height), *points, (large.width, points[-1][1]), (large.width, large.height)], fill=255)
    if decorate:
        decorate(pen, heights, rng, max(heights) - min(heights))
    return large.reduce(_FINE)


def _pines(pen: ImageDraw.ImageDraw, heights: list[float], rng: random.Random, rise: float) -> None:
    x = 0.0
    while x < len(heights):
        tall = rise * rng.uniform(0.25, 0.6)
        _pine(pen, x, heights[int(x)] + tall * 0.1, tall)
        x += tall * rng.uniform(0.12, 0.5)


def _pine(pen: ImageDraw.ImageDraw, x: float, foot: float, tall: float) -> None:
    for tier in range(5):
        tip = foot - tall * (1 - tier * 0.16)
        base = tip + tall * 0.36
        half = tall * (0.06 + tier * 0.035)
        corners = [(x, tip), (x - half, base), (x + half, base)]
        pen.polygon([(px * _FINE, py * _FINE) for px, py in corners], fill=255)


def _grass(pen: ImageDraw.ImageDraw, heights: list[float], rng: random.Random, rise: float) -> None:
    for _ in range(len(heights) // 2):
        x = rng.uniform(0, len(heights) - 1)
        tall, lean = rise * rng.uniform(0.1, 0.42), rise * rng.uniform(-0.12, 0.12)
        foot = heights[int(x)] + 3
        blade = [(x - 1.2, foot), (x + lean, foot - tall), (x + 1.2, foot)]
        pen.polygon([(px * _FINE, py * _FINE) for px, py in blade], fill=255)


def _windows(outline: Image.Image, depth: float, rng: random.Random) -> Image.Image:
    lights = Image.new("L", outline.size)
    pen = ImageDraw.Draw(lights)
    step = round(7 + 6 * depth)
    for y in range(step, outline.height, step):
        for x in range(step // 2, outline.width - step, step):
            if rng.random() < 0.27 and outline.getpixel((x + step // 2, y - 3)) == 255:
                pen.rectangle((x, y, x + step // 3, y + step // 3), fill=rng.randint(70, 230))
    return lights


def _snow(heights: list[float], size: Size, rise: float, rng: random.Random) -> Image.Image:
    """Caps on the summits: thick where the land is high, with a ragged lower edge."""
    ragged = noise_line(rng, size[0], 30, 3, Image.Resampling.BILINEAR)
    line = max(heights) - rise * 0.45
    lower = [y + max(0.0, (line - y)) * (0.35 + 0.6 * wild) for y, wild in zip(heights, ragged, strict=True)]
    large = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
    edge = [(x * _FINE, y * _FINE) for x, y in enumerate(heights)]
    edge += [(x * _FINE, y * _FINE) for x, y in reversed(list(enumerate(lower)))]
    ImageDraw.Draw(large).polygon(edge, fill=215)
    return large.reduce(_FINE)


_LAYERS = {
    "hills": (
        _Layer("peaks", 0.66, 0.24, 0.08),
        _Layer("hills", 0.72, 0.18, 0.25),
        _Layer("hills", 0.82, 0.17, 0.5),
        _Layer("hills", 0.97, 0.15, 1.0, _grass),
    ),
    "peaks": (
        _Layer("peaks", 0.66, 0.40, 0.08, accent="snow"),
        _Layer("peaks", 0.74, 0.26, 0.22, accent="snow"),
        _Layer("hills", 0.84, 0.16, 0.5, _pines),
        _Layer("hills", 1.0, 0.14, 1.0, _pines),
    ),
    "forest": (
        _Layer("peaks", 0.64, 0.22, 0.08),
        _Layer("hills", 0.74, 0.14, 0.25, _pines),
        _Layer("hills", 0.86, 0.18, 0.5, _pines),
        _Layer("hills", 1.06, 0.26, 1.0, _pines),
    ),
    "sea": (
        _Layer("peaks", 0.60, 0.16, 0.06),
        _Layer("hills", 0.605, 0.07, 0.12),
        _Layer("hills", 1.0, 0.12, 1.0, _grass),
    ),
    "dunes": (
        _Layer("peaks", 0.66, 0.14, 0.06),
        _Layer("dunes", 0.74, 0.09, 0.25),
        _Layer("dunes", 0.86, 0.13, 0.5),
        _Layer("dunes", 1.02, 0.17, 1.0),
    ),
    "city": (
        _Layer("towers", 0.74, 0.34, 0.1),
        _Layer("towers", 0.84, 0.40, 0.3, accent="windows"),
        _Layer("towers", 0.98, 0.46, 0.7, accent="windows"),
    ),
}  # fmt: skip
