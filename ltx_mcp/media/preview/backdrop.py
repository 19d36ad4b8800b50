"""What is behind the words of a preview: a sky, a horizon, a floor and a light.

It is no place of any kind, so that nobody takes it for what was asked for; by the lines on its floor one sees how the
camera moves.
"""

import colorsys
import random

from PIL import Image, ImageChops, ImageDraw

from ltx_mcp.media.preview.camera import Size

Colour = tuple[int, int, int]

_HORIZON = 0.68
_LINES = 12
_FINE = 2  # drawn so much larger, then reduced, for smooth edges


def make_backdrop(size: Size, rng: random.Random) -> Image.Image:
    """The image, in colours of a seeded hue that white letters can be read on."""
    hue, horizon = rng.uniform(0.48, 1.08), round(size[1] * _HORIZON)
    sky = _fade(_colour(hue, 0.10), _colour(hue + 0.07, 0.38), (size[0], horizon))
    floor = _fade(_colour(hue + 0.04, 0.22), _colour(hue, 0.07), (size[0], size[1] - horizon))
    floor.paste(_colour(hue + 0.07, 0.55), (0, 0), _lines(floor.size))
    light = round(size[0] * rng.uniform(0.25, 0.75)), round(horizon * rng.uniform(0.9, 1.0))
    image = Image.new("RGB", size)
    image.paste(ImageChops.screen(sky, _glow(sky.size, light, hue + 0.1)), (0, 0))
    image.paste(floor, (0, horizon))
    return image


def _colour(hue: float, lightness: float) -> Colour:
    red, green, blue = (round(part * 255) for part in colorsys.hls_to_rgb(hue % 1, lightness, 0.34))
    return red, green, blue


def _fade(above: Colour, below: Colour, size: Size) -> Image.Image:
    strip = Image.linear_gradient("L").resize((1, size[1]))
    column = Image.composite(Image.new("RGB", strip.size, below), Image.new("RGB", strip.size, above), strip)
    return column.resize(size, Image.Resampling.NEAREST)


def _glow(size: Size, middle: tuple[int, int], hue: float) -> Image.Image:
    """A disc of light and its halo, to be added to the sky."""
    reach = round(min(size) * 0.75)
    # Pillow's gradient is 255 in the corners, so that its sides lie at 255 / sqrt(2).
    halo = [round(130 * max(0.0, 1 - far / 180) ** 2 + max(0, min(1, (17 - far) / 2)) * 80) for far in range(256)]
    mask = Image.radial_gradient("L").resize((reach * 2, reach * 2), Image.Resampling.BICUBIC).point(halo)
    glow = Image.new("RGB", size)
    glow.paste(_colour(hue, 0.7), (middle[0] - reach, middle[1] - reach), mask)
    return glow


def _lines(size: Size) -> Image.Image:
    """A mask: lines that run to one point on the horizon, and others across that come closer together towards it."""
    large = Image.new("L", (size[0] * _FINE, size[1] * _FINE))
    pen = ImageDraw.Draw(large)
    for number in range(-_LINES * 2, _LINES * 2 + 1):
        foot = large.width * (0.5 + number / _LINES)
        pen.line((large.width / 2, 0, foot, large.height), fill=54, width=_FINE)
    for number in range(1, _LINES):
        y = large.height * 0.9 ** (_LINES * number / 4)
        pen.line((0, y, large.width, y), fill=54, width=_FINE)
    fade = Image.linear_gradient("L").resize(large.size)
    return ImageChops.multiply(large, fade.point([min(255, level * 3) for level in range(256)])).reduce(_FINE)
