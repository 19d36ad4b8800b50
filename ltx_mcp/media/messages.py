"""What the media process is asked and what it answers: plain records that cross its pipe as JSON.

Imports nothing heavy, so that the rest of the program can name these without loading a codec.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ltx_mcp.domain.errors import ErrorCode, LtxError

ReportProgress = Callable[[float], None]
"""Called with the part done, from 0 to 1, from time to time."""

MEMORY_MIB = 4096
FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/run/current-system/sw/share/X11/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    r"C:\Windows\Fonts",
    "~/AppData/Local/Microsoft/Windows/Fonts",
)
MIB = 1 << 20
FrameFormat = Literal["jpeg", "png"]
Transition = Literal["cut", "fade", "crossfade"]
SHEET_CELLS = 6
"""The moments of a video that its contact sheet shows."""


@dataclass(frozen=True)
class RenderOrder:
    """A preview to draw. `image` and `end_image` are paths; `duration` is in seconds.

    `sound` is the path of an audio file: the image moves with it, and it becomes the whole audio track. Another `seed`
    draws another picture.
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
    seed: int | None = None

    @property
    def frames(self) -> int:
        """How many frames the video has."""
        return max(1, round(self.duration * self.fps))


@dataclass(frozen=True)
class EditOrder:
    """A video to lengthen, or to redraw a section of; `video` is its path, `duration` and `start_time` are in seconds.

    `mode` is end or start for extend; replace_audio_and_video, replace_video or replace_audio for retake. What is kept
    keeps its size, frame rate, colours and audio. Audio is made for a new part only where the video has audio, or
    where replace_audio asks for nothing else.
    """

    what: Literal["extend", "retake"]
    video: str
    prompt: str
    duration: float
    mode: str
    start_time: float = 0.0


@dataclass(frozen=True)
class ReframeOrder:
    """A video to bring into another shape; `video` is its path, `width` and `height` are the result's, both even."""

    video: str
    width: int
    height: int


@dataclass(frozen=True)
class JoinClip:
    """A video, or a section of it, in a film that is joined; `path` is its file.

    `start` and `end` are in seconds; without `end` it goes to the video's end. `continues`: it was made from the last
    frame of the clip before; None finds out by comparing the two pictures, and needs to be sure. `title` is shown over
    its beginning.
    """

    path: str
    start: float = 0.0
    end: float | None = None
    continues: bool | None = None
    title: str = ""


@dataclass(frozen=True)
class JoinOrder:
    """Clips to join to one film of this size and frame rate; all lengths are in seconds.

    `transition` is made where the story cuts; a clip that continues the one before always follows it directly. A
    crossfade makes the film shorter by `transition_s` each time. `sound` is the path of an audio file that is laid
    under everything, `sound_level` from 0 to 1 as loud as the clips. `captions` are SRT or WebVTT with times of the
    film: a track that players can show, and with `burn_captions` also part of the picture.
    """

    clips: tuple[JoinClip, ...]
    width: int
    height: int
    fps: float
    transition: Transition = "cut"
    transition_s: float = 1.0
    sound: str | None = None
    sound_level: float = 0.3
    captions: str = ""
    burn_captions: bool = False

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "JoinOrder":
        """The record from its JSON."""
        return cls(**dict(fields) | {"clips": tuple(JoinClip(**clip) for clip in fields["clips"])})


@dataclass(frozen=True)
class JoinSeam:
    """What was done between two clips. `at` is the second of the film at which the later one begins.

    `kind` is `continued` where the later clip goes on from the earlier one's last frame, else the transition.
    `dropped_frames` were shown twice; `is_matched`: the later clip's colours were brought to the earlier one's.
    """

    kind: Literal["continued", "cut", "fade", "crossfade"]
    at: float
    dropped_frames: int = 0
    is_matched: bool = False


@dataclass(frozen=True)
class JoinNotes:
    """The film as it was made. `copied_s` are the seconds of picture that were copied and not encoded again.

    `loudness_lufs` is None for a film that is silent; `missing_glyphs` are characters of titles and burnt captions that
    no font of this machine has.
    """

    frames: int
    duration: float
    seams: tuple[JoinSeam, ...] = ()
    copied_s: float = 0.0
    loudness_lufs: float | None = None
    missing_glyphs: int = 0

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "JoinNotes":
        """The record from its JSON."""
        return cls(**dict(fields) | {"seams": tuple(JoinSeam(**seam) for seam in fields["seams"])})


@dataclass(frozen=True)
class RenderNotes:
    """What a drawn preview could not show: characters of the prompt no font of this machine has."""

    missing_glyphs: int


@dataclass(frozen=True)
class ContactSheet:
    """A contact sheet on disk; `moments` are the times in seconds of its cells, in reading order."""

    width: int
    height: int
    size_bytes: int
    moments: list[float]


@dataclass(frozen=True)
class SheetRow:
    """One take in the contact sheet of a set: its number, and `words` or the cells of its own sheet.

    `sheet` is the path of that sheet, `width` and `height` are its video's, `moments` the times in seconds of its
    cells.
    """

    number: int
    words: str = ""
    sheet: str = ""
    width: int = 0
    height: int = 0
    moments: tuple[float, ...] = ()


@dataclass(frozen=True)
class ExtractedFrame:
    """One frame of a video on disk; `moment` is the time in seconds at which it is first shown."""

    width: int
    height: int
    size_bytes: int
    moment: float


@dataclass(frozen=True)
class Sandbox:
    """What a child may open for as long as it lives: files and folders to read, folders to read and write.

    `niceness` is how much it gives way on a busy machine, 0 to 19.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    niceness: int = 5


@dataclass(frozen=True)
class ProcessLimits:
    """What one piece of work may use: seconds by the clock and, where not None, of the processor, and bytes of each
    file that it writes. `open_files` are all that its child may have open."""

    wall_s: float
    cpu_s: float | None = None
    file_bytes: int = 64 * MIB
    open_files: int = 64


@dataclass(frozen=True)
class Confinement:
    """What the OS keeps a child from: files outside its sandbox, the network, and reading other processes."""

    files: bool = False
    network: bool = False
    processes: bool = False


class ChildFailed(LtxError):
    """The child died or was stopped; `ended`: it died by itself, `late`: its time was used up."""

    def __init__(self, message: str, *, ended: bool = False, late: bool = False) -> None:
        super().__init__(ErrorCode.INTERNAL_ERROR, message)
        self.ended = ended
        self.late = late
