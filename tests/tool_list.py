"""Every tool that the server lists, in its order, as all tests know it: a new tool is one row in TOOLS. Not a test."""

from dataclasses import dataclass
from typing import Any

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
SHOT: dict[str, Any] = {
    "prompt": "a pond",
    "duration": 6,
    "resolution": "1080p",
    "aspect_ratio": "16:9",
    "fps": 25,
    "generate_audio": True,
    "camera_motion": "none",
    "provider": "fal",
    "model": "auto",
}
ORDER = SHOT | {"adjust": "never", "max_cost_usd": 0, "takes": 1, "seed": None, "request_key": "", "wait_seconds": 0}
PRICED = {name: value for name, value in SHOT.items() if name != "prompt"}
EDIT = {"prompt": "a pond", "duration": 5, "provider": "fal", "model": "auto"} | {
    name: ORDER[name] for name in ("adjust", "max_cost_usd", "takes", "request_key", "wait_seconds")
}


@dataclass(frozen=True)
class ListedTool:
    """`arguments` is a valid call that gives every argument; `{job}` stands for the id of a job, `{cursor}` for a
    cursor. The description begins with `verb`, and names the core tools in `siblings`. A core tool is listed whatever
    providers there are."""

    verb: str
    arguments: dict[str, Any]
    siblings: tuple[str, ...] = ()
    is_core: bool = True


TOOLS = {
    "generate_video": ListedTool("Make", ORDER, ("check_job", "estimate_cost", "animate_image")),
    "animate_image": ListedTool(
        "Make", ORDER | {"image": PIXEL, "end_image": "", "aspect_ratio": "auto"}, ("generate_video",)
    ),
    "check_job": ListedTool("Show", {"job_id": "{job}", "wait_seconds": 0, "frames": True, "frame_at": -1}),
    "estimate_cost": ListedTool(
        "Price", PRICED | {"operation": "text_to_video", "count": 1, "audio": "", "video": "", "context": 0}
    ),
    "cancel_job": ListedTool("Cancel", {"job_id": "{job}"}),
    "list_jobs": ListedTool("List", {"state": "", "limit": 10, "cursor": "{cursor}", "wait_seconds": 0}),
    "generate_from_audio": ListedTool(
        "Make",
        {name: value for name, value in ORDER.items() if name not in ("duration", "generate_audio")}
        | {"audio": "data:audio/mpeg;base64,AAAA", "image": PIXEL, "aspect_ratio": "auto"},
        ("generate_video",),
        is_core=False,
    ),
    "extend_video": ListedTool(
        "Lengthen", EDIT | {"video": "{job}", "mode": "end", "context": 0}, ("generate_video",), is_core=False
    ),
    "retake_video": ListedTool(
        "Redo",
        EDIT | {"video": "{job}", "mode": "replace_video", "start_time": 1},
        ("generate_video", "estimate_cost"),
        is_core=False,
    ),
    "reframe_video": ListedTool(
        "Make",
        {name: value for name, value in EDIT.items() if name not in ("prompt", "duration", "takes")}
        | {"video": "{job}", "aspect_ratio": "9:16", "resolution": "1080p"},
        ("generate_video", "estimate_cost"),
        is_core=False,
    ),
    "join_videos": ListedTool(
        "Join",
        {
            "videos": ["{job}", "{job}@1-3"],
            "transition": "crossfade",
            "transition_seconds": 0.5,
            "audio": "",
            "audio_level": 0.3,
            "captions": "1\n00:00:01,000 --> 00:00:02,000\nA pond",
            "burn_captions": False,
            "titles": ["A pond", ""],
            "aspect_ratio": "16:9",
            "resolution": "1080p",
            "fps": 25,
            "request_key": "",
            "wait_seconds": 0,
        },
        ("check_job",),
        is_core=False,
    ),
}
CORE = [name for name, tool in TOOLS.items() if tool.is_core]
BUDGETS = {"core tools": (CORE, 15_800, 9_900), "all tools": ([*TOOLS], 26_500, 18_800)}
"""The most bytes of the list, and of the names, descriptions and input schemas in it: every chat pays for them."""
