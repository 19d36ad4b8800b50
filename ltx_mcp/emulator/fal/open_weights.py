"""What the emulated fal.ai's open-weight models accept, as a copy of their model page states it, and what they count.

Assumed where it is silent: frames and edges come as they were ordered, with edges made even; a sound's video has the
frames of 8 n + 1 that hold it; a size of `auto` is landscape_16_9, or as the image is; presets are as fal's other
models have them.
"""

import math
from abc import abstractmethod
from typing import Annotated, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from ltx_mcp.emulator.edits import EmulatedEdit, to_video_from_audio
from ltx_mcp.emulator.emulator_state import VideoSpec
from ltx_mcp.emulator.fal.inputs import FalInput, media_file, one_of
from ltx_mcp.emulator.fal.media import Audio, GivenMedia, Image, given_media

MIN_FRAMES, MAX_FRAMES = 9, 481
FRAME_STEP = 8
SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
LORAS = ("dolly_in", "dolly_out", "dolly_left", "dolly_right", "jib_up", "jib_down", "static", "none")


class VideoSize(BaseModel):
    """A size in pixels."""

    model_config = ConfigDict(strict=True)

    width: Annotated[int, Field(ge=1, le=14142)]
    height: Annotated[int, Field(ge=1, le=14142)]


Preset = Annotated[str, one_of(*SIZES)]
PresetOrAuto = Annotated[str, one_of("auto", *SIZES)]


class _OpenInput(FalInput):
    prompt: str
    num_frames: Annotated[int, Field(ge=MIN_FRAMES, le=MAX_FRAMES)] = 121
    video_size: VideoSize | PresetOrAuto = "auto"
    fps: Annotated[float, Field(ge=1, le=60)] = 24
    camera_lora: Annotated[str, one_of(*LORAS)] = "none"
    seed: int | None = None
    enable_prompt_expansion: bool = True

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """The video, its megapixels, and the seed and the prompt it was made with."""
        video, frames = self.to_video(given), self.count_frames(given)
        megapixels = math.ceil(video.width * video.height * frames / 1_000_000)
        seed = uuid4().int % 2**31 if self.seed is None else self.seed
        words = f"{self.prompt} (expanded)" if self.enable_prompt_expansion else self.prompt
        return EmulatedEdit(video, None, megapixels, {"seed": seed, "prompt": words})

    @abstractmethod
    def to_video(self, given: GivenMedia) -> VideoSpec:
        """What is made."""

    def count_frames(self, given: GivenMedia) -> int:
        """How many frames it has."""
        return self.num_frames

    def size(self, given: GivenMedia) -> tuple[int, int]:
        """Width and height."""
        if isinstance(self.video_size, VideoSize):
            width, height = self.video_size.width, self.video_size.height
            return width + width % 2, height + height % 2
        shape = "portrait_16_9" if given.is_upright else "landscape_16_9"
        return SIZES[shape if self.video_size == "auto" else self.video_size]


class OpenTextToVideo(_OpenInput):
    """text-to-video."""

    video_size: VideoSize | Preset = "landscape_16_9"
    generate_audio: bool = True

    def to_video(self, given: GivenMedia) -> VideoSpec:
        """As many frames as were ordered."""
        seconds = self.count_frames(given) / self.fps
        return VideoSpec(*self.size(given), self.fps, seconds, self.generate_audio)


class OpenImageToVideo(OpenTextToVideo):
    """image-to-video."""

    image_url: Image
    end_image_url: Image | None = None
    video_size: VideoSize | PresetOrAuto = "auto"


class OpenAudioToVideo(_OpenInput):
    """audio-to-video."""

    audio_url: Audio
    image_url: Image | None = None
    end_image_url: Image | None = None
    match_audio_length: bool = True

    @model_validator(mode="after")
    def holds_its_sound(self, info: ValidationInfo) -> Self:
        """Not more frames than the model has."""
        if (frames := self.count_frames(given_media(info))) > MAX_FRAMES:
            message = f"The audio needs {frames} frames at {self.fps:g} FPS, more than {MAX_FRAMES}"
            raise PydanticCustomError("feature_not_supported", message)
        return self

    def count_frames(self, given: GivenMedia) -> int:
        """Those that hold the sound, or those that were ordered."""
        if not self.match_audio_length:
            return self.num_frames
        frames = math.ceil(round(media_file(self.audio_url, given).facts.duration * self.fps, 3))
        return math.ceil((frames - 1) / FRAME_STEP) * FRAME_STEP + 1

    def to_video(self, given: GivenMedia) -> VideoSpec:
        """As long as the sound."""
        audio = media_file(self.audio_url, given)
        return to_video_from_audio(audio, given.image_path, *self.size(given), round(self.fps)).video
