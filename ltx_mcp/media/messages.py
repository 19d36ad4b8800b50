"""What the media process is asked and what it answers: plain records that cross its pipe as JSON.

Imports nothing heavy, so that the rest of the program can name these without loading a codec.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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
