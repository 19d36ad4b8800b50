"""The pictures, films and sounds that the emulated fal.ai's LTX-2.3 models are given: found, measured, and refused in
fal's words where they do not fit.

Assumed where its pages are silent: films are MP4, MOV, MKV or WebM of any codec, a WAV may hold PCM, data URIs may be
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
PICTURES = ("png", "jpeg", "webp", "avif", "heif")

Find = Callable[[str], Stored | None]
"""Looks up a file that lies on fal's own hosts by its address."""


@dataclass(frozen=True)
class Seen:
    """What is known of an order's media before its fields are read. `media` by address: None is no film or no sound,
    and what is missing cannot be fetched. `picture` is the path of an upright or a wide first frame, or empty."""

    find: Find
    media: Mapping[str, InputFile | None] = field(default_factory=dict)
    picture: str = ""
    upright: bool = False


async def look(body: Any, fields: Iterable[str], find: Find, inputs: Inputs) -> Seen:
    """Measure the media a body names in these fields of a model."""
    given = {name: body[name] for name in fields if isinstance(body.get(name), str)} if isinstance(body, dict) else {}
    media: dict[str, InputFile | None] = {}
    for name, kind in FIELDS.items():
        url = given.get(name, "")
        if file := await _file(url, find, inputs):
            media[url] = await inputs.probe(file, kind)
        elif public_address(url):
            media[url] = ELSEWHERE[kind]
    picture = await _file(given.get("image_url", ""), find, inputs) if media else None
    facts = await inputs.probe_image(picture) if picture else None
    if picture is None or facts is None:
        return Seen(find, media)
    return Seen(find, media, str(picture.path), facts.height > facts.width)


async def _file(url: str, find: Find, inputs: Inputs) -> Stored | None:
    decoded = decode_data_uri(url)
    return await inputs.keep(decoded[1]) if decoded else find(url)


def seen_by(info: ValidationInfo) -> Seen:
    """What the fields are read against."""
    assert isinstance(info.context, Seen)
    return info.context


def _picture(value: str, info: ValidationInfo) -> str:
    """A picture that can be looked at is looked at; an address elsewhere is taken unseen."""
    decoded, file = decode_data_uri(value), seen_by(info).find(value)
    head = decoded[1][:32] if decoded else file.head if file else None
    if head is None:
        if value.startswith("data:"):
            raise PydanticCustomError("image_load_error", "Failed to load the image")
        if not public_address(value):
            raise _not_fetched()
    elif image_kind(head) is None:
        raise PydanticCustomError("unsupported_image_format", "Unsupported image format", _supported(PICTURES))
    return value


def _video(value: str, info: ValidationInfo) -> str:
    _check_format(value, "video", seen_by(info))
    return value


def _audio(value: str, info: ValidationInfo) -> str:
    length_s = _check_format(value, "audio", seen_by(info)).facts.duration
    provided = {"provided_duration": length_s}
    if length_s < SHORTEST_S:
        told = f"Audio is too short: at least {SHORTEST_S} seconds are needed, {length_s:g} were provided"
        raise PydanticCustomError("audio_duration_too_short", told, {"min_duration": SHORTEST_S} | provided)
    if length_s > LONGEST_S + PADDING_S:
        told = f"Audio is too long: at most {LONGEST_S} seconds are allowed, {length_s:g} were provided"
        raise PydanticCustomError("audio_duration_too_long", told, {"max_duration": LONGEST_S} | provided)
    return value


def _check_format(url: str, kind: Kind, seen: Seen) -> InputFile:
    if url not in seen.media:
        raise _not_fetched()
    medium = seen.media[url]
    if medium is None or medium.facts.format not in FORMATS[kind]:
        error_type = "unsupported_audio_format" if kind == "audio" else "unsupported_video_format"
        raise PydanticCustomError(error_type, f"Unsupported {kind} format", _supported(FORMATS[kind]))
    return medium


def _supported(formats: tuple[str, ...]) -> dict[str, Any]:
    return {"supported_formats": list(formats)}


def _not_fetched() -> PydanticCustomError:
    return PydanticCustomError("file_download_error", "Failed to download the file")


Picture = Annotated[str, AfterValidator(_picture)]
Video = Annotated[str, AfterValidator(_video)]
Audio = Annotated[str, AfterValidator(_audio)]
