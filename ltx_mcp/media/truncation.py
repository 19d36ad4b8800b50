"""Whether a video or audio file is complete: most formats state their length somewhere, and a cut file is shorter.

Nothing is decoded here.
"""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_SEGMENT = b"\x18\x53\x80\x67"
_UNKNOWN_SIZE = 0xFFFFFFFF
_BEYOND_ALL = 1 << 30  # five times what is read at all: not a length, but a mark for not knowing it
_TAIL = 1 << 17  # two pages of Ogg at their largest


def is_cut(path: str | Path, container: str) -> bool:
    """Whether the file ends before it should, as far as its kind says."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if container in ("mp4", "mov", "m4a"):
            return _boxes_end(file, size) > size
        if container == "wav":
            return read_wav(path).is_cut
        if container == "avi":
            return _riff_end(file.read(8)) > size
        if container in ("mkv", "webm"):
            return _segment_end(file.read(4096)) > size
        return container == "ogg" and _is_page_missing(file, size)


def has_frame_count(path: str | Path) -> bool:
    """Whether an MP3 states its length; where it does not, that is a guess until it is decoded."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:
            # Seven bits a byte count.
            file.seek(10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)))
        else:
            file.seek(0)
        first = file.read(1024)
    return any(word in first for word in (b"Xing", b"Info", b"VBRI"))


@dataclass(frozen=True)
class Wav:
    """What the chunks of a WAV say. Its audio begins at byte `start`; `stated` are its bytes by the header, None where
    that does not know; `there` are the bytes up to the end of the file, `behind` those after the last valid chunk."""

    start: int
    stated: int | None
    there: int
    behind: int
    bytes_s: int
    ends_at: int

    @property
    def is_streamed(self) -> bool:
        """Whether it was written without knowing how long it would be: its audio goes on to the end of the file."""
        return self.stated is None or (self.stated > self.there and not self.is_cut)

    @property
    def is_cut(self) -> bool:
        """Whether both its headers say that there should be more."""
        return self.stated is not None and self.stated > self.there and self.ends_at > self.start + self.there

    @property
    def stated_s(self) -> float:
        """How long it is by its header; 0 where that does not know."""
        return (self.stated or 0) / self.bytes_s if self.bytes_s else 0.0


def read_wav(path: str | Path) -> Wav:
    """Walks over the chunks; speech services, pipes and recorders that were switched off leave any length in them."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        riff_size = struct.unpack("<4xI", file.read(8).ljust(8, b"\0"))[0]
        place, bytes_s, start, wide, stated = 12, 0, 0, 0, None
        while place + 8 <= size:
            file.seek(place)
            name, length = struct.unpack("<4sI", file.read(8))
            if not name.isascii() or not name.decode("ascii", "replace").isprintable() or (start and length > size):
                break
            if name == b"fmt ":
                (bytes_s,) = struct.unpack("<I", file.read(16)[8:12].ljust(4, b"\0"))
            if name == b"ds64":
                (wide,) = struct.unpack("<8xQ", file.read(16).ljust(16, b"\0"))
            if name == b"data" and not start:
                length = wide if wide and length == _UNKNOWN_SIZE else length
                start, stated = place + 8, length if 0 < length < _BEYOND_ALL else None
                if stated is None:
                    return Wav(start, None, size - start, 0, bytes_s, size)
            place += 8 + length + length % 2
    ends_at = riff_size + 8 if 0 < riff_size < _BEYOND_ALL else size
    return Wav(start, stated, max(0, size - start), max(0, size - place), bytes_s, ends_at)


def wav_seconds(path: str | Path) -> float:
    """How long the audio of a WAV is by the bytes from its beginning to the end of the file, whatever its header says;
    0 where other chunks follow in order."""
    wav = read_wav(path)
    return wav.there / wav.bytes_s if wav.bytes_s and wav.behind > 8 else 0.0


def movie_seconds(path: str | Path) -> float:
    """How long an MP4 is by its own header; 0 where that does not say."""
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


def is_fragmented(path: str | Path) -> bool:
    """Whether an MP4 was written piece by piece, so that its header does not know its length."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        return next(_boxes(file, 0, size, b"moof"), None) is not None


def _boxes(file: BinaryIO, start: int, end: int, name: bytes) -> Iterator[tuple[int, int]]:
    """Where the content of each box of this name begins and ends, between two places."""
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
    """Whether a Matroska file declares itself as WebM."""
    with open(path, "rb") as file:
        return b"webm" in file.read(64)


def _boxes_end(file: BinaryIO, size: int) -> int:
    """Where the last box of an MP4 would end."""
    end = 0
    while end < size:
        file.seek(end)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        # A length of 0 means the rest of the file; what is not a box was appended to the video.
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


def _is_page_missing(file: BinaryIO, size: int) -> bool:
    """Whether an Ogg file breaks off in its last page, or in something that is no page before the last one came."""
    start = max(0, size - _TAIL)
    file.seek(start)
    tail = file.read()
    place = tail.rfind(b"OggS")
    if place < 0 or len(tail) < place + 27:
        return True
    end = start + place + 27 + tail[place + 26] + sum(tail[place + 27 : place + 27 + tail[place + 26]])
    is_last = bool(tail[place + 5] & 4)
    return end > size or (end < size and not is_last)
