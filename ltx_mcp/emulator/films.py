"""The films the emulated providers deliver: drawn by our own renderer at the asked size, each size once."""

import os
from collections import defaultdict
from pathlib import Path

import anyio

from ltx_mcp.emulator.world import FilmSpec
from ltx_mcp.media.facts import RenderOrder
from ltx_mcp.media.worker import Media

CAPTION = "An emulated film: nothing was ordered from anybody, and this is not LTX"


class Films:
    """A folder of films by what they are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._media = Media()
        self._locks: defaultdict[FilmSpec, anyio.Lock] = defaultdict(anyio.Lock)

    async def path(self, film: FilmSpec) -> Path:
        """Where this film lies; it is drawn when it is asked for first."""
        sound = "sound" if film.audio else "silent"
        path = self._folder / f"{film.width}x{film.height}-{film.fps}fps-{film.duration:g}s-{sound}.mp4"
        async with self._locks[film]:
            if not path.exists():
                self._folder.mkdir(parents=True, exist_ok=True)
                part = path.with_suffix(f".{os.getpid()}-{id(self)}.part")
                order = RenderOrder(CAPTION, film.width, film.height, film.fps, film.duration, film.audio)
                await self._media.render(order, part)
                os.replace(part, path)
        return path
