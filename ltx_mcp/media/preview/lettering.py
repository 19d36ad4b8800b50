"""Text on images in whatever scripts it is written: read into pieces that a font has, broken into lines, drawn.

Lengths are in sizes of the letters where nothing else is said.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

from ltx_mcp.media.preview.fonts import Typeface, Typefaces

_MAX_MARKS = 4  # combining marks kept on one character; more is mischief
_LAID_OUT = 3000  # characters examined for line breaks: more than any page here holds
_JOINER = "\u200d"
_JOINERS = {_JOINER, "\u200c"}
_SELECTORS = {"\ufe0e", "\ufe0f"}
_WHITE = (255, 255, 255, 255)
_SHADOW = (0, 0, 0, 170)
_LEADING, _BETWEEN_SHOTS = 1.42, 0.6
"""Distance of two lines, and what is added between two shots of a prompt."""


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


Line = list[_Piece]


@dataclass(frozen=True)
class TextBlock:
    """Lines of text, each with its distance from the top of the first, and whether it reads from right to left."""

    lines: list[tuple[float, bool, Line]]
    is_cut: bool

    @property
    def height(self) -> float:
        """From the top of the first line to below the last."""
        return self.lines[-1][0] + _LEADING if self.lines else 0.0

    @property
    def width(self) -> float:
        """The width of the widest line."""
        return max((_length(line) for _, _, line in self.lines), default=0.0)

    @property
    def texts(self) -> tuple[str, ...]:
        """The lines as they are written."""
        return tuple("".join(piece.text for piece in line) for _, _, line in self.lines)


def read_paragraphs(parts: Iterable[str], faces: Typefaces) -> tuple[list[Line], int]:
    """Texts in pieces, empty ones left out, and how many characters have no font here."""
    texts = [text for part in parts if (text := _cleaned(part))]
    plain = faces.has_plain("".join(texts))
    paragraphs, missing, room = [], 0, _LAID_OUT
    for text in texts:
        pieces, lacking = _make_pieces(text, faces, plain, room)
        paragraphs.append(pieces)
        missing += lacking
        room -= len(pieces)
    return paragraphs, missing


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


def _make_pieces(text: str, faces: Typefaces, plain: bool, room: int) -> tuple[Line, int]:
    pieces: Line = []
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


def _is_rtl(line: Line) -> bool:
    """Whether the first character with a direction goes from right to left."""
    kinds = (unicodedata.bidirectional(piece.text[0]) for piece in line)
    return next((kind != "L" for kind in kinds if kind in {"L", "R", "AL"}), False)


def set_lines(
    shots: list[Line], measure: float, room: float, faces: Typefaces, between: float = _BETWEEN_SHOTS
) -> TextBlock:
    """Lines of at most `measure` in at most `room` of height, one line at the least; `between` is added between two
    paragraphs."""
    lines: list[tuple[float, bool, Line]] = []
    y = 0.0
    for shot in shots:
        rtl = _is_rtl(shot)
        for line in _wrapped(shot, measure):
            if lines and y + _LEADING > room:
                top, was_rtl, last = lines[-1]
                return TextBlock([*lines[:-1], (top, was_rtl, _shortened(last, measure, faces))], is_cut=True)
            lines.append((y, rtl, line))
            y += _LEADING
        y += between
    return TextBlock(lines, is_cut=False)


def _wrapped(pieces: Line, measure: float) -> list[Line]:
    lines: list[Line] = [[]]
    for word in _words(pieces):
        for part in _chopped(word, measure) if _length(_stripped(word)) > measure else [word]:
            if lines[-1] and _length([*lines[-1], *_stripped(part)]) > measure:
                lines.append([])
            lines[-1] += part
    return [line for line in map(_stripped, lines) if line]


def _words(pieces: Line) -> list[Line]:
    """Pieces that stay together on a line, each with the space after it."""
    words: list[Line] = []
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


def _chopped(word: Line, measure: float) -> list[Line]:
    parts: list[Line] = [[]]
    for piece in word:
        if parts[-1] and _length([*parts[-1], piece]) > measure:
            parts.append([])
        parts[-1].append(piece)
    return parts


def _shortened(line: Line, measure: float, faces: Typefaces) -> Line:
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


def _joined(words: list[Line]) -> Line:
    return _stripped([piece for word in words for piece in word])


def _stripped(line: Line) -> Line:
    end = len(line)
    while end and line[end - 1].is_space:
        end -= 1
    return line[:end]


def _length(line: Line) -> float:
    return sum(piece.width for piece in line)


def write_block(
    image: Image.Image, block: TextBlock, size: int, edges: tuple[int, int], top: float, *, is_centred: bool = False
) -> None:
    """Draws lines between two edges, from `top` down, in pixels: from where they are read, or in the middle."""
    for y, rtl, line in block.lines:
        free = round((edges[1] - edges[0] - _length(line) * size) / 2) if is_centred else 0
        write_at = (edges[0] + free, edges[1] - free)
        _write_line(image, line, write_at, round(top + (y + 1) * size), size, rtl)


def _write_line(image: Image.Image, line: Line, edges: tuple[int, int], y: int, size: int, rtl: bool) -> None:
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
