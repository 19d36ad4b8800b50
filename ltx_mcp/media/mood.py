"""What a prompt suggests to the preview: a place, an hour, colours and what floats in the air. Words in, data out."""

import colorsys
import random
import re
from dataclasses import dataclass, fields

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Palette:
    """The colours of a scene, from the top of the sky to the nearest land, and of its sun or moon."""

    zenith: Colour
    middle: Colour
    horizon: Colour
    far: Colour
    near: Colour
    light: Colour


@dataclass(frozen=True)
class Mood:
    """What is drawn: where (hills, peaks, forest, dunes, sea, city), what floats, and in which colours."""

    place: str
    air: str
    is_night: bool
    palette: Palette


_PLACES = {
    "sea": "sea ocean wave beach boat ship sail coast island surf water lake river harbor harbour whale fish swan",
    "city": "city street skyline neon building tower tokyo york paris london traffic car taxi office robot cyberpunk",
    "forest": "forest tree wood jungle pine deer fox bear wolf owl camp cabin mushroom autumn",
    "peaks": "mountain alp peak ski glacier cliff rock eagle snow snowy winter ice castle dragon volcano",
    "dunes": "desert dune sand camel mars planet moonscape canyon pyramid savanna",
    "hills": "hill field meadow farm village garden flower grass horse valley vineyard dog cat child",
}
_AIRS = {
    "snow": "snow snowy winter ice frost glacier christmas blizzard ski",
    "rain": "rain storm thunder monsoon drizzle",
    "petals": "flower blossom spring petal cherry sakura wedding garden autumn leaf leave",
    "embers": "fire ember lava volcano dragon burn flame candle battle",
}
_HOURS = {
    "night": "night midnight moon star galaxy space aurora dark neon cyberpunk firefly astronaut",
    "dusk": "sunset dusk evening twilight golden romantic autumn fire",
    "dawn": "sunrise dawn morning mist fog spring soft winter snow",
    "noon": "day noon sun summer bright blue clear green",
}
_HUES = {
    "red": 0.99, "crimson": 0.97, "orange": 0.07, "amber": 0.10, "gold": 0.12, "golden": 0.12, "yellow": 0.14,
    "lime": 0.24, "green": 0.36, "emerald": 0.41, "teal": 0.48, "turquoise": 0.49, "cyan": 0.51, "blue": 0.60,
    "indigo": 0.68, "violet": 0.75, "purple": 0.78, "magenta": 0.85, "pink": 0.92, "rose": 0.94,
}  # fmt: skip
_GREYS = {"white", "grey", "gray", "silver", "black", "monochrome", "noir", "mist", "fog", "storm"}
# zenith, middle, horizon, far land, near land, light
_PALETTES = {
    "night": (
        "050a24 16265f 4a62ad 2a3b7c 04060f f1f4ff",
        "03101f 0a3347 2b8a82 14505c 02080f d9fff0",
        "0d0726 3a1d66 9a5aa8 4a2a72 08040f ffe9fb",
    ),
    "dusk": (
        "1d1547 74407f ff9e78 8a5488 170f2b ffe6bd",
        "25355f c8765c ffd68c b3746a 26161f fff3cf",
        "1c0b24 86234a ff8358 7a2a4c 13060f ffdcae",
    ),
    "dawn": (
        "43568c dd94a8 ffe3c8 b98fab 2a2140 fff4e2",
        "35608f 8dbbd8 f6eede 8fb2c8 17324a fffaec",
        "31517a a9b7c9 fbe3cf 9aa5ba 1d2a3d fff6e6",
    ),
    "noon": (
        "1f5fa8 6fb3e6 dff1f2 7fb0b9 123a3c fffdf0",
        "0f4c5c 4b9c8c e9f4c4 66a48a 0b2a24 fdffe0",
        "2b62a8 e0a36c ffe6b5 c98d5c 3b1d16 fff6d8",
    ),
}


def make_mood(prompt: str, rng: random.Random) -> Mood:
    """The mood of a prompt: known words decide, chance fills in what they leave open."""
    words = [_singular(word) for word in re.findall(r"[^\W\d_]+", prompt.casefold())]
    place = _first_match(words, _PLACES) or rng.choice(("hills", "peaks", "forest", "sea", "dunes"))
    hour = _first_match(words, _HOURS) or rng.choice(tuple(_PALETTES))
    air = _first_match(words, _AIRS) or ("fireflies" if hour == "night" else "bokeh")
    palette = _read_palette(rng.choice(_PALETTES[hour]))
    return Mood(place, air, hour == "night", _tinted(palette, words, rng.uniform(-0.02, 0.02)))


def mix(one: Colour, other: Colour, part: float) -> Colour:
    """The colour `part` of the way from one to the other."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _first_match(words: list[str], meanings: dict[str, str]) -> str | None:
    known = {word: meaning for meaning, text in meanings.items() for word in text.split()}
    return next((known[word] for word in words if word in known), None)


def _read_palette(text: str) -> Palette:
    reds = [int(code, 16) for code in text.split()]
    return Palette(*[(code >> 16, code >> 8 & 255, code & 255) for code in reds])


def _tinted(palette: Palette, words: list[str], drift: float) -> Palette:
    """The palette turned towards the first colour the prompt names; the horizon keeps part of its warmth."""
    hue = next((_HUES[word] for word in words if word in _HUES), None)
    strength = 0.35 if hue is None and _GREYS.intersection(words) else 1.0
    colours = [getattr(palette, field.name) for field in fields(palette)]
    pulls = (0.9, 0.9, 0.45, 0.9, 0.9, 0.1)
    return Palette(*[_turned(c, hue, pull, drift, strength) for c, pull in zip(colours, pulls, strict=True)])


def _turned(colour: Colour, hue: float | None, pull: float, drift: float, strength: float) -> Colour:
    old, light, saturation = colorsys.rgb_to_hls(*[part / 255 for part in colour])
    # Mixed rather than turned around the wheel: a warm horizon over a blue sky must not pass through green.
    kept = _from_hls(old + drift, light, saturation * strength)
    return kept if hue is None else mix(kept, _from_hls(hue + drift, light, saturation), pull)


def _from_hls(hue: float, light: float, saturation: float) -> Colour:
    red, green, blue = (round(part * 255) for part in colorsys.hls_to_rgb(hue % 1, light, saturation))
    return red, green, blue
