"""What a media argument can refer to: its syntax only, nothing is opened here."""

import math
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from ltx_mcp.domain.argument_types import bare_id
from ltx_mcp.domain.errors import CallerError, ErrorCode

# a file of that name must be given with its extension or folder
_JOB = re.compile(r"(job_[A-Za-z0-9]{1,64}|set_[A-Za-z0-9]{1,64}(?:/[0-9]{1,4})?)(?:#(.*))?", re.DOTALL)
_VIDEO = re.compile(r"(job_[A-Za-z0-9]{8,64})\.mp4")
_HTTP_VIDEO = re.compile(r"http://[^/?#\s]+/(?:[^?#\s]*/)?(job_[A-Za-z0-9]{8,64})\.mp4(?:\?[^#\s]*)?(?:#(.*))?", re.I)
_FILE = re.compile(r"file:(?://(?:localhost)?(?=/))?(/[^/].*)", re.IGNORECASE | re.DOTALL)
_DRIVE = re.compile(r"/[A-Za-z]:[/\\]")
# how PNG, JPEG, GIF, WebP and WAV, MP4 and its relatives, WebM, MP3, OGG, FLAC and TIFF begin in base64
_BASE64 = re.compile(
    r"(?:iVBORw0KGgo|/9j/|R0lGOD|UklGR|AAAA[A-Za-z0-9+/]{2}Z0eX|GkXfo|SUQz|//[sPuv][A-Za-z0-9+/]|T2dnU|ZkxhQ|SUkqA|TU0AK)"
    r"[A-Za-z0-9+/_\s-]{60,}"
)
_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
# only at the end: addresses and paths may hold an @
_SECTION = re.compile(
    r"(.+)@([0-9]{1,6}(?:\.[0-9]{1,6})?)-([0-9]{1,6}(?:\.[0-9]{1,6})?)?[\s\"'`\u201c\u201d\u2018\u2019]*", re.DOTALL
)
_HTTPS = re.compile(r"https://[^/?#\s]", re.IGNORECASE)
MAX_REFERENCE_CHARS = 16_000
"""Of a URL, a path, or the part before the comma of a data URI; systems and servers accept less."""
# Two letters at least: C:\ and C:/ begin a path.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_FORMS = (
    "give an https URL, a data URI such as data:image/png;base64,…, a path inside the allowed folders,"
    " or a job id such as job_…#last or, of a set, set_…/2#last."
)

FramePosition = Literal["first", "last"] | float


@dataclass(frozen=True)
class JobFrameRef:
    """A frame of another job's video: the first, the last, or the one at some seconds; `names_no_frame`: the reference
    was the job alone. `job_id` is as written: `job_…`, or a take as `set_…/2`, or a set, which is none."""

    job_id: str
    frame_position: FramePosition = "last"
    names_no_frame: bool = False


@dataclass(frozen=True)
class WebUrl:
    """An https URL as the caller wrote it; not known to be public yet."""

    url: str


@dataclass(frozen=True)
class DataUri:
    """The MIME type a data URI claims, and its base64 text, not decoded yet."""

    mime: str
    payload: str


@dataclass(frozen=True)
class LocalPath:
    """A path as the caller wrote it; `~` is not expanded, and the file may not exist."""

    path: str


Reference = JobFrameRef | WebUrl | DataUri | LocalPath


MIME_TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "avi": "video/x-msvideo",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "aac": "audio/aac",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
}


def mime_type(format: str) -> str:
    """The media type of a format or container."""
    return MIME_TYPES.get(format, f"image/{format}")


def job_of_video(place: str) -> str:
    """The job id in the file name of one of our videos, given as path or URL; empty for any other name."""
    name = re.split(r"[/\\]", place)[-1]
    found = _VIDEO.fullmatch(name)
    return found[1] if found else ""


@dataclass(frozen=True)
class Section:
    """A part of a video, in seconds; `end` None: to its end."""

    start: float = 0.0
    end: float | None = None


WHOLE = Section()


def split_section(text: str, argument: str) -> tuple[str, Section]:
    """A reference to a video, and the section of it that is meant: `job_…@1.5-4`, `clip.mp4@2-`. Raises CallerError."""
    found = _SECTION.fullmatch(text)
    if found is None:
        return text, WHOLE
    section = Section(float(found[2]), float(found[3]) if found[3] else None)
    if section.end is not None and section.end <= section.start:
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            f"{argument}: a section ends after it begins; give seconds such as @1.5-4, or @1.5- for all from there on.",
        )
    return found[1], section


def read_reference(text: str, argument: str) -> Reference:
    """What a media argument refers to. A CallerError names the argument and the possible forms."""
    text = text.strip()
    if not text:
        raise _refusal(argument, "is empty")
    if "\0" in text:
        raise _refusal(argument, "holds a NUL character")
    is_data = text[:5].lower() == "data:"
    if _BASE64.match(text[:200]) and "." not in text[-10:]:  # a file's name has an extension
        return DataUri("", text)
    if len(text) > MAX_REFERENCE_CHARS and not is_data:
        raise _refusal(argument, f"has {len(text):,} characters, more than any address or path")
    if job := _JOB.fullmatch(bare_id(text)):
        if job[2] is None:
            return JobFrameRef(job[1], names_no_frame=True)
        return JobFrameRef(job[1], _read_moment(job[2], argument))
    if _HTTPS.match(text):
        return WebUrl(text)
    if is_data:
        return _read_data_uri(text, argument)
    if video := _HTTP_VIDEO.fullmatch(text):  # http is read for our own videos only
        return JobFrameRef(video[1], names_no_frame=True)
    if (file := _FILE.fullmatch(text)) and "\0" not in (path := unquote(file[1])):
        return LocalPath(path[1:] if _DRIVE.match(path) else path)
    if _SCHEME.match(text):
        # only the scheme is repeated: the rest may contain a signature
        raise _refusal(argument, f"cannot be read from {text.split(':', 1)[0][:20]}:// like this")
    return LocalPath(text)


def _read_moment(text: str, argument: str) -> FramePosition:
    if text == "first":
        return "first"
    if text == "last":
        return "last"
    if _SECONDS.fullmatch(text) and math.isfinite(seconds := float(text)):
        return seconds
    raise CallerError(
        ErrorCode.INVALID_REQUEST,
        f"{argument} names a moment that is not #first, #last or seconds such as #3.5; {_FORMS}",
    )


def _read_data_uri(text: str, argument: str) -> DataUri:
    comma = text.find(",", 0, MAX_REFERENCE_CHARS)
    mime, *parameters = text[5 : max(comma, 5)].split(";")
    if comma < 0 or "base64" not in [parameter.strip().lower() for parameter in parameters]:
        raise _refusal(argument, "is a data URI that is not base64")
    return DataUri(mime.strip().lower(), text[comma + 1 :])


def _refusal(argument: str, reason: str) -> CallerError:
    return CallerError(ErrorCode.INVALID_REQUEST, f"{argument} {reason}; {_FORMS}")
