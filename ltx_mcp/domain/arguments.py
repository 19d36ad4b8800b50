"""The arguments of each tool, as pydantic models.

Descriptions are product text: a model reads them to choose values. Which providers and models exist is not known
here: the choices are added from the catalog where the schema is published.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

Operation = Literal["text_to_video", "image_to_video", "audio_to_video", "extend", "retake", "reframe"]
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


def _as_bounds(schema: dict[str, Any]) -> None:
    """Publish bounds: some hosts fail on an enum of numbers. The description has the values."""
    values = schema.pop("enum")
    schema |= {"minimum": min(values), "maximum": max(values)}


def _as_plain_number(schema: dict[str, Any]) -> None:
    """Publish no null: without a value, the connection decides how long the wait is."""
    schema.pop("anyOf")
    schema |= {"type": "number", "maximum": MAX_WAIT_S}


def _without_empty_choice(schema: dict[str, Any]) -> None:
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


def _as_integer_or_null(schema: dict[str, Any]) -> None:
    """Publish two plain types; the bounds are explained in errors."""
    schema["anyOf"] = [{"type": "integer"}, {"type": "null"}]


MAX_TAKES = 6
MAX_SEED = 2**31 - 1

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


class Arguments(BaseModel):
    """Base of all arguments: frozen; an unknown name is an error, and so is NUL, which databases cannot store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("should not hold a NUL character")
        return value


class GenerateVideo(Arguments):
    prompt: PromptText
    duration: Seconds = 6
    resolution: VideoResolution = "1080p"
    aspect_ratio: Annotated[AspectRatio, Field(description="Width to height (default 16:9)")] = "16:9"
    fps: FrameRate = 25
    generate_audio: GenerateAudio = True
    camera_motion: CameraMove = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: MaxCost = None
    takes: Takes = 1
    seed: Seed = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class AnimateImage(Arguments):
    prompt: PromptText
    image: Annotated[
        str,
        Field(
            min_length=1,
            description="First frame: URL, data URI, path, or of a job: job_…#last (#first, #3.5)",
        ),
    ]
    end_image: Annotated[str, Field(description="Last frame, in the same forms")] = ""
    duration: Seconds = 6
    resolution: VideoResolution = "1080p"
    aspect_ratio: AutoAspectRatio = "auto"
    fps: FrameRate = 25
    generate_audio: GenerateAudio = True
    camera_motion: CameraMove = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: MaxCost = None
    takes: Takes = 1
    seed: Seed = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class GenerateFromAudio(Arguments):
    audio: Annotated[str, Field(min_length=1, description="The sound: URL, data URI, path or job id")]
    image: Annotated[str, Field(description="First frame, as for animate_image; this, prompt or both")] = ""
    end_image: Annotated[str, Field(description="Last frame, with image")] = ""
    prompt: FreePrompt = ""
    resolution: VideoResolution = "1080p"
    aspect_ratio: AutoAspectRatio = "auto"
    fps: FrameRate = 25
    camera_motion: CameraMove = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: MaxCost = None
    takes: Takes = 1
    seed: Seed = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if not self.prompt and not self.image:
            raise ValueError("prompt or image is required")
        if self.end_image and not self.image:
            raise ValueError("image is required with end_image")
        return self


class ExtendVideo(Arguments):
    video: VideoSource
    duration: Annotated[float, Field(ge=2, le=20, description="Seconds to add, 2 to 20 (default 5)")] = 5
    prompt: FreePrompt = ""
    mode: Annotated[VideoMode, Field(description="Add after its end (default) or before its start")] = "end"
    context: Annotated[
        float,
        Field(ge=0, le=20, description="Seconds of it looked at and charged too, up to 20 (default 0: all that fit)"),
    ] = 0
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: MaxCost = None
    takes: Takes = 1
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class RetakeVideo(Arguments):
    video: VideoSource
    start_time: Annotated[float, Field(ge=0, allow_inf_nan=False, description="Where the section begins, in seconds")]
    duration: Annotated[
        float, Field(ge=2, allow_inf_nan=False, description="Length of the section in seconds, at least 2")
    ]
    prompt: FreePrompt = ""
    mode: Annotated[RetakeMode, Field(description="What is redone (default both)")] = "replace_audio_and_video"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: MaxCost = None
    takes: Takes = 1
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class ReframeVideo(Arguments):
    video: VideoSource
    aspect_ratio: Annotated[AspectRatio, Field(description="Width to height (default 9:16)")] = "9:16"
    resolution: VideoResolution = "1080p"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: MaxCost = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class EstimateCost(Arguments):
    operation: Annotated[str, Field(description="What to price (default text_to_video)")] = "text_to_video"
    duration: Seconds = 6
    resolution: VideoResolution = "1080p"
    aspect_ratio: Annotated[AspectRatio, Field(description="Width to height (default 16:9)")] = "16:9"
    fps: FrameRate = 25
    generate_audio: GenerateAudio = True
    camera_motion: CameraMove = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    count: Annotated[int, Field(ge=1, le=1000, description="How many such videos, 1 to 1000 (default 1)")] = 1
    audio: Annotated[str, Field(description="The sound of an audio_to_video")] = ""
    video: Annotated[str, Field(description="The video of an extend, retake or reframe")] = ""
    context: Annotated[
        float, Field(ge=0, le=20, description="Seconds an extend looks at, up to 20 (default 0: all)")
    ] = 0


class CheckJob(Arguments):
    job_id: JobId
    wait_seconds: LongWait = None
    frames: Annotated[bool, Field(description="Show a contact sheet of the video (default true)")] = True
    frame_at: Annotated[
        float,
        Field(ge=-1, allow_inf_nan=False, description="Show the frame at so many seconds instead (default -1: none)"),
    ] = -1


class CancelJob(Arguments):
    job_id: JobId


class ListJobs(Arguments):
    state: Annotated[
        Literal["", "queued", "submitting", "running", "saving", "succeeded", "failed", "cancelled", "unknown"],
        Field(description="Only jobs in this state", json_schema_extra=_without_empty_choice),
    ] = ""
    limit: Annotated[int, Field(ge=1, le=100, description="Jobs a page, 1 to 100 (default 10)")] = 10
    cursor: Annotated[str, Field(description="next_cursor of the page before")] = ""
    wait_seconds: Annotated[
        float,
        Field(
            ge=0,
            le=MAX_WAIT_S,
            allow_inf_nan=False,
            description=f"Seconds to wait until a live one ends: 0 (default) to {MAX_WAIT_S}",
        ),
    ] = 0


EditArguments = ExtendVideo | RetakeVideo | ReframeVideo
PaidArguments = GenerateVideo | AnimateImage | GenerateFromAudio | EditArguments
OPERATIONS: dict[type[Arguments], Operation] = {
    GenerateVideo: "text_to_video",
    AnimateImage: "image_to_video",
    GenerateFromAudio: "audio_to_video",
    ExtendVideo: "extend",
    RetakeVideo: "retake",
    ReframeVideo: "reframe",
}
