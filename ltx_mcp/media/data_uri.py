"""Writes what a data URI holds into a file, a piece at a time: however it is written, little more than itself is kept
in memory."""

import binascii
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ltx_mcp.media.paths import UnreadableError
from ltx_mcp.private import open_private

PIECE_CHARS = 1 << 18
MAX_CHARS_PER_BYTE = 4.5
"""Base64 whose every letter is percent-encoded has 4, and line ends beside it."""
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_SPACE = b" \t\n\r\f\v"
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def write_data(payload: str, target: Path, max_bytes: int) -> tuple[str, int]:
    """SHA-256 and size of what was written to the new file `target`. Raises UnreadableError, OSError.

    Base64 as people and models write it: wrapped, percent-encoded, URL-safe, with or without padding.
    """
    if len(payload) > max_bytes * MAX_CHARS_PER_BYTE + PIECE_CHARS:
        raise UnreadableError("is too large")
    with open_private(target, "xb") as out:
        return _decode(payload, out, max_bytes)


def _decode(payload: str, out: BinaryIO, max_bytes: int) -> tuple[str, int]:
    digest, size_bytes, rest, is_padded = hashlib.sha256(), 0, b"", False
    for letters in _letters(payload):
        data = letters.rstrip(b"=")
        if data.translate(None, _ALPHABET) or (is_padded and data):
            raise UnreadableError("is a data URI whose base64 is damaged or cut short")
        is_padded = is_padded or len(data) < len(letters)
        rest += data
        complete = len(rest) // 4 * 4
        content, rest = binascii.a2b_base64(rest[:complete]), rest[complete:]
        size_bytes += len(content)
        if size_bytes > max_bytes:
            raise UnreadableError("is too large")
        digest.update(content)
        out.write(content)
    if len(rest) == 1:
        raise UnreadableError("is a data URI whose base64 is damaged or cut short")
    content = binascii.a2b_base64(rest + b"=" * (-len(rest) % 4))
    if not size_bytes + len(content):
        raise UnreadableError("is an empty data URI")
    if size_bytes + len(content) > max_bytes:
        raise UnreadableError("is too large")
    digest.update(content)
    out.write(content)
    return digest.hexdigest(), size_bytes + len(content)


def _letters(payload: str) -> Iterator[bytes]:
    """What is left of each piece once escapes are read and blanks are gone."""
    held = b""
    for start in range(0, len(payload), PIECE_CHARS):
        piece = payload[start : start + PIECE_CHARS]
        if not piece.isascii():
            piece = "".join(piece.split())
        try:
            text = held + piece.encode("ascii")
        except UnicodeEncodeError as error:
            raise UnreadableError("is a data URI whose base64 is damaged or cut short") from error
        text, held = _split_escape(text) if start + PIECE_CHARS < len(payload) else (text, b"")
        yield _ESCAPES.sub(_unescaped, text).translate(_URL_SAFE, _SPACE)


def _split_escape(text: bytes) -> tuple[bytes, bytes]:
    """An escape that goes on in the next piece is kept for it."""
    cut = text.rfind(b"%", max(0, len(text) - 2))
    return (text, b"") if cut < 0 else (text[:cut], text[cut:])


def _unescaped(found: "re.Match[bytes]") -> bytes:
    return binascii.unhexlify(found[0].replace(b"%", b""))
