"""What the emulated fal.ai's LTX-2.3 models accept, as its model pages state it, and the video each input leads to.

Assumed where they are silent: what a video must be for LTX's own API to retake or extend it, it must be here; a model
refuses what concerns several fields as a whole, without naming one; a section that runs past the end ends there.
"""

from abc import ABC, abstractmethod
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.domain.output_format import video_size
from ltx_mcp.emulator.edits import (
    LONGEST_CONTEXT_S,
    LONGEST_S,
    MAX_FRAMES,
    SHORTEST_S,
    EmulatedEdit,
    has_too_many_frames,
    to_extended,
    to_reframed,
    to_retaken,
    to_video_from_audio,
    why_not_reframed,
)
from ltx_mcp.emulator.emulator_state import VideoSpec
from ltx_mcp.emulator.fal.media import Audio, GivenMedia, Image, Video, given_media
from ltx_mcp.emulator.inputs import InputFile

SIZES = {"1080p": (1920, 1080), "1440p": (2560, 1440), "2160p": (3840, 2160)}
LONGEST_AT_ANY_SIZE = 10
AUDIO_FPS = 25
MIN_FRAMES = 73


def one_of(*allowed: int | str) -> AfterValidator:
    """The values that fal lists."""

    def check(value: int | str) -> int | str:
        if value not in allowed:
            named = [repr(each) for each in allowed]
            message = f"Input should be {', '.join(named[:-1])} or {named[-1]}"
            raise PydanticCustomError("one_of", message, {"expected": list(allowed)})
        return value

    return AfterValidator(check)


ProSeconds = Annotated[int, one_of(6, 8, 10)]
FastSeconds = Annotated[int, one_of(6, 8, 10, 12, 14, 16, 18, 20)]
Fps = Annotated[int, one_of(24, 25, 48, 50)]
Resolution = Annotated[str, one_of(*SIZES)]
Ratio = Annotated[str, one_of("16:9", "9:16")]
RatioOrAuto = Annotated[str, one_of("auto", "16:9", "9:16")]
Seconds = Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S)]


class FalInput(BaseModel, ABC):
    """What every model has. A field that is not known is ignored; types are not converted."""

    model_config = ConfigDict(strict=True, extra="ignore")

    @abstractmethod
    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """The video this leads to, and what is billed."""


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

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """As it was requested; `auto` is wide."""
        width, height = SIZES[self.resolution]
        if self.aspect_ratio == "9:16":
            width, height = height, width
        return EmulatedEdit(VideoSpec(width, height, self.fps, self.duration, self.generate_audio))


class TextToVideoFast(TextToVideo):
    """text-to-video/fast."""

    duration: FastSeconds = 6


class ImageToVideo(TextToVideo):
    """image-to-video."""

    image_url: Image
    end_image_url: Image | None = None
    aspect_ratio: RatioOrAuto = "auto"


class ImageToVideoFast(ImageToVideo):
    """image-to-video/fast."""

    duration: FastSeconds = 6


class AudioToVideo(FalInput):
    """audio-to-video."""

    audio_url: Audio
    prompt: str | None = None
    image_url: Image | None = None
    aspect_ratio: RatioOrAuto = "auto"
    guidance_scale: Annotated[float, Field(ge=1, le=50)] | None = None

    @model_validator(mode="after")
    def has_something_to_show(self) -> Self:
        """A sound alone is not enough."""
        if not self.prompt and self.image_url is None:
            raise PydanticCustomError("value_error", "Either prompt or image_url must be provided")
        return self

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """`auto` is as the image is, and wide without one."""
        width, height = SIZES["1080p"]
        if self.aspect_ratio == "9:16" or (self.aspect_ratio == "auto" and given.is_upright):
            width, height = height, width
        return to_video_from_audio(media_file(self.audio_url, given), given.image_path, width, height, AUDIO_FPS)


class FalExtendVideo(FalInput):
    """extend-video."""

    video_url: Video
    prompt: str | None = None
    duration: Seconds = 5
    mode: Annotated[str, one_of("start", "end")] = "end"
    context: Annotated[float, Field(ge=1, le=LONGEST_CONTEXT_S)] | None = None

    @model_validator(mode="after")
    def fits(self, info: ValidationInfo) -> Self:
        """Long enough a video, and not more than the model can hold."""
        facts = _checked_facts(self.video_url, info)
        if has_too_many_frames(facts, self.duration, self.context):
            message = f"Context and duration must not exceed {MAX_FRAMES} frames together, at {facts.fps:g} FPS"
            raise PydanticCustomError("feature_not_supported", message)
        return self

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """The given video and more of it."""
        return to_extended(media_file(self.video_url, given), self.duration, self.mode, self.context)


class FalRetakeVideo(FalInput):
    """retake-video."""

    video_url: Video
    prompt: str
    start_time: Annotated[float, Field(ge=0, le=20)] = 0
    duration: Seconds = 5
    retake_mode: Annotated[str, one_of("replace_audio", "replace_video", "replace_audio_and_video")] = (
        "replace_audio_and_video"
    )

    @model_validator(mode="after")
    def fits(self, info: ValidationInfo) -> Self:
        """Long enough a video, and a section within it."""
        facts = _checked_facts(self.video_url, info)
        if self.start_time >= facts.duration:
            message = f"start_time should be less than the length of the video, {facts.duration:g} seconds"
            raise PydanticCustomError("feature_not_supported", message)
        return self

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """The given video with another section."""
        return to_retaken(media_file(self.video_url, given), self.start_time, self.duration, self.retake_mode)


class FalReframeVideo(FalInput):
    """reframe."""

    video_url: Video
    aspect_ratio: Annotated[str, one_of("1:1", "4:5", "5:4", "9:16", "16:9")] = "16:9"
    resolution: Annotated[str, one_of("720p", "1080p")] = "1080p"

    @model_validator(mode="after")
    def fits(self, info: ValidationInfo) -> Self:
        """Not more of a video than the model takes."""
        if reason := why_not_reframed(media_file(self.video_url, given_media(info)).facts):
            raise PydanticCustomError("feature_not_supported", f"The video {reason}")
        return self

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """The given video in another shape."""
        width, height = video_size(self.resolution, self.aspect_ratio)
        return to_reframed(media_file(self.video_url, given), width, height)


def media_file(url: str, given: GivenMedia) -> InputFile:
    """The video or the sound of a field that was checked."""
    file = given.by_url[url]
    assert file is not None
    return file


def _checked_facts(url: str, info: ValidationInfo) -> MediaInfo:
    """What a video is, once it is long enough."""
    facts = media_file(url, given_media(info)).facts
    if facts.frames < MIN_FRAMES:
        ctx = {"min_duration": round(MIN_FRAMES / facts.fps, 3), "provided_duration": facts.duration}
        message = f"Video is too short: at least {MIN_FRAMES} frames are needed, {facts.frames} were provided"
        raise PydanticCustomError("video_duration_too_short", message, ctx)
    return facts
