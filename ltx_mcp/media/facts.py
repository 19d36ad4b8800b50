"""What the media code is told and what it answers: plain records that cross the pipe to the child process as JSON.

Imports nothing heavy, so that the rest of the program can name these without loading a codec.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ltx_mcp.domain.errors import ErrorCode, LtxError

Tell = Callable[[float], None]
"""Called with the part done, 0 to 1, as often as the work likes."""

MEMORY_MIB = 4096
FrameFormat = Literal["jpeg", "png"]


@dataclass(frozen=True)
class RenderOrder:
    """A preview to draw. `image` and `end_image` are paths of pictures; duration is in seconds.

    `sound` is the path of a sound that moves the picture and becomes the whole sound track.
    """

    prompt: str
    width: int
    height: int
    fps: int
    duration: float
    audio: bool
    camera_motion: str = "none"
    image: str | None = None
    end_image: str | None = None
    sound: str | None = None

    @property
    def frames(self) -> int:
        """How many frames the film has."""
        return max(1, round(self.duration * self.fps))


@dataclass(frozen=True)
class EditOrder:
    """A film to lengthen, or to redraw a section of; `video` is its path, `duration` and `start_time` are seconds.

    `mode` is end or start for extend; replace_audio_and_video, replace_video or replace_audio for retake. What is kept
    keeps its size, rate, look and sound. Sound is made for a new part only where the film has sound, or
    where replace_audio asks for nothing else.
    """

    what: Literal["extend", "retake"]
    video: str
    prompt: str
    duration: float
    mode: str
    start_time: float = 0.0


@dataclass(frozen=True)
class RenderNotes:
    """What a drawn preview could not show: characters of the prompt no font of this machine has."""

    missing_glyphs: int


@dataclass(frozen=True)
class PictureFacts:
    """A whole, decodable picture; width and height are as seen, after EXIF rotation. `turned`: by EXIF alone."""

    format: str
    width: int
    height: int
    turned: bool = False


@dataclass(frozen=True)
class FilmFacts:
    """What a film's streams say; width and height are as seen, `audio_codec` is empty without sound."""

    duration: float
    width: int
    height: int
    fps: float
    frames: int
    has_audio: bool
    size_bytes: int
    video_codec: str
    audio_codec: str


@dataclass(frozen=True)
class MediumFacts:
    """A film or a sound that somebody brought, whole and decodable; width and height are as seen.

    `container` is one of mp4, mov, mkv, webm, avi, wav, mp3, m4a, aac, ogg, flac. Codecs have the names of the codec
    library, empty where there is no such stream, but for `pcm` (any of its kinds) and `he-aac`.
    """

    container: str
    duration: float
    size_bytes: int
    video_codec: str = ""
    audio_codec: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0
    frames: int = 0


@dataclass(frozen=True)
class SheetFacts:
    """A contact sheet on disk; `moments` are the times in seconds of its cells, in reading order."""

    width: int
    height: int
    size_bytes: int
    moments: list[float]


@dataclass(frozen=True)
class FrameFacts:
    """One frame on disk; `moment` is the time in seconds at which it is first shown."""

    width: int
    height: int
    size_bytes: int
    moment: float


class ChildFailed(LtxError):
    """The child died or was stopped; `ended` says that it died by itself."""

    def __init__(self, message: str, ended: bool = False) -> None:
        super().__init__(ErrorCode.INTERNAL_ERROR, message)
        self.ended = ended
