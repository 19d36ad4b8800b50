"""The films the emulated providers deliver: a test pattern of the asked size, rate and length, or made by our renderer
from what was sent. Each is made once; any number of emulators may share a folder.
"""

import hashlib
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import to_thread

from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.emulator.edits import CAPTION
from ltx_mcp.emulator.emulator_state import FilmSpec
from ltx_mcp.emulator.inputs import ELSEWHERE
from ltx_mcp.emulator.letterbox import fit
from ltx_mcp.emulator.pattern import draw
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import RenderOrder
from ltx_mcp.private import make_folder

_ASSUMED = ELSEWHERE["video"].facts
UNSEEN = FilmSpec(_ASSUMED.width, _ASSUMED.height, _ASSUMED.fps, _ASSUMED.duration)
"""What stands for a film that lies elsewhere."""
SAME_LENGTH_S = 0.5


class Films:
    """A folder of films by what they are."""

    def __init__(self, folder: Path, media: MediaClient) -> None:
        self._folder = folder
        self._media = media
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def path(self, film: FilmSpec) -> Path:
        """Where this film lies; it is made when it is asked for first."""
        path = self._folder / f"{_name(film)}.mp4"
        async with self._locks[path.name]:
            if not path.exists():
                make_folder(self._folder)
                part = path.with_suffix(f".{os.getpid()}-{id(self)}.part")
                await self._make(film, part)
                os.replace(part, path)
        return path

    async def _make(self, film: FilmSpec, out: Path) -> None:
        if film.edit is not None:
            await self._edit(film, film.edit.video or str(await self.path(UNSEEN)), out)
            return
        size, fps, picture = (film.width, film.height), round(film.fps), film.picture or None
        if not film.sound:
            await to_thread.run_sync(draw, out, size, fps, film.duration, film.audio)
            return
        order = RenderOrder(CAPTION, *size, fps, film.duration, film.audio, image=picture, sound=film.sound)
        await self._media.render(order, out)

    async def _edit(self, film: FilmSpec, video: str, out: Path) -> None:
        """The edited film, at the size and length that were promised."""
        assert film.edit is not None
        edited = out.with_suffix(".edited")
        try:
            await self._media.edit(replace(film.edit, video=video), edited)
            if _is_as_promised(await self._media.measure_film(edited), film):
                os.replace(edited, out)
            else:
                await to_thread.run_sync(fit, edited, out, film.width, film.height, film.duration)
        finally:
            edited.unlink(missing_ok=True)


def _is_as_promised(facts: VideoInfo, film: FilmSpec) -> bool:
    """An odd size may come out even; half the length is less by a second at least."""
    off = max(abs(facts.width - film.width), abs(facts.height - film.height))
    return off <= 1 and facts.duration - film.duration < SAME_LENGTH_S


def _name(film: FilmSpec) -> str:
    """A drawn film by its size; one made from files by a hash over all that it is, where theirs stand for them."""
    if film.edit is None and not film.sound and not film.picture:
        sound = "sound" if film.audio else "silent"
        return f"{film.width}x{film.height}-{film.fps:g}fps-{film.duration:g}s-{sound}"
    edit = film.edit and replace(film.edit, video=Path(film.edit.video).name)
    named = replace(film, edit=edit, sound=Path(film.sound).name, picture=Path(film.picture).name)
    return f"{edit.what if edit else 'audio'}-{hashlib.sha256(repr(named).encode()).hexdigest()[:32]}"
