"""The types of arguments: their values, how they are read from what models write, and how they are published.

Descriptions are product text: a model reads them to choose values.
"""

import json
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

Operation = Literal["text_to_video", "image_to_video", "audio_to_video", "extend", "retake", "reframe", "join"]
Resolution = Literal["720p", "1080p", "1440p", "2160p"]
AspectRatio = Literal["16:9", "9:16", "1:1", "4:3", "3:4", "4:5"]
CameraMotion = Literal[
    "none", "dolly_in", "dolly_out", "dolly_left", "dolly_right", "jib_up", "jib_down", "static", "focus_shift"
]
Fps = Literal[24, 25, 48, 50]
Adjust = Literal["never", "nearest"]

MAX_WAIT_S = 50
"""How long a call may wait, and all that it does may take: hosts give up after 60 s."""

VideoMode = Literal["end", "start"]
Transition = Literal["cut", "fade", "crossfade"]
RetakeMode = Literal["replace_audio_and_video", "replace_video", "replace_audio"]


_AROUND_IDS = " \t\r\n\"'`\u201c\u201d\u2018\u2019\u00a0"


def bare_id(text: str) -> str:
    """The id in what models write for one: `` `job_…` ``, "job_…", ltx://jobs/job_…, with blanks around it."""
    return text.strip(_AROUND_IDS).removeprefix("ltx://jobs/").strip(_AROUND_IDS)


def _as_one_enum(schema: dict[str, Any]) -> None:
    """Publish one list of choices."""
    choices = [choice for branch in schema.pop("anyOf") for choice in branch.get("enum", [branch.get("const")])]
    schema |= {"enum": choices, "type": "string"}


def _as_number_or_auto(schema: dict[str, Any]) -> None:
    """Publish two plain types: some hosts fail on a list of types, and on a constant."""
    schema["anyOf"] = [{"type": "number"}, {"type": "string", "enum": ["auto"]}]


def _as_choices(schema: dict[str, Any]) -> None:
    """Publish one list of choices without the empty one."""
    _as_one_enum(schema)
    without_empty_choice(schema)


def _as_bounds(schema: dict[str, Any]) -> None:
    """Publish bounds: some hosts fail on an enum of numbers. The description has the values."""
    values = schema.pop("enum")
    schema |= {"minimum": min(values), "maximum": max(values)}


def _as_bounds_or_nothing(schema: dict[str, Any]) -> None:
    """The same without 0, which stands for an argument that was left out."""
    _as_one_enum(schema)
    schema |= {"type": "integer", "enum": [rate for rate in schema["enum"] if rate]}
    schema.pop("default", None)
    _as_bounds(schema)


def _as_plain_number(schema: dict[str, Any]) -> None:
    """Publish no null: without a value, the connection decides how long the wait is."""
    schema.pop("anyOf")
    schema |= {"type": "number", "maximum": MAX_WAIT_S}


def without_empty_choice(schema: dict[str, Any]) -> None:
    """Publish no empty string, which stands for an argument that was left out."""
    schema["enum"] = [choice for choice in schema["enum"] if choice]


def _read_cap(value: Any) -> Any:
    """Refuse what is no amount and what only underflows to zero: zero means that nothing may be paid."""
    if isinstance(value, bool):
        raise ValueError("should be an amount in USD, or null for no cap")
    if isinstance(value, str):
        return _read_cap_text(value.strip())
    return abs(value) if value == 0 else value  # -0.0 is 0


def _read_cap_text(text: str) -> Any:
    try:
        exact = Decimal(text) if text else None
    except ArithmeticError:
        return text
    if exact is not None and exact.is_finite() and exact and not float(exact):
        raise ValueError("should be 0, or an amount that can be paid")
    return text if exact else exact


def _read_rate(value: Any) -> Any:
    """Accept an integer in any form: 25, 25.0, "25", "25.0"."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return value
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return value
    return int(number) if number.is_integer() else value


def _read_seed(value: Any) -> Any:
    """Accept an integer in any form, as for a rate; true and false are none, and an empty text is no seed."""
    if isinstance(value, bool):
        raise ValueError("should be a whole number, or null for the provider's own")
    return None if value == "" else _read_rate(value)


def _read_texts(value: Any) -> Any:
    """Accept a list that was written as JSON text, as some hosts pass lists on."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _as_integer_or_null(schema: dict[str, Any]) -> None:
    """Publish two plain types; the bounds are explained in errors."""
    schema["anyOf"] = [{"type": "integer"}, {"type": "null"}]


MAX_TAKES = 6
MAX_SEED = 2**31 - 1
MAX_JOINED = 40
MAX_CAPTION_CHARS = 200_000

PromptText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=5000),
    Field(description="What is filmed: subject, action, camera, light, sound; up to 5,000 characters"),
]
Automatic = Literal["auto"]
Seconds = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | Automatic,
    Field(
        description="Seconds (default 6; see ltx://models), or auto: the model decides",
        json_schema_extra=_as_number_or_auto,
    ),
]
FreePrompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=5000),
    Field(description="What happens; left out: the model decides"),
]
VideoResolution = Annotated[Resolution, Field(description="Short side (default 1080p)")]
FrameRate = Annotated[
    Fps,
    BeforeValidator(_read_rate),
    Field(description="Frames per second: 24, 25 (default), 48 or 50", json_schema_extra=_as_bounds),
]
GenerateAudio = Annotated[bool, Field(description="With sound (default true)")]
CameraMove = Annotated[CameraMotion, Field(description="Where offered (default none)")]
JoinedRate = Annotated[
    Fps | Literal[0],
    BeforeValidator(_read_rate),
    Field(
        description="Frames per second: 24, 25, 48 or 50 (left out: as most of them)",
        json_schema_extra=_as_bounds_or_nothing,
    ),
]
JoinedResolution = Annotated[
    Resolution | Literal[""],
    Field(description="Short side (left out: as most of them)", json_schema_extra=_as_choices),
]
JoinedAspectRatio = Annotated[
    AspectRatio | Literal[""],
    Field(description="Width to height (left out: as most of them)", json_schema_extra=_as_choices),
]
JoinedVideos = Annotated[
    list[Annotated[str, StringConstraints(min_length=1)]],
    BeforeValidator(_read_texts),
    Field(
        min_length=2,
        max_length=MAX_JOINED,
        description="2 to 40 in order: job ids, takes, paths, URLs; a section of one, in seconds: job_…@1.5-4",
    ),
]
Titles = Annotated[
    list[Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]],
    BeforeValidator(_read_texts),
    Field(max_length=MAX_JOINED, description="One for each video, shown over its beginning; empty: none"),
]
AutoAspectRatio = Annotated[
    AspectRatio | Automatic,
    Field(description="Width to height; auto (default): as the picture", json_schema_extra=_as_one_enum),
]
VideoSource = Annotated[str, Field(min_length=1, description="The video: URL, data URI, path or job id")]
ProviderName = Annotated[str, Field(description="auto (default): the cheapest set up")]
ModelName = Annotated[str, Field(description="auto (default): any that can do it")]
AdjustRule = Annotated[Adjust, Field(description="Not offered: never (default) refuses it, nearest adapts it")]
MaxCost = Annotated[
    Annotated[float, Field(ge=0, allow_inf_nan=False)] | None,
    BeforeValidator(_read_cap),
    Field(description="Most USD to be charged; 0: only free; null: no cap"),
]
Takes = Annotated[
    int,
    Field(ge=1, le=MAX_TAKES, description=f"How many versions, each charged: 1 (default) to {MAX_TAKES}"),
]
Seed = Annotated[
    Annotated[int, Field(ge=0, le=MAX_SEED)] | None,
    BeforeValidator(_read_seed),
    Field(
        description="Same seed, same look, where offered; null (default): none",
        json_schema_extra=_as_integer_or_null,
    ),
]
Key = Annotated[
    str,
    StringConstraints(max_length=200),
    Field(description="Your name for it: given again, the same job"),
]
ShortWait = Annotated[
    float,
    Field(
        ge=0,
        le=MAX_WAIT_S,
        allow_inf_nan=False,
        description=f"Seconds to wait for its end: 0 (default) to {MAX_WAIT_S}",
    ),
]
LongWait = Annotated[
    Annotated[float, Field(ge=0, le=MAX_WAIT_S, allow_inf_nan=False)] | None,
    Field(
        description=f"Seconds to wait for its end, up to {MAX_WAIT_S}; where calls time out, 3",
        json_schema_extra=_as_plain_number,
    ),
]
JobId = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(bare_id),
    Field(description="The job_…, set_… or set_…/2 that a paid tool or list_jobs gave"),
]
