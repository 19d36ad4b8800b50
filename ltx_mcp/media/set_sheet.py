"""The contact sheet of a set: a numbered row for each take. Runs in the child process, blocking."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ltx_mcp.media.measure import BACKGROUND, GAP, QUALITIES, SHRINK, encoded, write_whole
from ltx_mcp.media.messages import SHEET_CELLS, ContactSheet, SheetRow

SET_SHEET_BYTES = 90_000
_MAX_EDGE = 1568  # models are shown no more than this
_MIN_CELL = 40
_BAND = 56
_WORDS_HEIGHT = 52
_NUMBER_SIZE, _WORDS_SIZE, _MIN_TIME_SIZE = 36, 22, 13
_WHITE, _GREY, _BLACK = (255, 255, 255), (190, 196, 208), (0, 0, 0)

_Size = tuple[int, int]
_Drawn = tuple[SheetRow, list[Image.Image]]


def make_set_sheet(rows: Sequence[Mapping[str, Any]], out: Path) -> ContactSheet:
    """A JPEG with a row for each of these SheetRows, of at most 90,000 bytes: the cells of each take's own sheet side
    by side, or why it has none. At least one has a sheet."""
    drawn = [(row, _cells(row) if row.sheet else []) for row in (SheetRow(**each) for each in rows)]
    for cell in _shrinking_cells(drawn):
        image = _arranged(drawn, cell)
        for quality in QUALITIES:
            data = encoded(image, "jpeg", quality)
            if len(data) <= SET_SHEET_BYTES:
                write_whole(data, out)
                return ContactSheet(*image.size, len(data), [])
    raise AssertionError("a sheet of tiny cells is still too large")


def _cells(row: SheetRow) -> list[Image.Image]:
    """The cells of a contact sheet, in reading order."""
    with Image.open(row.sheet) as file:
        sheet = file.convert("RGB")
    columns, lines = _layout(sheet.size, row.width / row.height)
    width, height = _cell_size(sheet.size, columns, lines)
    places = [divmod(place, columns) for place in range(SHEET_CELLS)]
    corners = [(GAP + column * (width + GAP), GAP + line * (height + GAP)) for line, column in places]
    return [sheet.crop((left, top, left + width, top + height)) for left, top in corners]


def _layout(size: _Size, ratio: float) -> _Size:
    """Columns and lines of a contact sheet: those whose cells have the shape of the video."""

    def difference(layout: _Size) -> float:
        width, height = _cell_size(size, *layout)
        return abs(math.log(max(1, width) / max(1, height) / ratio))

    return min(((SHEET_CELLS // 2, 2), (SHEET_CELLS, 1)), key=difference)


def _cell_size(size: _Size, columns: int, lines: int) -> _Size:
    return (size[0] - GAP) // columns - GAP, (size[1] - GAP) // lines - GAP


def _shrinking_cells(drawn: Sequence[_Drawn]) -> Iterator[_Size]:
    """Sizes of a cell, the largest first that keeps the picture within _MAX_EDGE."""
    pictured = [cells[0].size for _, cells in drawn if cells]
    width, height = pictured[0]
    wide = (_MAX_EDGE - _BAND - GAP) / SHEET_CELLS - GAP
    spare = _MAX_EDGE - GAP - (len(drawn) - len(pictured)) * (_WORDS_HEIGHT + GAP)
    scale = min(1.0, wide / width, (spare / len(pictured) - GAP) / height)
    while max(width, height) * scale >= _MIN_CELL:
        yield max(1, round(width * scale)), max(1, round(height * scale))
        scale *= SHRINK


def _arranged(drawn: Sequence[_Drawn], cell: _Size) -> Image.Image:
    width, height = cell
    heights = [height if cells else _WORDS_HEIGHT for _, cells in drawn]
    sheet = Image.new(
        "RGB", (_BAND + SHEET_CELLS * (width + GAP) + GAP, sum(heights) + GAP * (len(heights) + 1)), BACKGROUND
    )
    draw, top = ImageDraw.Draw(sheet), GAP
    for (row, cells), tall in zip(drawn, heights, strict=True):
        middle = top + tall / 2
        draw.text((_BAND / 2, middle), str(row.number), _WHITE, ImageFont.load_default(_NUMBER_SIZE), anchor="mm")
        for place, (image, moment) in enumerate(zip(cells, row.moments, strict=False)):
            fitted = image.resize(cell, Image.Resampling.LANCZOS)
            sheet.paste(_stamped(fitted, moment), (_BAND + GAP + place * (width + GAP), top))
        if not cells:
            font = ImageFont.load_default(_WORDS_SIZE)
            draw.text((_BAND + 2 * GAP, middle), row.words, _GREY, font, anchor="lm")
        top += tall + GAP
    return sheet


def _stamped(cell: Image.Image, moment: float) -> Image.Image:
    """The time in the corner, over the smaller one that the cell has already."""
    size = max(_MIN_TIME_SIZE, round(math.sqrt(cell.width * cell.height) * 0.07))
    font, text = ImageFont.load_default(size), f"{moment:.1f} s"
    box = (font.getlength(text) + size * 1.2, size * 1.9)
    draw = ImageDraw.Draw(cell)
    draw.rectangle((0, 0, *box), fill=_BLACK)
    draw.text((box[0] / 2, box[1] / 2), text, _WHITE, font, anchor="mm")
    return cell
