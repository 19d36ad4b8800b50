"""How a film's frames must be turned to be seen as players show them: by the matrix that comes with a frame.

Any of the eight ways in which a picture can lie on its pixels; a matrix that is none of them counts as the nearest.
"""

import struct
from dataclasses import dataclass
from typing import Any

import av
from av.sidedata.sidedata import Type
from PIL import Image

_ROW = 3


@dataclass(frozen=True)
class Turn:
    """One of the eight ways: filters of the codec library, the same in Pillow's word, and in words for people."""

    filters: tuple[str, ...] = ()
    pillow: Image.Transpose | None = None
    words: str = ""
    is_sideways: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height as seen."""
        return (height, width) if self.is_sideways else (width, height)

    def picture(self, picture: Image.Image) -> Image.Image:
        """The picture as seen."""
        return picture if self.pillow is None else picture.transpose(self.pillow)


UPRIGHT = Turn()
_STRAIGHT = {
    (False, False): UPRIGHT,
    (True, False): Turn(("hflip",), Image.Transpose.FLIP_LEFT_RIGHT, "mirrored"),
    (False, True): Turn(("vflip",), Image.Transpose.FLIP_TOP_BOTTOM, "turned over top to bottom"),
    (True, True): Turn(("hflip", "vflip"), Image.Transpose.ROTATE_180, "turned by 180°"),
}
_SIDEWAYS = {
    (False, True): Turn(("transpose=clock",), Image.Transpose.ROTATE_270, "turned by 90° to the right", True),
    (True, False): Turn(("transpose=cclock",), Image.Transpose.ROTATE_90, "turned by 90° to the left", True),
    (False, False): Turn(("transpose=cclock_flip",), Image.Transpose.TRANSPOSE, "mirrored and turned by 90°", True),
    (True, True): Turn(("transpose=clock_flip",), Image.Transpose.TRANSVERSE, "mirrored and turned by 90°", True),
}
"""By whether the two numbers of the matrix that matter are negative."""


def turn_of(frame: av.VideoFrame) -> Turn:
    """How a player turns this frame."""
    matrix: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]
    if matrix is None:
        return UPRIGHT
    numbers = struct.unpack_from("=9i", bytes(matrix))
    a, b, c, d = *numbers[:2], *numbers[_ROW : _ROW + 2]
    return _STRAIGHT[a < 0, d < 0] if abs(a) + abs(d) >= abs(b) + abs(c) else _SIDEWAYS[b < 0, c < 0]
