"""The three forms in which the LTX API accepts images, videos and sounds, and which of them it can use.

Where the pages are silent: MB are 2**20 bytes, a file whose bytes are not of the type it was sent as is refused, an
upload may be as large as the slot lets in, and the sound beside a picture stream may be of any codec.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ltx_mcp.emulator.checks import decode_data_uri, is_image_as_sent, public_address
from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.emulator.inputs import ELSEWHERE, InputFile, Kind, Stored
from ltx_mcp.emulator.ltx.errors import invalid
from ltx_mcp.emulator.wire import Emulator

IMAGE_KINDS = ("png", "jpeg", "webp")
MEGABYTE = 2**20
UPLOAD_BYTES, IMAGE_BYTES = 200 * MEGABYTE, 15 * MEGABYTE
IMAGE_CHARS, MEDIA_CHARS = 7 * MEGABYTE, 15 * MEGABYTE
KEPT_S = 24 * 3600
NOT_PUBLIC = "must be a public https address on a domain name"
FORMATS: dict[Kind, dict[str, tuple[str, tuple[str, ...]]]] = {
    "video": {
        "mp4": ("video/mp4", ("h264", "hevc")),
        "mov": ("video/quicktime", ("h264", "hevc")),
        "mkv": ("video/x-matroska", ("h264", "hevc")),
    },
    "audio": {
        "wav": ("audio/wav", ("aac", "mp3", "vorbis", "flac")),
        "mp3": ("audio/mpeg", ("mp3",)),
        "m4a": ("audio/mp4", ("aac",)),
        "ogg": ("audio/ogg", ("opus", "vorbis")),
    },
}
"""Containers, each with the type it is sent as and its codecs."""
NAMED = {
    "video": "MP4, MOV or MKV with H.264 or H.265",
    "audio": "MP3, M4A with AAC-LC, OGG with Opus or Vorbis, or WAV with AAC-LC, MP3, Vorbis or FLAC, and no PCM",
}


def check_image(body: Mapping[str, Any], name: str, state: EmulatorState) -> None:
    """A field that may name an image, in one of the three forms. Raises RequestRefused."""
    if name not in body:
        return
    uri = body[name]
    if not isinstance(uri, str):
        raise invalid(f"{name}: must be a text")
    if uri.startswith("ltx://"):
        upload = _find_upload(uri, name, state)
        if upload["file"].size > IMAGE_BYTES:
            raise invalid(f"{name}: the picture is larger than 15 MB")
        is_usable = is_image_as_sent(upload["content_type"], upload["file"].head, IMAGE_KINDS)
    elif uri.startswith("data:"):
        data = decode_data_uri(uri)
        if data is None or len(uri) > IMAGE_CHARS:
            raise invalid(f"{name}: must be a whole base64 data URI of at most 7 MB")
        is_usable = is_image_as_sent(*data, IMAGE_KINDS)
    elif public_address(uri):
        return
    else:
        raise invalid(f"{name}: {NOT_PUBLIC}")
    if not is_usable:
        raise invalid(f"{name}: must be PNG, JPEG or WebP, as its type says")


async def find_image(uri: str, emulator: Emulator) -> Stored | None:
    """The bytes of an image that was checked; None where they lie elsewhere."""
    if uri.startswith("ltx://"):
        file: Stored = emulator.state.uploads[uri]["file"]
        return file
    data = decode_data_uri(uri)
    return await emulator.inputs.keep(data[1]) if data else None


async def read_media(body: Mapping[str, Any], name: str, kind: Kind, emulator: Emulator) -> InputFile:
    """The video or the sound a field names. Raises RequestRefused."""
    uri = body.get(name)
    if not isinstance(uri, str):
        raise invalid(f"{name} must be a text" if name in body else f"{name} is required")
    if not uri.startswith(("ltx://", "data:")):
        if not public_address(uri):
            raise invalid(f"{name}: {NOT_PUBLIC}")
        return ELSEWHERE[kind]
    content_type, file = await _find_file(uri, name, emulator)
    media = await emulator.inputs.probe(file, kind)
    if media is None:
        raise invalid(f"{name}: cannot be read as {kind}")
    facts = media.facts
    expected_type, codecs = FORMATS[kind].get(facts.format, ("", ()))
    codec = facts.video_codec if kind == "video" else facts.audio_codec
    if codec not in codecs:
        raise invalid(f"{name}: {facts.format} with {codec} is not supported; must be {NAMED[kind]}")
    if content_type != expected_type:
        raise invalid(f"{name}: was sent as {content_type} but is {expected_type}")
    return media


async def _find_file(uri: str, name: str, emulator: Emulator) -> tuple[str, Stored]:
    """The type something was sent as, and its bytes. Raises RequestRefused."""
    if uri.startswith("ltx://"):
        upload = _find_upload(uri, name, emulator.state)
        return upload["content_type"], upload["file"]
    data = decode_data_uri(uri)
    if data is None or len(uri) > MEDIA_CHARS:
        raise invalid(f"{name}: must be a whole base64 data URI of at most 15 MB")
    return data[0], await emulator.inputs.keep(data[1])


def _find_upload(uri: str, name: str, state: EmulatorState) -> Mapping[str, Any]:
    """Raises RequestRefused."""
    upload = state.uploads.get(uri)
    if upload is None or "stored_at" not in upload:
        raise invalid(f"{name}: nothing was uploaded there")
    if state.now() > upload["stored_at"] + timedelta(seconds=KEPT_S):
        raise invalid(f"{name}: the upload has expired")
    return upload
