"""Films and sounds of twelve seconds whose heads say something else. Not a test.

They are made by a muxer and patched in their bytes afterwards, or their packets are moved in time.
"""

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av

from tests.media.films import FORMATS, Recipe, make

TRUE_S, SAID_S = 12.0, 3.0
FILM = Recipe(
    size=(64, 36),
    frames=300,
    seconds=TRUE_S,
    sample_rate=16_000,
    layout="mono",
    options=(("preset", "ultrafast"), ("g", "100")),
)
SHORT = replace(FILM, frames=80)
"""3.2 seconds of picture."""
SOUND = replace(FILM, video=None)
AVI = replace(FILM, video="mjpeg", audio="libmp3lame", pix_fmt="yuvj420p", options=(), colours=None, sample_rate=32_000)
FAST_VP8 = (("deadline", "realtime"), ("cpu-used", "8"))
VP8 = replace(FILM, video="libvpx", audio="libopus", sample_rate=48_000, options=FAST_VP8, colours=None)
LIVE = replace(VP8, muxing=(("live", "1"),))
"""As browsers record: there is no length in its head."""
FRAGMENTS = (("movflags", "frag_keyframe+empty_moov"),)


def patched(path: Path, change: Callable[[bytearray], None]) -> Path:
    """The file with some of its bytes changed."""
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def places(data: bytearray, name: bytes) -> list[int]:
    """Where all boxes or chunks of this name begin, after the name."""
    found, place = [], data.find(name)
    while place >= 0:
        found.append(place + len(name))
        place = data.find(name, place + 1)
    assert found, name
    return found


def scale(data: bytearray, place: int, form: str, factor: float) -> None:
    """A number, made smaller."""
    (number,) = struct.unpack_from(form, data, place)
    struct.pack_into(form, data, place, round(number * factor))


BOXES = {b"mvhd": 16, b"mdhd": 16, b"tkhd": 20, b"elst": 8}
"""Where the duration stands in each box, after its name."""


def short_boxes(data: bytearray, *names: bytes, factor: float) -> None:
    """An MP4 whose boxes say less."""
    for name in names:
        for place in places(data, name):
            scale(data, place + BOXES[name], ">I", factor)


def short_avi(data: bytearray) -> None:
    scale(data, places(data, b"avih")[0] + 4 + 16, "<I", SAID_S / TRUE_S)
    for place in places(data, b"strh"):
        scale(data, place + 4 + 32, "<I", SAID_S / TRUE_S)


def short_wav(data: bytearray) -> None:
    (place,) = places(data, b"data")
    scale(data, place, "<I", SAID_S / TRUE_S)


def short_xing(data: bytearray) -> None:
    place = max(data.find(b"Xing"), data.find(b"Info"))
    scale(data, place + 8, ">I", SAID_S / TRUE_S)


def short_flac(data: bytearray) -> None:
    """The lower 32 of the 36 bits in which it counts its samples."""
    scale(data, 4 + 4 + 14, ">I", SAID_S / TRUE_S)


def short_matroska(data: bytearray) -> None:
    place = places(data, b"\x44\x89\x88")[0]  # the head comes first; a picture may have these bytes by chance
    scale(data, place, ">d", SAID_S / TRUE_S)


def short_ogg(data: bytearray) -> None:
    """The last page says that less was to be heard until then."""
    place = data.rfind(b"OggS")
    scale(data, place + 6, "<Q", SAID_S / TRUE_S)
    data[place + 22 : place + 26] = bytes(4)
    data[place + 22 : place + 26] = struct.pack("<I", _ogg_sum(bytes(data[place:])))


def _ogg_sum(page: bytes) -> int:
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 1 << 31 else 0)) & 0xFFFFFFFF
    return register


def fast_clock(data: bytearray) -> None:
    """A sound whose track counts more ticks a second than it has samples: every time in it is too small."""
    for place in places(data, b"mdhd"):
        scale(data, place + 12, ">I", TRUE_S / SAID_S)
    short_boxes(data, b"mvhd", b"tkhd", b"elst", factor=SAID_S / TRUE_S)


def moved(path: Path, source: Path, move: Callable[[str, float], float]) -> Path:
    """The same packets at other times; `move` is told their kind and moment."""
    ending = path.suffix[1:]
    with av.open(str(source)) as given, av.open(str(path), "w", format=FORMATS.get(ending, ending)) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in given.streams}
        for packet in sorted(given.demux(), key=lambda packet: packet.dts or 0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                by = round(move(packet.stream.type, float(packet.pts * packet.time_base)) / packet.time_base)
                packet.pts, packet.dts, stream = packet.pts + by, packet.dts + by, streams[packet.stream.index]
                packet.stream = stream
                out.mux(packet)
    return path


def with_hole(path: Path) -> Path:
    """Little picture, and a sound of three seconds whose last comes at the end of twelve."""
    source = make(path.with_name(f"source{path.suffix}"), replace(SHORT, seconds=3.0))
    return moved(path, source, lambda kind, at: TRUE_S - 3 if kind == "audio" and at > 2 else 0.0)


def late(path: Path) -> Path:
    """Nothing is seen or heard before the last seconds."""
    source = make(path.with_name(f"source{path.suffix}"), replace(SHORT, seconds=3.2))
    return moved(path, source, lambda kind, at: TRUE_S - 3.2)


def again(path: Path) -> Path:
    """After half of it, its clock begins anew; its header knows of no more."""
    source = make(
        path.with_name(f"source{path.suffix}"), replace(FILM, audio=None, options=(*FILM.options, ("bf", "0")))
    )
    with av.open(str(source)) as given, av.open(str(path), "w", format="matroska") as out:
        picture = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size and packet.pts is not None:
                packet.stream = picture
                out.mux(packet)
    half = TRUE_S / 2 * 1000

    def back(data: bytearray) -> None:
        """Each cluster says at what millisecond it begins."""
        (length,) = places(data, b"\x44\x89\x88")
        scale(data, length, ">d", 0.5)
        for place in places(data, b"\x1f\x43\xb6\x75"):
            at = data.index(b"\xe7", place, place + 20) + 1
            size = data[at] & 0x7F
            moment = int.from_bytes(data[at + 1 : at + 1 + size], "big")
            if moment >= half:
                data[at + 1 : at + 1 + size] = round(moment - half).to_bytes(size, "big")

    return patched(path, back)


Make = Callable[[Path], Path]


def lying(recipe: Recipe, change: Callable[[bytearray], None]) -> Make:
    """Makes what the recipe says, patched."""
    return lambda path: patched(make(path, recipe), change)


def plain(recipe: Recipe) -> Make:
    """Makes what the recipe says."""
    return lambda path: make(path, recipe)


def boxes(*names: bytes, factor: float = SAID_S / TRUE_S) -> Callable[[bytearray], None]:
    """Patches these boxes of an MP4."""
    return lambda data: short_boxes(data, *names, factor=factor)


ALL, EDITS = (b"mvhd", b"mdhd", b"tkhd", b"elst"), (b"mvhd", b"tkhd", b"elst")
LYING_FILMS: dict[str, Make] = {
    "head.avi": lying(AVI, short_avi),
    "head.mp4": lying(FILM, boxes(*ALL)),
    "media.mp4": lying(FILM, boxes(b"mdhd")),
    "edited.mp4": lying(FILM, boxes(*EDITS)),
    "above.mp4": lying(replace(FILM, frames=75, seconds=SAID_S), boxes(b"mvhd", factor=TRUE_S / SAID_S)),
    "sound.mp4": plain(SHORT),
    "sound.mov": plain(replace(SHORT, audio="pcm_s16le")),
    "hole.mkv": with_hole,
    "late.mkv": late,
    "late.mp4": late,
    "head.mkv": lying(FILM, short_matroska),
    "head.webm": lying(VP8, short_matroska),
}
LYING_SOUNDS: dict[str, Make] = {
    "head.m4a": lying(SOUND, boxes(*ALL)),
    "media.m4a": lying(SOUND, boxes(b"mdhd")),
    "edited.m4a": lying(SOUND, boxes(*EDITS)),
    "clock.m4a": lying(SOUND, fast_clock),
    "size.wav": lying(replace(SOUND, audio="pcm_s16le"), short_wav),
    "head.mp3": lying(replace(SOUND, audio="libmp3lame", sample_rate=32_000), short_xing),
    "head.flac": lying(replace(SOUND, audio="flac"), short_flac),
    "head.ogg": lying(replace(SOUND, audio="libopus", sample_rate=48_000), short_ogg),
    "head.mkv": lying(SOUND, short_matroska),
}
