"""Films as phones, browsers, cameras and editors leave them, each with what is right of it.

Every frame has four fields, red and green above blue and light grey, so that any turn shows; a bar grows from frame to
frame. Heads are changed by hand where no muxer here writes them so; those in `made` were written by other programs.
Not a test.
"""

import math
import shutil
import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.filter import Graph
from PIL import Image, ImageDraw

from tests.kept import kept, name_of
from tests.media.films import CINEMA, FORMATS, NTSC

MADE = Path(__file__).with_name("made")
Colour = tuple[int, int, int]
RED, GREEN, BLUE, GREY = (210, 50, 50), (50, 190, 70), (50, 70, 200), (190, 190, 190)
SIZE, FRAMES = (160, 96), 50
TICK = Fraction(1, 90_000)
H264 = (("crf", "12"), ("preset", "veryfast"), ("g", "25"))
H265 = (("x265-params", "log-level=none:crf=10"), ("preset", "ultrafast"))
VP9 = (("deadline", "realtime"), ("cpu-used", "8"), ("b", "900000"))
BT2020 = (9, 14, 9)
HLG, PQ, P3 = (9, 18, 9), (9, 16, 9), (12, 1, 1)
"""Primaries, transfer and matrix, as codecs number them."""


@dataclass(frozen=True)
class Cut:
    """What a film is made of. `sounds` are the seconds of its sound tracks, `moments` when its frames are shown."""

    codec: str = "libx264"
    pixels: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = H264
    size: tuple[int, int] = SIZE
    rate: Fraction = Fraction(25)
    frames: int = FRAMES
    sounds: tuple[float, ...] = (2.0,)
    audio: str = "aac"
    tags: tuple[int, int, int] | None = None
    full: bool = False
    aspect: Fraction | None = None
    moments: tuple[Fraction, ...] = ()
    muxing: tuple[tuple[str, str], ...] = ()
    colours: tuple[Colour, ...] = (RED, GREEN, BLUE, GREY)
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Odd:
    """A film: its name, who writes such files, how it is made, and what is right: seconds, size, rate, the colours at
    the upper left, the upper right and the lower left, and what is said. `refused` is what the refusal says of it."""

    name: str
    made_by: str
    make: Callable[[Path], object]
    seconds: float = 2.0
    size: tuple[int, int] = SIZE
    fps: float = 25.0
    frames: int = FRAMES
    colours: tuple[Colour, Colour, Colour] = (RED, GREEN, BLUE)
    traits: str = ""
    doubt: str = ""
    within: float = 0.03
    refused: str = ""
    near: int = 6
    """How far a colour may be off."""


def cut(path: Path, what: Cut) -> Path:
    """The film, in the format that the path's ending names."""
    shutil.copyfile(kept(f"{name_of(what)}{path.suffix}", lambda out: _write(out, what)), path)
    return path


def _write(path: Path, what: Cut) -> None:
    ending = path.suffix[1:]
    with av.open(str(path), "w", format=FORMATS.get(ending, ending), options=dict(what.muxing)) as out:
        out.metadata.update(dict(what.notes))
        picture = _stream(out, what)
        tracks: list[Any] = [out.add_stream(what.audio, rate=48_000, layout="mono") for _ in what.sounds]
        for frame in _shown(what):
            out.mux(picture.encode(frame))
        out.mux(picture.encode())
        for number, (track, seconds) in enumerate(zip(tracks, what.sounds, strict=True)):
            for heard in _tone(440 * (number + 1), seconds):
                out.mux(track.encode(heard))
            out.mux(track.encode())


def _stream(out: av.container.OutputContainer, what: Cut) -> Any:
    stream: Any = out.add_stream(what.codec, rate=what.rate, options=dict(what.options))
    stream.width, stream.height, stream.pix_fmt = *what.size, what.pixels
    context = stream.codec_context
    context.time_base, context.thread_count = TICK if what.moments else 1 / what.rate, 2
    if what.tags:
        context.color_primaries, context.color_trc, context.colorspace = what.tags
    if what.tags or what.full:
        context.color_range = 2 if what.full else 1
    if what.aspect:
        context.sample_aspect_ratio = what.aspect
    return stream


def fields(size: tuple[int, int], colours: tuple[Colour, ...], number: int = 0) -> Image.Image:
    """One frame."""
    width, height = size
    picture = Image.new("RGB", size)
    draw = ImageDraw.Draw(picture)
    for place, colour in enumerate(colours):
        left, top = place % 2 * (width // 2), place // 2 * (height // 2)
        draw.rectangle((left, top, left + width // 2, top + height // 2), fill=colour)
    draw.rectangle((width // 3, height // 2 - 4, width // 3 + number % 50, height // 2 + 3), fill=(255, 255, 255))
    return picture


def _shown(what: Cut) -> Iterator[av.VideoFrame]:
    graph = Graph()
    matrix = {9: "bt2020", 1: "bt709"}.get(what.tags[2] if what.tags else 0, "smpte170m")
    range_ = "pc" if what.full else "tv"
    entrance = graph.add_buffer(
        width=what.size[0], height=what.size[1], format=av.VideoFormat("rgb24"), time_base=Fraction(1, 1000)
    )
    scale = graph.add("scale", f"out_color_matrix={matrix}:out_range={range_}")
    sink = graph.add("buffersink")
    graph.link_nodes(entrance, scale, graph.add("format", what.pixels), sink).configure()
    moments = what.moments or tuple(number / what.rate for number in range(what.frames))
    tick = TICK if what.moments else 1 / what.rate
    for number, moment in enumerate(moments):
        picture: av.VideoFrame = av.VideoFrame.from_image(fields(what.size, what.colours, number))  # type: ignore[no-untyped-call]
        picture.pts, picture.time_base = number, Fraction(1, 1000)
        graph.push(picture)
        frame = sink.pull()
        assert isinstance(frame, av.VideoFrame)
        frame.pts, frame.time_base = round(moment / tick), tick
        yield frame


def _tone(hertz: int, seconds: float) -> Iterator[av.AudioFrame]:
    total = round(seconds * 48_000)
    for start in range(0, total, 1024):
        count = min(1024, total - start)
        wave = array("h", (round(9_000 * math.sin((start + n) * math.tau * hertz / 48_000)) for n in range(count)))
        frame = av.AudioFrame(format="s16", layout="mono", samples=count)
        frame.planes[0].update(wave.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        yield frame


# -- heads changed by hand


def plain(what: Cut) -> Callable[[Path], object]:
    return lambda path: cut(path, what)


def changed(what: Cut, change: Callable[[bytearray], object]) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        data = bytearray(cut(path, what).read_bytes())
        change(data)
        path.write_bytes(data)

    return write


def matrix(a: float, b: float, c: float, d: float) -> Callable[[bytearray], object]:
    """The matrix of the picture's track, which comes first."""

    def write(data: bytearray) -> None:
        place = data.index(b"tkhd") + 4 + 40
        numbers = [round(number * 65536) for number in (a, b, c, d)]
        struct.pack_into(">9i", data, place, *numbers[:2], 0, *numbers[2:], 0, 0, 0, 1 << 30)

    return write


def dolby(profile: int, base: int) -> Callable[[bytearray], object]:
    """Says of a film that it has a layer of Dolby Vision; `base` is what its frames are without it."""

    def write(data: bytearray) -> None:
        box = struct.pack(">I4sBBHB19x", 32, b"dvvC" if profile > 7 else b"dvcC", 1, 0, profile << 9 | 0x0D, base << 4)
        place = data.index(b"hvcC") - 4
        for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1"):
            at = data.index(name) - 4
            struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(box))
        place += struct.unpack_from(">I", data, place)[0]
        data[place:place] = box

    return write


def edited(skipped_s: float, shown_s: float) -> Callable[[bytearray], object]:
    """An edit list that shows a part of the picture, as phones trim: the whole stays in the file."""

    def write(data: bytearray) -> None:
        place = data.index(b"elst") + 4
        scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
        media = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
        begins = struct.unpack_from(">i", data, place + 12)[0]
        struct.pack_into(">Ii", data, place + 8, round(shown_s * scale), begins + round(skipped_s * media))
        for name, at in ((b"mvhd", 20), (b"tkhd", 24)):
            struct.pack_into(">I", data, data.index(name) + at, round(shown_s * scale))

    return write


def made(name: str) -> Callable[[Path], object]:
    return lambda path: shutil.copyfile(MADE / name, path)


def foreign(head: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(head + bytes(2_000))


PIECES = (("movflags", "frag_keyframe+empty_moov"),)
NO_B, LIVE = (*H264, ("bf", "0")), (("live", "1"),)
TALL = SIZE[::-1]
TURNED: tuple[tuple[str, tuple[float, float, float, float], tuple[Colour, Colour, Colour], str], ...] = (
    ("mirrored", (-1, 0, 0, 1), (GREEN, RED, GREY), "mirrored"),
    ("over", (1, 0, 0, -1), (BLUE, GREY, RED), "turned over top to bottom"),
    ("half turn", (-1, 0, 0, -1), (GREY, BLUE, GREEN), "turned by 180°"),
    ("right", (0, 1, -1, 0), (BLUE, RED, GREY), "turned by 90° to the right"),
    ("left", (0, -1, 1, 0), (GREEN, GREY, RED), "turned by 90° to the left"),
    ("right mirrored", (0, 1, 1, 0), (RED, BLUE, GREEN), "mirrored and turned by 90°"),
    ("left mirrored", (0, -1, -1, 0), (GREY, GREEN, BLUE), "mirrored and turned by 90°"),
    ("upright", (1, 0, 0, 1), (RED, GREEN, BLUE), ""),
    ("nearly right", (0.05, 0.99, -0.99, 0.05), (BLUE, RED, GREY), "turned by 90° to the right"),
    ("half as large", (0.5, 0, 0, -0.5), (BLUE, GREY, RED), "turned over top to bottom"),
)
GREYS: tuple[Colour, ...] = ((191, 191, 191), (128, 128, 128), (26, 26, 26), (255, 255, 255))
"""Three quarters of an HLG signal are the light of white paper."""
SDR_GREYS: tuple[Colour, Colour, Colour] = ((230, 230, 230), (143, 143, 143), (28, 28, 28))
PQ_GREYS: tuple[Colour, ...] = ((148, 148, 148), (112, 112, 112), (39, 39, 39), (191, 191, 191))
"""The light of the same, in PQ."""
SCREEN = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)"
BRIGHT = (("x265-params", f"log-level=none:crf=10:master-display={SCREEN}"), ("preset", "ultrafast"))
HEVC10 = Cut("libx265", "yuv420p10le", H265)
VFR = tuple(Fraction(n * 3, 90) if n < 20 else Fraction(20 * 3, 90) + Fraction((n - 20) * 4, 90) for n in range(50))

TURNS = tuple(
    Odd(
        f"{name}.{ending}",
        "phones, also as front cameras" if traits else "everybody",
        changed(Cut(), matrix(*numbers)),
        size=TALL if numbers[1] and abs(numbers[1]) > 0.5 else SIZE,
        colours=colours,
        traits=traits,
    )
    for (name, numbers, colours, traits), ending in zip(TURNED, ("mp4", "mov") * 5, strict=True)
)
CONTAINERS = (
    Odd("plain.mp4", "everybody", plain(Cut())),
    Odd("pieces.mp4", "streams and browsers", plain(Cut(muxing=PIECES))),
    Odd("pieces, no order.mp4", "cameras", plain(Cut(options=NO_B, muxing=PIECES))),
    Odd("dash.mp4", "DASH", plain(Cut(options=NO_B, muxing=(("movflags", "dash"),)))),
    Odd("cmaf.mp4", "HLS", plain(Cut(muxing=(("movflags", "cmaf"),)))),
    Odd("live.webm", "browsers' recorders", plain(Cut("libvpx", options=VP9, audio="libopus", muxing=LIVE))),
    Odd("live.mkv", "OBS", plain(Cut(muxing=LIVE))),
    Odd("vp9.webm", "browsers", plain(Cut("libvpx-vp9", options=VP9, audio="libopus"))),
    Odd("silent live.webm", "canvas recorders", plain(Cut("libvpx-vp9", options=VP9, sounds=(), muxing=LIVE))),
    Odd("hevc.mp4", "phones", plain(Cut("libx265", options=H265))),
    Odd("stills.mov", "cameras (motion JPEG)", plain(Cut("mjpeg", "yuvj420p", (("qmax", "2"),), full=True))),
    Odd("plain.avi", "old cameras", plain(Cut("mpeg4", options=(("b", "4000000"),), audio="libmp3lame")), within=0.05),
    Odd("timecode.mov", "cameras", plain(Cut(notes=(("timecode", "01:00:00:00"),)))),
    Odd("first.mp4", "the web (head first)", plain(Cut(muxing=(("movflags", "+faststart"),)))),
    Odd("mkvmerge.mkv", "mkvmerge 74, with chapters and an attachment", made("mkvmerge.mkv")),
    Odd("ffmpeg.mov", "ffmpeg 5.1, with chapters and a timecode", made("ffmpeg.mov")),
)
PIXELS = (
    Odd("ten bits.mov", "phones", plain(HEVC10)),
    Odd(
        "ten bits.mp4", "cameras (High 10)", plain(Cut(pixels="yuv420p10le")), traits="more than 8 bits or full colour"
    ),
    Odd("422.mp4", "cameras", plain(Cut(pixels="yuv422p")), traits="more than 8 bits or full colour"),
    Odd("444.mp4", "screen recorders", plain(Cut(pixels="yuv444p")), traits="more than 8 bits or full colour"),
    Odd("prores.mov", "editors", plain(Cut("prores_ks", "yuv422p10le", (("profile", "0"),), audio="pcm_s16le"))),
    Odd("prores 4444.mov", "editors", plain(Cut("prores_ks", "yuv444p10le", (("profile", "4"),), sounds=()))),
    Odd("full range.mp4", "phones", plain(Cut(pixels="yuvj420p", full=True))),
    Odd("hd colours.mp4", "everybody", plain(Cut(tags=(1, 1, 1)))),
    Odd("interlaced.mp4", "camcorders", plain(Cut(options=(*H264, ("x264-params", "tff=1")))), traits="interlaced"),
    Odd(
        "wide pixels.mp4",
        "DV",
        plain(Cut(aspect=Fraction(4, 3))),
        size=(213, 96),
        traits="pixels of 4:3",
    ),
    Odd(
        "odd size.webm",
        "screen recorders",
        plain(Cut("libvpx-vp9", options=VP9, size=(161, 97), sounds=())),
        size=(161, 97),
    ),
    Odd(
        "hlg.mov",
        "phones",
        plain(Cut("libx265", "yuv420p10le", H265, tags=HLG, colours=GREYS)),
        colours=SDR_GREYS,
        traits="HDR (HLG)",
        near=9,
    ),
    Odd(
        "pq.mov",
        "cameras (HDR10)",
        plain(Cut("libx265", "yuv420p10le", H265, tags=PQ, colours=PQ_GREYS)),
        colours=SDR_GREYS,
        traits="HDR (PQ)",
        near=9,
    ),
    Odd(
        "pq bright.mov",
        "cameras (HDR10, made at 4000 cd/m²)",
        plain(Cut("libx265", "yuv420p10le", BRIGHT, tags=PQ, colours=PQ_GREYS)),
        colours=((210, 210, 210), (140, 140, 140), (28, 28, 28)),
        traits="HDR (PQ)",
        near=9,
    ),
    Odd(
        "dolby 8.4.mov",
        "phones (Dolby Vision on HLG)",
        changed(Cut("libx265", "yuv420p10le", (*H265,), tags=HLG, colours=GREYS, sounds=()), dolby(8, 4)),
        colours=SDR_GREYS,
        traits="HDR (HLG)",
        near=9,
    ),
    Odd(
        "hlg turned.mov",
        "phones, held upright",
        changed(Cut("libx265", "yuv420p10le", H265, tags=HLG, colours=GREYS), matrix(0, 1, -1, 0)),
        size=TALL,
        colours=(SDR_GREYS[2], SDR_GREYS[0], (255, 255, 255)),
        traits="turned by 90° to the right, HDR (HLG)",
        near=9,
    ),
    Odd(
        "bt2020.mov",
        "cameras",
        plain(Cut("libx265", "yuv420p10le", H265, tags=BT2020)),
        traits="wide colours (BT.2020)",
        colours=((255, 0, 36), (0, 200, 9), (0, 69, 209)),
        near=14,
    ),
    Odd(
        "p3.mov",
        "screen recorders",
        plain(Cut(tags=P3)),
        traits="wide colours (P3)",
        colours=((228, 0, 34), (0, 193, 38), (44, 71, 207)),
        near=14,
    ),
)
TRACKS = (
    Odd("two sounds.mp4", "screen recorders", plain(Cut(sounds=(2.0, 2.0)))),
    Odd("silent.mp4", "time lapses", plain(Cut(sounds=()))),
    Odd("long sound.mp4", "editors", plain(Cut(sounds=(3.0,))), 3.0, doubt="2 s of picture"),
    Odd("short sound.mp4", "editors", plain(Cut(sounds=(1.0,)))),
    Odd("uneven.mp4", "phones in the dark", plain(Cut(moments=VFR)), 2.0, fps=25.0, within=0.06),
    Odd("ntsc.mp4", "cameras", plain(Cut(rate=NTSC, sounds=())), 1.668, fps=29.97, within=0.06),
    Odd("cinema.mkv", "cameras", plain(Cut(rate=CINEMA, sounds=())), 2.085, fps=23.976, within=0.06),
    Odd("one frame.mp4", "exporters of stills", plain(Cut(frames=1, sounds=())), 0.04, frames=1),
    Odd(
        "trimmed.mp4",
        "ffmpeg 5.1 -ss -c copy, as phones trim",
        made("trimmed.mp4"),
        1.2,
        frames=30,
        traits="its first 0.80 s are not shown",
    ),
    Odd(
        "edit list.mp4",
        "editors",
        changed(Cut(sounds=()), edited(0.48, 1.52)),
        1.52,
        frames=38,
        traits="its first 0.48 s are not shown",
    ),
    Odd("late.mp4", "ffmpeg -itsoffset", made("late.mp4"), 2.5, within=0.03, doubt="2 s of picture"),
)
REFUSED = tuple(
    Odd(name, made_by, foreign(head), refused=refused)
    for name, made_by, head, refused in (
        ("a.mts", "camcorders", b"".join(b"\0\0\0\0\x47" + bytes(187) for _ in range(3)), "an MPEG transport stream"),
        ("a.ts", "television", b"".join(b"\x47" + bytes(187) for _ in range(3)), "an MPEG transport stream"),
        ("a.flv", "old recorders", b"FLV\1\5", "FLV"),
        ("a.wmv", "Windows", bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), "WMV or WMA"),
        ("a.mpg", "DVDs", b"\0\0\1\xba", "MPEG, as on DVDs"),
        ("a.mxf", "broadcasters", bytes.fromhex("060e2b34"), "MXF"),
    )
)
DOLBY_5 = Odd(
    "dolby 5.mp4",
    "streams",
    changed(Cut("libx265", "yuv420p10le", H265, sounds=()), dolby(5, 0)),
    refused="Dolby Vision of profile 5",
)
FILMS = (*TURNS, *CONTAINERS, *PIXELS, *TRACKS, *REFUSED, DOLBY_5)
