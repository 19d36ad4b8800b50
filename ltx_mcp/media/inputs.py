"""Reads the media a caller hands over: an https URL, a data URI or a file, copied, hashed and looked at once.

Which files may be read at all is decided here. What a media argument says is read in `domain/media.py`.
"""

import hashlib
import os
import stat
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, TypeVar
from uuid import uuid4

from anyio import to_thread

from ltx_mcp.domain.errors import CallerError, ErrorCode, SetupError
from ltx_mcp.domain.media import DataUri, LocalPath, Medium, WebUrl, read_reference
from ltx_mcp.domain.quoting import shorten
from ltx_mcp.media.data_uri import UnreadableDataError, write_data
from ltx_mcp.media.facts import MediumFacts, PictureFacts
from ltx_mcp.private import open_private

__all__ = ["Fetch", "InputReader", "Listen", "Look", "fetch_url", "input_folders", "read_reference"]

MAX_BYTES = 50_000_000
MAX_MEDIUM_BYTES = 200_000_000
_CHUNK = 1 << 20
_PERSONAL = ("Pictures", "Videos", "Movies", "Downloads", "Desktop")

Look = Callable[[Path], Awaitable[PictureFacts]]
Listen = Callable[[Path, Literal["video", "audio"]], Awaitable[MediumFacts]]


class Fetch(Protocol):
    """Copies what a public https URL leads to into the new file `out`; gives the content type."""

    async def __call__(self, url: str, out: Path, *, argument: str, max_bytes: int) -> str: ...


_Facts = TypeVar("_Facts", PictureFacts, MediumFacts)


class _Unreadable(Exception):
    """Why a file was given up, as the middle of a sentence for the caller."""


async def fetch_url(url: str, out: Path, *, argument: str, max_bytes: int) -> str:
    """The guarded fetch of `net`, which brings httpx with it and so is imported at the first URL."""
    from ltx_mcp.net.guard import fetch_public

    return await fetch_public(url, out, argument=argument, max_bytes=max_bytes)


def input_folders(setting: str | None, cwd: Path | None, home: Path) -> tuple[Path, ...]:
    """The folders a path argument may lie in: those of LTX_MCP_INPUT_DIRS, or the working directory.

    Desktop hosts start servers in `/` or the home folder; there, and where it was removed (None), it is the folders
    people keep media in.
    """
    named = [text.strip() for text in (setting or "").split(os.pathsep) if text.strip()]
    if named:
        return tuple(dict.fromkeys((cwd or Path()) / _at_home(text, home) for text in named))
    if cwd is not None and cwd != Path(cwd.anchor) and not home.resolve().is_relative_to(cwd.resolve()):
        return (cwd,)
    return tuple(folder for folder in (home / name for name in _PERSONAL) if folder.is_dir())


def _at_home(text: str, home: Path) -> Path:
    if text == "~":
        return home
    return home / text[2:] if text.startswith(("~/", "~" + os.sep)) else Path(text)


class InputReader:
    """Turns a reference into a medium in the caller's own temporary folder, or into one clear CallerError.

    `folders` are those a path may lie in; None is where paths mean nothing, as over HTTP. `look` decodes a picture,
    `listen` a video or a sound, of `max_medium_bytes` at most.
    """

    def __init__(
        self,
        folders: tuple[Path, ...] | None,
        look: Look,
        fetch: Fetch = fetch_url,
        max_bytes: int = MAX_BYTES,
        listen: Listen | None = None,
        max_medium_bytes: int = MAX_MEDIUM_BYTES,
    ) -> None:
        self._folders = folders
        self._look = look
        self._listen = listen
        self._fetch = fetch
        self._max_bytes = max_bytes
        self._max_medium_bytes = max_medium_bytes

    async def read_picture(self, ref: WebUrl | DataUri | LocalPath, argument: str, into: Path) -> Medium:
        """The picture, copied into the folder `into` under a random name; nothing stays there on failure."""
        async with self._copied(ref, argument, into, self._max_bytes) as (target, sha256, size_bytes):
            facts = await _looked(self._look(target), argument)
        return to_medium(facts, "image", target, sha256, size_bytes)

    async def read_medium(
        self, ref: WebUrl | DataUri | LocalPath, argument: str, into: Path, kind: Literal["video", "audio"]
    ) -> Medium:
        """The same of a video, or of a sound, which may be a film's."""
        assert self._listen is not None
        async with self._copied(ref, argument, into, self._max_medium_bytes) as (target, sha256, size_bytes):
            facts = await _looked(self._listen(target, kind), argument)
        return to_medium(facts, kind, target, sha256, size_bytes)

    @asynccontextmanager
    async def _copied(
        self, ref: WebUrl | DataUri | LocalPath, argument: str, into: Path, max_bytes: int
    ) -> AsyncGenerator[tuple[Path, str, int], None]:
        """The copy with its SHA-256 and size, which is removed again when the block fails."""
        target = into / uuid4().hex
        try:
            with _storing(argument):
                sha256, size_bytes = await self._copy(ref, argument, target, max_bytes)
            yield target, sha256, size_bytes
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    async def _copy(
        self, ref: WebUrl | DataUri | LocalPath, argument: str, target: Path, max_bytes: int
    ) -> tuple[str, int]:
        """SHA-256 and size of what now stands in `target`."""
        match ref:
            case WebUrl(url):
                await self._fetch(url, target, argument=argument, max_bytes=max_bytes)
                return await to_thread.run_sync(_hash_file, target)
            case DataUri():
                return await to_thread.run_sync(_copy_data, ref, argument, target, max_bytes)
            case LocalPath(path):
                return await to_thread.run_sync(self._copy_path, path, argument, target, max_bytes)

    def _copy_path(self, path: str, argument: str, target: Path, max_bytes: int) -> tuple[str, int]:
        folders = self._folders
        if folders is None:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"{argument} is a path, which is not accepted here;"
                " give an https URL, a data URI or a job id such as job_…#last.",
            )
        listed = ", ".join(shorten(str(folder), 300) for folder in folders) or "none (set LTX_MCP_INPUT_DIRS)"
        allowed = f"files that are not hidden, of at most {_megabytes(max_bytes)}, in these folders: {listed}"
        try:
            found = _find(path, folders)
            if found is None:
                raise CallerError(
                    ErrorCode.INVALID_REQUEST, f"{argument}: {shorten(path)} may not be read; allowed are {allowed}."
                )
            with _opened(*found) as source:
                return _copy_file(source, target, max_bytes)
        except _Unreadable as error:
            sentence = f"{argument}: {shorten(path)} {error}; allowed are {allowed}."
            raise CallerError(ErrorCode.INPUT_FAILED, sentence) from error


async def _looked(look: Awaitable[_Facts], argument: str) -> _Facts:
    """What was seen; an error names the argument."""
    try:
        return await look
    except CallerError as error:
        if error.message.startswith((argument, f"The {argument} ")):
            raise
        raise CallerError(error.code, f"{argument}: {error.message}", error.hint) from error


def to_medium(facts: PictureFacts | MediumFacts, kind: str, path: Path, sha256: str, size_bytes: int) -> Medium:
    """The record of what was looked at; the codec of a video or a sound is the one of the stream of that kind."""
    if isinstance(facts, PictureFacts):
        return Medium(path, sha256, size_bytes, facts.format, facts.width, facts.height, facts.turned)
    return Medium(
        path=path,
        sha256=sha256,
        size_bytes=size_bytes,
        format=facts.container,
        width=facts.width if kind == "video" else 0,
        height=facts.height if kind == "video" else 0,
        codec=facts.video_codec if kind == "video" else facts.audio_codec,
        duration=facts.duration,
        fps=facts.fps,
        frames=facts.frames,
        has_audio=bool(facts.audio_codec),
        doubt=facts.doubt,
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


def _find(path: str, folders: tuple[Path, ...]) -> tuple[Path, tuple[str, ...]] | None:
    """The allowed folder a path lies in, and the way down from there: one where it exists, else the first."""
    places = [place for folder in folders if (place := _place(path, folder)) is not None]
    there = (place for place in places if os.path.isfile(place[0].joinpath(*place[1])))
    return next(there, places[0] if places else None)


def _place(path: str, folder: Path) -> tuple[Path, tuple[str, ...]] | None:
    """Where a path lies below a folder once every link is followed; None is outside or hidden."""
    try:
        wanted = folder / Path(path).expanduser()
        # On Windows even looking at \\server\share sends the user's credentials there: first by name alone.
        if sys.platform == "win32" and not Path(os.path.normpath(wanted)).is_relative_to(os.path.normpath(folder)):
            return None
        root = folder.resolve()
        parts = wanted.resolve().relative_to(root).parts
    except (ValueError, RuntimeError, OSError):
        return None
    return None if any(part.startswith(".") for part in parts) else (root, parts)


@contextmanager
def _opened(root: Path, parts: tuple[str, ...]) -> Iterator[BinaryIO]:
    """The file, opened so that no link put there since it was found can lead elsewhere."""
    try:
        descriptor = _open_below(root, parts)
    except FileNotFoundError as error:
        raise _Unreadable("does not exist") from error
    except (OSError, ValueError) as error:
        raise _Unreadable("cannot be opened") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _Unreadable("is not a regular file")
    with open(descriptor, "rb") as source:
        yield source


if sys.platform == "win32":

    def _open_below(root: Path, parts: tuple[str, ...]) -> int:
        wanted = root.joinpath(*parts)
        descriptor = os.open(wanted, os.O_RDONLY | os.O_BINARY)
        # No openat there: what was opened must still be what the name, links followed, stands for.
        if wanted.resolve() != wanted or not os.path.samestat(os.fstat(descriptor), os.stat(wanted)):
            os.close(descriptor)
            raise OSError("changed while it was opened")
        return descriptor

else:

    def _open_below(root: Path, parts: tuple[str, ...]) -> int:
        folder_flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
        folder = os.open(root, folder_flags)
        try:
            for part in parts[:-1]:
                inner = os.open(part, folder_flags, dir_fd=folder)
                os.close(folder)
                folder = inner
            # Without O_NONBLOCK a FIFO would hold this thread until somebody writes.
            return os.open(
                parts[-1] if parts else ".", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=folder
            )
        finally:
            os.close(folder)


def _copy_file(source: BinaryIO, target: Path, max_bytes: int) -> tuple[str, int]:
    if os.fstat(source.fileno()).st_size > max_bytes:
        raise _Unreadable("is too large")
    digest, size_bytes = hashlib.sha256(), 0
    with open_private(target, "xb") as out:
        while chunk := _read(source):
            size_bytes += len(chunk)
            # Counted again: a file can grow while it is read.
            if size_bytes > max_bytes:
                raise _Unreadable("is too large")
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest(), size_bytes


def _read(source: BinaryIO) -> bytes:
    try:
        return source.read(_CHUNK)
    except OSError as error:
        raise _Unreadable("cannot be read") from error


def _hash_file(target: Path) -> tuple[str, int]:
    with target.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _copy_data(ref: DataUri, argument: str, target: Path, max_bytes: int) -> tuple[str, int]:
    try:
        return write_data(ref.payload, target, max_bytes)
    except UnreadableDataError as error:
        sentence = f"{argument} {error}; give base64 of a file of at most {_megabytes(max_bytes)}."
        raise CallerError(ErrorCode.INPUT_FAILED, sentence) from error


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:g} MB"
