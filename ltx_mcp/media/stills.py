"""The moving picture of the image preview: a slow pan and zoom over the caller's picture, or on to a second one."""

import random

from PIL import Image

from ltx_mcp.media.camera import Camera, View, ease, make_camera
from ltx_mcp.media.facts import RenderOrder
from ltx_mcp.media.landscape import soften
from ltx_mcp.media.picture import open_picture
from ltx_mcp.media.terrain import Size

# Part of the film at which the cross-fade begins and ends; the end picture then stands alone for a moment.
_FADE = (0.45, 0.92)
_ARRIVAL = Camera(View(zoom=1.1), View())


class Stills:
    """One or two pictures, filled into the frame, under a moving camera."""

    def __init__(self, order: RenderOrder, size: Size, rng: random.Random) -> None:
        self._size = size
        self._camera = make_camera(order.camera_motion, rng)
        self._start = _open_filled(str(order.image), "image", size)
        self._end = _open_filled(order.end_image, "end_image", size) if order.end_image else None

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


def look(picture: Image.Image, size: Size, view: View) -> Image.Image:
    """What a camera sees of a picture, as a frame of that size."""
    width, height = picture.width / view.zoom, picture.height / view.zoom
    left = (picture.width - width) / 2 * (1 + view.x)
    top = (picture.height - height) / 2 * (1 + view.y)
    box = (left, top, min(left + width, picture.width), min(top + height, picture.height))
    return soften(picture.resize(size, Image.Resampling.BILINEAR, box), view.blur)


def _open_filled(path: str, name: str, size: Size) -> Image.Image:
    """The picture cropped around its middle to the frame's shape, with pixels to spare for zooming in."""
    width, height = round(size[0] * 1.2), round(size[1] * 1.2)
    picture = open_picture(path, name, edge=max(width, height))
    scale = min(picture.width / width, picture.height / height)
    # rounding may put an edge a hair outside the picture, which Pillow refuses
    left, top = max(0.0, (picture.width - width * scale) / 2), max(0.0, (picture.height - height * scale) / 2)
    box = (left, top, min(left + width * scale, picture.width), min(top + height * scale, picture.height))
    return picture.resize((width, height), Image.Resampling.LANCZOS, box)
