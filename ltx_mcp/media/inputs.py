"""Reads the media a caller hands over: an https URL, a data URI or a file, copied, hashed and probed once.

`paths.py` decides which files may be read at all. `domain/media_reference.py` reads what a media argument says.
"""

import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol
from uuid import uuid4

from anyio import to_thread

from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.domain.media_reference import DataUri, LocalPath, WebUrl, read_reference
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.domain.request import Input, kind_of
from ltx_mcp.media.data_uri import write_data
from ltx_mcp.media.paths import Paths, UnreadableError, input_folders
from ltx_mcp.private import open_private

__all__ = ["Fetch", "InputReader", "ProbeImage", "ProbeMedia", "fetch_url", "input_folders", "read_reference"]

MAX_BYTES = 50_000_000
MAX_MEDIA_BYTES = 200_000_000
_CHUNK = 1 << 20

ProbeImage = Callable[[Path], Awaitable[MediaInfo]]
ProbeMedia = Callable[[Path, Literal["video", "audio"]], Awaitable[MediaInfo]]


class Fetch(Protocol):
    """Copies what a public https URL leads to into the new file `out`; gives the content type."""

    async def __call__(self, url: str, out: Path, *, argument: str, max_bytes: int) -> str: ...


async def fetch_url(url: str, out: Path, *, argument: str, max_bytes: int) -> str:
    """The guarded fetch of `net`, which brings httpx with it and so is imported at the first URL."""
    from ltx_mcp.net.ssrf import fetch_public

    return await fetch_public(url, out, argument=argument, max_bytes=max_bytes)


async def fetch_by_proxy(url: str, out: Path, *, argument: str, max_bytes: int) -> str:
    """The same through this machine's proxy where it has one: for callers who may use it themselves."""
    from ltx_mcp.net.route import Route
    from ltx_mcp.net.ssrf import EgressPolicy, fetch_public

    policy = EgressPolicy(route=Route())
    return await fetch_public(url, out, argument=argument, max_bytes=max_bytes, policy=policy)


@dataclass(frozen=True)
class Copied:
    """SHA-256 and size of a copy; `found` is the file it was made from, where a relative path had to be searched."""

    sha256: str
    size_bytes: int
    found: str = ""


@dataclass(frozen=True)
class ReadFile:
    """A file that was read: its copy, what a row keeps of it, and `found` as in Copied."""

    path: Path
    input: Input
    found: str = ""


class InputReader:
    """Turns a reference into a file in the caller's own temporary folder, or into one clear CallerError.

    `folders` are those a path may lie in; None is where paths mean nothing, as over HTTP. `cwd` and `is_typed`: see
    Paths. Videos and audio have `max_media_bytes` at most.
    """

    def __init__(
        self,
        folders: tuple[Path, ...] | None,
        probe_image: ProbeImage,
        fetch: Fetch = fetch_url,
        max_bytes: int = MAX_BYTES,
        probe_media: ProbeMedia | None = None,
        max_media_bytes: int = MAX_MEDIA_BYTES,
        *,
        cwd: Path | None = None,
        is_typed: bool = False,
    ) -> None:
        self._paths = None if folders is None else Paths(folders, cwd, is_typed)
        self._probe_image = probe_image
        self._probe_media = probe_media
        self._fetch = fetch
        self._max_bytes = max_bytes
        self._max_media_bytes = max_media_bytes

    @property
    def takes_paths(self) -> bool:
        """Whether callers share this machine's disk."""
        return self._paths is not None

    async def read_picture(self, ref: WebUrl | DataUri | LocalPath, argument: str, into: Path) -> ReadFile:
        """The image, copied into the folder `into` under a random name; nothing stays there on failure."""
        return await self._read(ref, argument, into, self._max_bytes, self._probe_image)

    async def read_medium(
        self, ref: WebUrl | DataUri | LocalPath, argument: str, into: Path, kind: Literal["video", "audio"]
    ) -> ReadFile:
        """The same of a video, or of an audio, which may be a video's."""
        listen = self._probe_media
        assert listen is not None
        return await self._read(ref, argument, into, self._max_media_bytes, lambda path: listen(path, kind))

    async def _read(
        self, ref: WebUrl | DataUri | LocalPath, argument: str, into: Path, max_bytes: int, probe: ProbeImage
    ) -> ReadFile:
        target = into / uuid4().hex
        try:
            with _storing(argument):
                copied = await self._copy(ref, argument, target, max_bytes)
            info = await _probed(probe(target), argument)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return ReadFile(target, to_input(info, argument, copied.sha256, copied.size_bytes), copied.found)

    async def _copy(self, ref: WebUrl | DataUri | LocalPath, argument: str, target: Path, max_bytes: int) -> Copied:
        match ref:
            case WebUrl(url):
                await self._fetch(url, target, argument=argument, max_bytes=max_bytes)
                return Copied(*await to_thread.run_sync(_hash_file, target))
            case DataUri():
                return Copied(*await to_thread.run_sync(_copy_data, ref, argument, target, max_bytes))
            case LocalPath(path):
                return await to_thread.run_sync(self._copy_path, path, argument, target, max_bytes)

    def _copy_path(self, path: str, argument: str, target: Path, max_bytes: int) -> Copied:
        paths = self._paths
        if paths is None:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"{argument} is a path, which is not accepted here;"
                " give an https URL, a data URI or a job id such as job_…#last.",
            )
        allowed = paths.allowed(_megabytes(max_bytes))
        try:
            place = paths.find(path, argument)
            if place is None:
                raise CallerError(ErrorCode.INVALID_REQUEST, f"{argument}: {shorten(path)} may not be read; {allowed}.")
            with place.opened() as source:
                sha256, size_bytes = _copy_file(source, target, max_bytes)
        except UnreadableError as error:
            sentence = f"{argument}: {shorten(path)} {error}; {allowed}."
            raise CallerError(ErrorCode.INPUT_FAILED, sentence) from error
        return Copied(sha256, size_bytes, str(place.path) if place.was_looked_for else "")


async def _probed(probe: Awaitable[MediaInfo], argument: str) -> MediaInfo:
    """What was found; an error names the argument."""
    try:
        return await probe
    except CallerError as error:
        if error.message.startswith((argument, f"The {argument} ")):
            raise
        raise CallerError(error.code, f"{argument}: {error.message}", error.hint) from error


def to_input(info: MediaInfo, role: str, sha256: str, size_bytes: int) -> Input:
    """What a row keeps of a file that was read; the codec of a video or an audio is that of the stream of its kind."""
    return Input(
        role,
        sha256,
        info.format,
        size_bytes,
        info.width,
        info.height,
        info.exif_rotated,
        codec=info.video_codec if kind_of(role) == "video" else info.audio_codec,
        duration=info.duration,
        fps=info.fps,
        frames=info.frames,
        has_audio=bool(info.audio_codec),
        doubt=info.doubt,
        traits=info.traits,
    )


@contextmanager
def _storing(argument: str) -> Iterator[None]:
    """What the caller's side can do wrong is raised as such before; an OSError left over is our own disk."""
    try:
        yield
    except OSError as error:
        raise SetupError(
            ErrorCode.STORAGE_FAILED,
            f"{argument} could not be kept on this machine: {error.strerror}.",
            "Free space there or make it writable, or set LTX_MCP_HOME to another folder on a local disk.",
        ) from error


def _copy_file(source: BinaryIO, target: Path, max_bytes: int) -> tuple[str, int]:
    if os.fstat(source.fileno()).st_size > max_bytes:
        raise UnreadableError("is too large")
    digest, size_bytes = hashlib.sha256(), 0
    with open_private(target, "xb") as out:
        while chunk := _read(source):
            size_bytes += len(chunk)
            # Counted again: a file can grow while it is read.
            if size_bytes > max_bytes:
                raise UnreadableError("is too large")
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest(), size_bytes


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(_CHUNK)
    except OSError as error:
        raise UnreadableError("cannot be read") from error


def _hash_file(target: Path) -> tuple[str, int]:
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _copy_data(ref: DataUri, argument: str, target: Path, max_bytes: int) -> tuple[str, int]:
    try:
        return write_data(ref.payload, target, max_bytes)
    except UnreadableError as error:
        sentence = f"{argument} {error}; give base64 of a file of at most {_megabytes(max_bytes)}."
        raise CallerError(ErrorCode.INPUT_FAILED, sentence) from error


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:g} MB"
