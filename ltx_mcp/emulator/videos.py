"""The videos the emulated providers deliver: a test pattern of the requested size, rate and length, or made by our
renderer from what was sent. Each is made once; any number of emulators may share a folder.
"""

import hashlib
import os
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.emulator.edits import CAPTION
from ltx_mcp.emulator.emulator_state import VideoSpec
from ltx_mcp.emulator.inputs import ELSEWHERE
from ltx_mcp.emulator.letterbox import fit
from ltx_mcp.emulator.pattern import draw
from ltx_mcp.media.client import MediaClient
from ltx_mcp.media.messages import EditOrder, RenderOrder
from ltx_mcp.private import make_folder

_ASSUMED = ELSEWHERE["video"].facts
UNSEEN = VideoSpec(_ASSUMED.width, _ASSUMED.height, _ASSUMED.fps, _ASSUMED.duration)
"""What stands for a video that lies elsewhere."""
SAME_LENGTH_S = 0.5


class Videos:
    """A folder of videos by what they are."""

    def __init__(self, folder: Path, media: MediaClient) -> None:
        self._folder = folder
        self._media = media
        self._locks: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def path(self, video: VideoSpec) -> Path:
        """Where this video lies; it is made when it is requested for the first time."""
        path = self._folder / f"{_name(video)}.mp4"
        async with self._locks[path.name]:
            if not path.exists():
                make_folder(self._folder)
                part = path.with_suffix(f".{os.getpid()}-{id(self)}.part")
                await self._make(video, part)
                os.replace(part, path)
        return path

    async def _make(self, video: VideoSpec, out: Path) -> None:
        if video.edit is not None:
            await self._edit(video, replace(video.edit, video=video.edit.video or str(await self.path(UNSEEN))), out)
            return
        if video.reframed is not None:
            source = Path(video.reframed or await self.path(UNSEEN))
            fill = partial(fit, source, out, video.width, video.height, video.duration, is_filled=True)
            await to_thread.run_sync(fill)
            return
        size, fps = (video.width, video.height), round(video.fps)
        if not video.audio_path:
            await to_thread.run_sync(draw, out, size, fps, video.duration, video.audio)
            return
        image, sound = video.image_path or None, video.audio_path
        order = RenderOrder(CAPTION, *size, fps, video.duration, video.audio, image=image, sound=sound)
        await self._media.render(order, out)

    async def _edit(self, video: VideoSpec, order: EditOrder, out: Path) -> None:
        """The edited video, at the size and length that were promised."""
        edited = out.with_suffix(".edited")
        try:
            await self._media.edit(order, edited)
            if _is_as_promised(await self._media.measure_film(edited), video):
                os.replace(edited, out)
            else:
                await to_thread.run_sync(fit, edited, out, video.width, video.height, video.duration)
        finally:
            edited.unlink(missing_ok=True)


def _is_as_promised(facts: VideoInfo, video: VideoSpec) -> bool:
    """An odd size may come out even; half the length is less by a second at least."""
    off = max(abs(facts.width - video.width), abs(facts.height - video.height))
    return off <= 1 and facts.duration - video.duration < SAME_LENGTH_S


def _name(video: VideoSpec) -> str:
    """A drawn video by its size; one made from files by a hash over all that it is, where theirs stand for them."""
    if video.edit is None and video.reframed is None and not video.audio_path and not video.image_path:
        sound = "sound" if video.audio else "silent"
        return f"{video.width}x{video.height}-{video.fps:g}fps-{video.duration:g}s-{sound}"
    edit = video.edit and replace(video.edit, video=Path(video.edit.video).name)
    audio, image = Path(video.audio_path).name, Path(video.image_path).name
    reframed = None if video.reframed is None else Path(video.reframed).name
    named = replace(video, edit=edit, reframed=reframed, audio_path=audio, image_path=image)
    what = edit.what if edit else "audio" if reframed is None else "reframe"
    return f"{what}-{hashlib.sha256(repr(named).encode()).hexdigest()[:32]}"
