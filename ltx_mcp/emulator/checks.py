"""What several emulated providers look at in a request: JSON bodies, data URIs, addresses, pictures.

No provider's rules here: each file states its own, from that provider's pages.
"""

import base64
import binascii
import ipaddress
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse

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


def decode_data_uri(text: str) -> tuple[str, bytes] | None:
    """The media type and the bytes of a `data:type/name;base64,…` URI; None where it is not a whole one."""
    match = DATA_URI.fullmatch(text)
    if match is None:
        return None
    try:
        return match[1], base64.b64decode(match[2], validate=True)
    except binascii.Error:
        return None


def public_address(text: str, schemes: frozenset[str] = frozenset({"https"}), *, numbers: bool = False) -> bool:
    """Whether this is an address somebody on the internet could fetch; `numbers`: an IP address may be its host."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme not in schemes or not host:
        return False
    try:
        return ipaddress.ip_address(host).is_global and numbers
    except ValueError:
        return "." in host and not host.endswith((".localhost", ".local", ".internal"))


async def read_json(request: Request) -> dict[str, Any] | None:
    """The JSON object in the body; None where the body, or its declared type, is something else. Half a surrogate pair
    is no text that could be given back."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return None
    try:
        body = json.loads(await request.body())
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


class WholeFilm(FileResponse):
    """A film as the body of an answer to POST: always all of it, as no page speaks of ranges there."""

    def __init__(self, path: Path, headers: dict[str, str] | None = None) -> None:
        super().__init__(path, headers=headers, media_type="video/mp4")
        del self.headers["accept-ranges"]
