"""Clips whose every frame says which it is, and what is read of a film that was joined from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageStat

from ltx_mcp.media.join.film import join
from ltx_mcp.media.messages import JoinClip, JoinNotes, JoinOrder
from tests.media.films import picture, tones

_BITS, _CELLS = 16, 40
_CLIP = 1000


@dataclass(frozen=True)
class Numbered:
    """A clip of frames that carry its number and their own, with the sound that `films.tones` makes; `bar` is the
    part of its height that is dark, at the foot."""

    number: int
    frames: int = 30
    rate: Fraction = Fraction(25)
    size: tuple[int, int] = (320, 180)
    has_sound: bool = True
    loudness: float = 1.0
    first: int = 0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    bar: float = 0.0
    is_coded: bool = True
    options: tuple[tuple[str, str], ...] = (("crf", "12"), ("preset", "veryfast"), ("g", "30"))

    def make(self, path: Path) -> Path:
        """Writes it as MP4."""
        with av.open(str(path), "w") as out:
            video = out.add_stream("libx264", rate=self.rate, options=dict(self.options))
            assert isinstance(video, av.VideoStream)
            video.width, video.height, video.pix_fmt = *self.size, "yuv420p"
            context = video.codec_context
            context.color_primaries = context.color_trc = context.colorspace = context.color_range = 1
            sound = out.add_stream("aac", rate=48_000, layout="mono") if self.has_sound else None
            for number in range(self.frames):
                frame = av.VideoFrame.from_image(self._picture(number))  # type: ignore[no-untyped-call]
                out.mux(video.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
            out.mux(video.encode())
            if sound is not None:
                self._write_sound(out, sound)
        return path

    def _picture(self, number: int) -> Image.Image:
        """The same for two clips at the same `number + first`, but for the code and the tint."""
        shown = picture(number + self.first, self.size)
        if self.tint != (1.0, 1.0, 1.0):
            shown = Image.merge(
                "RGB",
                [
                    band.point([min(255, round(level * gain)) for level in range(256)])
                    for band, gain in zip(shown.split(), self.tint, strict=True)
                ],
            )
        if self.bar:
            foot = (0, round(shown.height * (1 - self.bar)), *shown.size)
            ImageDraw.Draw(shown).rectangle(foot, fill=(10, 10, 14))
        if self.is_coded:
            _write_code(shown, self.number * _CLIP + number)
        return shown

    def _write_sound(self, out: av.container.OutputContainer, stream: av.AudioStream) -> None:
        samples = tones(48_000, float(self.frames / self.rate))
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
        frame.planes[0].update(type(samples)("h", [round(self.loudness * sample) for sample in samples]).tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def codes(path: Path) -> list[tuple[int, int]]:
    """Of every frame the clip's number and its own."""
    return [read_code(image) for image in _images(path)]


def read_code(image: Image.Image) -> tuple[int, int]:
    """Of one frame the clip's number and its own."""
    return divmod(_code(image.convert("L")), _CLIP)


def _code(image: Image.Image) -> int:
    edge, middle = image.width // _CELLS, image.height - image.width // _CELLS // 2
    places = [2 * bit * edge + edge // 2 for bit in range(_BITS)]
    levels = [(_level(image, x, middle), _level(image, x + edge, middle)) for x in places]
    return sum((level > other) << bit for bit, (level, other) in enumerate(levels))


def _level(image: Image.Image, x: int, y: int) -> float:
    return ImageStat.Stat(image.crop((x - 1, y - 1, x + 1, y + 1))).mean[0]


def _write_code(image: Image.Image, code: int) -> None:
    """A light and a dark cell for each bit, so that no code is brighter than another."""
    edge, pen = image.width // _CELLS, ImageDraw.Draw(image)
    for bit in range(_BITS):
        for cell in (0, 1):
            fill = (225, 225, 225) if (code >> bit & 1) != cell else (30, 30, 30)
            left = (2 * bit + cell) * edge
            pen.rectangle((left, image.height - edge, left + edge - 1, image.height), fill=fill)


def _images(path: Path) -> Iterator[Image.Image]:
    with av.open(str(path)) as film:
        for frame in film.decode(video=0):
            image: Image.Image = frame.to_image()  # type: ignore[no-untyped-call]
            yield image


def joined(folder: Path, *clips: JoinClip, **order: object) -> tuple[Path, JoinNotes]:
    """The film of these clips, at 25 frames a second in 320x180 where nothing else is asked for."""
    out = folder / "film.mp4"
    settings: dict[str, object] = {"width": 320, "height": 180, "fps": 25.0} | order
    notes = join(JoinOrder(clips, **settings), out, lambda part: None)  # type: ignore[arg-type]
    return out, notes
