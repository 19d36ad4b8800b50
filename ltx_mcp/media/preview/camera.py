"""Where the preview's camera is at each moment, by the name of its motion, and what it sees of an image."""

import random
from dataclasses import dataclass

from PIL import Image

Size = tuple[int, int]

# A pan needs a margin around the image: this much enlargement gives it.
_MARGIN = 1.2
_DOLLY = 1.35


@dataclass(frozen=True)
class View:
    """x and y say how far the camera has gone right and down, from -1 to 1; blur is 0 when all is sharp."""

    x: float = 0.0
    y: float = 0.0
    zoom: float = 1.0
    blur: float = 0.0


@dataclass(frozen=True)
class Camera:
    """A move from one view to another, starting and stopping gently."""

    start: View
    end: View

    def view(self, part: float) -> View:
        """The view when `part` of the video, 0 to 1, has gone by."""
        part = ease(part)
        return View(
            _between(self.start.x, self.end.x, part),
            _between(self.start.y, self.end.y, part),
            _between(self.start.zoom, self.end.zoom, part),
            _between(self.start.blur, self.end.blur, part),
        )


_MOVES = {
    "dolly_in": Camera(View(), View(zoom=_DOLLY)),
    "dolly_out": Camera(View(zoom=_DOLLY), View()),
    "dolly_left": Camera(View(x=1, zoom=_MARGIN), View(x=-1, zoom=_MARGIN)),
    "dolly_right": Camera(View(x=-1, zoom=_MARGIN), View(x=1, zoom=_MARGIN)),
    "jib_up": Camera(View(y=1, zoom=_MARGIN), View(y=-1, zoom=_MARGIN)),
    "jib_down": Camera(View(y=-1, zoom=_MARGIN), View(y=1, zoom=_MARGIN)),
    "static": Camera(View(), View()),
    "focus_shift": Camera(View(blur=1), View()),
}


def make_camera(motion: str, rng: random.Random) -> Camera:
    """The camera of a named motion; without one, a slow drift that begins on the complete image."""
    aim = rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 0.8), rng.uniform(-0.5, 0.3)
    return _MOVES.get(motion) or Camera(View(), View(*aim, zoom=1.12))


def seen(image: Image.Image, size: Size, view: View) -> Image.Image:
    """What a camera sees of an image, as a frame of that size."""
    width, height = image.width / view.zoom, image.height / view.zoom
    left = (image.width - width) / 2 * (1 + view.x)
    top = (image.height - height) / 2 * (1 + view.y)
    box = (left, top, min(left + width, image.width), min(top + height, image.height))
    return _soften(image.resize(size, Image.Resampling.BILINEAR, box), view.blur)


def _soften(image: Image.Image, blur: float) -> Image.Image:
    """The image out of focus: 0 leaves it sharp, 1 is as soft as it gets."""
    if blur <= 0.01:
        return image
    soft = image.reduce(max(2, max(image.size) // 64)).resize(image.size, Image.Resampling.BICUBIC)
    return Image.blend(image, soft, min(1.0, blur * 1.4))


def ease(part: float) -> float:
    """Slow at both ends: 0 stays 0, 1 stays 1."""
    part = min(1.0, max(0.0, part))
    return part * part * (3 - 2 * part)


def _between(start: float, end: float, part: float) -> float:
    return start + (end - start) * part
