"""A scene that moves to a sound: it comes nearer and lights up with the loudness, and a bar along its top shows it."""

from PIL import Image, ImageDraw

from ltx_mcp.media.preview.compositor import Scene

_NEARER = 0.07
_BRIGHTER = 0.45
_BAR = (255, 214, 130)


class AudioReactiveScene:
    """Another scene, seen through the loudness of each frame, from 0 to 1."""

    def __init__(self, scene: Scene, levels: list[float], fps: int) -> None:
        self._scene, self._levels, self._fps = scene, levels, fps

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The scene's frame as loud as its moment."""
        level = self._levels[min(round(seconds * self._fps), len(self._levels) - 1)]
        picture = _lit(_nearer(self._scene.draw(part, seconds), level), level)
        # At the foot the caption would lie over it.
        height = max(2, picture.height // 90)
        ImageDraw.Draw(picture).rectangle((0, 0, round((picture.width - 1) * level), height - 1), fill=_BAR)
        return picture


def _nearer(picture: Image.Image, level: float) -> Image.Image:
    margin = (1 - 1 / (1 + _NEARER * level)) / 2
    box = (picture.width * margin, picture.height * margin, picture.width * (1 - margin), picture.height * (1 - margin))
    return picture.resize(picture.size, Image.Resampling.BILINEAR, box)


def _lit(picture: Image.Image, level: float) -> Image.Image:
    gain = 0.8 + _BRIGHTER * level
    return picture.point([min(255, round(tone * gain)) for tone in range(256)] * 3)
