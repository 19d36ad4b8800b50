"""What moves in a preview: a camera over one or two images, also to audio, and the transition of an edit."""

from typing import Protocol

from PIL import Image, ImageDraw

from ltx_mcp.media.image import open_image
from ltx_mcp.media.preview.camera import Camera, Size, View, ease, seen

MARGIN = 1.2
"""How much larger than a frame the images are, so that there are pixels to spare for zooming in."""
# Part of the video at which the cross-fade begins and ends; the end image is then alone for a moment.
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
    """One or two images of the frame's shape, under a moving camera."""

    def __init__(self, start: Image.Image, end: Image.Image | None, size: Size, camera: Camera) -> None:
        self._start, self._end = start, end
        self._size, self._camera = size, camera

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame when `part` of the video (0 to 1) has gone by; at 1 it is the complete end image."""
        begin, end = _FADE
        mixed = ease((part - begin) / (end - begin)) if self._end else 0.0
        if self._end is None or mixed <= 0:
            return seen(self._start, self._size, self._camera.view(part))
        arrived = seen(self._end, self._size, _ARRIVAL.view(part))
        if mixed >= 1:
            return arrived
        return Image.blend(seen(self._start, self._size, self._camera.view(part)), arrived, mixed)


class TransitionScene:
    """What is seen between two images, either of which may be missing; `instead` is shown where both are."""

    def __init__(self, size: Size, before: Image.Image | None, after: Image.Image | None, instead: Image.Image) -> None:
        shown = [image for image in (before, after) if image is not None] or [instead]
        self._before, self._after = (image.resize(size) for image in (shown[0], shown[-1]))

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame when `part` (0 to 1) has gone by: at 0 it is the image before, at 1 the one after."""
        begin, end = _TRANSITION
        return Image.blend(self._before, self._after, ease((part - begin) / (end - begin)))


class AudioReactiveScene:
    """Another scene, seen through the loudness of each frame, from 0 to 1."""

    def __init__(self, scene: Scene, levels: list[float], fps: int) -> None:
        self._scene, self._levels, self._fps = scene, levels, fps

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The scene's frame as loud as its moment."""
        level = self._levels[min(round(seconds * self._fps), len(self._levels) - 1)]
        image = _lit(_nearer(self._scene.draw(part, seconds), level), level)
        # At the foot the caption would lie over it.
        height = max(2, image.height // 90)
        ImageDraw.Draw(image).rectangle((0, 0, round((image.width - 1) * level), height - 1), fill=_BAR)
        return image


def enlarged(size: Size) -> Size:
    """The size of the images for frames of `size`."""
    return round(size[0] * MARGIN), round(size[1] * MARGIN)


def open_filled(path: str, name: str, size: Size) -> Image.Image:
    """The image cropped around its middle to the shape of `size`, and in that size."""
    width, height = size
    image = open_image(path, name, edge=max(width, height))
    scale = min(image.width / width, image.height / height)
    # rounding may put an edge a hair outside the image, which Pillow refuses
    left, top = max(0.0, (image.width - width * scale) / 2), max(0.0, (image.height - height * scale) / 2)
    box = (left, top, min(left + width * scale, image.width), min(top + height * scale, image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS, box)


def _nearer(image: Image.Image, level: float) -> Image.Image:
    margin = (1 - 1 / (1 + _NEARER * level)) / 2
    box = (image.width * margin, image.height * margin, image.width * (1 - margin), image.height * (1 - margin))
    return image.resize(image.size, Image.Resampling.BILINEAR, box)


def _lit(image: Image.Image, level: float) -> Image.Image:
    gain = 0.8 + _BRIGHTER * level
    return image.point([min(255, round(tone * gain)) for tone in range(256)] * 3)
