"""Figures of videos, contact sheets and single frames. Runs in the child process, blocking."""

import io
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.media_reference import FramePosition
from ltx_mcp.media.decode.frame_reader import FrameReader, not_a_video, open_video
from ltx_mcp.media.length import Counter, average_rate, video_length
from ltx_mcp.media.messages import SHEET_CELLS, ContactSheet, ExtractedFrame, FrameFormat
from ltx_mcp.media.probe import container_name
from ltx_mcp.media.truncation import is_cut

SHEET_BYTES = 60_000
_CELL_EDGE = 512
GAP = 4
QUALITIES = (85, 75, 65, 55, 48, 40)
SHRINK = 0.85
BACKGROUND = (14, 16, 22)


def measure_film(path: str | Path) -> VideoInfo:
    """The figures of a video, from its streams and its first frame. LtxError (bad_reply) for any other file."""
    with open_video(path) as reader:
        stream, counter = reader.stream, _counted(reader)
        name = container_name(reader.container, path)
        if is_cut(path, name):
            raise not_a_video("it ends before it should")
        length = video_length(reader.container, path, name, counter, stream)
        return VideoInfo(
            duration=length.seconds,
            width=reader.shown.width,
            height=reader.shown.height,
            fps=average_rate(stream, counter[stream]),
            frames=counter[stream].count,
            has_audio=reader.container.streams.best("audio") is not None,
            size_bytes=Path(path).stat().st_size,
        )


def make_sheet(path: str | Path, out: Path) -> ContactSheet:
    """A JPEG of six moments from the first frame to the last, each with its time, of at most 60,000 bytes."""
    with open_video(path) as reader:
        end = reader.seconds(reader.last())
        frames = [reader.at(end * step / (SHEET_CELLS - 1)) for step in range(SHEET_CELLS)]
        moments = [reader.seconds(frame) for frame in frames]
        cells = [reader.image(frame, _CELL_EDGE) for frame in frames]
    for sheet in _shrinking_sheets(cells, moments):
        for quality in QUALITIES:
            data = encoded(sheet, "jpeg", quality)
            if len(data) <= SHEET_BYTES:
                write_whole(data, out)
                return ContactSheet(*sheet.size, len(data), moments)
    raise AssertionError("a sheet of tiny cells is still too large")


def take_frame(
    path: str | Path, moment: FramePosition, out: Path, fmt: FrameFormat = "jpeg", max_edge: int | None = None
) -> ExtractedFrame:
    """The frame shown at a moment in seconds, or the first or last one, as an image file.

    A moment outside the video is a CallerError (invalid_request) that names the range.
    """
    with open_video(path) as reader:
        frame = _find_frame(reader, moment)
        image = reader.image(frame, max_edge)
        data = encoded(image, fmt, 92)
        write_whole(data, out)
        return ExtractedFrame(*image.size, len(data), reader.seconds(frame))


def _find_frame(reader: FrameReader, moment: FramePosition) -> av.VideoFrame:
    if moment == "first":
        return reader.first
    if moment == "last":
        return reader.last()
    end = reader.length()
    if not 0 <= moment <= end + 0.001:  # false for NaN too
        raise CallerError(ErrorCode.INVALID_REQUEST, f"The moment must lie between 0 and {end:g} s in this video.")
    return reader.at(moment)


def _counted(reader: FrameReader) -> Counter:
    """All packets up to where the file ends or breaks off; nothing is decoded."""
    counter = Counter(reader.container)
    reader.container.seek(0)
    with suppress(av.error.InvalidDataError):
        for packet in reader.container.demux(counter.streams):
            counter.add(packet)
    return counter


def _shrinking_sheets(cells: list[Image.Image], moments: list[float]) -> Iterator[Image.Image]:
    edge = max(cells[0].size)
    while edge >= 48:
        yield _arranged([_fitted(cell, edge) for cell in cells], moments)
        edge = int(edge * SHRINK)


def _arranged(cells: list[Image.Image], moments: list[float]) -> Image.Image:
    """Cells in reading order: three and three, or, when they are tall, side by side."""
    width, height = cells[0].size
    columns = SHEET_CELLS if height > width * 1.3 else SHEET_CELLS // 2
    rows = SHEET_CELLS // columns
    size = (columns * (width + GAP) + GAP, rows * (height + GAP) + GAP)
    sheet = Image.new("RGB", size, BACKGROUND)
    for place, (cell, moment) in enumerate(zip(cells, moments, strict=True)):
        row, column = divmod(place, columns)
        sheet.paste(_stamped(cell, moment), (GAP + column * (width + GAP), GAP + row * (height + GAP)))
    return sheet


def _stamped(cell: Image.Image, moment: float) -> Image.Image:
    cell = cell.copy()
    size = max(13, round(math.sqrt(cell.width * cell.height) * 0.058))
    font, text, pad = ImageFont.load_default(size), f"{moment:.1f} s", max(3, size // 3)
    label = Image.new("RGBA", (round(font.getlength(text)) + 2 * pad, round(size * 1.1) + pad), (0, 0, 0, 150))
    middle = (label.width / 2, label.height / 2)
    ImageDraw.Draw(label).text(middle, text, (255, 255, 255, 255), font, anchor="mm")
    cell.paste(label.convert("RGB"), (pad, pad), label.getchannel("A"))
    return cell


def _fitted(image: Image.Image, edge: int) -> Image.Image:
    scale = edge / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def encoded(image: Image.Image, fmt: FrameFormat, quality: int) -> bytes:
    """The image as a file of this format."""
    buffer = io.BytesIO()
    image.save(buffer, fmt.upper(), quality=quality)
    return buffer.getvalue()


def write_whole(data: bytes, out: Path) -> None:
    """Write a file completely or not at all."""
    temporary = out.with_name(f"{out.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
