"""Files that came in: kept in a folder by their hash as they stream in, and measured once, when an order uses them.

What lies at an address elsewhere is not fetched: it is assumed to be a video of six seconds with sound, or six seconds
of sound.
"""

import hashlib
import os
import shutil
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal
from uuid import uuid4
from weakref import finalize

from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.media_info import MediaInfo
from ltx_mcp.media.client import MediaClient
from ltx_mcp.private import open_private

Kind = Literal["video", "audio"]
HEAD_BYTES = 32


@dataclass(frozen=True)
class Stored:
    """A file that came in; `head` are its first bytes."""

    path: Path
    size: int
    sha256: str
    head: bytes

    @property
    def etag(self) -> str:
        """As the header has it."""
        return f'"{self.sha256[:32]}"'


@dataclass(frozen=True)
class InputFile:
    """A video or a sound that an order names. Without a path it lies elsewhere, and its facts are assumed."""

    facts: MediaInfo
    path: str = ""


ELSEWHERE: dict[Kind, InputFile] = {
    "video": InputFile(
        MediaInfo("mp4", 1920, 1080, duration=6.0, fps=25.0, frames=150, video_codec="h264", audio_codec="aac")
    ),
    "audio": InputFile(MediaInfo("mp3", duration=6.0, audio_codec="mp3")),
}


class Inputs:
    """A folder of its own, made for the first file and removed with this object at the latest; `close` at shutdown."""

    def __init__(self, media: MediaClient) -> None:
        self._media = media
        self._probed: dict[tuple[str, Kind], MediaInfo | None] = {}

    @cached_property
    def _folder(self) -> Path:
        folder = Path(mkdtemp(prefix="ltx-mcp-emulator-"))
        finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def close(self) -> None:
        """Remove the files."""
        if folder := self.__dict__.pop("_folder", None):
            shutil.rmtree(folder, ignore_errors=True)

    async def store(self, chunks: AsyncIterable[bytes]) -> Stored:
        """Keep what streams in."""
        part = self._folder / uuid4().hex
        digest, size, head = hashlib.sha256(), 0, b""
        try:
            with open_private(part, "wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    head = head if len(head) == HEAD_BYTES else (head + chunk)[:HEAD_BYTES]
            path = self._folder / digest.hexdigest()
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return Stored(path, size, path.name, head)

    async def keep(self, data: bytes) -> Stored:
        """Keep what came inside a request."""
        return await self.store(_once(data))

    async def join(self, parts: list[Stored]) -> Stored:
        """Keep these files as one."""
        return await self.keep(b"".join(part.path.read_bytes() for part in parts))

    async def probe(self, file: Stored, kind: Kind) -> InputFile | None:
        """What a file is; None where it is no complete video or sound."""
        key = (file.sha256, kind)
        if key not in self._probed:
            try:
                self._probed[key] = await self._media.probe_media(file.path, kind)
            except CallerError:
                self._probed[key] = None
        facts = self._probed[key]
        return None if facts is None else InputFile(facts, str(file.path))

    async def probe_image(self, file: Stored) -> MediaInfo | None:
        """What an image is; None where it cannot be decoded."""
        try:
            return await self._media.probe_image(file.path)
        except CallerError:
            return None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
