"""The moving picture of an edit: from the frame before it, through a scene drawn from the prompt, to the one after."""

import random

from PIL import Image

from ltx_mcp.media.camera import View, ease
from ltx_mcp.media.landscape import Landscape
from ltx_mcp.media.press import Screen
from ltx_mcp.media.stills import look

_SCENE_EDGE = 960
EDGE = 1280  # frames of a film need more than a drawn scene
_FADE = 0.35
_NEARER = 0.15


class Bridge:
    """A scene between two pictures, either of which may be missing."""

    def __init__(
        self, prompt: str, screen: Screen, before: Image.Image | None, after: Image.Image | None, rng: random.Random
    ) -> None:
        self._size = screen.inner_size(EDGE if before or after else _SCENE_EDGE)
        self._scene = Landscape(prompt, "none", screen.inner_size(_SCENE_EDGE), rng)
        self._before, self._after = (picture and picture.resize(self._size) for picture in (before, after))

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame when `part` (0 to 1) has gone by: at 0 it is the picture before, at 1 the one after."""
        leaving = 1 - ease(part / _FADE) if self._before else 0.0
        coming = ease((part - 1 + _FADE) / _FADE) if self._after else 0.0
        if leaving and self._before:
            return self._mixed(part, seconds, self._seen(self._before, part), leaving)
        if coming and self._after:
            return self._mixed(part, seconds, self._seen(self._after, 1 - part), coming)
        return self._drawn(part, seconds)

    def _mixed(self, part: float, seconds: float, picture: Image.Image, weight: float) -> Image.Image:
        return picture if weight >= 1 else Image.blend(self._drawn(part, seconds), picture, weight)

    def _seen(self, picture: Image.Image, away: float) -> Image.Image:
        """A picture under a camera that goes slowly nearer the further the film is away from it."""
        return look(picture, self._size, View(zoom=1 + _NEARER * away * away))

    def _drawn(self, part: float, seconds: float) -> Image.Image:
        scene = self._scene.draw(part, seconds)
        return scene if scene.size == self._size else scene.resize(self._size, Image.Resampling.BILINEAR)
