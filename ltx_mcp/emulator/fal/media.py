"""The images, videos and sounds that the emulated fal.ai's LTX-2.3 models are given: found, measured, and refused in
fal's words where they do not fit.

Assumed where its pages are silent: videos are MP4, MOV, MKV or WebM of any codec, a WAV may hold PCM, data URIs may be
of any size, a twentieth of a second above the longest sound is an encoder's padding.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from ltx_mcp.emulator.checks import decode_data_uri, image_kind, public_address
from ltx_mcp.emulator.edits import LONGEST_S, PADDING_S, SHORTEST_S
from ltx_mcp.emulator.inputs import ELSEWHERE, InputFile, Inputs, Kind, Stored

FIELDS: dict[str, Kind] = {"audio_url": "audio", "video_url": "video"}
FORMATS: dict[Kind, tuple[str, ...]] = {
    "audio": ("mp3", "ogg", "wav", "m4a", "aac"),
    "video": ("mp4", "mov", "mkv", "webm"),
}
IMAGES = ("png", "jpeg", "webp", "avif", "heif")

Find = Callable[[str], Stored | None]
"""Looks up a file that lies on fal's own hosts by its address."""


@dataclass(frozen=True)
class GivenMedia:
    """What is known about an order's media before its fields are read. `by_url`: None is no video or no sound, and what
    is missing cannot be fetched. `image_path` is that of the first frame, or empty."""

    find: Find
    by_url: Mapping[str, InputFile | None] = field(default_factory=dict)
    image_path: str = ""
    is_upright: bool = False


async def find_media(body: Any, fields: Iterable[str], find: Find, inputs: Inputs) -> GivenMedia:
    """Find and measure the media a body names in these fields of a model."""
    given = {name: body[name] for name in fields if isinstance(body.get(name), str)} if isinstance(body, dict) else {}
    media: dict[str, InputFile | None] = {}
    for name, kind in FIELDS.items():
        url = given.get(name, "")
        if file := await _file(url, find, inputs):
            media[url] = await inputs.probe(file, kind)
        elif public_address(url):
            media[url] = ELSEWHERE[kind]
    image = await _file(given.get("image_url", ""), find, inputs) if media else None
    facts = await inputs.probe_image(image) if image else None
    if image is None or facts is None:
        return GivenMedia(find, media)
    return GivenMedia(find, media, str(image.path), facts.height > facts.width)


async def _file(url: str, find: Find, inputs: Inputs) -> Stored | None:
    decoded = decode_data_uri(url)
    return await inputs.keep(decoded[1]) if decoded else find(url)


def given_media(info: ValidationInfo) -> GivenMedia:
    """What the fields are read against."""
    assert isinstance(info.context, GivenMedia)
    return info.context


def _image(value: str, info: ValidationInfo) -> str:
    """An image whose bytes are here is checked; an address elsewhere is accepted as it is."""
    decoded, file = decode_data_uri(value), given_media(info).find(value)
    head = decoded[1][:32] if decoded else file.head if file else None
    if head is None:
        if value.startswith("data:"):
            raise PydanticCustomError("image_load_error", "Failed to load the image")
        if not public_address(value):
            raise _not_fetched()
    elif image_kind(head) is None:
        raise PydanticCustomError("unsupported_image_format", "Unsupported image format", _supported(IMAGES))
    return value


def _video(value: str, info: ValidationInfo) -> str:
    _check_format(value, "video", given_media(info))
    return value


def _audio(value: str, info: ValidationInfo) -> str:
    length_s = _check_format(value, "audio", given_media(info)).facts.duration
    provided = {"provided_duration": length_s}
    if length_s < SHORTEST_S:
        message = f"Audio is too short: at least {SHORTEST_S} seconds are needed, {length_s:g} were provided"
        raise PydanticCustomError("audio_duration_too_short", message, {"min_duration": SHORTEST_S} | provided)
    if length_s > LONGEST_S + PADDING_S:
        message = f"Audio is too long: at most {LONGEST_S} seconds are allowed, {length_s:g} were provided"
        raise PydanticCustomError("audio_duration_too_long", message, {"max_duration": LONGEST_S} | provided)
    return value


def _check_format(url: str, kind: Kind, given: GivenMedia) -> InputFile:
    if url not in given.by_url:
        raise _not_fetched()
    file = given.by_url[url]
    if file is None or file.facts.format not in FORMATS[kind]:
        error_type = "unsupported_audio_format" if kind == "audio" else "unsupported_video_format"
        raise PydanticCustomError(error_type, f"Unsupported {kind} format", _supported(FORMATS[kind]))
    return file


def _supported(formats: tuple[str, ...]) -> dict[str, Any]:
    return {"supported_formats": list(formats)}


def _not_fetched() -> PydanticCustomError:
    return PydanticCustomError("file_download_error", "Failed to download the file")


Image = Annotated[str, AfterValidator(_image)]
Video = Annotated[str, AfterValidator(_video)]
Audio = Annotated[str, AfterValidator(_audio)]
