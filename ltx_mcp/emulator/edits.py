"""What LTX's models make from a video or a sound that is given to them, whoever hosts them: the video, and what is
billed.

A retake and a new shape are billed the complete input, an extension its new part and the context, a video from a
sound the sound.
Assumed: a context longer than the video is the complete video; a section that runs past the end ends there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.emulator.emulator_state import VideoSpec
from ltx_mcp.emulator.inputs import InputFile
from ltx_mcp.media.messages import EditOrder

CAPTION = "An emulated film: nothing was ordered from anybody, and this is not LTX"
MAX_FRAMES = 505
LONGEST_CONTEXT_S = 20
SHORTEST_S, LONGEST_S = 2, 20
LONGEST_REFRAMED_S, MAX_REFRAMED_FRAMES = 60, 1800
REFRAMED_EDGES = (64, 4096)
PADDING_S = 0.05  # encoders fill up their last frame


@dataclass(frozen=True)
class EmulatedEdit:
    """What an order leads to. `billed_s` are the seconds that it costs, None: those of the video; `units` what its
    provider counts, None: those seconds. `answer` is what comes back beside the video."""

    video: VideoSpec
    billed_s: float | None = None
    units: float | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)


def has_too_many_frames(facts: MediaInfo, duration: float, context: float | None) -> bool:
    """Whether a new part and its context have more frames than a model can hold."""
    return (duration + (context or 0)) * facts.fps > MAX_FRAMES + 1e-6


def to_extended(source: InputFile, duration: float, mode: str, context: float | None) -> EmulatedEdit:
    """The video and the new part. `context`: None is as much as fits."""
    facts = source.facts
    max_context_s = max(0.0, MAX_FRAMES / facts.fps - duration)
    context_s = min(context or LONGEST_CONTEXT_S, facts.duration, max_context_s)
    order = EditOrder("extend", source.path, CAPTION, duration, mode)
    return EmulatedEdit(_edited(facts, order, facts.duration + duration), round(duration + context_s, 3))


def to_retaken(source: InputFile, start_time: float, duration: float, mode: str) -> EmulatedEdit:
    """The video with another section."""
    facts = source.facts
    order = EditOrder("retake", source.path, CAPTION, min(duration, facts.duration - start_time), mode, start_time)
    return EmulatedEdit(_edited(facts, order, facts.duration), facts.duration)


def why_not_reframed(facts: MediaInfo) -> str:
    """Why a video is not shown in another shape; empty where it is."""
    low, high = REFRAMED_EDGES
    if facts.duration > LONGEST_REFRAMED_S:
        return f"lasts {facts.duration:g} s; must be of at most {LONGEST_REFRAMED_S} s"
    if facts.frames > MAX_REFRAMED_FRAMES:
        return f"has {facts.frames} frames; must have at most {MAX_REFRAMED_FRAMES}"
    if not low <= min(facts.width, facts.height) <= max(facts.width, facts.height) <= high:
        return f"is {facts.width}x{facts.height}; each edge must have {low} to {high} pixels"
    return ""


def to_reframed(source: InputFile, width: int, height: int) -> EmulatedEdit:
    """The video in another shape."""
    facts = source.facts
    video = VideoSpec(width, height, facts.fps, facts.duration, bool(facts.audio_codec), reframed=source.path)
    return EmulatedEdit(video, facts.duration)


def to_video_from_audio(
    audio: InputFile, image_path: str, width: int, height: int, fps: int, max_s: float = LONGEST_S
) -> EmulatedEdit:
    """A video as long as the sound, without the padding beyond the longest; `image_path` may be empty."""
    length_s = min(audio.facts.duration, max_s)
    video = VideoSpec(width, height, fps, length_s, audio_path=audio.path, image_path=image_path)
    return EmulatedEdit(video, length_s)


def _edited(facts: MediaInfo, order: EditOrder, length_s: float) -> VideoSpec:
    return VideoSpec(facts.width, facts.height, facts.fps, length_s, bool(facts.audio_codec), edit=order)
