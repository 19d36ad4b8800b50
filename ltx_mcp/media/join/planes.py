"""Work on the pixels of frames: levels, mixtures of two frames, and images laid over them; plane by plane, by Pillow.

Frames are yuv420p in narrow range. None is changed: each of these gives a new one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import av
from PIL import Image

_GREY, _BLACK, _LUMA = 128, 16, 219 / 255

Tables = tuple[Sequence[int], Sequence[int], Sequence[int]]
"""What becomes of each of the 256 values in each of the three planes."""


def planes_of(frame: av.VideoFrame) -> list[Image.Image]:
    """The planes as images: brightness, and the two of colour, half as wide and high."""
    return [
        Image.frombuffer("L", (plane.width, plane.height), bytes(plane), "raw", "L", plane.line_size, 1)
        for plane in frame.planes
    ]


def to_frame(planes: Sequence[Image.Image]) -> av.VideoFrame:
    """The frame that has these planes."""
    frame = av.VideoFrame(*planes[0].size, "yuv420p")
    for plane, image in zip(frame.planes, planes, strict=True):
        plane.update(image.tobytes("raw", "L", plane.line_size, 1))
    return frame


def with_levels(frame: av.VideoFrame, tables: Tables) -> av.VideoFrame:
    """The frame with other levels."""
    return to_frame([plane.point(list(table)) for plane, table in zip(planes_of(frame), tables, strict=True)])


def dimmed(frame: av.VideoFrame, part: float) -> av.VideoFrame:
    """The frame with this part of its light, from 0 for black to 1."""
    luma = [round(_BLACK + (level - _BLACK) * part) if level > _BLACK else level for level in range(256)]
    colour = [round(_GREY + (level - _GREY) * part) for level in range(256)]
    return with_levels(frame, (luma, colour, colour))


def blended(one: av.VideoFrame, other: av.VideoFrame, part: float) -> av.VideoFrame:
    """A mixture of both, from 0 for the one to 1 for the other."""
    pairs = zip(planes_of(one), planes_of(other), strict=True)
    return to_frame([Image.blend(first, second, part) for first, second in pairs])


@dataclass(frozen=True)
class Sticker:
    """Grey letters with transparency, ready to be laid over frames; `x` and `y` are even."""

    letters: Image.Image
    mask: Image.Image
    x: int
    y: int

    @classmethod
    def of(cls, image: Image.Image, x: int, y: int) -> "Sticker":
        """The sticker of an image with transparency, whose colours are left out."""
        luma = image.convert("L").point([round(_BLACK + level * _LUMA) for level in range(256)])
        return cls(luma, image.getchannel("A"), x // 2 * 2, y // 2 * 2)


def overlaid(frame: av.VideoFrame, stickers: Sequence[tuple[Sticker, float]]) -> av.VideoFrame:
    """The frame with stickers, each as strong as the number beside it says, from 0 to 1."""
    planes = planes_of(frame)
    for sticker, strength in stickers:
        mask = sticker.mask if strength >= 1 else sticker.mask.point([round(level * strength) for level in range(256)])
        planes[0].paste(sticker.letters, (sticker.x, sticker.y), mask)
        small = mask.reduce(2)
        for plane in planes[1:]:
            # letters have no colour, and take away what is behind them
            plane.paste(Image.new("L", small.size, _GREY), (sticker.x // 2, sticker.y // 2), small)
    return to_frame(planes)
