"""What the emulated fal.ai's LTX-2.3 models accept, as its model pages state it, and the film each input leads to."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from ltx_mcp.emulator.checks import decode_data_uri, image_kind, public_address
from ltx_mcp.emulator.fal_words import Refused, model_error
from ltx_mcp.emulator.world import FilmSpec

SIZES = {"1080p": (1920, 1080), "1440p": (2560, 1440), "2160p": (3840, 2160)}
LONGEST_AT_ANY_SIZE = 10

Find = Callable[[str], bytes | None]
"""Looks up the bytes of a file that lies on fal's own hosts by its address."""


def _one_of(*allowed: int | str) -> AfterValidator:
    def check(value: int | str) -> int | str:
        if value not in allowed:
            named = [repr(each) for each in allowed]
            message = f"Input should be {', '.join(named[:-1])} or {named[-1]}"
            raise PydanticCustomError("one_of", message, {"expected": list(allowed)})
        return value

    return AfterValidator(check)


def _picture(value: str, info: ValidationInfo) -> str:
    """A picture that can be looked at is looked at; an address elsewhere is taken unseen."""
    assert info.context is not None
    find: Find = info.context
    decoded = decode_data_uri(value)
    data = decoded[1] if decoded else find(value)
    if data is None:
        if value.startswith("data:"):
            raise PydanticCustomError("image_load_error", "Failed to load the image")
        if not public_address(value):
            raise PydanticCustomError("file_download_error", "Failed to download the file")
    elif image_kind(data[:32]) is None:
        supported = {"supported_formats": ["png", "jpeg", "webp", "avif", "heif"]}
        raise PydanticCustomError("unsupported_image_format", "Unsupported image format", supported)
    return value


ProSeconds = Annotated[int, _one_of(6, 8, 10)]
FastSeconds = Annotated[int, _one_of(6, 8, 10, 12, 14, 16, 18, 20)]
Fps = Annotated[int, _one_of(24, 25, 48, 50)]
Resolution = Annotated[str, _one_of(*SIZES)]
Ratio = Annotated[str, _one_of("16:9", "9:16")]
RatioOrAuto = Annotated[str, _one_of("auto", "16:9", "9:16")]
Picture = Annotated[str, AfterValidator(_picture)]


class Input(BaseModel, ABC):
    """What every model has. A field that is not known is ignored; types are not converted."""

    model_config = ConfigDict(strict=True, extra="ignore")

    @abstractmethod
    def film(self) -> FilmSpec:
        """The film this leads to."""


class TextToVideo(Input):
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

    def film(self) -> FilmSpec:
        """As it was asked for; `auto` is wide."""
        width, height = SIZES[self.resolution]
        if self.aspect_ratio == "9:16":
            width, height = height, width
        return FilmSpec(width, height, self.fps, self.duration, self.generate_audio)


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


@dataclass(frozen=True)
class Endpoint:
    """One model; its price is what fal's pricing call says of it, in USD per second at 1080p."""

    model: type[Input]
    usd_per_second: float


ENDPOINTS = {
    "fal-ai/ltx-2.3/text-to-video": Endpoint(TextToVideo, 0.08),
    "fal-ai/ltx-2.3/text-to-video/fast": Endpoint(TextToVideoFast, 0.04),
    "fal-ai/ltx-2.3/image-to-video": Endpoint(ImageToVideo, 0.06),
    "fal-ai/ltx-2.3/image-to-video/fast": Endpoint(ImageToVideoFast, 0.06),
}


def read_film(endpoint: Endpoint, body: Any, find: Find) -> FilmSpec:
    """The film that a body asks for. Raises Refused with the model's own list of what is wrong."""
    try:
        return endpoint.model.model_validate(body, context=find).film()
    except ValidationError as error:
        raise Refused(model_error([_detail(each) for each in error.errors(include_url=False)])) from error


def _detail(error: ErrorDetails) -> dict[str, Any]:
    said: dict[str, Any] = {"msg": error["msg"], "type": error["type"], "input": error["input"]}
    return {"loc": ["body", *error["loc"]]} | said | ({"ctx": error["ctx"]} if "ctx" in error else {})
