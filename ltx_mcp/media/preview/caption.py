"""What is written on a preview: the mark that says it is one, and the prompt, in whatever scripts it is written.

Drawn once, at the size of the video, as images with transparency that the renderer lays over every frame. From text
alone the prompt is the image: a page of it, a paragraph for each shot. Over an image it keeps to the lowest fifth.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ltx_mcp.media.preview.camera import ease
from ltx_mcp.media.preview.fonts import Typefaces
from ltx_mcp.media.preview.lettering import Line, TextBlock, read_paragraphs, set_lines, write_block

MARK = "stand-in picture, not LTX"
_WHITE = (255, 255, 255, 255)
_AMBER = (255, 214, 130, 255)
_SHOT = re.compile(
    r"\s*\b((?:(?:a|the) )?(?:(?:hard|smash|match|jump) )?cuts? to\b|(?:shot|scene) \d+\b)"
    r"|\s*(镜头 ?[\d一二三四五六七八九十])",
    re.IGNORECASE,
)
"""Where a prompt names another shot, besides at the end of a line."""

_MEASURE = 34
"""Widest line of a page, in sizes of the letters: about 65 letters of English."""
_PAGE, _FOOT = 0.64, 0.2
"""The part of the frame's height that a page and a caption may take."""
_SIZES = [0.085 * 0.9**step for step in range(12)]
"""Sizes of the letters of a page, as parts of the frame's short side."""


@dataclass(frozen=True)
class Overlay:
    """An image with transparency and the place of its upper left corner on the frame."""

    image: Image.Image
    x: int
    y: int


@dataclass(frozen=True)
class Caption:
    """The overlay of a prompt, how many of its characters no font here has, and its lines as they are written."""

    overlay: Overlay | None
    missing: int
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Note:
    """What is said of characters without a font; sizes in pixels."""

    missing: int
    size: int

    @property
    def text(self) -> str:
        if not self.missing:
            return ""
        return f"{self.missing:,} character{'s have' if self.missing > 1 else ' has'} no font on this machine"

    @property
    def font(self) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
        return ImageFont.load_default(self.size)

    @property
    def width(self) -> float:
        return self.font.getlength(self.text)

    @property
    def height(self) -> float:
        return self.size * 1.7 if self.text else 0.0


def make_mark(width: int, height: int, text: str = MARK) -> Overlay:
    """The sign in the upper right corner that says: this is a preview."""
    short = min(width, height)
    size = max(10, round(short * 0.03))
    font = ImageFont.load_default(size)
    pad, gap = round(size * 0.7), max(4, round(short * 0.03))
    box = (_even(font.getlength(text) + 2 * pad), _even(size * 1.9))
    image = Image.new("RGBA", box, (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    rim = max(1, size // 16)
    pen.rounded_rectangle((0, 0, box[0] - 1, box[1] - 1), box[1] // 2, (8, 10, 16, 165), (255, 255, 255, 110), rim)
    pen.text((box[0] / 2, box[1] / 2), text, _WHITE, font, anchor="mm")
    return Overlay(image, max(0, _even(width - box[0] - gap)), _even(gap))


def make_title(prompt: str, width: int, height: int, folders: Iterable[Path] | None = None) -> Caption:
    """The prompt as a page in the middle of the frame, as large as it fits; what does not fit ends with an ellipsis."""
    faces = Typefaces(folders)
    shots, missing = _read(prompt, faces, split=True)
    short = min(width, height)
    size, block = 0, TextBlock([], is_cut=False)
    for part in _SIZES:
        size = max(11, round(short * part))
        block = set_lines(
            shots, min(_MEASURE, width * (0.72 if width > height else 0.84) / size), height * _PAGE / size, faces
        )
        if not block.is_cut:
            break
    note = _Note(missing, max(10, round(short * 0.025)))
    if not block.lines and not note.text:
        return Caption(None, 0)
    wide = min(width, max(block.width * size, note.width) + size)
    box = (_even(wide), _even((block.height + 0.6) * size + note.height))
    image = Image.new("RGBA", box, (0, 0, 0, 0))
    _write(image, block, note, size, (size // 2, box[0] - size // 2), size * 0.3)
    return Caption(Overlay(image, _even((width - box[0]) / 2), _even((height - box[1]) / 2)), missing, block.texts)


def make_caption(prompt: str, width: int, height: int, folders: Iterable[Path] | None = None) -> Caption:
    """The prompt in the lowest fifth of the frame, and what had to be left out of it."""
    faces = Typefaces(folders)
    shots, missing = _read(prompt, faces, split=False)
    size, margin = max(11, round(min(width, height) * 0.032)), round(min(width, height) * 0.035)
    note, tall = _Note(missing, max(10, round(size * 0.72))), _even(height * _FOOT)
    room = (tall - margin - note.height) / size
    block = set_lines(shots, min(width - 2 * margin, width * (0.72 if width > height else 1)) / size, room, faces)
    if not block.lines and not note.text:
        return Caption(None, 0)
    used = margin + block.height * size + note.height
    box = (_even(width), min(tall, _even(used + margin)))
    image = Image.new("RGBA", box, (0, 0, 0, 0))
    shade = [round(185 * ease(level / 100)) for level in range(256)]
    image.putalpha(Image.linear_gradient("L").point(shade).resize(box))
    _write(image, block, note, size, (margin, width - margin), box[1] - used)
    return Caption(Overlay(image, 0, height - box[1]), missing, block.texts)


def _read(prompt: str, faces: Typefaces, *, split: bool) -> tuple[list[Line], int]:
    """The shots of a prompt in pieces, and how many characters have no font here."""
    return read_paragraphs(_SHOT.sub(r"\n\1\2", prompt).splitlines() if split else [prompt], faces)


def _write(image: Image.Image, block: TextBlock, note: _Note, size: int, edges: tuple[int, int], top: float) -> None:
    """Lines between two edges, from `top` down, and the note below them."""
    write_block(image, block, size, edges, top)
    if note.text:
        foot = top + block.height * size + note.size * 1.2
        ImageDraw.Draw(image).text((edges[0], foot), note.text, _AMBER, note.font, anchor="ls")


def _even(length: float) -> int:
    return max(2, round(length) // 2 * 2)
