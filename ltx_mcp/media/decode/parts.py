"""The parts of an audio file that was joined from several, by the bytes of its frames and pages; nothing is decoded.

Services speak sentence by sentence and people put files one behind the other: each part has a head of its own, and may
have another rate. What lies between and behind the frames of an MP3, tags, padding or anything, belongs to no part.
"""

import io
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ltx_mcp.media.truncation import read_wav

_KBITS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KBITS_LOW = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES = (44_100, 48_000, 32_000, 0)
_LAYER = {"mask": 0x06, "three": 0x02}
_HEAD_WORDS = (b"Xing", b"Info", b"VBRI")
_MAX_PARTS = 1000
_PAGE_BYTES = 27
_TAG_BYTES = 128


@dataclass(frozen=True)
class Part:
    """Bytes of a file that are an audio file of their own. `stated` is the number of frames by its header, 0 where that
    does not say, `frames` the number found; `is_broken`: the last of them is incomplete."""

    format: str
    start: int
    end: int
    seconds: float = 0.0
    stated: int = 0
    frames: int = 0
    is_broken: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether there should be more of it; some headers count themselves as a frame."""
        return self.is_broken or (self.stated > 0 and self.frames < self.stated - 1)


@dataclass(frozen=True)
class _Frame:
    place: int
    size: int
    rate: int
    seconds: float
    stated: int | None
    """The number of frames by a header frame; None where this is audio."""

    @property
    def end(self) -> int:
        return self.place + self.size


def mp3_parts(path: str | Path) -> tuple[Part, ...]:
    """The parts of an MP3 in order; empty where it has no frame."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts: list[Part] = []
        run: list[_Frame] = []
        for frame in _frames(data):
            # a part begins with its head, or where the rate is another
            if run and (frame.stated is not None or frame.rate != run[-1].rate):
                parts.append(_to_part(run, len(data)))
                run = []
            run.append(frame)
        return (*parts, _to_part(run, len(data))) if run else ()


def ogg_parts(path: str | Path) -> tuple[Part, ...]:
    """The links of an Ogg file in order: each begins with pages that say so."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        starts: list[int] = []
        was_first, place = False, 0
        while data[place : place + 4] == b"OggS" and place + _PAGE_BYTES <= len(data) and len(starts) < _MAX_PARTS:
            is_first = bool(data[place + 5] & 2)
            if is_first and not was_first:
                starts.append(place)
            was_first = is_first
            count = data[place + 26]
            place += _PAGE_BYTES + count + sum(data[place + _PAGE_BYTES : place + _PAGE_BYTES + count])
        return tuple(Part("ogg", start, end) for start, end in zip(starts, [*starts[1:], len(data)], strict=True))


def odd_parts(path: str | Path, container: str) -> tuple[Part, ...]:
    """The parts of an audio file that decoders do not read as one: several parts, a part with more than tags around it,
    a WAV that does not state its length. Empty for all other files."""
    if container == "wav":
        return (Part("wav", 0, os.path.getsize(path)),) if read_wav(path).is_streamed else ()
    if container not in ("mp3", "ogg"):
        return ()
    parts = mp3_parts(path) if container == "mp3" else ogg_parts(path)
    if len(parts) != 1:
        return parts
    with open(path, "rb") as file:
        head = file.read(3)
        file.seek(parts[0].end)
        tail = file.read(_TAG_BYTES + 1)
    is_plain = (not parts[0].start or head == b"ID3") and (not tail or (tail[:3] == b"TAG" and len(tail) == _TAG_BYTES))
    return () if is_plain else parts


def open_part(path: str | Path, part: Part) -> io.RawIOBase:
    """The bytes of one part, to be closed; a WAV gets a header with its length."""
    head = b""
    if part.format == "wav":
        start = read_wav(path).start
        with open(path, "rb") as file:
            header = file.read(start)
        head = struct.pack("<4sI", b"RIFF", part.end - 8) + header[8:-4] + struct.pack("<I", part.end - start)
    return _PartWindow(path, part, head)


class _PartWindow(io.RawIOBase):
    """Some bytes of a file as a file of their own, the first of them replaced by others."""

    def __init__(self, path: str | Path, part: Part, head: bytes) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 (closed with the window)
        self._start, self._size, self._head, self._place = part.start, part.end - part.start, head, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._place)
        size = left if size < 0 else min(size, left)
        if self._place < len(self._head):
            data = self._head[self._place : self._place + size]
        else:
            self._file.seek(self._start + self._place)
            data = self._file.read(size)
        self._place += len(data)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def _frames(data: mmap.mmap) -> Iterator[_Frame]:
    place = 0
    is_sure = False
    while place + 4 <= len(data):
        if data[place : place + 3] == b"ID3":
            place += 10 + sum(
                byte << shift for byte, shift in zip(data[place + 6 : place + 10], (21, 14, 7, 0), strict=True)
            )
            continue
        frame = _frame_at(data, place)
        if frame is not None and (is_sure or _frame_at(data, frame.end) or _is_end(data, frame.end)):
            yield frame
            place, is_sure = frame.end, True
            continue
        is_sure = False
        places = [found for word in (b"\xff", b"ID3") if (found := data.find(word, place + 1)) > 0]
        if not places:
            return
        place = min(places)


def _is_end(data: mmap.mmap, place: int) -> bool:
    return place >= len(data) or data[place : place + 3] in (b"TAG", b"ID3", b"APE", b"LYR")


def _frame_at(data: mmap.mmap, place: int) -> _Frame | None:
    """The frame of MP3 that begins here; None where none does."""
    head = data[place : place + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or head[1] & _LAYER["mask"] != _LAYER["three"]:
        return None
    version = head[1] >> 3 & 3
    is_first = version == 3
    bits = (_KBITS if is_first else _KBITS_LOW)[head[2] >> 4] * 1000
    rate = _RATES[head[2] >> 2 & 3] >> (0 if is_first else 1 if version == 2 else 2)
    if not bits or not rate or version == 1:
        return None
    size = (144 if is_first else 72) * bits // rate + (head[2] >> 1 & 1)
    seconds = (1152 if is_first else 576) / rate
    return _Frame(place, size, rate, seconds, _stated_frames(data[place : place + min(size, 200)]))


def _stated_frames(frame: bytes) -> int | None:
    for word in _HEAD_WORDS:
        if (place := frame.find(word, 4, 44)) > 0:
            at = place + (14 if word == b"VBRI" else 8)
            has_count = word == b"VBRI" or (frame[place + 7 : place + 8] and frame[place + 7] & 1)
            return int.from_bytes(frame[at : at + 4], "big") if has_count else 0
    return None


def _to_part(run: list[_Frame], size: int) -> Part:
    stated = run[0].stated
    frames = len(run) - (stated is not None)
    seconds = sum(frame.seconds for frame in run) - (run[0].seconds if stated is not None else 0.0)
    return Part("mp3", run[0].place, min(run[-1].end, size), seconds, stated or 0, frames, run[-1].end > size)
