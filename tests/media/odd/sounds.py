"""Sounds as speech services, recorders, phones and people's own scissors leave them, each with what is right of it.

Two seconds of the same tones, as a muxer writes them, with bytes before, behind and between changed by hand; those in
`made` were written by other programs. Not a test.
"""

import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av

from tests.media.films import Recipe, make
from tests.media.lies import _ogg_sum

MADE = Path(__file__).with_name("made")
LENGTH_S = 2.0
SOUND = Recipe(video=None, layout="mono", sample_rate=44_100, seconds=LENGTH_S)
MP3 = replace(SOUND, audio="libmp3lame", coding=(("b", "48000"),), muxing=(("id3v2_version", "0"),))
BARE_MP3 = replace(MP3, muxing=(("id3v2_version", "0"), ("write_xing", "0")))
WAV = replace(SOUND, audio="pcm_s16le", sample_rate=16_000)
OPUS = replace(SOUND, audio="libopus", sample_rate=48_000)
ID3V1 = b"TAG" + bytes(125)
STREAMED, TWO = "streamed, its length not in its header", "joined of 2 parts"
PADDED_S = 0.06
"""What an encoder puts around a sound that says nothing of it."""


@dataclass(frozen=True)
class Odd:
    """A sound: its name, who writes such files, how it is made, its seconds and what is said of it. `within` is how
    far its seconds may be off, `refused` what the refusal says of it."""

    name: str
    made_by: str
    make: Callable[[Path], object]
    seconds: float = LENGTH_S
    traits: str = ""
    within: float = 0.012
    refused: str = ""


def data_of(recipe: Recipe, ending: str, folder: Path) -> bytes:
    """The bytes of what a recipe makes."""
    return make(folder / f"source.{ending}", recipe).read_bytes()


def changed(recipe: Recipe, change: Callable[[bytes], bytes] = lambda data: data) -> Callable[[Path], object]:
    """Makes what the recipe says, with other bytes."""
    return lambda path: path.write_bytes(change(data_of(recipe, path.suffix[1:], path.parent)))


def joined(*recipes: Recipe, between: bytes = b"") -> Callable[[Path], object]:
    """Makes files one behind the other."""

    def write(path: Path) -> None:
        parts = [data_of(recipe, path.suffix[1:], path.parent) for recipe in recipes]
        path.write_bytes(b"".join(part + between for part in parts))

    return write


def made(name: str) -> Callable[[Path], object]:
    """A file that another program wrote."""
    return lambda path: shutil.copyfile(MADE / name, path)


# -- WAV


def wav(
    riff: int | None, data: int | None, *, before: bytes = b"", behind: bytes = b"", form: str = "RIFF", part: float = 1
) -> Callable[[Path], object]:
    """A WAV whose two lengths are these; None is the right one. `part` of its sound is there."""

    def write(path: Path) -> None:
        source = data_of(WAV, "wav", path.parent)
        sound = source[source.index(b"data") + 8 :]
        fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
        head = before + fmt + struct.pack("<4sI", b"data", len(sound) if data is None else data)
        length = 4 + len(head) + len(sound) + len(behind)
        sound = sound[: round(len(sound) * part / 2) * 2]
        top = struct.pack("<4sI4s", form.encode(), length if riff is None else riff, b"WAVE")
        path.write_bytes(top + head + sound + behind)

    return write


def ds64(size: int) -> bytes:
    return struct.pack("<4sIQQQI", b"ds64", 28, size + 72, size, size // 2, 0)


LIST = struct.pack("<4sI4s4sI", b"LIST", 26, b"INFO", b"ISFT", 14) + b"Lavf60.16.100\0"
BEXT = struct.pack("<4sI", b"bext", 602) + b"Take 1".ljust(602, b"\0")
FULL = 0xFFFFFFFF
PLACEHOLDERS = {
    "zero": (0, 0),
    "all ones": (FULL, FULL),
    "most of an int": (0x7FFFFFFF, 0x7FFFFFFF),
    "most, less the head": (0x7FFFFFFF, 0x7FFFFFFF - 36),
    "sox": (0x7FFFF024, 0x7FFFF000),
    "above an int": (0x80000024, 0x80000000),
    "all but the head": (FULL, FULL - 36),
    "minus sixteen": (36, 0xFFFFFFF0),
    "a gigabyte": (0x40000024, 0x40000000),
    "ones above zero": (FULL, 0),
    "whole file, no sound": (None, 0),
    "whole file, all ones": (None, FULL),
    "whole file, too long": (None, 2 * 32_000 + 4_000),
}

WAVS = (
    *(
        Odd(f"{name}.wav", "speech services and pipes", wav(*sizes), traits=STREAMED)
        for name, sizes in PLACEHOLDERS.items()
    ),
    Odd("list before.wav", "ffmpeg to a pipe", wav(FULL, FULL, before=LIST), traits=STREAMED),
    Odd("list behind.wav", "editors", wav(None, None, behind=LIST)),
    Odd("broadcast.wav", "field recorders (BWF)", wav(None, None, before=BEXT)),
    Odd("wide.wav", "recorders of long takes (RF64)", wav(FULL, FULL, before=ds64(64_000), form="RF64")),
    Odd(
        "wide streamed.wav", "recorders that lost power", wav(FULL, FULL, before=ds64(0), form="RF64"), traits=STREAMED
    ),
    Odd("file length zero.wav", "browsers' recorders", wav(0, None)),
    Odd("file length long.wav", "editors that forgot a chunk", wav(2 * 32_000 + 9_000, None)),
    Odd("file length short.wav", "recorders", wav(36, None)),
    Odd("text behind.wav", "speech services", wav(None, None, behind=b'{"characters": 12}\n'), within=0.001),
    Odd("half.wav", "a broken download", wav(None, None, part=0.5), refused=r"stops at 1\.00 s of 2\.00 s"),
    Odd("float.wav", "workstations", changed(replace(WAV, audio="pcm_f32le"))),
    Odd("double.wav", "science", changed(replace(WAV, audio="pcm_f64le"))),
    Odd("24 bits.wav", "interfaces (WAVE_FORMAT_EXTENSIBLE)", changed(replace(WAV, audio="pcm_s24le"))),
    Odd("8 bits.wav", "old tools", changed(replace(WAV, audio="pcm_u8"))),
    Odd("telephone.wav", "telephony", changed(replace(WAV, audio="pcm_mulaw", sample_rate=8_000))),
)

# -- MP3


def id3(size: int, kind: bytes = b"TXXX") -> bytes:
    frame = kind + struct.pack(">IH", size - 10, 0) + b"\0".ljust(size - 10, b"a")
    return b"ID3\3\0\0" + bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


def cover() -> bytes:
    picture = b"\xff\xd8\xff\xe0" + bytes(6_000) + b"\xff\xd9"
    body = b"\0image/jpeg\0\3\0" + picture
    frame = b"APIC" + struct.pack(">IH", len(body), 0) + body
    return b"ID3\3\0\0" + bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0)) + frame


def ape() -> bytes:
    item = struct.pack("<II", 9, 0) + b"Title\0" + b"something"
    size = len(item) + 32
    ends = [struct.pack("<8sIIII8x", b"APETAGEX", 2000, size, 1, flag) for flag in (0xA0000000, 0x80000000)]
    return ends[0] + item + ends[1]


def behind(tail: bytes, recipe: Recipe = MP3) -> Callable[[Path], object]:
    return changed(recipe, lambda data: data + tail)


def hole(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(1500) + data[middle + 1500 :]


VBR = replace(BARE_MP3, coding=(("q", "6"),))
OTHER_RATE = replace(MP3, sample_rate=48_000)
MP3S = (
    Odd("plain.mp3", "everybody", changed(MP3)),
    Odd("lame.mp3", "lame 3.100", made("lame.mp3")),
    Odd("lame-no-head.mp3", "lame 3.100 -t", made("lame-no-head.mp3"), within=0.1),
    Odd("one zero behind.mp3", "speech services", behind(b"\0")),
    Odd("zeros behind.mp3", "download tools", behind(bytes(3_000))),
    Odd("ones behind.mp3", "flash cards", behind(b"\xff" * 500)),
    Odd("text behind.mp3", "web servers", behind(b"</html>\n")),
    Odd("tag behind.mp3", "taggers (ID3v1)", behind(ID3V1)),
    Odd("ape behind.mp3", "taggers (APEv2)", behind(ape() + ID3V1)),
    Odd("lyrics behind.mp3", "karaoke (Lyrics3)", behind(b"LYRICSBEGININD00002110000041LYRICS200" + ID3V1)),
    Odd("id3 behind.mp3", "taggers (ID3v2 at the end)", behind(id3(500))),
    Odd("large tag before.mp3", "podcasts", changed(MP3, lambda data: id3(60_000) + data)),
    Odd("cover.mp3", "music shops", changed(MP3, lambda data: cover() + data)),
    Odd("zeros before.mp3", "recorders", changed(MP3, lambda data: bytes(2_000) + data)),
    Odd("variable, no head.mp3", "streams", changed(VBR), within=PADDED_S),
    Odd("no head, zeros.mp3", "streams", behind(bytes(3_000), VBR), within=PADDED_S),
    Odd("joined.mp3", "speech services, sentence by sentence", joined(MP3, MP3), 2 * LENGTH_S, TWO),
    Odd("joined, tags.mp3", "podcasts", joined(MP3, MP3, between=ID3V1), 2 * LENGTH_S, TWO),
    Odd("joined, id3.mp3", "cat", joined(MP3, MP3, between=id3(3_000)), 2 * LENGTH_S, TWO),
    Odd("joined, rates.mp3", "cat", joined(MP3, OTHER_RATE), 2 * LENGTH_S, TWO),
    Odd("joined, stereo.mp3", "cat", joined(MP3, replace(MP3, layout="stereo")), 2 * LENGTH_S, TWO),
    Odd("joined, mono.mp3", "cat", joined(replace(MP3, layout="stereo"), MP3), 2 * LENGTH_S, TWO),
    Odd("joined, no heads.mp3", "radio", joined(VBR, VBR), 2 * LENGTH_S, within=2 * PADDED_S),
    Odd(
        "half.mp3",
        "a broken download",
        changed(MP3, lambda data: data[: len(data) // 2]),
        refused=r"stops at [01]\.\d+ s",
    ),
    Odd("hole.mp3", "a bad disk", changed(MP3, hole), refused="damaged"),
)

# -- the others


def other_serial(data: bytes, number: int) -> bytes:
    """An Ogg file under another serial number."""
    out, place = bytearray(), 0
    while place < len(data):
        count = data[place + 26]
        size = 27 + count + sum(data[place + 27 : place + 27 + count])
        page = bytearray(data[place : place + size])
        page[14:18], page[22:26] = struct.pack("<I", number), bytes(4)
        page[22:26] = struct.pack("<I", _ogg_sum(bytes(page)))
        out, place = out + page, place + size
    return bytes(out)


def chained(*names: str) -> Callable[[Path], object]:
    """Ogg files of others that follow one another."""

    def write(path: Path) -> None:
        links = [(MADE / name).read_bytes() for name in names]
        path.write_bytes(b"".join(other_serial(link, number) for number, link in enumerate(links, 7)))

    return write


def repacked(name: str) -> Callable[[Path], object]:
    """The packets of a file of others in another container."""

    def write(path: Path) -> None:
        with av.open(str(MADE / name)) as given, av.open(str(path), "w") as out:
            stream = out.add_stream_from_template(given.streams.audio[0])
            for packet in given.demux(audio=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)

    return write


def without_total(data: bytes) -> bytes:
    """A FLAC that does not say how many samples it has."""
    info = bytearray(data)
    info[21] &= 0xF0
    info[22:26] = bytes(4)
    return bytes(info)


FLAC = replace(SOUND, audio="flac")
OTHERS = (
    Odd("plain.ogg", "everybody (Opus)", changed(OPUS)),
    Odd("oggenc.ogg", "oggenc 1.4 (vorbis-tools)", made("oggenc.ogg")),
    Odd("opusenc.opus", "opusenc 0.2 (opus-tools), as voice messages are", made("opusenc.opus")),
    Odd("chained.ogg", "web radio (Opus)", chained("opusenc.opus", "opusenc.opus"), 2 * LENGTH_S, TWO),
    Odd("chained vorbis.ogg", "web radio", chained("oggenc.ogg", "oggenc.ogg"), 2 * LENGTH_S, TWO),
    Odd("chained codecs.ogg", "web radio that changed", chained("oggenc.ogg", "opusenc.opus"), 2 * LENGTH_S, TWO),
    Odd(
        "bytes behind.ogg",
        "download tools",
        lambda path: path.write_bytes((MADE / "oggenc.ogg").read_bytes() + bytes(500)),
    ),
    Odd("flac.ogg", "archives", changed(FLAC)),
    Odd("opus.webm", "browsers", changed(OPUS), within=0.02),
    Odd("opus live.webm", "browsers' recorders", changed(replace(OPUS, muxing=(("live", "1"),))), within=0.02),
    Odd("vorbis.webm", "old browsers", repacked("oggenc.ogg"), within=0.07),
    Odd("no total.flac", "ffmpeg to a pipe", changed(FLAC, without_total)),
    Odd("id3.flac", "taggers", changed(FLAC, lambda data: id3(500) + data)),
    Odd("tag behind.flac", "taggers", changed(FLAC, lambda data: data + ID3V1)),
    Odd("half.flac", "a broken download", changed(FLAC, lambda data: data[: len(data) // 2]), refused=r"at \d\.\d+ s"),
    Odd("plain.m4a", "phones", changed(SOUND)),
    Odd("lossless.m4a", "phones (ALAC)", changed(replace(SOUND, audio="alac"))),
    Odd(
        "pieces.m4a",
        "browsers and streams",
        changed(replace(SOUND, muxing=(("movflags", "frag_keyframe+empty_moov"), ("frag_duration", "300000")))),
        within=PADDED_S,
    ),
    Odd("plain.aac", "radio (ADTS)", changed(SOUND), within=PADDED_S),
    Odd("id3.aac", "HLS", changed(SOUND, lambda data: id3(80) + data), within=PADDED_S),
    Odd("joined.aac", "HLS", joined(SOUND, SOUND), 2 * LENGTH_S, within=2 * PADDED_S),
    Odd(
        "half.aac", "a broken download", changed(SOUND, lambda data: data[: len(data) // 2]), refused=r"at [01]\.\d+ s"
    ),
)
SOUNDS = (*WAVS, *MP3S, *OTHERS)
