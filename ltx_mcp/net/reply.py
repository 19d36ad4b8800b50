"""A complete answer of a provider, and what can be read from it: JSON, words for a person, its clock, Retry-After."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

PAGE = "(an HTML page)"
MAX_RETRY_AFTER_S = 86_400.0
_MAX_CHECKED = 2_000
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp", b"moof")
"""What an MP4 or a QuickTime file may begin with, after its length."""
_MAGIC = (b"\x1a\x45\xdf\xa3", b"OggS", b"FLV\x01", b"\x00\x00\x01\xba", b"\x47\x40")
"""WebM and Matroska, Ogg, FLV, MPEG."""


def is_text(head: bytes) -> bool:
    """Whether a body that begins so is JSON or a page, and no video."""
    return not is_video(head) and head.lstrip(b"\xef\xbb\xbf\xfe\xff\0 \t\r\n")[:1] in (b"{", b"[", b"<", b'"')


def is_video(head: bytes) -> bool:
    """Whether a body that begins so is a video: by what containers begin with, whatever its label says."""
    return head[4:8] in _BOXES or head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


@dataclass(frozen=True)
class HttpResponse:
    """A complete answer. `content` may be cut short when the connection broke after the status."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes
    unread: str = ""
    """Why its body is not known, as the middle of a sentence."""

    @property
    def ok(self) -> bool:
        """A 2xx status."""
        return 200 <= self.status_code < 300

    @cached_property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        return read_json(self.content)

    @property
    def fields(self) -> dict[str, Any]:
        """The body as a JSON object; empty where it is something else."""
        body = self.json
        return body if isinstance(body, dict) else {}

    @property
    def text(self) -> str:
        """The body for a person; a page of HTML, and what is no text, is only named."""
        if self.unread and not self.content:
            return f"(an answer that {self.unread})"
        text = self.content.decode("utf-8", "replace").strip()
        seen = text[:_MAX_CHECKED]
        if "\0" in seen or seen.count("\ufffd") * 10 > len(seen):
            return f"({len(self.content):,} bytes that are no text)"
        return PAGE if text[:15].lower().startswith(("<!doctype", "<html")) else text

    @property
    def server_time(self) -> datetime | None:
        """The server's own time, by its Date header."""
        try:
            at = parsedate_to_datetime(self.headers.get("date", ""))
        except (ValueError, OverflowError):
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    def retry_after_s(self, now: datetime) -> float | None:
        """What Retry-After asks for, as seconds from `now`."""
        return read_retry_after(self.headers.get("retry-after", ""), now)


def read_json(text: str | bytes) -> Any:
    """JSON, of whatever encoding; None where it is none."""
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        return read_json(bytes(error.object).decode("latin-1"))
    except (ValueError, RecursionError):
        return None


def read_retry_after(text: str, now: datetime) -> float | None:
    """Seconds, of either form the header has, a day at most; None where it says nothing."""
    if text.strip().isdecimal():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
        wait_s = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, wait_s), MAX_RETRY_AFTER_S)
