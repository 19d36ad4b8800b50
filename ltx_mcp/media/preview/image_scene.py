"""The moving picture of a preview: a slow pan and zoom over one picture, or on to a second one."""

from PIL import Image

from ltx_mcp.media.picture import open_picture
from ltx_mcp.media.preview.camera import Camera, Size, View, ease, look

MARGIN = 1.2
"""How much larger than a frame the pictures are, so that there are pixels to spare for zooming in."""
# Part of the film at which the cross-fade begins and ends; the end picture then stands alone for a moment.
_FADE = (0.45, 0.92)
_ARRIVAL = Camera(View(zoom=1.1), View())


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
