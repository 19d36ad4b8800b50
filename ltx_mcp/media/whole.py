"""Whether a film or sound file is all there: most kinds say somewhere how long they are, and a broken one is shorter.

Nothing is decoded here; the bytes are read as each kind of file counts them.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_SEGMENT = b"\x18\x53\x80\x67"
_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBITS_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES = (44_100, 48_000, 32_000, 44_100)
_UNKNOWN_SIZES = (bytes(4), b"\xff" * 4)
_TAIL = 1 << 17  # two pages of Ogg at their largest


def is_cut(path: str | Path, container: str) -> bool:
    """Whether the file ends before it should, as far as its kind says."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if container in ("mp4", "mov", "m4a"):
            return _boxes_end(file, size) > size
        if container in ("wav", "avi"):
            return _riff_end(file.read(8)) > size
        if container in ("mkv", "webm"):
            return _segment_end(file.read(4096)) > size
        return container == "ogg" and _page_end(file, size) != size


def has_frame_count(path: str | Path) -> bool:
    """Whether an MP3 says how long it is; where it does not, its length is a guess until it is decoded."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            # Seven bits a byte count.
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)))
        else:
            file.seek(0)
        first = file.read(1024)
    return any(word in first for word in (b"Xing", b"Info", b"VBRI"))


def has_broken_frame(path: str | Path, last: int) -> bool:
    """Whether an MP3 breaks off in its last frame, which begins at byte `last`, or in one more after it."""
    with open(path, "rb") as file:
        file.seek(last)
        head = file.read(4)
        if not _is_frame(head) or len(head) < 4:
            return False
        end = last + _frame_bytes(head)
        file.seek(end)
        return end > os.path.getsize(path) or _is_frame(file.read(2))


def is_streamed_wav(path: str | Path) -> bool:
    """Whether a WAV was written without knowing how long it would be: its sound goes on to the end of the file."""
    with open(path, "rb") as file:
        head = file.read(4096)
    place = head.find(b"data")
    return place > 0 and head[place + 4 : place + 8] in _UNKNOWN_SIZES


def wav_seconds(path: str | Path) -> float:
    """How long the sound of a WAV is by the bytes from its beginning to the end of the file, whatever its head says;
    0 where other parts follow it in order."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        place, rate, start = 12, 0, 0
        while place + 8 <= size:
            file.seek(place)
            name, length = struct.unpack("<4sI", file.read(8))
            if not name.isascii() or not name.decode("ascii", "replace").isprintable() or (start and length > size):
                break
            if name == b"fmt ":
                (rate,) = struct.unpack("<I", file.read(16)[8:12].ljust(4, b"\0"))
            start = start or (place + 8 if name == b"data" else 0)
            place += 8 + length + length % 2
        rest = size - place
    return (size - start) / rate if start and rate and rest > 8 else 0.0


def movie_seconds(path: str | Path) -> float:
    """How long an MP4 is as a whole by its own head; 0 where that does not say."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        for start, end in _boxes(file, 0, size, b"moov"):
            for place, _ in _boxes(file, start, end, b"mvhd"):
                file.seek(place)
                head = file.read(32).ljust(32, b"\0")
                rate, length = struct.unpack_from(*((">IQ", head, 20) if head[:1] == b"\1" else (">II", head, 12)))
                unknown = (1 << (64 if head[:1] == b"\1" else 32)) - 1
                return length / rate if rate and length != unknown else 0.0
    return 0.0


def _boxes(file: BinaryIO, start: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Where what the boxes of this name hold begins and ends, among those between two places."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        length, inner = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, inner = int.from_bytes(head[8:16], "big"), 16
        length = length or end - start
        if length < inner:
            return
        if head[4:8] == name:
            yield start + inner, min(end, start + length)
        start += length


def is_webm(path: str | Path) -> bool:
    """Whether a Matroska file says of itself that it is WebM."""
    with open(path, "rb") as file:
        return b"webm" in file.read(64)


def _is_frame(head: bytes) -> bool:
    return head[:1] == b"\xff" and (len(head) == 1 or head[1] & 0xE0 == 0xE0)


def _frame_bytes(head: bytes) -> int:
    """How long an MP3 frame is, by its header."""
    version, rate = head[1] >> 3 & 3, head[2] >> 2 & 3
    is_first = version == 3
    bits = (_KBITS if is_first else _KBITS_LOW)[head[2] >> 4] * 1000
    samples = _RATES[rate] >> (0 if is_first else 1 if version == 2 else 2)
    return (144 if is_first else 72) * bits // samples + (head[2] >> 1 & 1)


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box of an MP4 would end."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        # A length of 0 is all that is left; what is no box is something that was put behind the film.
        if length < 8 or not head[4:8].isalnum():
            return end
        end += length
    return end


def _riff_end(head: bytes) -> int:
    if len(head) < 8 or head[:4] != b"RIFF":
        return 0
    (size,) = struct.unpack("<I", head[4:])
    # Written to a pipe, a file does not know its length.
    return 0 if size == 0xFFFFFFFF else size + 8


def _segment_end(head: bytes) -> int:
    place = head.find(_SEGMENT) + 4
    if place < 4 or place >= len(head) or not head[place]:
        return 0
    width = 9 - head[place].bit_length()
    size = int.from_bytes(head[place : place + width], "big") - (1 << 7 * width)
    # All ones: not known, as in a live recording.
    return 0 if size == (1 << 7 * width) - 1 else place + width + size


def _page_end(file: BinaryIO, size: int) -> int:
    """Where the last page of an Ogg file would end; 0 where there is none."""
    start = max(0, size - _TAIL)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"OggS")
    if place < 0 or len(tail) < place + 27:
        return 0
    lengths = tail[place + 27 : place + 27 + tail[place + 26]]
    return start + place + 27 + tail[place + 26] + sum(lengths)
