"""What players do with a video's frames before they show them, which not every decoder does."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.sidedata.sidedata import Type
from av.video.stream import VideoStream
from PIL import Image

from ltx_mcp.media.decode.tone import needs_tone

KIND_FRAMES = 5
"""How many frames decide of what kind a video is."""
PLAIN = ("yuv420p", "yuvj420p")
_MAX_STRETCH = 4
_HIDDEN_S = 0.1
_STRETCH = Fraction(1, 100)  # less is how sizes are rounded
_ROW = 3


@dataclass(frozen=True)
class Rotation:
    """One of the eight ways an image can lie on its pixels: as FFmpeg filters, for Pillow, and in words for people."""

    filters: tuple[str, ...] = ()
    pillow: Image.Transpose | None = None
    words: str = ""
    is_sideways: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as seen."""
        return (height, width) if self.is_sideways else (width, height)

    def image(self, image: Image.Image) -> Image.Image:
        """The image as seen."""
        return image if self.pillow is None else image.transpose(self.pillow)


UPRIGHT = Rotation()
_UPRIGHT_OR_FLIPPED = {
    (False, False): UPRIGHT,
    (True, False): Rotation(("hflip",), Image.Transpose.FLIP_LEFT_RIGHT, "mirrored"),
    (False, True): Rotation(("vflip",), Image.Transpose.FLIP_TOP_BOTTOM, "turned over top to bottom"),
    (True, True): Rotation(("hflip", "vflip"), Image.Transpose.ROTATE_180, "turned by 180°"),
}
_SIDEWAYS = {
    (False, True): Rotation(("transpose=clock",), Image.Transpose.ROTATE_270, "turned by 90° to the right", True),
    (True, False): Rotation(("transpose=cclock",), Image.Transpose.ROTATE_90, "turned by 90° to the left", True),
    (False, False): Rotation(("transpose=cclock_flip",), Image.Transpose.TRANSPOSE, "mirrored and turned by 90°", True),
    (True, True): Rotation(("transpose=clock_flip",), Image.Transpose.TRANSVERSE, "mirrored and turned by 90°", True),
}
"""By whether the two numbers of the matrix that matter are negative."""


@dataclass(frozen=True)
class Shown:
    """How a player shows the frames of a video: turned, brought to other colours, without fields, each pixel `stretch`
    times as wide as high. `width` and `height` are as seen. `is_fine`: in H.264 beyond what every player decodes."""

    rotation: Rotation
    tone: str
    is_interlaced: bool
    stretch: Fraction
    width: int
    height: int
    is_fine: bool

    @property
    def traits(self) -> tuple[str, ...]:
        """All of it in words; empty for a video that is shown as it is stored."""
        words = (
            self.rotation.words,
            self.tone,
            "interlaced" if self.is_interlaced else "",
            f"pixels of {self.stretch.numerator}:{self.stretch.denominator}" if self.stretch != 1 else "",
            "more than 8 bits or full colour" if self.is_fine else "",
        )
        return tuple(word for word in words if word)


def hidden_words(seconds: float) -> str:
    """The words for so many seconds that players skip at the start; empty where it is too little to matter."""
    return f"its first {seconds:.2f} s are not shown" if seconds > _HIDDEN_S else ""


def shown_as(frames: Sequence[av.VideoFrame], stream: VideoStream) -> Shown:
    """How a video is shown whose first frames these are."""
    first = frames[0]
    rotation, stretch = rotation_of(first), _stretch(stream)
    width = round(first.width * stretch)
    return Shown(
        rotation,
        needs_tone(first),
        any(frame.interlaced_frame for frame in frames),
        stretch,
        *rotation.size(width, first.height),
        stream.codec_context.name == "h264" and first.format.name not in PLAIN,
    )


def rotation_of(frame: av.VideoFrame) -> Rotation:
    """How a player turns this frame: by its matrix; one that is none of the eight ways counts as the nearest."""
    matrix: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None:
        return UPRIGHT
    numbers = struct.unpack_from("=9i", bytes(matrix))
    a, b, c, d = *numbers[:2], *numbers[_ROW : _ROW + 2]
    return _UPRIGHT_OR_FLIPPED[a < 0, d < 0] if abs(a) + abs(d) >= abs(b) + abs(c) else _SIDEWAYS[b < 0, c < 0]


def _stretch(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    is_sane = aspect > 0 and max(aspect, 1 / aspect) <= _MAX_STRETCH
    return aspect if is_sane and abs(aspect - 1) > _STRETCH else Fraction(1)
