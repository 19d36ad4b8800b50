"""What the media code is told and what it answers: plain records that cross the pipe to the child process as JSON.

Imports nothing heavy, so that the rest of the program can name these without loading a codec.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ltx_mcp.domain.errors import ErrorCode, LtxError

ReportProgress = Callable[[float], None]
"""Called with the part done, 0 to 1, as often as the work likes."""

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


@dataclass(frozen=True)
class Room:
    """What a child may open for as long as it lives: files and folders to read, folders to write into and read.

    `niceness` is how far it stands back where the machine is busy, 0 to 19.
    """

    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    niceness: int = 5


@dataclass(frozen=True)
class ProcessLimits:
    """What one piece of work may use: seconds by the clock and, where that is not None, of the processor, and the bytes
    of each file that it writes. `open_files` are all that its child may have open."""

    wall_s: float
    cpu_s: float | None = None
    file_bytes: int = 64 * MIB
    open_files: int = 64


@dataclass(frozen=True)
class Confinement:
    """What the system keeps a child from: files outside its room, the network, and a look into other processes."""

    files: bool = False
    network: bool = False
    processes: bool = False


class ChildFailed(LtxError):
    """The child died or was stopped; `ended` says that it died by itself, `late` that its time was used up."""

    def __init__(self, message: str, *, ended: bool = False, late: bool = False) -> None:
        super().__init__(ErrorCode.INTERNAL_ERROR, message)
        self.ended = ended
        self.late = late
