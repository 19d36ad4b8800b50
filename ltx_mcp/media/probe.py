"""Probes a caller's video or audio file: its kind, whether it is complete, and what it contains.

Runs in the child process. Only files are opened, only as the kinds named here: a playlist that names other files is
none of them.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from ltx_mcp.domain.errors import CallerError, ErrorCode, LtxError
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.media.decode.frame_reader import FrameReader
from ltx_mcp.media.decode.parts import Part, mp3_parts, odd_parts, open_part
from ltx_mcp.media.decode.shown import Shown, hidden_words
from ltx_mcp.media.length import (
    OPTIONS,
    Counter,
    audio_length,
    average_rate,
    has_stated_length,
    stated_seconds,
    video_length,
)
from ltx_mcp.media.signatures import dolby_only_profile, name_media
from ltx_mcp.media.truncation import is_cut, is_webm, read_wav

Kind = Literal["video", "audio"]

_READ = {
    "video": "MP4, MOV, MKV, WebM and AVI are read.",
    "audio": "MP3, M4A, AAC, WAV, OGG and FLAC are read, and films with sound.",
}
_HINT = {"video": "Send a whole film that is not protected.", "audio": "Send a whole sound that is not protected."}
_OURS = {errno.ENOSPC, errno.EFBIG, errno.EROFS}  # while another file is written from this one
_LOCKED_TAGS = {"encv", "enca", "drms", "drmi"}
_HE_FRAME = 2048
_DOLBY_CODECS = ("hevc", "av1", "h264")
_STREAMED = "streamed, its length not in its header"
_SHORT_S = 0.02  # less than a frame of MP3: what may be missing at the end


@contextmanager
def open_media(path: str | Path, kind: Kind, part: Part | None = None) -> Iterator[InputContainer]:
    """The opened file, or a part of one. CallerError (input_failed) when it is of another kind, or turns out to be
    damaged."""
    try:
        with _opened(path, part) as container:
            yield container
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise CallerError(ErrorCode.INPUT_FAILED, f"The {kind} cannot be read: {error.strerror}.") from error
    except BlockingIOError as error:
        raise MemoryError("no room for another thread") from error
    except av.FFmpegError as error:
        if isinstance(error, MemoryError) or error.errno in _OURS:
            raise
        name = name_media(path)
        why = f"of another kind, {name}" if name else "damaged, cut short or of another kind"
        raise refused(kind, f"is {why}") from error


@contextmanager
def _opened(path: str | Path, part: Part | None) -> Iterator[InputContainer]:
    if part is None:
        with av.open(f"file:{path}", options=OPTIONS) as container:
            yield container
    else:
        with open_part(path, part) as file, av.open(file, "r", format=part.format, options=OPTIONS) as container:
            yield container


def refused(kind: Kind, why: str) -> CallerError:
    """The error for anything that is wrong with the caller's bytes; `why` follows the name."""
    return CallerError(ErrorCode.INPUT_FAILED, f"The {kind} {why}: {_READ[kind]}", _HINT[kind])


def find_video(container: InputContainer) -> VideoStream | None:
    """The video stream that can be decoded here; the cover of an audio file does not count."""
    found = [s for s in container.streams.video if s.codec_context and not s.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    return next((stream for stream in found if stream is best), found[0] if found else None)


def require_video(container: InputContainer) -> VideoStream:
    """The same; CallerError (input_failed) where there is none."""
    stream = find_video(container)
    if stream is None:
        raise refused("video", "has no moving picture that can be decoded")
    return stream


def find_audio(container: InputContainer) -> AudioStream | None:
    """The audio stream that can be decoded here; phones add a second one that cannot."""
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


def probe_media(path: str | Path, kind: Kind) -> MediaInfo:
    """What is read of a complete video, or a complete audio. CallerError (input_failed) says what is wrong with it.

    Audio is decoded to its end, of video the first and the last frame. For an audio, only the codec of video is given.
    """
    with open_media(path, kind) as container:
        name = container_name(container, path)
        video, audio = find_video(container), find_audio(container)
        if (video if kind == "video" else audio) is None:
            what = "moving picture" if kind == "video" else "sound"
            raise refused(kind, "is cut short" if is_cut(path, name) else f"has no {what} that can be decoded")
        if video is None and (parts := odd_parts(path, name)):
            return _probe_parts(path, name, parts)
        counter = Counter(container)
        reading = _read_through(container, kind, video, audio, counter)
        used = audio if kind == "audio" or video is None else video
        assert used is not None
        _check_complete(path, name, kind, reading, counter[used].seconds, used)
        info = MediaInfo(
            name,
            size_bytes=Path(path).stat().st_size,
            video_codec=codec_name(video),
            audio_codec=codec_name(audio),
        )
        if used is audio:
            length = audio_length(container, path, name, counter, audio, _plain_audio_s(reading, name, audio))
            return replace(info, duration=length.seconds, doubt=length.doubt)
        assert video is not None
        if info.video_codec in _DOLBY_CODECS and (profile := dolby_only_profile(path)):
            raise refused(kind, f"is in Dolby Vision of profile {profile}, whose colours only its own players know")
        shown = _check_frames(container, video, reading)
        seen = counter[video]
        length = video_length(container, path, name, counter, video)
        return replace(
            info,
            width=shown.width,
            height=shown.height,
            traits=tuple(filter(None, (*shown.traits, hidden_words(seen.hidden)))),
            duration=length.seconds,
            fps=average_rate(video, seen),
            frames=seen.count,
            doubt=length.doubt,
        )


def _probe_parts(path: str | Path, name: str, parts: tuple[Part, ...]) -> MediaInfo:
    """The same of an audio file that has several parts, or other data around them."""
    decoded_s, codec = 0.0, ""
    for part in parts:
        if part.is_cut:
            raise refused("audio", f"is cut short: its sound stops at {decoded_s + part.seconds:.2f} s")
        with open_media(path, "audio", part) as container:
            audio = find_audio(container)
            if audio is None:
                raise refused("audio", "has no sound that can be decoded")
            reading = _read_through(container, "audio", None, audio, Counter(container))
            if reading.broken_s is not None:
                raise refused("audio", f"has sound that is damaged at {decoded_s + reading.broken_s:.2f} s")
            decoded_s, codec = decoded_s + reading.samples_s, codec or codec_name(audio)
    trait = f"joined of {len(parts)} parts" if len(parts) > 1 else _STREAMED if name == "wav" else ""
    traits = (trait,) if trait else ()
    size_bytes = Path(path).stat().st_size
    return MediaInfo(name, traits=traits, duration=round(decoded_s, 3), size_bytes=size_bytes, audio_codec=codec)


def container_name(container: InputContainer, path: str | Path) -> str:
    """Our word for the kind of an opened file."""
    name = container.format.name.split(",")[0]
    if name == "mov":
        if find_video(container) is None:
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
    audio_start: float | None = None
    audio_end: float = 0.0
    samples_s: float = 0.0
    broken_s: float | None = None
    """The moment of the first audio that cannot be decoded, and whether there is more behind it."""
    goes_on: bool = False


def _read_through(
    container: InputContainer, kind: Kind, video: VideoStream | None, audio: AudioStream | None, counter: Counter
) -> _Reading:
    reading = _Reading()
    used = {stream.index for stream in (video, audio) if stream is not None}
    for packet in container.demux(counter.streams):
        counter.add(packet)
        if packet.stream_index not in used:
            continue
        if packet.has_sidedata("encryption_info") or _is_locked(packet.stream):
            raise refused(kind, "is locked by copy protection")
        reading.is_corrupt |= packet.is_corrupt
        if packet.stream is video:
            _note_frame(reading, packet)
        else:
            _note_audio(reading, packet)
    if audio is not None:
        counter[audio].decoded_s = max(reading.samples_s, reading.audio_end - (reading.audio_start or 0.0))
    return reading


def _is_locked(stream: Stream) -> bool:
    try:
        return stream.codec_tag in _LOCKED_TAGS
    except UnicodeDecodeError:  # a number, as in WAV
        return False


def _note_frame(reading: _Reading, packet: "Packet[Stream]") -> None:
    if packet.size and not packet.is_discard and packet.pts is not None:
        reading.last_pts = max(reading.last_pts, packet.pts)


def _note_audio(reading: _Reading, packet: "Packet[Stream]") -> None:
    try:
        frames = packet.decode()
    except av.FFmpegError:
        if reading.broken_s is None:
            reading.broken_s = reading.samples_s
        return
    for frame in frames:
        if isinstance(frame, av.AudioFrame):
            seconds = frame.samples / frame.sample_rate
            start = reading.samples_s if frame.time is None else frame.time
            reading.samples_s += seconds
            reading.audio_end = max(reading.audio_end, start + seconds)
            reading.goes_on = reading.broken_s is not None
            if reading.audio_start is None:
                reading.audio_start = start


def _check_complete(path: str | Path, name: str, kind: Kind, reading: _Reading, there_s: float, used: Stream) -> None:
    """Raises CallerError where the file should be longer, with the second of its end, or where audio is damaged."""
    if reading.broken_s is not None and reading.goes_on:
        raise refused(kind, f"has sound that is damaged at {reading.broken_s:.2f} s")
    is_wav = name == "wav"  # the last packet of one that does not know its length is only shorter than the others
    is_short = name in ("mp3", "flac") and reading.samples_s < stated_seconds(used) - _SHORT_S
    if name == "mp3":
        is_short = any(part.is_cut for part in mp3_parts(path))
    if is_cut(path, name) or (reading.is_corrupt and not is_wav) or reading.broken_s is not None or is_short:
        what = "sound" if isinstance(used, AudioStream) or reading.broken_s is not None else "picture"
        if what == "sound" and reading.audio_end - (reading.audio_start or 0.0) > reading.samples_s + _SHORT_S:
            raise refused(kind, f"has sound that is damaged: only {reading.samples_s:.2f} s of it can be decoded")
        stops_s = reading.samples_s if what == "sound" else there_s
        stated_s = read_wav(path).stated_s if is_wav else stated_seconds(used) if has_stated_length(path, name) else 0.0
        of = f" of {stated_s:.2f} s" if stated_s > stops_s + _SHORT_S else ""
        raise refused(kind, f"is cut short: its {what} stops at {stops_s:.2f} s{of}")


def _plain_audio_s(reading: _Reading, container: str, audio: AudioStream) -> float:
    decoded = reading.audio_end - (reading.audio_start or 0.0)
    if container in ("mp4", "mov", "m4a") and (stated := stated_seconds(audio)):
        # The last frame of AAC is longer than its audible part.
        decoded = min(decoded, stated)
    return decoded


def _check_frames(container: InputContainer, video: VideoStream, reading: _Reading) -> Shown:
    """How it is shown, once its first frames and the last one have been decoded."""
    container.seek(0)
    try:
        reader = FrameReader(container, video)
        last = reader.last()
    except LtxError as error:
        raise refused("video", "has frames that cannot be decoded") from error
    # An AVI does not say when a frame is shown.
    if container.format.name != "avi" and (last.pts or 0) < reading.last_pts:
        raise refused("video", "has frames at its end that cannot be decoded")
    return reader.shown
