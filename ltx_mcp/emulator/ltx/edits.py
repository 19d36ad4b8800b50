"""What the LTX API takes for films from a sound, retakes and extensions, and the words it refuses the rest with.

Where the pages are silent: null is not a default but a wrong value; how long a sound may be has nothing to do with the
frame rate, and a twentieth of a second above the longest is taken for an encoder's padding; a film's shape may be off
by 1 %; a square film is retaken as landscape, and one of another shape than the retake's gets bars; a new part that
leaves less than a second for its context is taken.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.emulator.edits import (
    LONGEST_CONTEXT_S,
    LONGEST_S,
    MAX_FRAMES,
    PADDING_S,
    SHORTEST_S,
    EmulatedEdit,
    is_upright,
    to_extended,
    to_film_of,
    to_retaken,
    too_many_frames,
)
from ltx_mcp.emulator.inputs import InputFile
from ltx_mcp.emulator.ltx.errors import LtxRefusal
from ltx_mcp.emulator.ltx.inputs import MEGABYTE, find_picture, read_medium, wrong_picture
from ltx_mcp.emulator.ltx.orders import LONG_TIERS, MOTIONS, PROMPT_CHARS, RATES, TIERS
from ltx_mcp.emulator.wire import Emulator

EDITOR = "ltx-2-3-pro"
SINGERS = ("ltx-2-3-pro", "ltx-2-5-fast", "ltx-2-5-pro")
SHORT_WINDED = "ltx-2-5-pro"
LONG_AUDIO_S, SHORT_AUDIO_S = 20, 10
WIDE, TALL = "1920x1080", "1080x1920"
PARTS = ("replace_audio_and_video", "replace_video", "replace_audio")
LONG_EDGE, SHORT_EDGE, MIN_FRAMES = 3840, 2160, 73
EXTENDED_BYTES = 100 * MEGABYTE
RATIO, RATIO_OFF = math.log(16 / 9), 0.01

Word = TypeVar("Word", str, int)


async def read_sounding(body: Mapping[str, Any], emulator: Emulator) -> EmulatedEdit:
    """audio-to-video. Raises LtxRefusal."""
    _check_prompt(body)
    if not body.get("prompt") and "image_uri" not in body:
        raise LtxRefusal("prompt or image_uri is required")
    if "last_frame_uri" in body and "image_uri" not in body:
        raise LtxRefusal("last_frame_uri needs image_uri")
    model = _one_of(body, "model", SINGERS, EDITOR)
    fps = _one_of(body, "fps", RATES, RATES[0])
    _one_of(body, "camera_motion", MOTIONS, MOTIONS[0])
    resolution = _one_of(body, "resolution", tuple(TIERS), WIDE)
    for name in ("image_uri", "last_frame_uri"):
        if name in body and (wrong := wrong_picture(body[name], emulator.world)):
            raise LtxRefusal(f"{name}: {wrong}")
    path, picture = await _probe_image(body, emulator)
    if "resolution" not in body and picture is not None and picture.height > picture.width:
        resolution = TALL
    sound = await read_medium(body, "audio_uri", "audio", emulator)
    short = model == SHORT_WINDED or TIERS[resolution] not in LONG_TIERS
    most_s = SHORT_AUDIO_S if short else LONG_AUDIO_S
    if not SHORTEST_S <= sound.facts.duration <= most_s + PADDING_S:
        allowed = f"{SHORTEST_S} to {most_s} s for {model} at {resolution}"
        raise LtxRefusal(f"audio_uri: lasts {sound.facts.duration:g} s; must be {allowed}")
    width, height = map(int, resolution.split("x"))
    return to_film_of(sound, path, width, height, fps, most_s)


async def read_retake(body: Mapping[str, Any], emulator: Emulator) -> EmulatedEdit:
    """retake. Raises LtxRefusal."""
    _check_prompt(body)
    _one_of(body, "model", (EDITOR,), EDITOR)
    start_time = _seconds(body, "start_time", 0, math.inf)
    duration = _seconds(body, "duration", SHORTEST_S, math.inf)
    mode = _one_of(body, "mode", PARTS, PARTS[0])
    resolution = _one_of(body, "resolution", (WIDE, TALL), "")
    video = await _read_video(body, emulator)
    if start_time >= video.facts.duration:
        raise LtxRefusal(f"start_time must lie before the end of the video, which lasts {video.facts.duration:g} s")
    asked = to_retaken(video, start_time, duration, mode)
    resolution = resolution or (TALL if is_upright(video.facts) else WIDE)
    width, height = map(int, resolution.split("x"))
    return replace(asked, film=replace(asked.film, width=width, height=height))


async def read_extension(body: Mapping[str, Any], emulator: Emulator) -> EmulatedEdit:
    """extend. Raises LtxRefusal."""
    _check_prompt(body)
    _one_of(body, "model", (EDITOR,), EDITOR)
    duration = _seconds(body, "duration", SHORTEST_S, LONGEST_S)
    mode = _one_of(body, "mode", ("end", "start"), "end")
    context = _seconds(body, "context", 1, LONGEST_CONTEXT_S) if "context" in body else None
    video = await _read_video(body, emulator)
    facts = video.facts
    if facts.size_bytes > EXTENDED_BYTES:
        raise LtxRefusal("video_uri: must be of at most 100 MB")
    if abs(abs(math.log(facts.width / facts.height)) - RATIO) > RATIO_OFF:
        raise LtxRefusal(f"video_uri: is {facts.width}x{facts.height}; must be 16:9 or 9:16")
    if too_many_frames(facts, duration, context):
        raise LtxRefusal(f"context and duration must be at most {MAX_FRAMES} frames together at {facts.fps:g} fps")
    return to_extended(video, duration, mode, context)


READ = {"audio-to-video": read_sounding, "retake": read_retake, "extend": read_extension}
"""By the name of the endpoint."""


async def _read_video(body: Mapping[str, Any], emulator: Emulator) -> InputFile:
    video = await read_medium(body, "video_uri", "video", emulator)
    _check_frames(video.facts)
    return video


def _check_frames(facts: MediaInfo) -> None:
    short, long = sorted((facts.width, facts.height))
    if long > LONG_EDGE or short > SHORT_EDGE:
        raise LtxRefusal(f"video_uri: is {facts.width}x{facts.height}; must be at most {LONG_EDGE}x{SHORT_EDGE}")
    if facts.frames < MIN_FRAMES:
        raise LtxRefusal(f"video_uri: has {facts.frames} frames; must have at least {MIN_FRAMES}")


async def _probe_image(body: Mapping[str, Any], emulator: Emulator) -> tuple[str, MediaInfo | None]:
    """Where the first picture lies and what it is; empty and None where that is not known."""
    file = await find_picture(body["image_uri"], emulator) if "image_uri" in body else None
    facts = await emulator.inputs.probe_image(file) if file else None
    return (str(file.path) if file and facts else ""), facts


def _check_prompt(body: Mapping[str, Any]) -> None:
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str) or len(prompt) > PROMPT_CHARS:
        raise LtxRefusal(f"prompt must be a text of at most {PROMPT_CHARS} characters")


def _one_of(body: Mapping[str, Any], name: str, allowed: tuple[Word, ...], default: Word) -> Word:
    if name not in body:
        return default
    value = body[name]
    if type(value) is not type(allowed[0]) or value not in allowed:
        raise LtxRefusal(f"{name} must be one of {', '.join(map(str, allowed))}")
    chosen: Word = value
    return chosen


def _seconds(body: Mapping[str, Any], name: str, low: float, high: float) -> float:
    if name not in body:
        raise LtxRefusal(f"{name} is required")
    value = body[name]
    if type(value) not in (int, float) or not (low <= value <= high and math.isfinite(value)):
        allowed = f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
        raise LtxRefusal(f"{name} must be a number of seconds, {allowed}")
    return float(value)
