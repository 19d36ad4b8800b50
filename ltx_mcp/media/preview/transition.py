"""The moving picture of an edit: the frame before it is held, and fades into the one after it."""

from PIL import Image

from ltx_mcp.media.preview.camera import Size, ease

_FADE = (0.35, 0.65)


class TransitionScene:
    """What is seen between two pictures, either of which may be missing; `instead` stands where both are."""

    def __init__(self, size: Size, before: Image.Image | None, after: Image.Image | None, instead: Image.Image) -> None:
        shown = [picture for picture in (before, after) if picture is not None] or [instead]
        self._before, self._after = (picture.resize(size) for picture in (shown[0], shown[-1]))

    def draw(self, part: float, seconds: float) -> Image.Image:
        """The frame when `part` (0 to 1) has gone by: at 0 it is the picture before, at 1 the one after."""
        begin, end = _FADE
        return Image.blend(self._before, self._after, ease((part - begin) / (end - begin)))
