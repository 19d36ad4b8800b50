"""The frame of a film that stands for it: sharp, neither dark nor washed out, with colours and contrast."""

from pathlib import Path

from PIL import Image, ImageFilter, ImageStat

from ltx_mcp.media.decode.frame_reader import FrameReader, open_video
from ltx_mcp.media.measure import encoded, write_whole
from ltx_mcp.media.messages import ExtractedFrame

_CANDIDATES = 24
_EDGE, _SCORED_EDGE = 1280, 320
_QUALITY = 90
_MIDDLE = 118.0
"""The mean brightness that is neither dark nor bright."""


def make_poster(path: str | Path, out: Path) -> ExtractedFrame:
    """Writes the best frame of a video to `out` as JPEG, its long side at most 1280 pixels. LtxError (bad_reply) for
    any other file."""
    with open_video(path) as reader:
        end = reader.seconds(reader.last())
        moments = [end * (number + 0.5) / _CANDIDATES for number in range(_CANDIDATES)]
        best = max(moments, key=lambda moment: _score_at(reader, moment))
        frame = reader.at(best)
        image = reader.image(frame, _EDGE)
        data = encoded(image, "jpeg", _QUALITY)
        write_whole(data, out)
        return ExtractedFrame(*image.size, len(data), reader.seconds(frame))


def _score_at(reader: FrameReader, moment: float) -> float:
    return score(reader.image(reader.at(moment), _SCORED_EDGE))


def score(image: Image.Image) -> float:
    """How good a picture is as a poster; figures of two pictures of one film can be compared."""
    image = image.convert("RGB")
    grey = ImageStat.Stat(image.convert("L"))
    sharpness = ImageStat.Stat(image.convert("L").filter(ImageFilter.FIND_EDGES)).mean[0]
    colour = ImageStat.Stat(image.convert("HSV").getchannel("S")).mean[0]
    exposure = max(0.0, 1 - abs(grey.mean[0] - _MIDDLE) / 128)
    return exposure * (grey.stddev[0] + 2 * sharpness + 0.2 * colour)
