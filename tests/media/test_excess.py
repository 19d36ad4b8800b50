"""Pictures that ask for the same pixels again and again are refused by their segments, before they are decoded."""

import io
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.media.excess import MAX_CHUNKS, MAX_SCANS, MAX_SEGMENTS
from ltx_mcp.media.image import probe_image

SCAN = b"\xff\xda"


def encoded(kind: str, size: tuple[int, int] = (64, 36), **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (120, 30, 200)).save(buffer, kind, **options)
    return buffer.getvalue()


def with_scans(count: int, size: tuple[int, int] = (64, 36)) -> bytes:
    """A progressive JPEG whose last scan is there again and again."""
    data = encoded("JPEG", size, progressive=True)
    last = data[data.rindex(SCAN) : -2]
    return data[:-2] + last * (count - data.count(SCAN)) + data[-2:]


def with_comments(count: int) -> bytes:
    data = encoded("JPEG")
    return data[:2] + b"\xff\xfe\x00\x02" * count + data[2:]


def with_chunks(count: int) -> bytes:
    data = encoded("PNG")
    body = b"tEXt" + b"a\0b"
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    place = data.index(b"IDAT") - 4
    return data[:place] + chunk * count + data[place:]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (with_scans(700), f"JPEG of more than {MAX_SCANS} scans"),
        (with_scans(50, (16_000, 6_000)), "JPEG of more scans than 20, as many as are read at its size"),
        (with_comments(MAX_SEGMENTS + 1), f"JPEG of more than {MAX_SEGMENTS:,} segments"),
        (with_chunks(MAX_CHUNKS + 1), f"PNG of more than {MAX_CHUNKS:,} chunks"),
    ],
    ids=["scans", "scanned", "segments", "chunks"],
)
def test_a_picture_with_too_many_parts_is_refused_by_their_name(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(data)
    with pytest.raises(CallerError, match=told) as caught:
        probe_image(tmp_path / "picture")
    assert caught.value.code is ErrorCode.INPUT_FAILED
    assert "plain PNG or JPEG" in caught.value.hint


@pytest.mark.parametrize(
    "data",
    [
        with_scans(20),
        with_comments(300),
        with_chunks(5_000),
        # What a phone appends to a picture that moves is no part of the picture.
        encoded("JPEG") + SCAN * 5_000,
        # A thumbnail within has scans of its own, and metadata may hold any bytes.
        encoded("JPEG", exif=b"Exif\0\0" + SCAN * 5_000),
    ],
    ids=["scans", "comments", "chunks", "appended", "metadata"],
)
def test_an_honest_picture_with_many_parts_is_read(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "picture").write_bytes(data)
    assert probe_image(tmp_path / "picture").width == 64
