"""What the emulated fal.ai's LTX-2.5 models accept, as the copies of their model pages state it, and what they count.

Assumed where those are silent: a length of `auto` is eight seconds, with a last frame too; a video from a sound has 25
frames a second; the units of the bill are cents for all six, as they are for the two that somebody paid for.
"""

from typing import Annotated, ClassVar, Self

from pydantic import Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from ltx_mcp.domain.output_format import video_size
from ltx_mcp.emulator.edits import PADDING_S, EmulatedEdit
from ltx_mcp.emulator.emulator_state import VideoSpec
from ltx_mcp.emulator.fal.inputs import (
    LONGEST_AT_ANY_SIZE,
    AudioToVideo,
    FalInput,
    RatioOrAuto,
    media_file,
    one_of,
)
from ltx_mcp.emulator.fal.media import GivenMedia, Image, given_media

AUTOMATIC_S = 8
LONG_SIZES, LONG_RATES = ("720p", "1080p"), (24, 25)
MOTIONS = ("dolly_in", "dolly_out", "dolly_left", "dolly_right", "jib_up", "jib_down", "static", "focus_shift")

Prompt = Annotated[str, Field(min_length=1, max_length=5000)]
FastLength = Annotated[int | str, one_of(6, 8, 10, 12, 14, 16, 18, 20, "auto")]
ProLength = Annotated[int | str, one_of(6, 8, 10, "auto")]
Motion = Annotated[str, one_of(*MOTIONS)]
ShortAspectRatio = Annotated[str, one_of("16:9", "9:16")]


class TextToVideo25(FalInput):
    """text-to-video/fast."""

    CENTS: ClassVar[dict[str, int]] = {"720p": 9, "1080p": 13, "1440p": 19, "2160p": 30}

    prompt: Prompt
    duration: FastLength = "auto"
    resolution: Annotated[str, one_of("720p", "1080p", "1440p", "2160p")] = "1080p"
    aspect_ratio: ShortAspectRatio = "16:9"
    fps: Annotated[int, one_of(24, 25, 48, 50)] = 25
    generate_audio: bool = True
    camera_motion: Motion | None = None

    @model_validator(mode="after")
    def is_long_only_where_it_may_be(self) -> Self:
        """The rule across fields."""
        is_plain = self.resolution in LONG_SIZES and self.fps in LONG_RATES
        if isinstance(self.duration, int) and self.duration > LONGEST_AT_ANY_SIZE and not is_plain:
            message = "Durations longer than 10 seconds are only supported at 720p or 1080p with 24 or 25 FPS"
            raise PydanticCustomError("feature_not_supported", message)
        return self

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """As it was requested; a shape of `auto` is wide."""
        seconds = self.duration if isinstance(self.duration, int) else AUTOMATIC_S
        size = video_size(self.resolution, "9:16" if self.aspect_ratio == "9:16" else "16:9")
        video = VideoSpec(*size, self.fps, seconds, self.generate_audio)
        return EmulatedEdit(video, seconds, seconds * self.CENTS[self.resolution])


class TextToVideo25Pro(TextToVideo25):
    """text-to-video/pro."""

    CENTS: ClassVar[dict[str, int]] = {"720p": 12, "1080p": 17}

    duration: ProLength = "auto"
    resolution: Annotated[str, one_of("720p", "1080p")] = "1080p"
    fps: Annotated[int, one_of(24, 25, 50)] = 25


class ImageToVideo25(TextToVideo25):
    """image-to-video/fast."""

    image_url: Image
    end_image_url: Image | None = None
    aspect_ratio: RatioOrAuto = "auto"


class ImageToVideo25Pro(TextToVideo25Pro):
    """image-to-video/pro."""

    image_url: Image
    end_image_url: Image | None = None
    aspect_ratio: RatioOrAuto = "auto"


class AudioToVideo25(AudioToVideo):
    """audio-to-video/fast."""

    LONGEST_S: ClassVar[int] = 20
    CENTS: ClassVar[int] = 13

    prompt: Prompt | None = None

    @model_validator(mode="after")
    def is_not_too_long(self, info: ValidationInfo) -> Self:
        """The pro model takes half as much."""
        length_s = media_file(self.audio_url, given_media(info)).facts.duration
        if length_s > self.LONGEST_S + PADDING_S:
            ctx = {"max_duration": self.LONGEST_S, "provided_duration": length_s}
            message = f"Audio is too long: at most {self.LONGEST_S} seconds are allowed, {length_s:g} were provided"
            raise PydanticCustomError("audio_duration_too_long", message, ctx)
        return self

    def to_edit(self, given: GivenMedia) -> EmulatedEdit:
        """As with 2.3, counted in cents."""
        edit = super().to_edit(given)
        return EmulatedEdit(edit.video, edit.billed_s, round((edit.billed_s or 0) * self.CENTS, 4))


class AudioToVideo25Pro(AudioToVideo25):
    """audio-to-video/pro."""

    LONGEST_S: ClassVar[int] = 10
    CENTS: ClassVar[int] = 17
