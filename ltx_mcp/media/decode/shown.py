"""What players do with a film's frames before they show them, and not everybody who decodes them does."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
from av.video.stream import VideoStream

from ltx_mcp.media.decode.tone import needs_tone
from ltx_mcp.media.decode.turn import Turn, turn_of

LOOKED_AT = 5
"""So many frames say of what kind a film is."""
PLAIN = ("yuv420p", "yuvj420p")
_MAX_STRETCH = 4
_HIDDEN_S = 0.1
_STRETCH = Fraction(1, 100)  # less is how sizes are rounded


@dataclass(frozen=True)
class Shown:
    """How a player shows the frames of a film: turned, brought to other colours, without fields, each pixel `stretch`
    times as wide as high. `width` and `height` are as seen. `is_fine`: in H.264 beyond what every player decodes."""

    turn: Turn
    tone: str
    is_interlaced: bool
    stretch: Fraction
    width: int
    height: int
    is_fine: bool

    @property
    def traits(self) -> tuple[str, ...]:
        """All of it in words; none for a film that is shown as it is stored."""
        words = (
            self.turn.words,
            self.tone,
            "interlaced" if self.is_interlaced else "",
            f"pixels of {self.stretch.numerator}:{self.stretch.denominator}" if self.stretch != 1 else "",
            "more than 8 bits or full colour" if self.is_fine else "",
        )
        return tuple(word for word in words if word)


def hidden_words(seconds: float) -> str:
    """What is said of so much at a film's beginning that players skip; empty where it is too little to matter."""
    return f"its first {seconds:.2f} s are not shown" if seconds > _HIDDEN_S else ""


def shown_as(frames: Sequence[av.VideoFrame], stream: VideoStream) -> Shown:
    """How a film is shown whose first frames these are."""
    first = frames[0]
    turn, stretch = turn_of(first), _stretch(stream)
    width = round(first.width * stretch)
    return Shown(
        turn,
        needs_tone(first),
        any(frame.interlaced_frame for frame in frames),
        stretch,
        *turn.size(width, first.height),
        stream.codec_context.name == "h264" and first.format.name not in PLAIN,
    )


def _stretch(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio or Fraction(1)
    is_sane = aspect > 0 and max(aspect, 1 / aspect) <= _MAX_STRETCH
    return aspect if is_sane and abs(aspect - 1) > _STRETCH else Fraction(1)
