"""The arguments of each tool, as pydantic models, and the one record they all become.

Descriptions are product text: a model reads them to choose values. Which providers and models exist is not
known here; it comes from the facts and is added where the schema is published.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

Operation = Literal["text_to_video", "image_to_video", "audio_to_video", "extend", "retake"]
Resolution = Literal["720p", "1080p", "1440p", "2160p"]
AspectRatio = Literal["16:9", "9:16", "1:1", "4:3", "3:4", "4:5"]
CameraMotion = Literal[
    "none", "dolly_in", "dolly_out", "dolly_left", "dolly_right", "jib_up", "jib_down", "static", "focus_shift"
]
Fps = Literal[24, 25, 48, 50]
Adjust = Literal["never", "nearest"]

PromptText = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=5000),
    Field(description="Subject, action, camera, light, sound"),
]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False, description="Seconds; allowed: ltx://models")]
Size = Annotated[Resolution, Field(description="Short side")]
FrameRate = Annotated[
    Fps,
    BeforeValidator(lambda value: int(value) if isinstance(value, str | float) and str(value).isdigit() else value),
    Field(description="Frames/s"),
]
Sound = Annotated[bool, Field(description="With sound")]
Camera = Annotated[CameraMotion, Field(description="Where offered")]
ProviderName = Annotated[str, Field(description="auto: cheapest configured")]
ModelName = Annotated[str, Field(description="auto: any")]
AdjustRule = Annotated[Adjust, Field(description="nearest: duration, fps, resolution, input format may change")]
Cap = Annotated[float, Field(ge=0, allow_inf_nan=False, description="Refuse above; 0: no cap")]
Key = Annotated[
    str,
    StringConstraints(max_length=200),
    Field(description="Your name for it; same key on a retry: same job"),
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
    max_cost_usd: Cap = 0
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
    aspect_ratio: Annotated[AspectRatio | Literal["auto"], Field(description="auto: nearest to the picture")] = "auto"
    fps: FrameRate = 25
    generate_audio: Sound = True
    camera_motion: Camera = "none"
    provider: ProviderName = "auto"
    model: ModelName = "auto"
    adjust: AdjustRule = "never"
    max_cost_usd: Cap = 0
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


PaidArguments = GenerateVideo | AnimateImage


@dataclass(frozen=True)
class Request:
    """What is asked for, whichever tool asked. `aspect_ratio` may be `auto`; `max_cost_usd` None is no cap."""

    operation: Operation
    prompt: str
    duration: Decimal
    resolution: Resolution
    aspect_ratio: AspectRatio | Literal["auto"]
    fps: int
    generate_audio: bool
    camera_motion: CameraMotion
    provider: str
    model: str
    adjust: Adjust
    max_cost_usd: Decimal | None


@dataclass(frozen=True)
class Input:
    """One medium of a request: bytes we hold (`sha256`), or another job's film at a moment that may not exist yet.

    `width` and `height` are pixels as shown, `turned` says that only its EXIF turns it so; for a job that is still
    running they are what it ordered.
    """

    role: str
    sha256: str = ""
    format: str = ""
    size_bytes: int = 0
    width: int = 0
    height: int = 0
    turned: bool = False
    job_id: str = ""
    moment: str = ""

    @property
    def identity(self) -> str:
        """What makes two media the same: their bytes, or the job and moment they come from."""
        return f"job:{self.job_id}#{self.moment}" if self.job_id else f"sha256:{self.sha256}"


def to_decimal(number: float) -> Decimal:
    """The decimal a person would read: 6 for 6.0, 7.5 for 7.5."""
    exact = Decimal(repr(number))
    return exact.to_integral_value() if exact == exact.to_integral_value() else exact.normalize()


def to_request(arguments: PaidArguments | EstimateCost) -> Request:
    """One record from the arguments of any paid tool, or of an estimate, which asks for no particular film."""
    operation: Any = "image_to_video" if isinstance(arguments, AnimateImage) else "text_to_video"
    if isinstance(arguments, EstimateCost):
        operation, prompt, adjust, cap = arguments.operation, "", "never", 0.0
    else:
        prompt, adjust, cap = arguments.prompt, arguments.adjust, arguments.max_cost_usd
    return Request(
        operation=operation,
        prompt=prompt,
        duration=to_decimal(arguments.duration),
        resolution=arguments.resolution,
        aspect_ratio=arguments.aspect_ratio,
        fps=arguments.fps,
        generate_audio=arguments.generate_audio,
        camera_motion=arguments.camera_motion,
        provider=arguments.provider,
        model=arguments.model,
        adjust=adjust,  # type: ignore[arg-type]
        max_cost_usd=to_decimal(cap) if cap else None,
    )


def media_arguments(arguments: PaidArguments) -> dict[str, str]:
    """The media a request names, by role, in the order they are read."""
    if isinstance(arguments, GenerateVideo):
        return {}
    named = {"image": arguments.image, "end_image": arguments.end_image}
    return {role: text for role, text in named.items() if text}


def normal_form(request: Request, inputs: Sequence[Input]) -> dict[str, str]:
    """What makes two requests the same one: every argument but the cap, media by what they show."""
    fields = {
        name: format(value, "f") if isinstance(value, Decimal) else str(value)
        for name, value in vars(request).items()
        if name != "max_cost_usd"
    }
    return fields | {given.role: given.identity for given in inputs}


def fingerprint(normal: dict[str, str]) -> str:
    """A short name for a normal form; equal exactly when the forms are."""
    text = json.dumps(normal, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
