"""What the LTX API takes for films from text and from a picture, and the words it refuses the rest with.

Where the pages are silent: unknown fields are kept and not refused, and an empty prompt is a missing one.
"""

from collections.abc import Mapping
from typing import Any

from ltx_mcp.emulator.emulator_state import EmulatorState, FilmSpec
from ltx_mcp.emulator.ltx.inputs import wrong_picture

FAST, PRO = ("ltx-2-3-fast", "ltx-2-5-fast"), ("ltx-2-3-pro", "ltx-2-5-pro")
AUTOMATIC = ("ltx-2-5-fast", "ltx-2-5-pro")
AUTOMATIC_S = 8
LANDSCAPE = {"1280x720": "720p", "1920x1080": "1080p", "2560x1440": "1440p", "3840x2160": "4K"}
TIERS = LANDSCAPE | {"x".join(reversed(size.split("x"))): tier for size, tier in LANDSCAPE.items()}
LONG_TIERS, LONG_RATES = ("720p", "1080p"), (24, 25)
RATES = (24, 25, 48, 50)
SHORT, LONG = (6, 8, 10), (6, 8, 10, 12, 14, 16, 18, 20)
MOTIONS = (
    "dolly_in",
    "dolly_out",
    "dolly_left",
    "dolly_right",
    "jib_up",
    "jib_down",
    "static",
    "focus_shift",
)
PROMPT_CHARS = 5000


def find_mistake(body: Mapping[str, Any], *, picture: bool, world: EmulatorState) -> str | None:
    """What is wrong with a body, in words; None where the pages allow it all. `picture`: it is image-to-video."""
    needed = ("prompt", "model", "duration", "resolution", *(("image_uri",) if picture else ()))
    if missing := [name for name in needed if name not in body]:
        return f"{missing[0]} is required"
    if wrong := _wrong_words(body):
        return wrong
    if wrong := _wrong_length(body):
        return wrong
    for name in ("image_uri", "last_frame_uri") if picture else ():
        if name in body and (wrong := wrong_picture(body[name], world)):
            return f"{name}: {wrong}"
    return None


def to_film(body: Mapping[str, Any]) -> FilmSpec:
    """The film that a right body leads to."""
    width, height = map(int, body["resolution"].split("x"))
    duration = AUTOMATIC_S if body["duration"] is None else body["duration"]
    return FilmSpec(width, height, body.get("fps", 24), duration, body.get("generate_audio", True))


def _wrong_words(body: Mapping[str, Any]) -> str | None:
    prompt = body["prompt"]
    if not isinstance(prompt, str) or not 0 < len(prompt) <= PROMPT_CHARS:
        return f"prompt must be a text of at most {PROMPT_CHARS} characters"
    if body["model"] not in (*FAST, *PRO):
        return f"model must be one of {', '.join((*FAST, *PRO))}"
    if "camera_motion" in body and body["camera_motion"] not in MOTIONS:
        return f"camera_motion must be one of {', '.join(MOTIONS)}"
    if not isinstance(body.get("generate_audio", True), bool):
        return "generate_audio must be true or false"
    return None


def _wrong_length(body: Mapping[str, Any]) -> str | None:
    """What the table of models, resolutions, frame rates and durations does not hold."""
    duration, resolution, fps = body["duration"], body["resolution"], body.get("fps", 24)
    if not isinstance(resolution, str) or resolution not in TIERS:
        return f"resolution must be one of {', '.join(TIERS)}"
    if type(fps) is not int or fps not in RATES:
        return f"fps must be one of {', '.join(map(str, RATES))}"
    if duration is None:
        if body["model"] not in AUTOMATIC or "last_frame_uri" in body:
            return "duration may be null only with an ltx-2-5 model, and without last_frame_uri"
        return None
    long = body["model"] in FAST and TIERS[resolution] in LONG_TIERS and fps in LONG_RATES
    allowed = LONG if long else SHORT
    if type(duration) is not int or duration not in allowed:
        return f"duration must be one of {', '.join(map(str, allowed))} for {body['model']}, {resolution}, {fps} fps"
    return None
