"""What is written on a preview: the mark that says it is one, and the prompt, in whatever scripts it is written.

Drawn once, at the size of the video, as images with transparency that the renderer lays over every frame. From text
alone the prompt is the image: a page of it, a paragraph for each shot. Over an image it keeps to the lowest fifth.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ltx_mcp.media.preview.camera import ease
from ltx_mcp.media.preview.fonts import Typeface, Typefaces

MARK = "stand-in picture, not LTX"
_MAX_MARKS = 4  # combining marks kept on one character; more is mischief
_LAID_OUT = 3000  # characters examined for line breaks: more than any page here holds
_JOINER = "\u200d"
_JOINERS = {_JOINER, "\u200c"}
_SELECTORS = {"\ufe0e", "\ufe0f"}
_WHITE = (255, 255, 255, 255)
_SHADOW = (0, 0, 0, 170)
_AMBER = (255, 214, 130, 255)
_SHOT = re.compile(
    r"\s*\b((?:(?:a|the) )?(?:(?:hard|smash|match|jump) )?cuts? to\b|(?:shot|scene) \d+\b)"
    r"|\s*(镜头 ?[\d一二三四五六七八九十])",
    re.IGNORECASE,
)
"""Where a prompt names another shot, besides at the end of a line."""

_LEADING, _BETWEEN_SHOTS = 1.42, 0.6
"""Distance of two lines, and what is added between two shots, in sizes of the letters."""
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
class _Piece:
    """A character with its marks, the font that has it, and its width in sizes of the letters."""

    text: str
    face: Typeface
    width: float

    @property
    def is_space(self) -> bool:
        return self.text.isspace()

    @property
    def is_wide(self) -> bool:
        """Whether a line may break beside it, as between Chinese characters."""
        return unicodedata.east_asian_width(self.text[0]) in "WF"

    @property
    def closes(self) -> bool:
        """Whether it may not begin a line."""
        return unicodedata.category(self.text[0]) in {"Pe", "Pf", "Po"}


_Line = list[_Piece]


@dataclass(frozen=True)
class _Block:
    """Lines of text, each with its distance from the top of the first, and whether it reads from right to left."""

    lines: list[tuple[float, bool, _Line]]
    is_cut: bool

    @property
    def height(self) -> float:
        """In sizes of the letters, as all lengths here."""
        return self.lines[-1][0] + _LEADING if self.lines else 0.0

    @property
    def width(self) -> float:
        return max((_length(line) for _, _, line in self.lines), default=0.0)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple("".join(piece.text for piece in line) for _, _, line in self.lines)


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
    size, block = 0, _Block([], is_cut=False)
    for part in _SIZES:
        size = max(11, round(short * part))
        block = _set(
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
    block = _set(shots, min(width - 2 * margin, width * (0.72 if width > height else 1)) / size, room, faces)
    if not block.lines and not note.text:
        return Caption(None, 0)
    used = margin + block.height * size + note.height
    box = (_even(width), min(tall, _even(used + margin)))
    image = Image.new("RGBA", box, (0, 0, 0, 0))
    shade = [round(185 * ease(level / 100)) for level in range(256)]
    image.putalpha(Image.linear_gradient("L").point(shade).resize(box))
    _write(image, block, note, size, (margin, width - margin), box[1] - used)
    return Caption(Overlay(image, 0, height - box[1]), missing, block.texts)


# -- reading


def _read(prompt: str, faces: Typefaces, *, split: bool) -> tuple[list[_Line], int]:
    """The shots of a prompt in pieces, and how many characters have no font here."""
    parts = _SHOT.sub(r"\n\1\2", prompt).splitlines() if split else [prompt]
    texts = [text for part in parts if (text := _cleaned(part))]
    plain = faces.has_plain("".join(texts))
    shots, missing, room = [], 0, _LAID_OUT
    for text in texts:
        pieces, lacking = _make_pieces(text, faces, plain, room)
        shots.append(pieces)
        missing += lacking
        room -= len(pieces)
    return shots, missing


def _cleaned(text: str) -> str:
    """On one line, without control characters, invisible formatting and halves of characters."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    return " ".join("".join(character for character in text if _is_kept(character)).split())


def _is_kept(character: str) -> bool:
    is_odd = character in _SELECTORS or unicodedata.category(character) in {"Cc", "Cf", "Cs"}
    return character in _JOINERS or not is_odd


def _clusters(text: str) -> list[str]:
    clusters: list[str] = []
    for character in text:
        is_mark = unicodedata.category(character).startswith("M")
        if clusters and (is_mark or character in _JOINERS or clusters[-1].endswith(_JOINER)):
            if len(clusters[-1]) <= _MAX_MARKS or not is_mark:
                clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _make_pieces(text: str, faces: Typefaces, plain: bool, room: int) -> tuple[_Line, int]:
    pieces: _Line = []
    missing = 0
    for cluster in _clusters(text):
        if cluster.isspace() and (not pieces or pieces[-1].is_space):
            continue
        face = pieces[-1].face if cluster.isspace() else faces.find(cluster, plain)
        if face is None:
            missing += 1
        elif len(pieces) < room:
            pieces.append(_Piece(cluster, face, face.width(cluster)))
    return pieces, missing


def _is_rtl(line: _Line) -> bool:
    """Whether the first character with a direction goes from right to left."""
    kinds = (unicodedata.bidirectional(piece.text[0]) for piece in line)
    return next((kind != "L" for kind in kinds if kind in {"L", "R", "AL"}), False)


# -- breaking into lines


def _set(shots: list[_Line], measure: float, room: float, faces: Typefaces) -> _Block:
    """Lines of at most `measure` in at most `room` of height, one line at the least."""
    lines: list[tuple[float, bool, _Line]] = []
    y = 0.0
    for shot in shots:
        rtl = _is_rtl(shot)
        for line in _wrapped(shot, measure):
            if lines and y + _LEADING > room:
                top, was_rtl, last = lines[-1]
                return _Block([*lines[:-1], (top, was_rtl, _shortened(last, measure, faces))], is_cut=True)
            lines.append((y, rtl, line))
            y += _LEADING
        y += _BETWEEN_SHOTS
    return _Block(lines, is_cut=False)


def _wrapped(pieces: _Line, measure: float) -> list[_Line]:
    lines: list[_Line] = [[]]
    for word in _words(pieces):
        for part in _chopped(word, measure) if _length(_stripped(word)) > measure else [word]:
            if lines[-1] and _length([*lines[-1], *_stripped(part)]) > measure:
                lines.append([])
            lines[-1] += part
    return [line for line in map(_stripped, lines) if line]


def _words(pieces: _Line) -> list[_Line]:
    """Pieces that stay together on a line, each with the space after it."""
    words: list[_Line] = []
    for piece in pieces:
        last = words[-1][-1] if words else None
        breaks = last is None or (
            not piece.is_space and (last.is_space or ((piece.is_wide or last.is_wide) and not piece.closes))
        )
        if breaks:
            words.append([piece])
        else:
            words[-1].append(piece)
    return words


def _chopped(word: _Line, measure: float) -> list[_Line]:
    parts: list[_Line] = [[]]
    for piece in word:
        if parts[-1] and _length([*parts[-1], piece]) > measure:
            parts.append([])
        parts[-1].append(piece)
    return parts


def _shortened(line: _Line, measure: float, faces: Typefaces) -> _Line:
    """The line with an ellipsis, which stands behind a word; behind a letter only where the line is one word."""
    face = faces.find("…") or faces.find("…", plain=True)
    assert face is not None
    dots = _Piece("…", face, face.width("…"))
    words = _words(line)
    while len(words) > 1 and _length([*_joined(words), dots]) > measure:
        words.pop()
    kept = _joined(words)
    while kept and _length([*kept, dots]) > measure:
        kept = kept[:-1]
    return [*kept, dots]


def _joined(words: list[_Line]) -> _Line:
    return _stripped([piece for word in words for piece in word])


def _stripped(line: _Line) -> _Line:
    end = len(line)
    while end and line[end - 1].is_space:
        end -= 1
    return line[:end]


def _length(line: _Line) -> float:
    return sum(piece.width for piece in line)


# -- writing


def _write(image: Image.Image, block: _Block, note: _Note, size: int, edges: tuple[int, int], top: float) -> None:
    """Lines between two edges, from `top` down, and the note below them."""
    for y, rtl, line in block.lines:
        _write_line(image, line, edges, round(top + (y + 1) * size), size, rtl)
    if note.text:
        foot = top + block.height * size + note.size * 1.2
        ImageDraw.Draw(image).text((edges[0], foot), note.text, _AMBER, note.font, anchor="ls")


def _write_line(image: Image.Image, line: _Line, edges: tuple[int, int], y: int, size: int, rtl: bool) -> None:
    """Text of one font is laid out as a whole, by raqm where Pillow has it; runs of several fonts follow each other in
    the direction of the line."""
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    runs = [
        ("".join(piece.text for piece in group), face.font(size))
        for face, group in groupby(line, lambda piece: piece.face)
    ]
    lengths = [font.getlength(text, direction=_direction(font, rtl)) for text, font in runs]
    x = edges[1] - sum(lengths) if rtl else float(edges[0])
    drop = max(1, size // 18)
    for (text, font), length in list(zip(runs, lengths, strict=True))[:: -1 if rtl else 1]:
        for shift, fill in ((drop, _SHADOW), (0, _WHITE)):
            pen.text((x + shift, y + shift), text, fill, font, anchor="ls", direction=_direction(font, rtl))
        x += length
    image.alpha_composite(layer)


def _direction(font: ImageFont.FreeTypeFont, rtl: bool) -> str | None:
    """The direction for raqm; the basic layout takes none."""
    if font.layout_engine != ImageFont.Layout.RAQM:
        return None
    return "rtl" if rtl else "ltr"


def _even(length: float) -> int:
    return max(2, round(length) // 2 * 2)
