"""What is written on a preview: the mark that says it is one, and the prompt, in whatever scripts it is written.

Drawn once, at the size of the film, as pictures with transparency that the renderer lays over every frame.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ltx_mcp.media.camera import ease
from ltx_mcp.media.fonts import Typeface, Typefaces

MARK = "preview, not LTX"
_MAX_LINES = 4
_MAX_MARKS = 4  # combining marks kept on one character; more is mischief
_LAID_OUT = 1200  # characters looked at for line breaks: more than four lines ever hold
_JOINER = "\u200d"
_JOINERS = {_JOINER, "\u200c"}
_SELECTORS = {"\ufe0e", "\ufe0f"}
_WHITE = (255, 255, 255, 255)
_SHADOW = (0, 0, 0, 170)
_AMBER = (255, 214, 130, 255)


@dataclass(frozen=True)
class Overlay:
    """A picture with transparency and the place of its upper left corner on the frame."""

    image: Image.Image
    x: int
    y: int


@dataclass(frozen=True)
class Caption:
    """The overlay of a prompt, and how many of its characters no font here could draw."""

    overlay: Overlay | None
    missing: int


@dataclass(frozen=True)
class _Piece:
    """A character with its marks, the font that has it, and its width in pixels."""

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


def make_mark(width: int, height: int) -> Overlay:
    """The sign in the upper right corner that says: this is a preview."""
    short = min(width, height)
    size = max(10, round(short * 0.03))
    font = ImageFont.load_default(size)
    pad, gap = round(size * 0.7), max(4, round(short * 0.03))
    box = (_even(font.getlength(MARK) + 2 * pad), _even(size * 1.9))
    image = Image.new("RGBA", box, (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    rim = max(1, size // 16)
    pen.rounded_rectangle((0, 0, box[0] - 1, box[1] - 1), box[1] // 2, (8, 10, 16, 165), (255, 255, 255, 110), rim)
    pen.text((box[0] / 2, box[1] / 2), MARK, _WHITE, font, anchor="mm")
    return Overlay(image, max(0, _even(width - box[0] - gap)), _even(gap))


def make_caption(prompt: str, width: int, height: int, folders: Iterable[Path] | None = None) -> Caption:
    """The prompt at the foot of the frame, in at most four lines, and what had to be left out of it."""
    text = _cleaned(prompt)
    short = min(width, height)
    size = max(11, round(short * (0.036 if len(text) < 120 else 0.03)))
    faces = Typefaces(size, folders)
    pieces, missing = _make_pieces(text, faces)
    lines = _wrapped(pieces, width * (0.72 if width > height else 0.88), faces)
    note = f"{missing:,} character{'s have' if missing > 1 else ' has'} no font on this machine" if missing else ""
    if not lines and not note:
        return Caption(None, 0)
    return Caption(_draw(lines, note, _is_rtl(text), (width, height), size), missing)


def _cleaned(prompt: str) -> str:
    """The prompt on one line, without control characters, invisible formatting and halves of characters."""
    text = unicodedata.normalize("NFC", " ".join(prompt.split()))
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


def _make_pieces(text: str, faces: Typefaces) -> tuple[list[_Piece], int]:
    pieces: list[_Piece] = []
    missing, plain = 0, faces.has_plain(text)
    for cluster in _clusters(text):
        if cluster.isspace() and (not pieces or pieces[-1].is_space):
            continue
        face = pieces[-1].face if cluster.isspace() else faces.find(cluster, plain)
        if face is None:
            missing += 1
        elif len(pieces) < _LAID_OUT:
            pieces.append(_Piece(cluster, face, face.font.getlength(cluster)))
    return pieces, missing


def _wrapped(pieces: list[_Piece], room: float, faces: Typefaces) -> list[list[_Piece]]:
    """Lines of at most `room` pixels; what does not fit in the last one is told by an ellipsis."""
    lines: list[list[_Piece]] = [[]]
    for word in _words(pieces):
        if lines[-1] and _length([*lines[-1], *_stripped(word)]) > room:
            lines.append([])
        for part in _chopped(word, room) if _length(_stripped(word)) > room else [word]:
            if lines[-1] and _length([*lines[-1], *_stripped(part)]) > room:
                lines.append([])
            if lines[-1] or not all(piece.is_space for piece in part):
                lines[-1] += part
        if len(lines) > _MAX_LINES:
            return [*map(_stripped, lines[: _MAX_LINES - 1]), _shortened(lines[_MAX_LINES - 1], room, faces)]
    return [line for line in map(_stripped, lines) if line]


def _words(pieces: list[_Piece]) -> list[list[_Piece]]:
    """Pieces that stay together on a line, each with the space after it."""
    words: list[list[_Piece]] = []
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


def _chopped(word: list[_Piece], room: float) -> list[list[_Piece]]:
    parts: list[list[_Piece]] = [[]]
    for piece in word:
        if parts[-1] and _length([*parts[-1], piece]) > room:
            parts.append([])
        parts[-1].append(piece)
    return parts


def _shortened(line: list[_Piece], room: float, faces: Typefaces) -> list[_Piece]:
    face = faces.find("…") or faces.find("…", plain=True)
    assert face is not None
    dots = _Piece("…", face, face.font.getlength("…"))
    line = _stripped(line)
    while line and _length([*line, dots]) > room:
        line = _stripped(line[:-1])
    return [*line, dots]


def _stripped(line: list[_Piece]) -> list[_Piece]:
    end = len(line)
    while end and line[end - 1].is_space:
        end -= 1
    return line[:end]


def _length(line: list[_Piece]) -> float:
    return sum(piece.width for piece in line)


def _draw(lines: list[list[_Piece]], note: str, rtl: bool, frame: tuple[int, int], size: int) -> Overlay:
    width, height = frame
    step, small, margin = round(size * 1.4), max(10, round(size * 0.72)), round(min(frame) * 0.05)
    tall = step * len(lines) + (round(small * 1.7) if note else 0)
    box = (_even(width), min(_even(height), _even(tall + margin * 2.4)))
    image = Image.new("RGBA", box, (0, 0, 0, 0))
    shade = [round(185 * ease(level / 255) ** 0.8) for level in range(256)]
    image.putalpha(Image.linear_gradient("L").point(shade).resize(box))
    pen = ImageDraw.Draw(image)
    y = box[1] - margin - tall + round(size * 1.05)
    for line in lines:
        _draw_line(image, line, (margin, width - margin), y, rtl)
        y += step
    if note:
        font = ImageFont.load_default(small)
        pen.text((margin, box[1] - margin - small * 0.3), note, _AMBER, font, anchor="ls")
    return Overlay(image, 0, height - box[1])


def _draw_line(image: Image.Image, line: list[_Piece], edges: tuple[int, int], y: int, rtl: bool) -> None:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    runs = _in_sight_order(_make_runs(line, rtl), rtl)
    x = edges[1] - sum(run.length for run in runs) if rtl else float(edges[0])
    for run in runs:
        drop = max(1, int(run.font.size) // 18)
        for shift, fill in ((drop, _SHADOW), (0, _WHITE)):
            pen.text((x + shift, y + shift), run.text, fill, run.font, anchor="ls", direction=run.direction)
        x += run.length
    image.alpha_composite(layer)


@dataclass(frozen=True)
class _Run:
    """Part of a line in one font and one direction."""

    text: str
    font: ImageFont.FreeTypeFont
    rtl: bool

    @property
    def direction(self) -> str | None:
        """What raqm is told; the plain layout takes none."""
        if self.font.layout_engine != ImageFont.Layout.RAQM:
            return None
        return "rtl" if self.rtl else "ltr"

    @property
    def length(self) -> float:
        return self.font.getlength(self.text, direction=self.direction)


def _make_runs(line: list[_Piece], rtl: bool) -> list[_Run]:
    directed = zip(line, _directions(line, rtl), strict=True)
    groups = groupby(directed, lambda pair: (pair[0].face.font, pair[1]))
    return [_Run("".join(piece.text for piece, _ in group), font, turned) for (font, turned), group in groups]


def _directions(line: list[_Piece], rtl: bool) -> list[bool]:
    """Whether each piece goes from right to left; spaces and signs go with their neighbours, or with the line."""
    kinds = [_strong(piece.text) for piece in line]
    turned = []
    for place, kind in enumerate(kinds):
        if kind is None:
            before = next((known for known in reversed(kinds[:place]) if known is not None), rtl)
            after = next((known for known in kinds[place:] if known is not None), rtl)
            kind = before if before == after else rtl
        turned.append(kind)
    return turned


def _in_sight_order(runs: list[_Run], rtl: bool) -> list[_Run]:
    """Runs from left to right as they are seen: those of one direction keep together, in that direction's order."""
    groups = [(turned, list(group)) for turned, group in groupby(runs, lambda run: run.rtl)]
    ordered = reversed(groups) if rtl else groups
    return [run for turned, group in ordered for run in (reversed(group) if turned else group)]


def _is_rtl(text: str) -> bool:
    """Whether the first character with a direction goes from right to left."""
    return next((turned for turned in map(_strong, text) if turned is not None), False)


def _strong(text: str) -> bool | None:
    """True for a character that goes from right to left, False for letters and digits of the other way, else None."""
    kind = unicodedata.bidirectional(text[0])
    return True if kind in {"R", "AL"} else False if kind in {"L", "EN"} else None


def _even(length: float) -> int:
    return max(2, round(length) // 2 * 2)
