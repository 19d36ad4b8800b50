"""Images of a video for a model to look at."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltx_mcp.jobs.files import FileStore
from ltx_mcp.media.client import MediaClient

LONG_SIDE = 1024


@dataclass(frozen=True)
class ShownImage:
    """An image of a video, for a model to look at."""

    data: bytes
    mime_type: str


async def take_frame(
    video: Path, seconds: float, files: FileStore, media: MediaClient, do: Callable[..., Awaitable[Any]]
) -> ShownImage:
    """The frame at this time; `do` runs blocking calls. Raises CallerError beyond the end."""
    folder = await do(files.new_folder)
    try:
        path = Path(folder, "frame.jpg")
        await media.take_frame(video, seconds, path, "jpeg", LONG_SIDE)
        return ShownImage(await do(path.read_bytes), "image/jpeg")
    finally:
        files.remove_folder(folder)
