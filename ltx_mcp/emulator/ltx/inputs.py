"""The three forms in which the LTX API takes pictures, films and sounds, and which of them it can use.

Where the pages are silent: MB are 2**20 bytes, a file whose bytes are not of the type it was sent as is refused, an
upload may be as large as the slot lets in, and the sound beside a picture stream may be of any codec.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ltx_mcp.emulator.checks import decode_data_uri, image_kind, public_address
from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.emulator.inputs import ELSEWHERE, InputFile, Kind, Stored
from ltx_mcp.emulator.ltx.errors import LtxRefusal
from ltx_mcp.emulator.wire import Emulator

PICTURES = ("png", "jpeg", "webp")
MEGABYTE = 2**20
UPLOAD_BYTES, PICTURE_BYTES = 200 * MEGABYTE, 15 * MEGABYTE
PICTURE_CHARS, MEDIUM_CHARS = 7 * MEGABYTE, 15 * MEGABYTE
KEPT_S = 24 * 3600
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


def wrong_picture(uri: Any, world: EmulatorState) -> str | None:
    """What is wrong with one of the three forms a picture may have."""
    if not isinstance(uri, str):
        return "must be a text"
    if uri.startswith("ltx://"):
        entry = world.uploads.get(uri)
        if wrong := _wrong_upload(entry, world):
            return wrong
        assert entry is not None
        if entry["file"].size > PICTURE_BYTES:
            return "the picture is larger than 15 MB"
        return None if _is_picture(entry["content_type"], entry["file"].head) else _OTHER_PICTURE
    if uri.startswith("data:"):
        data = decode_data_uri(uri)
        if data is None or len(uri) > PICTURE_CHARS:
            return "must be a whole base64 data URI of at most 7 MB"
        return None if _is_picture(*data) else _OTHER_PICTURE
    return None if public_address(uri) else _OTHER_ADDRESS


async def find_picture(uri: str, emulator: Emulator) -> Stored | None:
    """The bytes of a picture that was found right; None where they lie elsewhere."""
    if uri.startswith("ltx://"):
        file: Stored = emulator.world.uploads[uri]["file"]
        return file
    data = decode_data_uri(uri)
    return await emulator.inputs.keep(data[1]) if data else None


async def read_medium(body: Mapping[str, Any], name: str, kind: Kind, emulator: Emulator) -> InputFile:
    """The film or the sound a field names. Raises LtxRefusal."""
    uri = body.get(name)
    if not isinstance(uri, str):
        raise LtxRefusal(f"{name} must be a text" if name in body else f"{name} is required")
    if not uri.startswith(("ltx://", "data:")):
        if not public_address(uri):
            raise LtxRefusal(f"{name}: {_OTHER_ADDRESS}")
        return ELSEWHERE[kind]
    content_type, file = await _find_file(uri, name, emulator)
    medium = await emulator.inputs.probe(file, kind)
    if medium is None:
        raise LtxRefusal(f"{name}: cannot be read as {kind}")
    facts = medium.facts
    expected_type, codecs = FORMATS[kind].get(facts.format, ("", ()))
    codec = facts.video_codec if kind == "video" else facts.audio_codec
    if codec not in codecs:
        raise LtxRefusal(f"{name}: {facts.format} with {codec} is not supported; must be {NAMED[kind]}")
    if content_type != expected_type:
        raise LtxRefusal(f"{name}: was sent as {content_type} but is {expected_type}")
    return medium


async def _find_file(uri: str, name: str, emulator: Emulator) -> tuple[str, Stored]:
    """The type something was sent as, and its bytes. Raises LtxRefusal."""
    if uri.startswith("ltx://"):
        entry = emulator.world.uploads.get(uri)
        if wrong := _wrong_upload(entry, emulator.world):
            raise LtxRefusal(f"{name}: {wrong}")
        assert entry is not None
        return entry["content_type"], entry["file"]
    data = decode_data_uri(uri)
    if data is None or len(uri) > MEDIUM_CHARS:
        raise LtxRefusal(f"{name}: must be a whole base64 data URI of at most 15 MB")
    return data[0], await emulator.inputs.keep(data[1])


_OTHER_PICTURE = "must be PNG, JPEG or WebP, as its type says"
_OTHER_ADDRESS = "must be a public https address on a domain name"


def _wrong_upload(entry: Mapping[str, Any] | None, world: EmulatorState) -> str | None:
    if entry is None or "stored_at" not in entry:
        return "nothing was uploaded there"
    if world.now() > entry["stored_at"] + timedelta(seconds=KEPT_S):
        return "the upload has expired"
    return None


def _is_picture(content_type: str, head: bytes) -> bool:
    kind = image_kind(head[:32])
    return kind in PICTURES and content_type == f"image/{kind}"
