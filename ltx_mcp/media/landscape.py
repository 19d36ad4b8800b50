"""The moving picture of the text preview: sky, sun, clouds or aurora, water, land and what floats in the air.

Everything costly is drawn once; a frame is only moved, enlarged and stacked, which is what keeps it fast without numpy.
"""

import math
import random

from PIL import Image, ImageChops

from ltx_mcp.media.air import Air
from ltx_mcp.media.camera import View, make_camera
from ltx_mcp.media.mood import Colour, Mood, make_mood, mix
from ltx_mcp.media.terrain import Size, fade, make_disc, make_ridges, noise_line, seen

_BILINEAR = Image.Resampling.BILINEAR
_SUN_DEPTH = 0.05
_WATER_DEPTH = 0.12
_WATER_LINE = 0.6


class Landscape:
    """A scene made from a prompt's mood and a seeded source of chance."""

    def __init__(self, prompt: str, motion: str, size: Size, rng: random.Random) -> None:
        mood = make_mood(prompt, rng)
        self._size = size
        self._camera = make_camera(motion, rng)
        self._sun = _Sun(mood, size, rng)
        self._sky = self._sun.light_up(_make_sky(mood, size, rng))
        self._veils = [_Veil(mood, size, rng) for _ in range(2)]
        self._ridges = make_ridges(mood, size, rng)
        self._water = _Water(mood, size, self._sun.x, rng) if mood.place == "sea" else None
        self._air = Air(mood, size, rng)

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame `seconds` into the film, when `part` of it (0 to 1) has gone by."""
        view = self._camera.view(part)
        canvas = self._sky.copy()
        self._sun.draw(canvas, view)
        for veil in self._veils:
            veil.draw(canvas, view, seconds)
        for ridge in self._ridges[:-1]:
            ridge.draw(canvas, view)
        if self._water:
            self._water.draw(canvas, view, seconds)
        self._ridges[-1].draw(canvas, view)
        self._air.draw(canvas, view, seconds)
        return soften(canvas, view.blur)


def soften(picture: Image.Image, blur: float) -> Image.Image:
    """The picture out of focus: 0 leaves it sharp, 1 is as soft as it gets."""
    if blur <= 0.01:
        return picture
    soft = picture.reduce(max(2, max(picture.size) // 64)).resize(picture.size, Image.Resampling.BICUBIC)
    return Image.blend(picture, soft, min(1.0, blur * 1.4))


def colour_at(picture: Image.Image, x: int, y: int) -> Colour:
    """The colour of one pixel of an RGB picture."""
    pixel = picture.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return int(pixel[0]), int(pixel[1]), int(pixel[2])


def _make_sky(mood: Mood, size: Size, rng: random.Random) -> Image.Image:
    colours, horizon = mood.palette, round(size[1] * 0.66)
    upper = round(horizon * 0.55)
    sky = fade(colours.zenith, colours.middle, (size[0], upper), size[1])
    sky.paste(fade(colours.middle, colours.horizon, (size[0], horizon - upper), size[1]), (0, upper))
    if mood.is_night:
        _sow_stars(sky, rng, horizon)
    return sky


def _sow_stars(sky: Image.Image, rng: random.Random, horizon: int) -> None:
    for _ in range(sky.width * horizon // 1400):
        x, y = rng.randrange(sky.width - 1), rng.randrange(horizon)
        bright = rng.random() ** 3 * (1 - y / horizon)
        tone = mix(colour_at(sky, x, y), (255, 250, 240), 0.25 + 0.75 * bright)
        sky.paste(tone, (x, y, x + (2 if bright > 0.35 else 1), y + (2 if bright > 0.35 else 1)))


class _Sun:
    """The sun or the moon, and its glow, which is part of the sky."""

    def __init__(self, mood: Mood, size: Size, rng: random.Random) -> None:
        unit = math.sqrt(size[0] * size[1])
        self._colour, self._glow = mood.palette.light, mix(mood.palette.horizon, mood.palette.light, 0.5)
        self._strength = 110 if mood.is_night else 190
        self._radius = unit * (0.045 if mood.is_night else rng.uniform(0.06, 0.085))
        self.x = size[0] * rng.choice((rng.uniform(0.22, 0.4), rng.uniform(0.6, 0.78)))
        self.y = size[1] * (rng.uniform(0.16, 0.3) if mood.is_night else rng.uniform(0.3, 0.44))
        side = round(self._radius * 2) + 8
        self._disc = make_disc(side * 2, lambda far: (0.94 - far) * self._radius * 255).reduce(2)
        self._body = Image.new("RGB", (self._disc.width * 2, self._disc.height * 2), self._colour)

    def light_up(self, sky: Image.Image) -> Image.Image:
        """The sky with the glow around the sun."""
        reach = round(self._radius * 9)
        halo = make_disc(reach * 2, lambda far: self._strength * max(0.0, 1 - far) ** 2.2)
        sky.paste(Image.new("RGB", halo.size, self._glow), (round(self.x) - reach, round(self.y) - reach), halo)
        return sky

    def draw(self, canvas: Image.Image, view: View) -> None:
        zoom, right, down = seen(view, _SUN_DEPTH, canvas.size)
        side = self._disc.width
        left, top = self.x - right - side * zoom / 2, self.y - down - side * zoom / 2
        x, y = math.floor(left), math.floor(top)
        # The fraction of a pixel is taken by the crop, so that the disc glides.
        box = (1 - (left - x), 1 - (top - y), side - 1 - (left - x), side - 1 - (top - y))
        disc = self._disc.resize((round(side * zoom) - 2,) * 2, _BILINEAR, box)
        canvas.paste(self._body.crop((0, 0, *disc.size)), (x + 1, y + 1), disc)


class _Veil:
    """Clouds by day, an aurora by night: a soft mask that drifts across the sky."""

    def __init__(self, mood: Mood, size: Size, rng: random.Random) -> None:
        self._height = round(size[1] * (0.5 if mood.is_night else 0.42))
        self._top = 0 if mood.is_night else round(size[1] * 0.1)
        self._wind = rng.choice((-1, 1)) * rng.uniform(0.006, 0.02)
        self._depth = rng.uniform(0.03, 0.09)
        colour = mood.palette
        tone = mix(colour.horizon, (130, 255, 190), 0.35) if mood.is_night else mix(colour.horizon, colour.light, 0.6)
        self._body = Image.new("RGB", (size[0], self._height), tone)
        self._mask = _curtain(rng) if mood.is_night else _clouds(rng)

    def draw(self, canvas: Image.Image, view: View, seconds: float) -> None:
        zoom, right, down = seen(view, self._depth, canvas.size)
        wide = self._mask.width * 0.5 / zoom
        middle = self._mask.width * (0.5 + self._swing(seconds)) + right / canvas.width * wide
        box = (middle - wide / 2, 0, middle + wide / 2, self._mask.height)
        mask = self._mask.resize(self._body.size, _BILINEAR, box)
        canvas.paste(self._body, (0, self._top - round(down)), mask)

    def _swing(self, seconds: float) -> float:
        return max(-0.2, min(0.2, (seconds - 3) * self._wind))


def _clouds(rng: random.Random) -> Image.Image:
    size = (480, 90)
    total = Image.new("L", size)
    for octave in range(4):
        cells = (8 << octave, 4 << octave)
        layer = Image.frombytes("L", cells, rng.randbytes(cells[0] * cells[1])).resize(size, Image.Resampling.BICUBIC)
        total = Image.blend(total, layer, 1.0 if octave == 0 else 0.36)
    billow = total.point([round(max(0, level - 128) * 1.9) for level in range(256)])
    # They thin out towards the upper and lower edge of the mask.
    window = [round(255 * math.sin(level / 255 * math.pi)) for level in range(256)]
    return ImageChops.multiply(billow, Image.linear_gradient("L").resize(size).point(window))


def _curtain(rng: random.Random) -> Image.Image:
    curtain = Image.new("L", (480, 90))
    waves = [(rng.uniform(0.006, 0.028), rng.uniform(0, 6), rng.uniform(3, 10)) for _ in range(3)]
    rays = noise_line(rng, curtain.width, 40, 3, Image.Resampling.BICUBIC)
    swell = noise_line(rng, curtain.width, 3, 2, Image.Resampling.BICUBIC)
    for x in range(curtain.width):
        foot = 65 + sum(math.sin(x * pace + start) * tall for pace, start, tall in waves)
        glow, tall = 215 * swell[x] ** 1.4 * (0.45 + 0.55 * rays[x]), 28 + 30 * rays[x]
        ray = bytes(_ray_level(foot - y, glow, tall) for y in range(curtain.height))
        curtain.paste(Image.frombytes("L", (1, curtain.height), ray), (x, 0))
    return curtain.resize((960, 180), Image.Resampling.BICUBIC)


def _ray_level(above: float, glow: float, tall: float) -> int:
    """An aurora is brightest just above its foot, which is soft, and fades upwards."""
    return round(glow * (math.exp(-above / tall * 1.9) if above > 0 else max(0.0, 1 + above / 7) ** 2))


class _Water:
    """A lake or the sea: what stands above it, upside down, in ripples, with the light of the sun on it."""

    def __init__(self, mood: Mood, size: Size, sun_x: float, rng: random.Random) -> None:
        self._line = size[1] * _WATER_LINE
        tone = mix(mood.palette.zenith, mood.palette.middle, 0.4)
        self._tint = fade(mix(tone, mood.palette.horizon, 0.5), tone, (size[0], round(size[1] * 0.4)), size[1])
        self._sun_x = sun_x
        self._phases = [rng.uniform(0, math.tau) for _ in range(3)]
        self._glints = [(rng.gauss(0, 1), rng.random() ** 1.5, rng.uniform(0, math.tau)) for _ in range(110)]
        self._light = mood.palette.light

    def draw(self, canvas: Image.Image, view: View, seconds: float) -> None:
        width, height = canvas.size
        zoom, _, down = seen(view, _WATER_DEPTH, canvas.size)
        line = round((self._line - down - height / 2) * zoom + height / 2)
        depth = height - line
        above = canvas.crop((0, line - depth, width, line)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        mirror = Image.blend(above, self._tint.crop((0, 0, width, depth)), 0.38)
        canvas.paste(mirror, (0, line))
        y = 0
        while y < depth:
            step = 2 + y * 5 // depth
            canvas.paste(mirror.crop((0, y, width, y + step)), (self._ripple(y / depth, seconds, width), line + y))
            y += step
        self._glitter(canvas, line, seconds)

    def _ripple(self, part: float, seconds: float, width: int) -> int:
        waves = math.sin(60 * part**0.6 - seconds * 2.1 + self._phases[0])
        waves += 0.6 * math.sin(23 * part**0.5 - seconds * 1.3 + self._phases[1])
        return round(waves * width * (0.0015 + 0.006 * part))

    def _glitter(self, canvas: Image.Image, line: int, seconds: float) -> None:
        room = canvas.height - line
        for aside, part, phase in self._glints:
            level = math.sin(seconds * 2.4 + phase)
            x = self._sun_x + aside * canvas.width * (0.015 + 0.06 * part)
            y = line + 2 + int(part * room)
            if level > 0.1 and 0 <= x < canvas.width and y < canvas.height:
                half = canvas.width * (0.002 + 0.008 * part) * level
                tone = mix(colour_at(canvas, int(x), y), self._light, 0.65 * level)
                canvas.paste(tone, (int(x - half), y, max(int(x - half) + 1, int(x + half)), y + 1 + int(part * 2)))
