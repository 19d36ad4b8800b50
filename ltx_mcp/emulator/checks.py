"""What several emulated providers read in a request and put into a response: JSON bodies, data URIs, addresses, images.

No provider's rules here: each file states its own, from that provider's pages.
"""

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse

from ltx_mcp.emulator.emulator_state import EmulatorState

DATA_URI = re.compile(r"data:([a-z]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/]+={0,2})")
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def image_kind(head: bytes) -> str | None:
    """`png`, `jpeg`, `webp`, `avif` or `heif` by the first 32 bytes of a file; None for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] != b"ftyp":
        return None
    brands = {head[at : at + 4] for at in range(8, min(len(head), 32), 4)}
    if brands & {b"avif", b"avis"}:
        return "avif"
    return "heif" if brands & HEIF_BRANDS else None


def is_image_as_sent(content_type: str | None, head: bytes, kinds: Collection[str]) -> bool:
    """Whether a file is an image of one of these kinds, and was sent as the type it is."""
    kind = image_kind(head[:32])
    return kind in kinds and content_type == f"image/{kind}"


def decode_data_uri(text: str) -> tuple[str, bytes] | None:
    """The media type and the bytes of a `data:type/name;base64,…` URI; None where it is not a complete one."""
    match = DATA_URI.fullmatch(text)
    if match is None:
        return None
    try:
        return match[1], base64.b64decode(match[2], validate=True)
    except binascii.Error:
        return None


def public_address(text: str, *, lenient: bool = False) -> bool:
    """Whether this is an https address on a public domain name; `lenient`: http and public IP addresses too."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in (("http", "https") if lenient else ("https",)) or not host:
        return False
    try:
        return ipaddress.ip_address(host).is_global and lenient
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal"))


def has_key(request: Request, state: EmulatorState, provider: str, given: object, key: str) -> bool:
    """Whether a key is the provider's own, or that of one of the state's accounts; `request.state.account` is then
    whose it is."""
    request.state.account = state.account_of(provider, given, key)
    return request.state.account is not None


def has_bearer(request: Request, state: EmulatorState, provider: str, key: str) -> bool:
    """The same for the key that the request carries as a bearer token."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return has_key(request, state, provider, token if scheme == "Bearer" else None, key)


def media_type(request: Request) -> str:
    """The type its body is sent as, without parameters."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower()


async def read_json(request: Request) -> dict[str, Any] | None:
    """The JSON object in the body; None where the body, or its declared type, is something else. Half a surrogate pair
    is no text that could be given back."""
    if media_type(request) != "application/json":
        return None
    try:
        body = json.loads(await request.body())
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def retry_headers(seconds: float | None) -> dict[str, str]:
    """Retry-After, where there is something to say."""
    return {} if seconds is None else {"retry-after": str(seconds)}


class WholeVideoResponse(FileResponse):
    """A video as the body of an answer to POST: always all of it, as no page speaks of ranges there."""

    def __init__(self, path: Path, headers: dict[str, str] | None = None) -> None:
        super().__init__(path, headers=headers, media_type="video/mp4")
        del self.headers["accept-ranges"]
