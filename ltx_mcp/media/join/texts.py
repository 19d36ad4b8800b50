"""What is written over a film: captions at its foot, and the titles of clips over their beginnings."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import av
from PIL import Image, ImageDraw

from ltx_mcp.domain.captions import Cue
from ltx_mcp.media.join.planes import Sticker, overlaid
from ltx_mcp.media.join.timeline import FilmPart
from ltx_mcp.media.preview.fonts import Typefaces
from ltx_mcp.media.preview.lettering import TextBlock, read_paragraphs, set_lines, write_block

_TITLE_S, _FADE_S = 3.5, 0.4
_SHADE = (0, 0, 0, 165)
"""White letters on it can be read over a white picture too."""
_PADDING = 0.45
"""Around the letters, in their size."""


@dataclass(frozen=True)
class _TextStyle:
    """Where and how large a text is: parts of the frame's short side (size), its width and its height (the rest)."""

    size: float
    measure: float
    room: float
    foot: float
    margin: float
    is_centred: bool


_CAPTION = _TextStyle(size=0.048, measure=0.84, room=0.3, foot=0.95, margin=0.08, is_centred=True)
_TITLE = _TextStyle(size=0.075, measure=0.7, room=0.4, foot=0.74, margin=0.06, is_centred=False)


@dataclass(frozen=True)
class FilmText:
    """A text that is seen from frame `first` until before frame `last`; it appears and goes over `fade` frames."""

    text: str
    first: int
    last: int
    fade: int
    style: _TextStyle

    def strength(self, number: int) -> float:
        """How much of it is seen in a frame, from 0 to 1."""
        if not self.first <= number < self.last:
            return 0.0
        return min(1.0, (min(number - self.first, self.last - 1 - number) + 1) / (self.fade + 1))


class FilmTexts:
    """All texts of a film of this size; `missing_glyphs` counts what no font here has."""

    def __init__(self, texts: Sequence[FilmText], width: int, height: int) -> None:
        self._texts, self._size = texts, (width, height)
        self._faces = Typefaces() if texts else None
        self._stickers: dict[FilmText, Sticker | None] = {}
        lines = dict.fromkeys(line for text in texts for line in text.text.split("\n"))
        self.missing_glyphs = read_paragraphs(lines, self._faces)[1] if self._faces else 0

    def free_between(self, first: int, last: int) -> list[tuple[int, int]]:
        """The stretches between two frames over which nothing is written."""
        free = []
        for text in sorted(self._texts, key=lambda text: text.first):
            free.append((first, min(last, text.first)))
            first = max(first, text.last)
        return [(begin, end) for begin, end in [*free, (first, last)] if begin < end]

    def over(self, number: int, frame: av.VideoFrame) -> av.VideoFrame:
        """The numbered frame with its texts; one without any is given back."""
        seen = [(text, strength) for text in self._texts if (strength := text.strength(number))]
        stickers = [(sticker, strength) for text, strength in seen if (sticker := self._sticker(text)) is not None]
        for text in [text for text in self._stickers if text.last <= number]:
            del self._stickers[text]
        return overlaid(frame, stickers) if stickers else frame

    def _sticker(self, text: FilmText) -> Sticker | None:
        if text not in self._stickers:
            assert self._faces is not None
            self._stickers[text] = _make_sticker(text, self._size, self._faces)
        return self._stickers[text]


def make_texts(parts: Sequence[FilmPart], cues: Sequence[Cue]) -> list[FilmText]:
    """The titles of the parts, and the cues, which are burnt in; nothing overlaps within either."""
    rate = parts[0].rate
    fade, most = round(_FADE_S * rate), round(_TITLE_S * rate)
    titles = [
        FilmText(
            part.clip.title, part.begins, part.begins + min(most, part.frames), min(fade, part.frames // 4), _TITLE
        )
        for part in parts
        if part.clip.title.strip()
    ]
    captions = [
        FilmText(cue.text, _frame_at(cue.start_s, rate), _frame_at(cue.end_s, rate), 0, _CAPTION) for cue in cues
    ]
    return [*titles, *captions]


def without_overlaps(cues: Sequence[Cue]) -> list[Cue]:
    """Cues one after the other: where several are shown at once, their lines together."""
    edges = sorted({edge for cue in cues for edge in (cue.start_s, cue.end_s)})
    waiting, shown = sorted(cues, key=lambda cue: cue.start_s, reverse=True), list[Cue]()
    alone: list[Cue] = []
    for start_s, end_s in pairwise(edges):
        while waiting and waiting[-1].start_s <= start_s:
            shown.append(waiting.pop())
        shown = [cue for cue in shown if cue.end_s > start_s]
        if shown:
            alone.append(Cue(start_s, end_s, "\n".join(cue.text for cue in shown)))
    return alone


def _frame_at(seconds: float, rate: Fraction) -> int:
    return round(Fraction(seconds) * rate)


def _make_sticker(text: FilmText, frame: tuple[int, int], faces: Typefaces) -> Sticker | None:
    """The letters on a shade, in their place."""
    style, (width, height) = text.style, frame
    size = max(11, round(min(frame) * style.size))
    lines, _ = read_paragraphs(text.text.split("\n"), faces)
    padding = round(size * _PADDING)
    room = height * style.room / size
    block = set_lines(lines, (width * style.measure - 2 * padding) / size, room, faces, between=0)
    if not block.lines:
        return None
    image = _drawn(block, size, padding, style.is_centred)
    left = (width - image.width) // 2 if style.is_centred else round(width * style.margin)
    return Sticker.of(image, left, max(0, round(height * style.foot) - image.height))


def _drawn(block: TextBlock, size: int, padding: int, is_centred: bool) -> Image.Image:
    box = _even(block.width * size) + 2 * padding, _even(block.height * size) + padding
    image = Image.new("RGBA", box, (0, 0, 0, 0))
    ImageDraw.Draw(image).rounded_rectangle((0, 0, box[0] - 1, box[1] - 1), padding, _SHADE)
    write_block(image, block, size, (padding, box[0] - padding), padding * 0.5, is_centred=is_centred)
    return image


def _even(length: float) -> int:
    return round(length / 2 + 0.5) * 2
