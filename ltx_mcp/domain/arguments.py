"""The arguments of each tool, as pydantic models.

Descriptions are product text: a model reads them to choose values. Which providers and models exist is not
known here; it comes from the facts and is added where the schema is published.
"""

from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator, model_validator

Operation = Literal["text_to_video", "image_to_video", "audio_to_video", "extend", "retake"]
Resolution = Literal["720p", "1080p", "1440p", "2160p"]
AspectRatio = Literal["16:9", "9:16", "1:1", "4:3", "3:4", "4:5"]
CameraMotion = Literal[
    "none", "dolly_in", "dolly_out", "dolly_left", "dolly_right", "jib_up", "jib_down", "static", "focus_shift"
]
Fps = Literal[24, 25, 48, 50]
Adjust = Literal["never", "nearest"]

VideoMode = Literal["end", "start"]
RetakeMode = Literal["replace_audio_and_video", "replace_video", "replace_audio"]


def _one_enum(schema: dict[str, Any]) -> None:
    """Published as one list of words."""
    words = [word for branch in schema.pop("anyOf") for word in branch.get("enum", [branch.get("const")])]
    schema |= {"enum": words, "type": "string"}


def _number_or_word(schema: dict[str, Any]) -> None:
    """Published in short: which word, the description says."""
    schema.pop("anyOf", None)
    schema["type"] = ["number", "string"]


def _read_cap(value: Any) -> Any:
    """Zero means that nothing may be paid: what is no amount, or only becomes zero by being read, is refused."""
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


PromptText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=5000),
    Field(description="Subject, action, camera, light, sound"),
]
Automatic = Literal["auto"]
Seconds = Annotated[
    Annotated[float, Field(gt=0, allow_inf_nan=False)] | Automatic,
    Field(description="Seconds, or auto; allowed: ltx://models", json_schema_extra=_number_or_word),
]
FreePrompt = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=5000),
    Field(description="What to film"),
]
Size = Annotated[Resolution, Field(description="Short side")]
FrameRate = Annotated[
    Fps,
    BeforeValidator(lambda value: int(value) if isinstance(value, str | float) and str(value).isdigit() else value),
    Field(description="Frames/s"),
]
Sound = Annotated[bool, Field(description="With sound")]
Camera = Annotated[CameraMotion, Field(description="Where offered")]
Shape = Annotated[AspectRatio | Automatic, Field(description="auto: as the picture", json_schema_extra=_one_enum)]
Footage = Annotated[str, Field(min_length=1, description="URL, data URI, path or job id")]
ProviderName = Annotated[str, Field(description="auto: cheapest configured")]
ModelName = Annotated[str, Field(description="auto: any")]
AdjustRule = Annotated[Adjust, Field(description="nearest: fit to what is offered")]
Cap = Annotated[
    Annotated[float, Field(ge=0, allow_inf_nan=False)] | None,
    BeforeValidator(_read_cap),
    Field(description="Refuse above; 0: only free; null: no cap"),
]
Key = Annotated[
    str,
    StringConstraints(max_length=200),
    Field(description="Same key on a retry: same job"),
]
ShortWait = Annotated[float, Field(ge=0, le=50, allow_inf_nan=False, description="Wait for the end")]
LongWait = Annotated[float, Field(ge=0, le=50, allow_inf_nan=False, description="Wait for the end")]
JobId = Annotated[str, StringConstraints(min_length=1), Field(description="From a paid tool")]


class Arguments(BaseModel):
    """What every tool's arguments share: frozen; an unknown name is an error, and NUL, which no database keeps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValueError("should not hold a NUL character")
        return value


class GenerateVideo(Arguments):
    """Arguments of generate_video."""

    prompt: PromptText
    duration: Seconds = 6
    resolution: Size = "1080p"
    aspect_ratio: Annotated[AspectRatio, Field(description="Shape")] = "16:9"
    fps: FrameRate = 25
    generate_audio: Sound = True
    camera_motion: Camera = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: Cap = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class AnimateImage(Arguments):
    """Arguments of animate_image."""

    prompt: PromptText
    image: Annotated[
        str,
        Field(
            min_length=1,
            description="First frame: URL, data URI, path or job_…#last (#first, #3.5)",
        ),
    ]
    end_image: Annotated[str, Field(description="Last frame, same forms")] = ""
    duration: Seconds = 6
    resolution: Size = "1080p"
    aspect_ratio: Shape = "auto"
    fps: FrameRate = 25
    generate_audio: Sound = True
    camera_motion: Camera = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: Cap = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class GenerateFromAudio(Arguments):
    """Arguments of generate_from_audio."""

    audio: Annotated[str, Field(min_length=1, description="Its sound: URL, data URI, path or job id")]
    image: Annotated[str, Field(description="First frame; this or prompt")] = ""
    prompt: FreePrompt = ""
    resolution: Size = "1080p"
    aspect_ratio: Shape = "auto"
    fps: FrameRate = 25
    camera_motion: Camera = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: Cap = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0

    @model_validator(mode="after")
    def _shows_something(self) -> Self:
        if not self.prompt and not self.image:
            raise ValueError("prompt or image is required")
        return self


class ExtendVideo(Arguments):
    """Arguments of extend_video."""

    video: Footage
    duration: Annotated[float, Field(ge=2, le=20, description="Seconds to add")] = 5
    prompt: FreePrompt = ""
    mode: Annotated[VideoMode, Field(description="Where to add")] = "end"
    context: Annotated[float, Field(ge=0, le=20, description="Seconds looked at, charged too; 0: all that fit")] = 0
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: Cap = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class RetakeVideo(Arguments):
    """Arguments of retake_video."""

    video: Footage
    start_time: Annotated[float, Field(ge=0, allow_inf_nan=False, description="Seconds from its start")]
    duration: Annotated[float, Field(ge=2, allow_inf_nan=False, description="Seconds to redo")]
    prompt: FreePrompt = ""
    mode: Annotated[RetakeMode, Field(description="What is redone")] = "replace_audio_and_video"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: Cap = None
    request_key: Key = ""
    wait_seconds: ShortWait = 0


class EstimateCost(Arguments):
    """Arguments of estimate_cost."""

    operation: Annotated[str, Field(description="What to price")] = "text_to_video"
    duration: Seconds = 6
    resolution: Size = "1080p"
    aspect_ratio: Annotated[AspectRatio, Field(description="Shape")] = "16:9"
    fps: FrameRate = 25
    generate_audio: Sound = True
    camera_motion: Camera = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    count: Annotated[int, Field(ge=1, le=1000, description="How many such videos")] = 1
    audio: Annotated[str, Field(description="For audio_to_video")] = ""
    video: Annotated[str, Field(description="For extend, retake")] = ""
    context: Annotated[float, Field(ge=0, le=20, description="Seconds, extend")] = 0


class CheckJob(Arguments):
    """Arguments of check_job."""

    job_id: JobId
    wait_seconds: LongWait = 25
    frames: Annotated[bool, Field(description="Show a contact sheet")] = True
    frame_at: Annotated[
        float, Field(ge=-1, allow_inf_nan=False, description="Show this second's frame instead; -1: none")
    ] = -1


class CancelJob(Arguments):
    """Arguments of cancel_job."""

    job_id: JobId


class ListJobs(Arguments):
    """Arguments of list_jobs."""

    state: Annotated[
        Literal["", "queued", "submitting", "running", "saving", "succeeded", "failed", "cancelled", "unknown"],
        Field(description="Only these; empty: all"),
    ] = ""
    limit: Annotated[int, Field(ge=1, le=100, description="Rows a page")] = 10
    cursor: Annotated[str, Field(description="next_cursor of the page before")] = ""
    wait_seconds: Annotated[
        float, Field(ge=0, le=50, allow_inf_nan=False, description="Wait until a live one ends")
    ] = 0


EditArguments = ExtendVideo | RetakeVideo
PaidArguments = GenerateVideo | AnimateImage | GenerateFromAudio | EditArguments
OPERATIONS: dict[type[Arguments], Operation] = {
    GenerateVideo: "text_to_video",
    AnimateImage: "image_to_video",
    GenerateFromAudio: "audio_to_video",
    ExtendVideo: "extend",
    RetakeVideo: "retake",
}
