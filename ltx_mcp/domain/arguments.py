"""The arguments of each tool, as pydantic models.

Descriptions are product text: a model reads them to choose values. Which providers and models exist is not known
here: the choices are added from the catalog where the schema is published.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ltx_mcp.domain.argument_types import (
    MAX_CAPTION_CHARS,
    MAX_WAIT_S,
    AdjustRule,
    AspectRatio,
    AutoAspectRatio,
    CameraMove,
    FrameRate,
    FreePrompt,
    GenerateAudio,
    JobId,
    JoinedAspectRatio,
    JoinedRate,
    JoinedResolution,
    JoinedVideos,
    Key,
    LongWait,
    MaxCost,
    ModelName,
    Operation,
    PromptText,
    ProviderName,
    RetakeMode,
    Seconds,
    Seed,
    ShortWait,
    Takes,
    Titles,
    Transition,
    VideoMode,
    VideoResolution,
    VideoSource,
    without_empty_choice,
)


class Arguments(BaseModel):
    """Base of all arguments: frozen; an unknown name is an error, and so is NUL, which databases cannot store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and "\0" in text for text in texts):
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
    end_image: Annotated[str, Field(description="Last frame")] = ""
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


FIRST_TRANSITION_S = 0.5


class JoinVideos(Arguments):
    videos: JoinedVideos
    transition: Annotated[
        Transition, Field(description="cut (default), fade (through black) or crossfade, between all")
    ] = "cut"
    transition_seconds: Annotated[float, Field(ge=0.1, le=3, description="Its seconds, 0.1 to 3 (default 0.5)")] = (
        FIRST_TRANSITION_S
    )
    audio: Annotated[str, Field(description="Music or a sound under all: URL, data URI, path or job id")] = ""
    audio_level: Annotated[float, Field(ge=0.05, le=1, description="Its loudness, 0.05 to 1 (default 0.3)")] = 0.3
    captions: Annotated[str, Field(max_length=MAX_CAPTION_CHARS, description="Text of an SRT or WebVTT file")] = ""
    burn_captions: Annotated[bool, Field(description="Draw them in (default false: a track)")] = False
    titles: Titles = []
    aspect_ratio: JoinedAspectRatio = ""
    resolution: JoinedResolution = ""
    fps: JoinedRate = 0
    request_key: Key = ""
    wait_seconds: ShortWait = 0

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if len(self.titles) > len(self.videos):
            raise ValueError(f"titles should be one for each of the {len(self.videos)} videos, not {len(self.titles)}")
        if self.transition == "cut" and self.transition_seconds != FIRST_TRANSITION_S:
            raise ValueError("transition_seconds should come with transition fade or crossfade")
        if self.burn_captions and not self.captions.strip():
            raise ValueError("burn_captions should come with captions")
        return self


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
        Field(description="Only jobs in this state", json_schema_extra=without_empty_choice),
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
OrderArguments = PaidArguments | JoinVideos
"""What becomes a job."""
OPERATIONS: dict[type[Arguments], Operation] = {
    GenerateVideo: "text_to_video",
    AnimateImage: "image_to_video",
    GenerateFromAudio: "audio_to_video",
    ExtendVideo: "extend",
    RetakeVideo: "retake",
    ReframeVideo: "reframe",
    JoinVideos: "join",
}
