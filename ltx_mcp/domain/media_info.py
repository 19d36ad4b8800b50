"""What was read of a media file: of an input before it is sent, and of a video that was made.

The media process returns these records, so nothing heavy is imported here.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class MediaInfo:
    """A complete, decodable image, video or audio file.

    `format` is an image's (png, jpeg, webp, avif, gif, heif), or the container: mp4, mov, mkv, webm, avi, wav, mp3,
    m4a, aac, ogg or flac. `width` and `height` are as shown; `exif_rotated`: by its EXIF alone. `traits` are what not
    every decoder shows or plays as intended: keys of TRAITS for images, a description for others.

    Codecs have FFmpeg's names, empty where there is no such stream, except `pcm` (any kind of it) and `he-aac`.
    `duration` is the longest, in seconds, of the header's and the counted ones of video and audio; `doubt` says which
    of them is much shorter.
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


TRAITS = {
    "turned": ("turned by EXIF", "turned upright"),
    "animated": ("animated", "its first frame"),
    "hdr": ("in HDR", "toned down to SDR"),
    "display_p3": ("in Display P3 colours", "in sRGB colours"),
    "adobe_rgb": ("in Adobe RGB colours", "in sRGB colours"),
    "prophoto": ("in ProPhoto RGB colours", "in sRGB colours"),
    "rec2020": ("in Rec. 2020 colours", "in sRGB colours"),
    "profile": ("in the colours of its own profile", "in sRGB colours"),
    "gamma": ("in colours of another gamma", "in sRGB colours"),
    "cmyk": ("in CMYK colours", "in sRGB colours"),
    "grey16": ("in 16-bit grey", "in 8 bits"),
    "on_white": ("transparent", "laid on white"),
    "on_black": ("transparent", "laid on black"),
    "bad_metadata": ("with metadata for which some refuse it", "without its metadata"),
    "no_end": ("without its end marker", "complete"),
}
"""What is unusual about an image file, and what it becomes when the image is read or converted."""
SEEN = frozenset({"animated", "hdr", "on_white", "on_black"})
"""Traits that are lost even where an image is drawn as viewers show it."""


def describe(form: str, traits: Sequence[str]) -> str:
    """An input as it was given."""
    return ", ".join([form, *(TRAITS.get(trait, (trait,))[0] for trait in traits)])


def describe_converted(form: str, traits: Sequence[str], scaled: str = "") -> str:
    """What an input becomes; `form` and `scaled`, its size, if they change."""
    made = [form, *(TRAITS[trait][1] for trait in traits), f"scaled to {scaled}" if scaled else ""]
    return ", ".join(dict.fromkeys(part for part in made if part))
