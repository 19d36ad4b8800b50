"""Films and sounds for the tests of this folder, made on the fly, and measures of how alike two of them are."""

import math
import random
import shutil
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, Literal

import av
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

from tests.kept import kept, name_of

FORMATS = {"mkv": "matroska", "m4a": "ipod", "aac": "adts"}
NTSC = Fraction(30_000, 1001)
CINEMA = Fraction(24_000, 1001)
_SLOW = 2000  # the rate at which sounds are compared: half a millisecond a step


@dataclass(frozen=True)
class Recipe:
    """What a film or a sound is made of; without `video` it is a sound.

    `moments` are of frames that come unevenly; the sound begins `late`, in seconds.
    """

    video: str | None = "libx264"
    audio: str | None = "aac"
    size: tuple[int, int] = (320, 180)
    rate: Fraction = Fraction(25)
    frames: int = 50
    pix_fmt: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = (("crf", "16"), ("preset", "veryfast"), ("g", "30"))
    turned: int = 0
    moments: tuple[Fraction, ...] = ()
    colours: int | None = 1
    sample_rate: int = 48_000
    layout: str = "stereo"
    seconds: float = 2.0
    muxing: tuple[tuple[str, str], ...] = ()
    coding: tuple[tuple[str, str], ...] = ()
    late: float = 0.0
    is_grain: bool = False


def make(path: Path, recipe: Recipe) -> Path:
    """What the recipe says in the format that the path's ending names; a copy of one that is kept."""
    shutil.copyfile(kept(f"{name_of(recipe)}{path.suffix}", lambda out: _write(out, recipe)), path)
    return path


def _write(path: Path, recipe: Recipe) -> None:
    ending = path.suffix[1:]
    options = dict(recipe.muxing)
    with av.open(str(path), "w", format=FORMATS.get(ending, ending), options=options) as out:
        streams: list[Any] = []
        if recipe.video:
            streams.append((_video(out, recipe), _frames(recipe)))
        if recipe.audio:
            coding = dict(recipe.coding)
            sound = out.add_stream(recipe.audio, rate=recipe.sample_rate, layout=recipe.layout, options=coding)
            streams.append((sound, _blocks(recipe)))
        for stream, frames in streams:
            for frame in frames:
                out.mux(stream.encode(frame))
            out.mux(stream.encode())


def _video(out: av.container.OutputContainer, recipe: Recipe) -> av.VideoStream:
    assert recipe.video
    stream = out.add_stream(recipe.video, rate=recipe.rate, options=dict(recipe.options))
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = *recipe.size, recipe.pix_fmt
    context = stream.codec_context
    context.thread_count = 2
    context.time_base = Fraction(1, 90_000) if recipe.moments else 1 / recipe.rate
    if recipe.colours is not None:
        context.color_primaries = context.color_trc = context.colorspace = recipe.colours
        context.color_range = 1
    if recipe.turned:
        stream.set_display_rotation(recipe.turned)
    return stream


def _frames(recipe: Recipe) -> Iterator[av.VideoFrame]:
    moments = recipe.moments or tuple(number / recipe.rate for number in range(recipe.frames))
    tick = Fraction(1, 90_000) if recipe.moments else 1 / recipe.rate
    for number, moment in enumerate(moments):
        shown = grain(number, recipe.size) if recipe.is_grain else picture(number, recipe.size)
        frame = av.VideoFrame.from_image(shown)  # type: ignore[no-untyped-call]
        shades = "JPEG" if recipe.pix_fmt.startswith("yuvj") else "MPEG"
        frame = frame.reformat(format=recipe.pix_fmt, dst_colorspace="ITU709", dst_color_range=shades)
        frame.pts, frame.time_base = round(moment / tick), tick
        yield frame


@lru_cache
def _texture(size: tuple[int, int]) -> Image.Image:
    """Something with detail, the same every time, larger than a frame by half."""
    chance = random.Random(7)
    wide = size[0] * 3 // 2, size[1] * 3 // 2
    coarse = Image.frombytes("RGB", (24, 14), chance.randbytes(24 * 14 * 3)).resize(wide, Image.Resampling.BICUBIC)
    small = wide[0] // 2, wide[1] // 2
    fine = Image.frombytes("L", small, chance.randbytes(small[0] * small[1])).filter(ImageFilter.GaussianBlur(1))
    return Image.blend(coarse, fine.resize(wide).convert("RGB"), 0.25)


def picture(number: int, size: tuple[int, int]) -> Image.Image:
    """The numbered frame of every film made here: no two are alike."""
    texture = _texture(size)
    left = round((texture.width - size[0]) * (0.5 + 0.45 * math.sin(number / 9)))
    top = round((texture.height - size[1]) * (0.5 + 0.45 * math.cos(number / 13)))
    frame = texture.crop((left, top, left + size[0], top + size[1]))
    ImageDraw.Draw(frame).rectangle((4, 4, 4 + 2 * number, 12), fill=(240, 220, 40))
    return frame


def grain(number: int, size: tuple[int, int]) -> Image.Image:
    """The numbered frame of a film that is hard to keep: much of it is noise, another in each frame."""
    noise = Image.frombytes("L", size, random.Random(number).randbytes(size[0] * size[1])).convert("RGB")
    return Image.blend(picture(number, size), noise, 0.3)


@lru_cache
def tones(rate: int, seconds: float) -> "array[int]":
    """One channel of 16-bit samples: noise whose loudness comes and goes, never the same twice."""
    chance = random.Random(11)
    knots = [chance.uniform(-1, 1) for _ in range(round(seconds * 700) + 2)]
    samples = array("h")
    for step in range(round(seconds * rate)):
        place = step * 700 / rate
        base, part = int(place), place % 1
        wave = knots[base] * (1 - part) + knots[base + 1] * part
        swell = 0.35 + 0.3 * math.sin(step / rate * 7)
        samples.append(round(20_000 * wave * swell))
    return samples


def _blocks(recipe: Recipe) -> Iterator[av.AudioFrame]:
    channels = av.AudioLayout(recipe.layout).nb_channels
    mono = tones(recipe.sample_rate, recipe.seconds)
    for start in count(0, 1024):
        part = mono[start : start + 1024]
        if not part:
            return
        frame = av.AudioFrame(format="s16", layout=recipe.layout, samples=len(part))
        wide = array("h", bytes(2 * channels * len(part)))
        for channel in range(channels):
            wide[channel::channels] = part
        frame.planes[0].update(wide.tobytes())
        frame.sample_rate, frame.time_base = recipe.sample_rate, Fraction(1, recipe.sample_rate)
        frame.pts = start + round(recipe.late * recipe.sample_rate)
        yield frame


# -- measures


def moments(path: Path) -> list[float]:
    """When each frame is shown, from the first on."""
    with av.open(str(path)) as film:
        shown = [frame.time for frame in film.decode(video=0)]
    return [moment - shown[0] for moment in shown]


def pictures(path: Path) -> Iterator[Image.Image]:
    """The frames as seen, one at a time, without the odd last column or row."""
    turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
            upright = image.transpose(turns[frame.rotation % 360]) if frame.rotation % 360 else image
            yield upright.crop((0, 0, upright.width // 2 * 2, upright.height // 2 * 2))


def packets(path: Path, kind: Literal["video", "audio"]) -> list[bytes]:
    """What is stored of the picture or the sound, packet by packet."""
    with av.open(str(path)) as medium:
        stream = medium.streams.best(kind)
        assert stream is not None
        return [bytes(packet) for packet in medium.demux(stream) if packet.size]


def psnr(one: Image.Image, other: Image.Image) -> float:
    """How alike two pictures are, in decibels; 100 is the same."""
    squares = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    error = sum(squares) / (one.width * one.height * len(squares))
    return 100.0 if error == 0 else 10 * math.log10(255 * 255 / error)


def heard(path: Path) -> "array[float]":
    """The sound as one channel of a slow rate, from the film's first frame on, or the sound's first sample."""
    with av.open(str(path)) as film:
        origin = 0.0
        if film.streams.video:
            origin = next(film.decode(video=0)).time
            film.seek(0)
        resampler = av.AudioResampler(format="flt", layout="mono", rate=_SLOW)
        samples, start = array("f"), None
        for frame in film.decode(audio=0):
            if start is None:
                assert frame.time is not None
                start = frame.time - origin if film.streams.video else 0.0
            for slow in resampler.resample(frame):
                samples.frombytes(bytes(slow.planes[0])[: slow.samples * 4])
        for slow in resampler.resample(None):
            samples.frombytes(bytes(slow.planes[0])[: slow.samples * 4])
    lead = round((start or 0.0) * _SLOW)
    return array("f", bytes(4 * lead)) + samples if lead >= 0 else samples[-lead:]


def between(samples: "array[float]", start: float, end: float) -> "array[float]":
    """The part of a heard sound between two moments in seconds."""
    return samples[round(start * _SLOW) : round(end * _SLOW)]


def lag(one: "array[float]", other: "array[float]", reach: float = 0.05) -> float:
    """By how many seconds the second sound comes later than the first, by cross-correlation; fails on strangers."""
    span = round(reach * _SLOW)
    middle = one[span : min(len(one), len(other)) - span]

    def likeness(shift: int) -> float:
        moved = other[span + shift : span + shift + len(middle)]
        power = math.sqrt(sum(a * a for a in middle) * sum(b * b for b in moved)) or 1.0
        return sum(a * b for a, b in zip(middle, moved, strict=True)) / power

    best = max(range(-span, span + 1), key=likeness)
    assert likeness(best) > 0.8, likeness(best)
    return best / _SLOW
