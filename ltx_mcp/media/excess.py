"""Images made to take long: small files that draw the same pixels again and again.

They are found by walking over their segments, before anything decodes or even lists them; an honest encoder comes
nowhere near these numbers. Frames of an animation are not counted: only the first is decoded.
"""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

MAX_SCANS = 100  # mozjpeg writes about ten
MAX_SCANNED = 2_000_000_000  # pixels of all scans: an image of 100 megapixels may have twenty, which take 2 s
MAX_SEGMENTS = 10_000
MAX_CHUNKS = 100_000  # of 8 kB each, as most encoders write them, a file of 50 MB has 6,000

# Within a scan, a zero or a restart follows what is no marker.
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_PNG = b"\x89PNG\r\n\x1a\n"
START_OF_SCAN, PROGRESSIVE = 0xDA, {0xC2, 0xCA}
_END, _BARE = 0xD9, {0x01, 0xD8, 0xD9}
_SIZES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def find_excess(path: str | Path) -> str:
    """What the file has too much of, and how much is read, after "The image"; empty where nothing is."""
    with open(path, "rb") as file:
        head = file.read(8)
        if head[:2] != b"\xff\xd8" and head != _PNG:
            return ""
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _many_chunks(data) if head == _PNG else _many_scans(data)


def has_end(path: str | Path) -> bool:
    """Whether the first image of a JPEG has its end marker; true for any other file."""
    with open(path, "rb") as file:
        if file.read(2) != b"\xff\xd8":
            return True
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return any(kind == _END for kind, _ in segments(data))


def segments(data: mmap.mmap | bytes) -> Iterator[tuple[int, int]]:
    """The kind of each segment up to the end marker, and where its content begins, after its marker."""
    place = 2
    while found := _MARKER.search(data, place):
        kind, place = data[found.start() + 1], found.end()
        yield kind, place
        if kind == _END:
            return
        if kind not in _BARE:
            place += max(2, int.from_bytes(data[place : place + 2], "big"))


def _many_scans(data: mmap.mmap) -> str:
    scans, pixels = 0, 0
    for count, (kind, place) in enumerate(segments(data), 1):
        if kind in _SIZES:
            height, width = data[place + 3 : place + 5], data[place + 5 : place + 7]
            pixels = int.from_bytes(height, "big") * int.from_bytes(width, "big")
        scans += kind == START_OF_SCAN
        if scans > MAX_SCANS:
            return f"is a JPEG of more than {MAX_SCANS} scans"
        if scans * pixels > MAX_SCANNED:
            return f"is a JPEG of more scans than {MAX_SCANNED // max(1, pixels)}, as many as are read at its size"
        if count > MAX_SEGMENTS:
            return f"is a JPEG of more than {MAX_SEGMENTS:,} segments"
    return ""


def _many_chunks(data: mmap.mmap) -> str:
    place, chunks = len(_PNG), 0
    while place < len(data):
        place += 12 + int.from_bytes(data[place : place + 4], "big")
        chunks += 1
        if chunks > MAX_CHUNKS:
            return f"is a PNG of more than {MAX_CHUNKS:,} chunks"
    return ""
