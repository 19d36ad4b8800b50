"""What was read of a media file: of an input before it is sent, and of a video that was made.

The media process answers with these records, so nothing heavy is imported here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class MediaInfo:
    """A complete, decodable image, video or audio file.

    `format` is an image's (png, jpeg, webp, avif, gif, heif), or the container: mp4, mov, mkv, webm, avi, wav, mp3,
    m4a, aac, ogg or flac. `width` and `height` are as shown; `exif_rotated`: by its EXIF alone. `traits` are what not
    every decoder shows or plays as intended: an image's by their names in `traits.py`, others in words.

    Codecs have FFmpeg's names, empty where there is no such stream, except `pcm` (any kind of it) and `he-aac`.
    `duration` is the longest, in seconds, of what the headers say and what was counted of video and audio; `doubt` says
    which of them is much shorter.
    """

    format: str
    width: int = 0
    height: int = 0
    exif_rotated: bool = False
    traits: tuple[str, ...] = ()
    duration: float = 0.0
    fps: float = 0.0
    frames: int = 0
    size_bytes: int = 0
    video_codec: str = ""
    audio_codec: str = ""
    doubt: str = ""


@dataclass(frozen=True)
class VideoInfo:
    """Figures measured from the streams of a video that was made; `duration` in seconds to the millisecond."""

    duration: float
    width: int
    height: int
    fps: float
    frames: int
    has_audio: bool
    size_bytes: int
