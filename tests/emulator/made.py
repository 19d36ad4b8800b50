"""Small films and sounds for orders, made on the spot: a grey that changes from frame to frame, and a tone."""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av

from tests.kept import kept, name_of

TONE_HZ = 440
CODEC_OF = {"mp3": "libmp3lame", "m4a": "aac", "ogg": "libopus", "wav": "pcm_s16le", "flac": "flac", "aac": "aac"}
FORMAT_OF = {"mkv": "matroska", "m4a": "ipod", "aac": "adts"}


@cache
def film(
    kind: str = "mp4",
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (320, 180),
    fps: Fraction | int = 25,
    frames: int = 75,
    sound: bool = True,
) -> bytes:
    """A film as a file of this kind: mp4, mov, mkv, webm, avi."""
    name = f"{name_of('film', codec, size, fps, frames, sound)}.{kind}"
    return kept(name, partial(_write_film, kind, codec, size, fps, frames, sound)).read_bytes()


def _write_film(
    kind: str, codec: str, size: tuple[int, int], fps: Fraction | int, frames: int, sound: bool, out: Path
) -> None:
    with av.open(str(out), "w", format=FORMAT_OF.get(kind, kind)) as container:
        pictures: Any = container.add_stream(
            codec, rate=fps, options={"preset": "ultrafast", "x265-params": "log-level=0"}
        )
        pictures.width, pictures.height, pictures.pix_fmt = *size, "yuv420p"
        heard: Any = container.add_stream("libopus" if kind == "webm" else "aac", rate=48000) if sound else None
        for number in range(frames):
            container.mux(pictures.encode(_grey(*size, 40 + number % 150)))
        container.mux(pictures.encode(None))
        if heard is not None:
            _write_tone(container, heard, float(frames / fps), 48000)


@cache
def tone(kind: str = "mp3", seconds: float = 3.0, codec: str = "") -> bytes:
    """A sound as a file of this kind: mp3, m4a, ogg, wav, flac, aac."""
    codec = codec or CODEC_OF[kind]
    name = f"{name_of('tone', seconds, codec)}.{kind}"
    return kept(name, partial(_write_sound, kind, seconds, codec)).read_bytes()


def _write_sound(kind: str, seconds: float, codec: str, out: Path) -> None:
    rate = 48000 if codec == "libopus" else 44100
    with av.open(str(out), "w", format=FORMAT_OF.get(kind, kind)) as container:
        stream: Any = container.add_stream(codec, rate=rate, options={"strict": "-2"})
        stream.layout = "stereo"
        _write_tone(container, stream, seconds, rate)


def _grey(width: int, height: int, level: int) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (level, 120, 140), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def _write_tone(container: Any, stream: Any, seconds: float, rate: int) -> None:
    for frame in _tone(seconds, rate):
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _tone(seconds: float, rate: int) -> Iterator[av.AudioFrame]:
    """A square wave, in blocks of a tenth of a second."""
    half = rate // TONE_HZ // 2
    wave = b"\x70\x17" * 2 * half + b"\x90\xe8" * 2 * half
    whole = round(seconds * rate)
    data = (wave * (whole // (2 * half) + 1))[: whole * 4]
    for at in range(0, whole, rate // 10):
        count = min(rate // 10, whole - at)
        frame = av.AudioFrame(format="s16", layout="stereo", samples=count)
        frame.planes[0].update(data[at * 4 : (at + count) * 4])
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        yield frame
