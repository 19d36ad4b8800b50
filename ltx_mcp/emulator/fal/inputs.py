"""What the emulated fal.ai's LTX-2.3 models accept, as its model pages state it, and the film each input leads to.

Assumed where they are silent: what a film must be for LTX's own API to retake or extend it, it must be here; a model
refuses what concerns several fields as a whole, without naming one; a section that runs past the end ends there.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from ltx_mcp.emulator.edits import (
    LONGEST_CONTEXT_S,
    LONGEST_S,
    MAX_FRAMES,
    SHORTEST_S,
    EmulatedEdit,
    to_extended,
    to_film_of,
    to_retaken,
    too_many_frames,
)
from ltx_mcp.emulator.emulator_state import FilmSpec
from ltx_mcp.emulator.fal.errors import FalRefusal, model_error
from ltx_mcp.emulator.fal.media import Audio, Find, Picture, Seen, Video, look, seen_by
from ltx_mcp.emulator.inputs import InputFile, Inputs

SIZES = {"1080p": (1920, 1080), "1440p": (2560, 1440), "2160p": (3840, 2160)}
LONGEST_AT_ANY_SIZE = 10
SOUND_FPS = 25
MIN_FRAMES = 73


def _one_of(*allowed: int | str) -> AfterValidator:
    def check(value: int | str) -> int | str:
        if value not in allowed:
            named = [repr(each) for each in allowed]
            message = f"Input should be {', '.join(named[:-1])} or {named[-1]}"
            raise PydanticCustomError("one_of", message, {"expected": list(allowed)})
        return value

    return AfterValidator(check)


ProSeconds = Annotated[int, _one_of(6, 8, 10)]
FastSeconds = Annotated[int, _one_of(6, 8, 10, 12, 14, 16, 18, 20)]
Fps = Annotated[int, _one_of(24, 25, 48, 50)]
Resolution = Annotated[str, _one_of(*SIZES)]
Ratio = Annotated[str, _one_of("16:9", "9:16")]
RatioOrAuto = Annotated[str, _one_of("auto", "16:9", "9:16")]
Seconds = Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)]


class FalInput(BaseModel, ABC):
    """What every model has. A field that is not known is ignored; types are not converted."""

    model_config = ConfigDict(strict=True, extra="ignore")

    @abstractmethod
    def asked(self, seen: Seen) -> EmulatedEdit:
        """The film this leads to, and what is billed."""


class TextToVideo(FalInput):
    """text-to-video."""

    prompt: str
    duration: ProSeconds = 6
    resolution: Resolution = "1080p"
    aspect_ratio: Ratio = "16:9"
    fps: Fps = 25
    generate_audio: bool = True

    @model_validator(mode="after")
    def long_only_plain(self) -> Self:
        """The fast model's rule across fields."""
        if self.duration > LONGEST_AT_ANY_SIZE and (self.fps, self.resolution) != (25, "1080p"):
            message = "Durations longer than 10 seconds are only supported with 25 FPS and 1080p resolution"
            raise PydanticCustomError("feature_not_supported", message)
        return self

    def asked(self, seen: Seen) -> EmulatedEdit:
        """As it was asked for; `auto` is wide."""
        width, height = SIZES[self.resolution]
        if self.aspect_ratio == "9:16":
            width, height = height, width
        return EmulatedEdit(FilmSpec(width, height, self.fps, self.duration, self.generate_audio))


class TextToVideoFast(TextToVideo):
    """text-to-video/fast."""

    duration: FastSeconds = 6


class ImageToVideo(TextToVideo):
    """image-to-video."""

    image_url: Picture
    end_image_url: Picture | None = None
    aspect_ratio: RatioOrAuto = "auto"


class ImageToVideoFast(ImageToVideo):
    """image-to-video/fast."""

    duration: FastSeconds = 6


class AudioToVideo(FalInput):
    """audio-to-video."""

    audio_url: Audio
    prompt: str | None = None
    image_url: Picture | None = None
    aspect_ratio: RatioOrAuto = "auto"
    guidance_scale: Annotated[float, Field(ge=1, le=50)] | None = None

    @model_validator(mode="after")
    def has_something_to_show(self) -> Self:
        """A sound alone is not enough."""
        if not self.prompt and self.image_url is None:
            raise PydanticCustomError("value_error", "Either prompt or image_url must be provided")
        return self

    def asked(self, seen: Seen) -> EmulatedEdit:
        """`auto` is as the picture is, and wide without one."""
        width, height = SIZES["1080p"]
        if self.aspect_ratio == "9:16" or (self.aspect_ratio == "auto" and seen.upright):
            width, height = height, width
        return to_film_of(_medium(self.audio_url, seen), seen.picture, width, height, SOUND_FPS)


class FalExtendVideo(FalInput):
    """extend-video."""

    video_url: Video
    prompt: str | None = None
    duration: Seconds = 5
    mode: Annotated[str, _one_of("start", "end")] = "end"
    context: Annotated[float, Field(ge=1, le=LONGEST_CONTEXT_S)] | None = None

    @model_validator(mode="after")
    def fits(self, info: ValidationInfo) -> Self:
        """Long enough a film, and not more than the model can hold."""
        facts = _medium(self.video_url, seen_by(info)).facts
        _check_frames(facts.frames, facts.fps, facts.duration)
        if too_many_frames(facts, self.duration, self.context):
            message = f"Context and duration must not exceed {MAX_FRAMES} frames together, at {facts.fps:g} FPS"
            raise PydanticCustomError("feature_not_supported", message)
        return self

    def asked(self, seen: Seen) -> EmulatedEdit:
        """The given film and more of it."""
        return to_extended(_medium(self.video_url, seen), self.duration, self.mode, self.context)


class FalRetakeVideo(FalInput):
    """retake-video."""

    video_url: Video
    prompt: str
    start_time: Annotated[float, Field(ge=0, le=20)] = 0
    duration: Seconds = 5
    retake_mode: Annotated[str, _one_of("replace_audio", "replace_video", "replace_audio_and_video")] = (
        "replace_audio_and_video"
    )

    @model_validator(mode="after")
    def fits(self, info: ValidationInfo) -> Self:
        """Long enough a film, and a section within it."""
        facts = _medium(self.video_url, seen_by(info)).facts
        _check_frames(facts.frames, facts.fps, facts.duration)
        if self.start_time >= facts.duration:
            message = f"start_time should be less than the length of the video, {facts.duration:g} seconds"
            raise PydanticCustomError("feature_not_supported", message)
        return self

    def asked(self, seen: Seen) -> EmulatedEdit:
        """The given film with another section."""
        return to_retaken(_medium(self.video_url, seen), self.start_time, self.duration, self.retake_mode)


def _medium(url: str, seen: Seen) -> InputFile:
    medium = seen.media[url]
    assert medium is not None
    return medium


def _check_frames(frames: int, fps: float, length_s: float) -> None:
    if frames < MIN_FRAMES:
        ctx = {"min_duration": round(MIN_FRAMES / fps, 3), "provided_duration": length_s}
        message = f"Video is too short: at least {MIN_FRAMES} frames are needed, {frames} were provided"
        raise PydanticCustomError("video_duration_too_short", message, ctx)


@dataclass(frozen=True)
class Endpoint:
    """One model; its price is what fal's pricing call says of it, in USD per second at 1080p."""

    model: type[FalInput]
    usd_per_second: float


ENDPOINTS = {
    "fal-ai/ltx-2.3/text-to-video": Endpoint(TextToVideo, 0.08),
    "fal-ai/ltx-2.3/text-to-video/fast": Endpoint(TextToVideoFast, 0.04),
    "fal-ai/ltx-2.3/image-to-video": Endpoint(ImageToVideo, 0.06),
    "fal-ai/ltx-2.3/image-to-video/fast": Endpoint(ImageToVideoFast, 0.06),
    "fal-ai/ltx-2.3/audio-to-video": Endpoint(AudioToVideo, 0.10),
    "fal-ai/ltx-2.3/extend-video": Endpoint(FalExtendVideo, 0.10),
    "fal-ai/ltx-2.3/retake-video": Endpoint(FalRetakeVideo, 0.10),
}


async def read_order(endpoint: Endpoint, body: Any, find: Find, inputs: Inputs) -> EmulatedEdit:
    """What a body asks for. Raises FalRefusal with the model's own list of what is wrong."""
    seen = await look(body, endpoint.model.model_fields, find, inputs)
    try:
        return endpoint.model.model_validate(body, context=seen).asked(seen)
    except ValidationError as error:
        raise FalRefusal(model_error([_detail(each) for each in error.errors(include_url=False)])) from error


def _detail(error: ErrorDetails) -> dict[str, Any]:
    said: dict[str, Any] = {"msg": error["msg"], "type": error["type"], "input": error["input"]}
    return {"loc": ["body", *error["loc"]]} | said | ({"ctx": error["ctx"]} if "ctx" in error else {})
