"""What moves in a preview: a camera over one or two images, images that follow a sound, and the new part of an edit."""

from typing import Protocol

from PIL import Image, ImageDraw

from ltx_mcp.media.picture import open_picture
from ltx_mcp.media.preview.camera import Camera, Size, View, ease, look

MARGIN = 1.2
"""How much larger than a frame the pictures are, so that there are pixels to spare for zooming in."""
# Part of the film at which the cross-fade begins and ends; the end picture then stands alone for a moment.
_FADE = (0.45, 0.92)
_ARRIVAL = Camera(View(zoom=1.1), View())
_TRANSITION = (0.35, 0.65)
_NEARER = 0.07
_BRIGHTER = 0.45
_BAR = (255, 214, 130)


class Scene(Protocol):
    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame `seconds` into the scene, when `part` of it (0 to 1) has gone by. Safe to call from threads."""
        ...


class ImageScene:
    """One or two pictures of the frame's shape, under a moving camera."""

    def __init__(self, start: Image.Image, end: Image.Image | None, size: Size, camera: Camera) -> None:
        self._start, self._end = start, end
        self._size, self._camera = size, camera

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame when `part` of the film (0 to 1) has gone by; at 1 it is the end picture, whole."""
        begin, end = _FADE
        mixed = ease((part - begin) / (end - begin)) if self._end else 0.0
        if self._end is None or mixed <= 0:
            return look(self._start, self._size, self._camera.view(part))
        arrived = look(self._end, self._size, _ARRIVAL.view(part))
        if mixed >= 1:
            return arrived
        return Image.blend(look(self._start, self._size, self._camera.view(part)), arrived, mixed)


class TransitionScene:
    """What is seen between two pictures, either of which may be missing; `instead` stands where both are."""

    def __init__(self, size: Size, before: Image.Image | None, after: Image.Image | None, instead: Image.Image) -> None:
        shown = [picture for picture in (before, after) if picture is not None] or [instead]
        self._before, self._after = (picture.resize(size) for picture in (shown[0], shown[-1]))

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame when `part` (0 to 1) has gone by: at 0 it is the picture before, at 1 the one after."""
        begin, end = _TRANSITION
        return Image.blend(self._before, self._after, ease((part - begin) / (end - begin)))


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


def enlarged(size: Size) -> Size:
    """The size of the pictures for frames of `size`."""
    return round(size[0] * MARGIN), round(size[1] * MARGIN)


def open_filled(path: str, name: str, size: Size) -> Image.Image:
    """The picture cropped around its middle to the shape of `size`, and in that size."""
    width, height = size
    picture = open_picture(path, name, edge=max(width, height))
    scale = min(picture.width / width, picture.height / height)
    # rounding may put an edge a hair outside the picture, which Pillow refuses
    left, top = max(0.0, (picture.width - width * scale) / 2), max(0.0, (picture.height - height * scale) / 2)
    box = (left, top, min(left + width * scale, picture.width), min(top + height * scale, picture.height))
    return picture.resize((width, height), Image.Resampling.LANCZOS, box)


def _nearer(picture: Image.Image, level: float) -> Image.Image:
    margin = (1 - 1 / (1 + _NEARER * level)) / 2
    box = (picture.width * margin, picture.height * margin, picture.width * (1 - margin), picture.height * (1 - margin))
    return picture.resize(picture.size, Image.Resampling.BILINEAR, box)


def _lit(picture: Image.Image, level: float) -> Image.Image:
    gain = 0.8 + _BRIGHTER * level
    return picture.point([min(255, round(tone * gain)) for tone in range(256)] * 3)
