"""Brings videos of high dynamic range or wide colours to what every screen shows: SDR in BT.709.

The tone curve is that of ITU-R BT.2390, from the video's peak to the 203 cd/m² that BT.2408 has for white; of colours
that BT.709 lacks the nearest is taken. All of it is one cube, laid over the frames by a filter.
"""

import math
import struct
from array import array
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

import av
from av.filter import Graph
from av.filter.context import FilterContext
from av.sidedata.sidedata import Type

from ltx_mcp.media.decode.light import (
    HDR,
    HLG,
    PEAK_NITS,
    PQ,
    Matrix,
    Vector,
    hlg_scene_light,
    hlg_screen_light,
    pq_nits,
    tone_mapped,
)

_BT709, _BT2020, _P3_CINEMA, _P3 = 1, 9, 11, 12  # AVCOL_PRI
_FULL_RANGE = 2
MATRICES = {1: "bt709", 5: "smpte170m", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_TICK = Fraction(1, 90_000)
_MIN_PEAK, _MAX_PEAK = 400.0, 10_000.0
_LUMINANCE_AT = 72  # in FFmpeg's record of the screen that a video was graded on
_GAMMA = 2.4  # of BT.1886
_EDGE = 36  # of the cube: a square image has as many pixels as it has entries
_STEPS = 4096
_PIXELS = "gbrp16le"
_FROM_2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
_FROM_P3 = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))


def needs_tone(frame: av.VideoFrame) -> str:
    """What of a frame screens do not show as it is, in words; empty for nothing."""
    if frame.color_trc in HDR:
        return "HDR (PQ)" if frame.color_trc == PQ else "HDR (HLG)"
    if frame.format.is_rgb or frame.color_primaries not in (_BT2020, _P3_CINEMA, _P3):
        return ""
    return f"wide colours ({'BT.2020' if frame.color_primaries == _BT2020 else 'P3'})"


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether its numbers use all of their range, and not that of television."""
    return frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")


class Tone:
    """The filters for all frames that are like the first one."""

    def __init__(self, sample: av.VideoFrame) -> None:
        # The filters do not keep their graph alive: it must live as long as they do.
        self._graph = Graph()
        self._source = self._entrance(sample.width, sample.height, sample.format.name)
        side = math.isqrt(_EDGE**3)
        cube_source = self._entrance(side, side, _PIXELS)
        cube = self._graph.add("haldclut", "interp=tetrahedral")
        light = self._graph.add("format", _PIXELS)
        self._graph.link_nodes(self._source, self._to_rgb(sample), light)
        light.link_to(cube, 0, 0)
        cube_source.link_to(cube, 0, 1)
        to_video = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd"
        video = self._graph.add("scale", to_video), self._graph.add("format", "yuv420p")
        self._sink = self._graph.add("buffersink")
        self._graph.link_nodes(cube, *video, self._sink).configure()
        cube_source.push(_cube_frame(_cube(sample.color_trc, sample.color_primaries, _peak(sample)), side))
        cube_source.push(None)

    def __call__(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The frame as yuv420p in BT.709 and narrow range."""
        pts, tick, frame.pts, frame.time_base = frame.pts, frame.time_base, 0, _TICK
        self._source.push(frame)
        toned = self._sink.pull()
        assert isinstance(toned, av.VideoFrame)
        toned.pts, toned.time_base = pts, tick
        toned.color_trc = toned.color_primaries = _BT709
        return toned

    def _entrance(self, width: int, height: int, pixels: str) -> FilterContext:
        return self._graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixels), time_base=_TICK)

    def _to_rgb(self, sample: av.VideoFrame) -> FilterContext:
        matrix = MATRICES.get(sample.colorspace, "bt2020" if sample.color_primaries == _BT2020 else "bt709")
        given = f"in_color_matrix={matrix}:in_range={'pc' if is_full_range(sample) else 'tv'}"
        return self._graph.add("scale", f"{given}:flags=bicubic+accurate_rnd+full_chroma_int")


def _cube_frame(cube: "array[int]", side: int) -> av.VideoFrame:
    frame = av.VideoFrame(side, side, _PIXELS)
    # haldclut reads red, green and blue from the planes of its cube in this order, whatever they are of
    for channel, plane in enumerate(frame.planes):
        values, padding = cube[channel::3], array("H", bytes(plane.line_size - 2 * side))
        rows = (values[start : start + side] + padding for start in range(0, side**2, side))
        plane.update(b"".join(row.tobytes() for row in rows))
    frame.pts, frame.time_base = 0, _TICK
    return frame


@lru_cache(maxsize=4)
def _cube(transfer: int, primaries: int, peak: float) -> "array[int]":
    """What each colour becomes, in 16 bits: red runs fastest, then green, then blue."""
    is_wide = transfer in HDR or primaries == _BT2020
    matrix = _FROM_2020 if is_wide else _FROM_P3
    lights: dict[int, Callable[[float], float]] = {PQ: lambda level: pq_nits(level) / peak, HLG: hlg_scene_light}
    light = lights.get(transfer, _plain_light)
    curve = _table(lambda part: min(1.0, tone_mapped(part * peak, peak)) if transfer in HDR else part)
    signal = _table(lambda part: 65535 * part ** (1 / _GAMMA))
    steps = [light(number / (_EDGE - 1)) for number in range(_EDGE)]
    cube = array("H")
    for blue in steps:
        for green in steps:
            for red in steps:
                shown = hlg_screen_light((red, green, blue)) if transfer == HLG else (red, green, blue)
                most = max(shown)
                scale = curve(min(1.0, most)) / most if most > 0 else 0.0
                cube.extend(round(signal(part)) for part in _moved(matrix, shown, scale))
    return cube


def _peak(sample: av.VideoFrame) -> float:
    """The brightest light that the video was made for, in cd/m²: of HLG what its curve is for, else what it says."""
    data: Any = sample.side_data.get(Type.MASTERING_DISPLAY_METADATA)  # type: ignore[call-overload]
    if data is None or sample.color_trc != PQ:
        return PEAK_NITS
    count, of, _, is_given = struct.unpack_from("=4i", bytes(data), _LUMINANCE_AT)
    return min(_MAX_PEAK, max(_MIN_PEAK, count / of)) if is_given and of else PEAK_NITS


def _plain_light(signal: float) -> float:
    return float(signal**_GAMMA)


def _moved(matrix: Matrix, light: Vector, scale: float) -> Vector:
    """The light in the colours of BT.709, as near as that comes to it."""
    red, green, blue = (part * scale for part in light)
    one, two, three = (min(1.0, max(0.0, row[0] * red + row[1] * green + row[2] * blue)) for row in matrix)
    return one, two, three


def _table(curve: Callable[[float], float]) -> Callable[[float], float]:
    """The curve by looking it up, finer where it is dark."""
    values = [curve((number / _STEPS) ** 3) for number in range(_STEPS + 1)]

    def looked_up(part: float) -> float:
        return values[round(float(part ** (1 / 3)) * _STEPS)]

    return looked_up
