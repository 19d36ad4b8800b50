"""Whether two clips meet in one moment: the first frame of the one is the last of the other, made anew.

A model that goes on from a frame shows it again, a little softer and in slightly other colours. So colours are made
alike before the pictures are compared, and they must be more alike than neighbours are within either clip.
"""

from PIL import Image, ImageChops, ImageFilter, ImageStat

from ltx_mcp.media.decode.source_video import SourceVideo, image_at

_EDGE = 192
_SIZE = 96, 96
_MAX_UNLIKE = 0.2
_SURELY = 0.5
_PLAIN = 4.0  # a picture that varies less says nothing


def is_doubled(before: SourceVideo, last: int, after: SourceVideo, first: int) -> bool:
    """Whether the two frames are surely one and the same moment."""
    one, other = _seen(before, last), _seen(after, first)
    unlike = unlikeness(one, other)
    if unlike > _MAX_UNLIKE:
        return False
    neighbours = []
    if last > 0:
        neighbours.append(unlikeness(_seen(before, last - 1), one))
    if first + 1 < len(after.moments):
        neighbours.append(unlikeness(other, _seen(after, first + 1)))
    return bool(neighbours) and unlike < _SURELY * min(neighbours)


def unlikeness(one: Image.Image, other: Image.Image) -> float:
    """How much two pictures differ but for brightness, contrast and tint: 0 for not at all, above 1 for strangers."""
    alike = _with_levels_of(other, one)
    off = ImageStat.Stat(ImageChops.difference(one, alike))
    own = ImageStat.Stat(one)
    return sum(off.rms) / max(sum(own.stddev), _PLAIN)


def _seen(source: SourceVideo, number: int) -> Image.Image:
    image = image_at(source, number, _EDGE).convert("RGB")
    return image.resize(_SIZE, Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.7))


def _with_levels_of(image: Image.Image, model: Image.Image) -> Image.Image:
    own, wanted = ImageStat.Stat(image), ImageStat.Stat(model)
    table: list[float] = []
    for channel in range(3):
        gain = wanted.stddev[channel] / max(own.stddev[channel], 1.0)
        gain = min(2.0, max(0.5, gain))
        table += [(level - own.mean[channel]) * gain + wanted.mean[channel] for level in range(256)]
    return image.point([min(255, max(0, round(level))) for level in table])
