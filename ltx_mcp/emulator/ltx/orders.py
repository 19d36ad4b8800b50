"""What each endpoint of the LTX API accepts, the words it refuses the rest with, and the video an order leads to.

Where the pages are silent: unknown fields are kept and not refused; an empty prompt is a missing one where it is
required; null is not a default but a wrong value; how long a sound may be has nothing to do with the frame rate, and a
twentieth of a second above the longest is taken for an encoder's padding; a video's shape may be off by 1 %; a square
video is retaken as landscape, and one of another shape than the retake's gets bars; a new part that leaves less than a
second for its context is accepted.
"""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.domain.output_format import video_size
from ltx_mcp.emulator.edits import (
    LONGEST_CONTEXT_S,
    LONGEST_S,
    MAX_FRAMES,
    PADDING_S,
    SHORTEST_S,
    EmulatedEdit,
    has_too_many_frames,
    to_extended,
    to_reframed,
    to_retaken,
    to_video_from_audio,
    why_not_reframed,
)
from ltx_mcp.emulator.emulator_state import EmulatorState, VideoSpec
from ltx_mcp.emulator.inputs import InputFile
from ltx_mcp.emulator.ltx.errors import invalid
from ltx_mcp.emulator.ltx.inputs import MEGABYTE, check_image, find_image, read_media
from ltx_mcp.emulator.wire import Emulator

FAST, PRO = ("ltx-2-3-fast", "ltx-2-5-fast"), ("ltx-2-3-pro", "ltx-2-5-pro")
AUTOMATIC = ("ltx-2-5-fast", "ltx-2-5-pro")
AUTOMATIC_S = 8
LANDSCAPE = {"1280x720": "720p", "1920x1080": "1080p", "2560x1440": "1440p", "3840x2160": "4K"}
TIERS = LANDSCAPE | {"x".join(reversed(size.split("x"))): tier for size, tier in LANDSCAPE.items()}
LONG_TIERS, LONG_RATES = ("720p", "1080p"), (24, 25)
RATES = (24, 25, 48, 50)
SHORT, LONG = (6, 8, 10), (6, 8, 10, 12, 14, 16, 18, 20)
MOTIONS = ("dolly_in", "dolly_out", "dolly_left", "dolly_right", "jib_up", "jib_down", "static", "focus_shift")
PROMPT_CHARS = 5000

EDIT_MODEL = "ltx-2-3-pro"
AUDIO_MODELS = ("ltx-2-3-pro", "ltx-2-5-fast", "ltx-2-5-pro")
SHORT_AUDIO_MODEL = "ltx-2-5-pro"
LONG_AUDIO_S, SHORT_AUDIO_S = 20, 10
WIDE, TALL = "1920x1080", "1080x1920"
PARTS = ("replace_audio_and_video", "replace_video", "replace_audio")
LONG_EDGE, SHORT_EDGE, MIN_FRAMES = 3840, 2160, 73
REFRAMED = tuple(
    "{}x{}".format(*video_size(tier, ratio))
    for tier in ("720p", "1080p")
    for ratio in ("1:1", "4:5", "5:4", "9:16", "16:9")
)
EXTENDED_BYTES = 100 * MEGABYTE
RATIO, RATIO_OFF = math.log(16 / 9), 0.01

Choice = TypeVar("Choice", str, int)
Body = Mapping[str, Any]


def check_generation(body: Body, state: EmulatorState, *, from_image: bool) -> None:
    """text-to-video and image-to-video. Raises RequestRefused."""
    needed = ("prompt", "model", "duration", "resolution", *(("image_uri",) if from_image else ()))
    if missing := [name for name in needed if name not in body]:
        raise invalid(f"{missing[0]} is required")
    _check_prompt(body, min_chars=1)
    model = _one_of(body, "model", (*FAST, *PRO), FAST[0])
    _one_of(body, "camera_motion", MOTIONS, MOTIONS[0])
    if not isinstance(body.get("generate_audio", True), bool):
        raise invalid("generate_audio must be true or false")
    resolution = _one_of(body, "resolution", tuple(TIERS), WIDE)
    _check_length(body, model, resolution, _one_of(body, "fps", RATES, RATES[0]))
    for name in ("image_uri", "last_frame_uri") if from_image else ():
        check_image(body, name, state)


def _check_length(body: Body, model: str, resolution: str, fps: int) -> None:
    """The table of models, resolutions, frame rates and durations."""
    duration = body["duration"]
    if duration is None:
        if model not in AUTOMATIC or "last_frame_uri" in body:
            raise invalid("duration may be null only with an ltx-2-5 model, and without last_frame_uri")
        return
    allowed = LONG if model in FAST and TIERS[resolution] in LONG_TIERS and fps in LONG_RATES else SHORT
    if type(duration) is not int or duration not in allowed:
        listed = ", ".join(map(str, allowed))
        raise invalid(f"duration must be one of {listed} for {model}, {resolution}, {fps} fps")


async def read_generation(body: Body, emulator: Emulator, *, from_image: bool) -> EmulatedEdit:
    """text-to-video and image-to-video. Raises RequestRefused."""
    check_generation(body, emulator.state, from_image=from_image)
    width, height = _size(body["resolution"])
    duration = AUTOMATIC_S if body["duration"] is None else body["duration"]
    return EmulatedEdit(VideoSpec(width, height, body.get("fps", RATES[0]), duration, body.get("generate_audio", True)))


async def read_audio_to_video(body: Body, emulator: Emulator) -> EmulatedEdit:
    """audio-to-video. Raises RequestRefused."""
    _check_prompt(body)
    if not body.get("prompt") and "image_uri" not in body:
        raise invalid("prompt or image_uri is required")
    if "last_frame_uri" in body and "image_uri" not in body:
        raise invalid("last_frame_uri needs image_uri")
    model = _one_of(body, "model", AUDIO_MODELS, EDIT_MODEL)
    fps = _one_of(body, "fps", RATES, RATES[0])
    _one_of(body, "camera_motion", MOTIONS, MOTIONS[0])
    resolution = _one_of(body, "resolution", tuple(TIERS), WIDE)
    for name in ("image_uri", "last_frame_uri"):
        check_image(body, name, emulator.state)
    path, image = await _probe_image(body, emulator)
    if "resolution" not in body and image is not None and image.height > image.width:
        resolution = TALL
    audio = await read_media(body, "audio_uri", "audio", emulator)
    is_short = model == SHORT_AUDIO_MODEL or TIERS[resolution] not in LONG_TIERS
    max_s = SHORT_AUDIO_S if is_short else LONG_AUDIO_S
    if not SHORTEST_S <= audio.facts.duration <= max_s + PADDING_S:
        allowed = f"{SHORTEST_S} to {max_s} s for {model} at {resolution}"
        raise invalid(f"audio_uri: lasts {audio.facts.duration:g} s; must be {allowed}")
    return to_video_from_audio(audio, path, *_size(resolution), fps, max_s)


async def read_retake(body: Body, emulator: Emulator) -> EmulatedEdit:
    """retake. Raises RequestRefused."""
    _check_prompt(body)
    _one_of(body, "model", (EDIT_MODEL,), EDIT_MODEL)
    start_time = _seconds(body, "start_time", 0, math.inf)
    duration = _seconds(body, "duration", SHORTEST_S, math.inf)
    mode = _one_of(body, "mode", PARTS, PARTS[0])
    resolution = _one_of(body, "resolution", (WIDE, TALL), "")
    video = await _read_video(body, emulator)
    facts = video.facts
    if start_time >= facts.duration:
        raise invalid(f"start_time must lie before the end of the video, which lasts {facts.duration:g} s")
    edit = to_retaken(video, start_time, duration, mode)
    width, height = _size(resolution or (TALL if facts.height > facts.width else WIDE))
    return replace(edit, video=replace(edit.video, width=width, height=height))


async def read_extension(body: Body, emulator: Emulator) -> EmulatedEdit:
    """extend. Raises RequestRefused."""
    _check_prompt(body)
    _one_of(body, "model", (EDIT_MODEL,), EDIT_MODEL)
    duration = _seconds(body, "duration", SHORTEST_S, LONGEST_S)
    mode = _one_of(body, "mode", ("end", "start"), "end")
    context = _seconds(body, "context", 1, LONGEST_CONTEXT_S) if "context" in body else None
    video = await _read_video(body, emulator)
    facts = video.facts
    if facts.size_bytes > EXTENDED_BYTES:
        raise invalid("video_uri: must be of at most 100 MB")
    if abs(abs(math.log(facts.width / facts.height)) - RATIO) > RATIO_OFF:
        raise invalid(f"video_uri: is {facts.width}x{facts.height}; must be 16:9 or 9:16")
    if has_too_many_frames(facts, duration, context):
        raise invalid(f"context and duration must be at most {MAX_FRAMES} frames together at {facts.fps:g} fps")
    return to_extended(video, duration, mode, context)


async def read_reframe(body: Body, emulator: Emulator) -> EmulatedEdit:
    """video-to-video-reframe; the model is not read. Raises RequestRefused."""
    if "resolution" not in body:
        raise invalid("resolution is required")
    resolution = _one_of(body, "resolution", REFRAMED, "")
    if not isinstance(body.get("placement", {}), dict):
        raise invalid("placement must be an object")
    video = await read_media(body, "video_uri", "video", emulator)
    if reason := why_not_reframed(video.facts):
        raise invalid(f"video_uri: {reason}")
    return to_reframed(video, *_size(resolution))


READERS: dict[str, Callable[[Body, Emulator], Awaitable[EmulatedEdit]]] = {
    "text-to-video": partial(read_generation, from_image=False),
    "image-to-video": partial(read_generation, from_image=True),
    "audio-to-video": read_audio_to_video,
    "retake": read_retake,
    "extend": read_extension,
    "video-to-video-reframe": read_reframe,
}
"""By the name of the endpoint."""
ONLY_V2 = frozenset({"video-to-video-reframe"})


async def _read_video(body: Body, emulator: Emulator) -> InputFile:
    video = await read_media(body, "video_uri", "video", emulator)
    facts = video.facts
    short, long = sorted((facts.width, facts.height))
    if long > LONG_EDGE or short > SHORT_EDGE:
        raise invalid(f"video_uri: is {facts.width}x{facts.height}; must be at most {LONG_EDGE}x{SHORT_EDGE}")
    if facts.frames < MIN_FRAMES:
        raise invalid(f"video_uri: has {facts.frames} frames; must have at least {MIN_FRAMES}")
    return video


async def _probe_image(body: Body, emulator: Emulator) -> tuple[str, MediaInfo | None]:
    """Where the first image lies and what it is; empty and None where that is not known."""
    file = await find_image(body["image_uri"], emulator) if "image_uri" in body else None
    facts = await emulator.inputs.probe_image(file) if file else None
    return (str(file.path) if file and facts else ""), facts


def _size(resolution: str) -> tuple[int, int]:
    width, height = map(int, resolution.split("x"))
    return width, height


def _check_prompt(body: Body, min_chars: int = 0) -> None:
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str) or not min_chars <= len(prompt) <= PROMPT_CHARS:
        raise invalid(f"prompt must be a text of at most {PROMPT_CHARS} characters")


def _one_of(body: Body, name: str, allowed: tuple[Choice, ...], default: Choice) -> Choice:
    if name not in body:
        return default
    value = body[name]
    if type(value) is not type(allowed[0]) or value not in allowed:
        raise invalid(f"{name} must be one of {', '.join(map(str, allowed))}")
    chosen: Choice = value
    return chosen


def _seconds(body: Body, name: str, low: float, high: float) -> float:
    if name not in body:
        raise invalid(f"{name} is required")
    value = body[name]
    if type(value) not in (int, float) or not (low <= value <= high and math.isfinite(value)):
        allowed = f"at least {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
        raise invalid(f"{name} must be a number of seconds, {allowed}")
    return float(value)
