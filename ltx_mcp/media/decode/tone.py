"""Brings films of high dynamic range or wide colours to what every screen shows: SDR in BT.709.

The tone curve is that of ITU-R BT.2390, from the film's peak to the 203 cd/m² that BT.2408 has for white; of colours
that BT.709 lacks the nearest is taken. All of it is one cube, laid over the frames by a filter.
"""

import math
import struct
from array import array
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import av
from av.filter import Graph
from av.filter.context import FilterContext
from av.sidedata.sidedata import Type

_PQ, _HLG = 16, 18  # AVCOL_TRC
_BT709, _BT2020, _P3_CINEMA, _P3 = 1, 9, 11, 12  # AVCOL_PRI
_FULL_RANGE = 2
_MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_TICK = Fraction(1, 90_000)
_WHITE, _PEAK, _MIN_PEAK, _MAX_PEAK = 203.0, 1000.0, 400.0, 10_000.0
_LUMINANCE_AT = 72  # in what the codec library tells of the screen that a film was made at
_GAMMA = 2.4  # of BT.1886
_EDGE = 36  # of the cube: a square picture has as many pixels as it has entries
_STEPS = 4096
_PIXELS = "gbrp16le"
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
_LUMA_2020 = (0.2627, 0.6780, 0.0593)
_FROM_2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
_FROM_P3 = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0197, -0.0786, 1.0979))

Light = tuple[float, float, float]


def needs_tone(frame: av.VideoFrame) -> str:
    """What of a frame screens do not show as it is, in words; empty for nothing."""
    if frame.color_trc in (_PQ, _HLG):
        return "HDR (PQ)" if frame.color_trc == _PQ else "HDR (HLG)"
    if frame.format.is_rgb or frame.color_primaries not in (_BT2020, _P3_CINEMA, _P3):
        return ""
    return f"wide colours ({'BT.2020' if frame.color_primaries == _BT2020 else 'P3'})"


class Tone:
    """The filters for all frames that are like the first one."""

    def __init__(self, sample: av.VideoFrame) -> None:
        # The filters do not keep their graph alive: it must live as long as they do.
        self._graph = Graph()
        self._source = self._entrance(sample.width, sample.height, sample.format.name)
        side = math.isqrt(_EDGE**3)
        paper = self._entrance(side, side, _PIXELS)
        cube = self._graph.add("haldclut", "interp=tetrahedral")
        light = self._graph.add("format", _PIXELS)
        self._graph.link_nodes(self._source, self._to_rgb(sample), light)
        light.link_to(cube, 0, 0)
        paper.link_to(cube, 0, 1)
        to_film = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd"
        film = self._graph.add("scale", to_film), self._graph.add("format", "yuv420p")
        self._sink = self._graph.add("buffersink")
        self._graph.link_nodes(cube, *film, self._sink).configure()
        paper.push(_painted(_cube(sample.color_trc, sample.color_primaries, _peak(sample)), side))
        paper.push(None)

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
        is_full = sample.color_range == _FULL_RANGE or sample.format.name.startswith("yuvj")
        matrix = _MATRICES.get(sample.colorspace, "bt2020" if sample.color_primaries == _BT2020 else "bt709")
        given = f"in_color_matrix={matrix}:in_range={'pc' if is_full else 'tv'}"
        return self._graph.add("scale", f"{given}:flags=bicubic+accurate_rnd+full_chroma_int")


def _painted(cube: "array[int]", side: int) -> av.VideoFrame:
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
    is_wide = transfer in (_PQ, _HLG) or primaries == _BT2020
    matrix = _FROM_2020 if is_wide else _FROM_P3
    lights: dict[int, Callable[[float], float]] = {_PQ: partial(_pq_light, peak), _HLG: _hlg_light}
    light = lights.get(transfer, _plain_light)
    curve = _table(partial(_compressed, peak) if transfer in (_PQ, _HLG) else lambda part: part)
    signal = _table(lambda part: 65535 * part ** (1 / _GAMMA))
    steps = [light(number / (_EDGE - 1)) for number in range(_EDGE)]
    cube = array("H")
    for blue in steps:
        for green in steps:
            for red in steps:
                shown = _opened((red, green, blue)) if transfer == _HLG else (red, green, blue)
                most = max(shown)
                scale = curve(min(1.0, most)) / most if most > 0 else 0.0
                cube.extend(round(signal(part)) for part in _moved(matrix, shown, scale))
    return cube


def _peak(sample: av.VideoFrame) -> float:
    """The brightest light that the film was made for, in cd/m²: of HLG what its curve is for, else what it says."""
    data: Any = sample.side_data.get(Type.MASTERING_DISPLAY_METADATA)  # type: ignore[call-overload]
    if data is None or sample.color_trc != _PQ:
        return _PEAK
    count, of, _, is_told = struct.unpack_from("=4i", bytes(data), _LUMINANCE_AT)
    return min(_MAX_PEAK, max(_MIN_PEAK, count / of)) if is_told and of else _PEAK


def _pq_light(peak: float, signal: float) -> float:
    """Light as a part of the peak."""
    power = signal ** (1 / _M2)
    return float(_MAX_PEAK / peak * (max(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1))


def _hlg_light(signal: float) -> float:
    """Light of the scene; see _opened."""
    return signal * signal / 3 if signal <= 0.5 else (math.exp((signal - _C) / _A) + _B) / 12


def _opened(scene: Light) -> Light:
    """The light of a screen of 1000 cd/m² for that of the scene: brighter where the scene is."""
    luma = sum(weight * part for weight, part in zip(_LUMA_2020, scene, strict=True))
    gain = luma**0.2 if luma > 0 else 0.0
    return scene[0] * gain, scene[1] * gain, scene[2] * gain


def _plain_light(signal: float) -> float:
    return float(signal**_GAMMA)


def _compressed(peak: float, part: float) -> float:
    """Light as a part of white, for light as a part of the peak: BT.2390, in steps that the eye sees as even."""
    whole = _pq_signal(peak)
    white, given = _pq_signal(_WHITE) / whole, _pq_signal(part * peak) / whole
    knee = 1.5 * white - 0.5
    if given > knee:
        t = (given - knee) / (1 - knee)
        given = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * white
    return min(1.0, _pq_light(peak, given * whole) * peak / _WHITE)


def _pq_signal(light: float) -> float:
    power = (light / _MAX_PEAK) ** _M1
    return float(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _moved(matrix: tuple[Light, Light, Light], light: Light, scale: float) -> Light:
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
