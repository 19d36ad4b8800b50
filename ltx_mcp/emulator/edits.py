"""What LTX's models make of a film or a sound that is given to them, whoever hosts them: the film, and what is billed.

A retake is billed the whole input, an extension its new part and the context, a film from a sound the sound. Assumed:
a context longer than the film is the whole film; a section that runs past the end ends there.
"""

from dataclasses import dataclass

from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.emulator.emulator_state import FilmSpec
from ltx_mcp.emulator.inputs import InputFile
from ltx_mcp.media.messages import EditOrder

CAPTION = "An emulated film: nothing was ordered from anybody, and this is not LTX"
MAX_FRAMES = 505
LONGEST_CONTEXT_S = 20
SHORTEST_S, LONGEST_S = 2, 20
PADDING_S = 0.05  # encoders fill up their last frame


@dataclass(frozen=True)
class EmulatedEdit:
    """What an order leads to. `billed_s` are the seconds that it costs; None: those of the film."""

    film: FilmSpec
    billed_s: float | None = None


def too_many_frames(facts: MediaInfo, duration: float, context: float | None) -> bool:
    """Whether a new part and its context have more frames than a model can hold."""
    return (duration + (context or 0)) * facts.fps > MAX_FRAMES + 1e-6


def to_extended(video: InputFile, duration: float, mode: str, context: float | None) -> EmulatedEdit:
    """The film and the new part. `context`: None is as much as fits."""
    facts = video.facts
    room = max(0.0, MAX_FRAMES / facts.fps - duration)
    seen_s = min(context or LONGEST_CONTEXT_S, facts.duration, room)
    order = EditOrder("extend", video.path, CAPTION, duration, mode)
    return EmulatedEdit(_edited(facts, order, facts.duration + duration), round(duration + seen_s, 3))


def to_retaken(video: InputFile, start_time: float, duration: float, mode: str) -> EmulatedEdit:
    """The film with another section."""
    facts = video.facts
    order = EditOrder("retake", video.path, CAPTION, min(duration, facts.duration - start_time), mode, start_time)
    return EmulatedEdit(_edited(facts, order, facts.duration), facts.duration)


def to_film_of(
    sound: InputFile, picture: str, width: int, height: int, fps: int, most_s: float = LONGEST_S
) -> EmulatedEdit:
    """A film as long as the sound, without the padding beyond the longest; `picture` is a path, or empty."""
    length_s = min(sound.facts.duration, most_s)
    return EmulatedEdit(FilmSpec(width, height, fps, length_s, sound=sound.path, picture=picture), length_s)


def is_upright(facts: MediaInfo) -> bool:
    """Whether a film is higher than wide."""
    return facts.height > facts.width


def _edited(facts: MediaInfo, order: EditOrder, length_s: float) -> FilmSpec:
    return FilmSpec(facts.width, facts.height, facts.fps, length_s, bool(facts.audio_codec), edit=order)
