"""Looks at a film or a sound that a caller brought: of which kind it is, whether it is whole, and what it holds.

Runs in the child process. Only files are opened, only as the kinds named here: a playlist that names other files is
none of them.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.media.facts import MediumFacts
from ltx_mcp.media.film import Film
from ltx_mcp.media.length import OPTIONS, Counter, average_rate, film_length, said_seconds, sound_length
from ltx_mcp.media.whole import has_broken_frame, has_frame_count, is_cut, is_streamed_wav, is_webm

Kind = Literal["video", "audio"]

_READ = {
    "video": "MP4, MOV, MKV, WebM and AVI are read.",
    "audio": "MP3, M4A, AAC, WAV, OGG and FLAC are read, and films with sound.",
}
_HINT = {"video": "Send a whole film that is not protected.", "audio": "Send a whole sound that is not protected."}
_OURS = {errno.ENOSPC, errno.EFBIG, errno.EROFS}  # while another film is written from this one
_LOCKED_TAGS = {"encv", "enca", "drms", "drmi"}
_HE_FRAME = 2048
_SHORT_S = 0.02  # less than a frame of MP3: what may be missing at the end


@contextmanager
def open_medium(path: str | Path, kind: Kind) -> Iterator[InputContainer]:
    """The opened file. CallerError (input_failed) when it is of another kind, or turns out to be damaged."""
    try:
        with av.open(f"file:{path}", options=OPTIONS) as container:
            yield container
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise CallerError(ErrorCode.INPUT_FAILED, f"The {kind} cannot be read: {error.strerror}.") from error
    except BlockingIOError as error:
        raise MemoryError("no room for another thread") from error
    except av.FFmpegError as error:
        if isinstance(error, MemoryError) or error.errno in _OURS:
            raise
        raise refused(kind, "is damaged, cut short or of another kind") from error


def refused(kind: Kind, why: str) -> CallerError:
    """The one error for whatever is wrong with the caller's bytes; `why` follows the name."""
    return CallerError(ErrorCode.INPUT_FAILED, f"The {kind} {why}: {_READ[kind]}", _HINT[kind])


def find_picture(container: InputContainer) -> VideoStream | None:
    """The moving picture that can be decoded here; the cover of a sound is none."""
    found = [s for s in container.streams.video if s.codec_context and not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return next((stream for stream in found if stream is best), found[0] if found else None)


def need_picture(container: InputContainer) -> VideoStream:
    """The same; CallerError (input_failed) where there is none."""
    stream = find_picture(container)
    if stream is None:
        raise refused("video", "has no moving picture that can be decoded")
    return stream


def find_sound(container: InputContainer) -> AudioStream | None:
    """The sound that can be decoded here; phones add a second one that cannot."""
    found = [stream for stream in container.streams.audio if stream.codec_context]
    best = container.streams.best("audio")
    return next((stream for stream in found if stream is best), found[0] if found else None)


def codec_name(stream: Stream | None) -> str:
    """Our word for the codec of a stream: the library's own, but one for all PCM and one for HE-AAC."""
    if stream is None:
        return ""
    name = stream.codec_context.codec.canonical_name
    if isinstance(stream, AudioStream) and name == "aac":
        # Not every file says it of itself, but its frames are twice as long.
        is_he = (stream.profile or "").startswith("HE") or stream.codec_context.frame_size == _HE_FRAME
        return "he-aac" if is_he else name
    return "pcm" if name.startswith("pcm_") else name


def look_at_medium(path: str | Path, kind: Kind) -> MediumFacts:
    """The facts of a whole film, or of a whole sound. CallerError (input_failed) says what is wrong with it.

    Sound is decoded to its end, of the picture the first and the last frame. Of a sound, its own facts are told alone.
    """
    with open_medium(path, kind) as container:
        name = container_name(container, path)
        if is_cut(path, name):
            raise refused(kind, "is cut short")
        picture, sound = find_picture(container), find_sound(container)
        if kind == "video" and picture is None:
            raise refused(kind, "has no moving picture that can be decoded")
        if kind == "audio" and sound is None:
            raise refused(kind, "has no sound that can be decoded")
        counter = Counter(container)
        reading = _read_through(container, kind, picture, sound, counter)
        if name == "wav" and is_streamed_wav(path):
            reading.is_corrupt = False  # its last packet is only shorter than the others
        if reading.is_corrupt or _is_short(reading, path, name, sound):
            raise refused(kind, "is damaged or cut short")
        size_bytes = Path(path).stat().st_size
        names = codec_name(picture), codec_name(sound)
        if sound is not None and (kind == "audio" or picture is None):
            length = sound_length(container, path, name, counter, sound, _plain_sound(reading, name, sound))
            return MediumFacts(name, length.seconds, size_bytes, *names, doubt=length.doubt)
        assert picture is not None
        width, height = _check_frames(container, picture, reading)
        seen = counter[picture]
        length = film_length(container, path, name, counter, picture, said_seconds(picture))
        fps = average_rate(picture, seen)
        return MediumFacts(name, length.seconds, size_bytes, *names, width, height, fps, seen.count, length.doubt)


def container_name(container: InputContainer, path: str | Path) -> str:
    """Our word for the kind of an opened file."""
    name = container.format.name.split(",")[0]
    if name == "mov":
        if find_picture(container) is None:
            return "m4a"
        return "mov" if container.metadata.get("major_brand", "qt").strip() == "qt" else "mp4"
    if name == "matroska":
        return "webm" if is_webm(path) else "mkv"
    return name


@dataclass
class _Reading:
    """What one pass over all packets found; times in seconds."""

    last_pts: int = 0
    is_corrupt: bool = False
    sound_start: float | None = None
    sound_end: float = 0.0
    samples_s: float = 0.0
    last_place: int = 0


def _read_through(
    container: InputContainer, kind: Kind, picture: VideoStream | None, sound: AudioStream | None, counter: Counter
) -> _Reading:
    reading = _Reading()
    used = {stream.index for stream in (picture, sound) if stream is not None}
    for packet in container.demux(counter.streams):
        counter.add(packet)
        if packet.stream_index not in used:
            continue
        if packet.has_sidedata("encryption_info") or _is_locked(packet.stream):
            raise refused(kind, "is locked by copy protection")
        reading.is_corrupt |= packet.is_corrupt
        if packet.stream is picture:
            _note_frame(reading, packet)
        else:
            _note_sound(reading, packet, kind)
    if sound is not None:
        counter[sound].heard_s = max(reading.samples_s, reading.sound_end - (reading.sound_start or 0.0))
    return reading


def _is_locked(stream: Stream) -> bool:
    try:
        return stream.codec_tag in _LOCKED_TAGS
    except UnicodeDecodeError:  # a number, as in WAV
        return False


def _note_frame(reading: _Reading, packet: "Packet[Stream]") -> None:
    if packet.size and not packet.is_discard and packet.pts is not None:
        reading.last_pts = max(reading.last_pts, packet.pts)


def _note_sound(reading: _Reading, packet: "Packet[Stream]", kind: Kind) -> None:
    if packet.size and packet.pos is not None:
        reading.last_place = packet.pos
    try:
        frames = packet.decode()
    except av.FFmpegError as error:
        raise refused(kind, "has sound that is damaged or cut short") from error
    for frame in frames:
        if isinstance(frame, av.AudioFrame):
            seconds = frame.samples / frame.sample_rate
            start = reading.samples_s if frame.time is None else frame.time
            reading.samples_s += seconds
            reading.sound_end = max(reading.sound_end, start + seconds)
            if reading.sound_start is None:
                reading.sound_start = start


def _is_short(reading: _Reading, path: str | Path, container: str, sound: AudioStream | None) -> bool:
    if container == "mp3" and not has_frame_count(path):
        return has_broken_frame(path, reading.last_place)
    if sound is None or container not in ("mp3", "flac") or not sound.duration or not sound.time_base:
        return False
    return reading.samples_s < float(sound.duration * sound.time_base) - _SHORT_S


def _plain_sound(reading: _Reading, container: str, sound: AudioStream) -> float:
    decoded = reading.sound_end - (reading.sound_start or 0.0)
    if container in ("mp4", "mov", "m4a") and (said := said_seconds(sound)):
        # The last frame of AAC is longer than what is to be heard of it.
        decoded = min(decoded, said)
    return decoded


def _check_frames(container: InputContainer, picture: VideoStream, reading: _Reading) -> tuple[int, int]:
    """Width and height as seen, once the first and the last frame have been decoded."""
    picture.thread_type, picture.thread_count = "AUTO", 4
    container.seek(0)
    try:
        film = Film(container, picture)
        last = film.last()
    except LtxError as error:
        raise refused("video", "has frames that cannot be decoded") from error
    # An AVI does not say when a frame is shown.
    if container.format.name != "avi" and (last.pts or 0) < reading.last_pts:
        raise refused("video", "has frames at its end that cannot be decoded")
    width, height = film.first.width, film.first.height
    return (height, width) if film.first.rotation % 180 else (width, height)
