"""Files of kinds that are not read, by a few of their bytes: so that a refusal can name them."""

import mmap
from pathlib import Path

_TRANSPORT_PACKETS = (0, 188, 376), (4, 196, 388)  # plain, and as camcorders write them
_SYNC = 0x47
_DOLBY_BYTES = 28
_NAMES: tuple[tuple[int, bytes, str], ...] = (
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b"riff\x2e\x91\xcf\x11", "Wave64"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMV or WMA"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"MThd", "MIDI, which is notes and no sound"),
    (0, b".snd", "AU"),
    (0, b"FLV", "FLV"),
    (0, b"\0\0\x01\xba", "MPEG, as on DVDs"),
    (0, b"\0\0\x01\xb3", "MPEG, without a container"),
    (0, b"\0\0\0\x01", "H.264 or H.265 without a container"),
    (0, b"\x06\x0e\x2b\x34", "MXF"),
    (0, b"GIF8", "GIF, a picture"),
    (0, b"\x89PNG", "PNG, a picture"),
    (0, b"\xff\xd8\xff", "JPEG, a picture"),
    (0, b"%PDF", "PDF"),
    (0, b"#EXTM3U", "a playlist"),
    (0, b"PK\x03\x04", "ZIP"),
)


def known_as(path: str | Path) -> str:
    """The name of such a kind; empty for all others."""
    with open(path, "rb") as file:
        head = file.read(512)
    for place, mark, name in _NAMES:
        if head[place : place + len(mark)] == mark:
            return name
    for places in _TRANSPORT_PACKETS:
        if len(head) > places[-1] and all(head[place] == _SYNC for place in places):
            return "an MPEG transport stream, such as MTS"
    return ""


def lonely_dolby(path: str | Path) -> int:
    """The profile of Dolby Vision where the picture has no other colours beneath it, which only its own decoders know;
    0 elsewhere."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for name in (b"dvcC", b"dvvC"):
            if (place := data.find(name)) > 0 and len(data) > place + _DOLBY_BYTES:
                profile, base = data[place + 6] >> 1, data[place + 8] >> 4
                return profile if data[place + 4] == 1 and not base else 0
    return 0
