"""Light behind the numbers of an image: transfer curves, primaries, and HDR brought down to an ordinary screen.

Transfer curves and primaries have the code points of ITU-T H.273; light is 1.0 at the white of an ordinary image.
"""

import struct
from collections.abc import Callable
from functools import reduce
from math import exp

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
Primaries = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
"""x and y of red, green, blue and white."""

SRGB_CURVE, LINEAR, PQ, HLG = 13, 8, 16, 18
HDR = frozenset({PQ, HLG})
GAMMAS = {4: 2.2, 5: 2.8}
"""Curves that are a power. All others but linear and the HDR ones are shown as sRGB, as players show BT.709."""
_D65 = (0.3127, 0.3290)
_D50 = (0.9642, 1.0, 0.8249)  # X, Y and Z: the white of every profile
SRGB: Primaries = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
PRIMARIES: dict[int, Primaries] = {
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
}
ADOBE_RGB: Primaries = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), _D65)
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073
WHITE_NITS, PEAK_NITS = 203.0, 1000.0  # of BT.2408, and of the screens that HDR is graded on


def to_light(transfer: float) -> Callable[[float], float]:
    """The light of a number from 0 to 1; `transfer` is a code point, or a gamma where it is not an integer."""
    if transfer == PQ:
        return lambda level: pq_nits(level) / WHITE_NITS
    if transfer == HLG:
        return hlg_scene_light
    if transfer == LINEAR:
        return lambda level: level
    power = GAMMAS.get(int(transfer)) if transfer == int(transfer) else transfer
    return _srgb_light if power is None else lambda level: level**power


def to_level(light: float) -> float:
    """The number from 0 to 1 that sRGB has for light from 0 to 1."""
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def make_profile(transfer: float, primaries: Primaries) -> bytes:
    """An ICC profile of a curve that is not HDR, and primaries."""
    light = to_light(transfer)
    curve = b"curv" + struct.pack(">II1024H", 0, 1024, *(round(65535 * light(step / 1023)) for step in range(1024)))
    red, green, blue = _transposed(_product(_adapted(primaries[3]), _to_xyz(primaries)))
    tags = {b"rXYZ": _xyz_tag(red), b"gXYZ": _xyz_tag(green), b"bXYZ": _xyz_tag(blue), b"wtpt": _xyz_tag(_D50)}
    tags |= {b"cprt": b"text" + bytes(5), b"desc": b"desc" + struct.pack(">II", 0, 1) + bytes(80)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body = b"", b""
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s12s4s", 0, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    head += bytes(28) + b"".join(_fixed(part) for part in _D50)
    rest = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(rest)) + rest[4:]


def to_screen(light: Vector, transfer: float) -> Vector:
    """HDR light, of any primaries, as an ordinary screen shows it: dark and middle tones as they are, what is brighter
    bent below white (the curve of BT.2390), with its hue."""
    if transfer == HLG:
        light = _scaled(hlg_screen_light(light), PEAK_NITS / WHITE_NITS)
    brightest = max(light)
    if brightest <= 0:
        return 0.0, 0.0, 0.0
    return _scaled(light, tone_mapped(brightest * WHITE_NITS, PEAK_NITS) / brightest)


def tone_mapped(nits: float, peak_nits: float) -> float:
    """Light as a part of white, by the curve of BT.2390 from the peak to white, in steps that the eye sees as even."""
    peak, white = pq_level(peak_nits), pq_level(WHITE_NITS)
    most = white / peak
    knee = 1.5 * most - 0.5
    level = min(pq_level(nits) / peak, 1.0)
    if level > knee:
        t = (level - knee) / (1 - knee)
        level = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return pq_nits(level * peak) / WHITE_NITS


def hlg_screen_light(scene: Vector) -> Vector:
    """The light of a screen of 1000 cd/m² for that of the scene: brighter where the scene is."""
    return _scaled(scene, max(0.2627 * scene[0] + 0.6780 * scene[1] + 0.0593 * scene[2], 1e-9) ** 0.2)


def _scaled(light: Vector, factor: float) -> Vector:
    return light[0] * factor, light[1] * factor, light[2] * factor


def _srgb_light(level: float) -> float:
    return float(level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4)


def hlg_scene_light(level: float) -> float:
    """The light of the scene for a number of HLG, both from 0 to 1."""
    return level * level / 3 if level <= 0.5 else (exp((level - _C) / _A) + _B) / 12


def pq_nits(level: float) -> float:
    """The light in cd/m² for a number of PQ from 0 to 1."""
    power = level ** (1 / _M2)
    return float(10_000 * (max(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1))


def pq_level(nits: float) -> float:
    """The number of PQ for light in cd/m²."""
    power = max(nits / 10_000, 0) ** _M1
    return float(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _to_xyz(primaries: Primaries) -> Matrix:
    columns = [_xyz(*place) for place in primaries[:3]]
    bare = _transposed((columns[0], columns[1], columns[2]))
    shares = _applied(_inverse(bare), _xyz(*primaries[3]))
    rows = [(row[0] * shares[0], row[1] * shares[1], row[2] * shares[2]) for row in bare]
    return rows[0], rows[1], rows[2]


def _adapted(white: tuple[float, float]) -> Matrix:
    """From one white to that of profiles."""
    was, becomes = _applied(_BRADFORD, _xyz(*white)), _applied(_BRADFORD, _D50)
    scale: Matrix = ((becomes[0] / was[0], 0, 0), (0, becomes[1] / was[1], 0), (0, 0, becomes[2] / was[2]))
    return reduce(_product, (_inverse(_BRADFORD), scale, _BRADFORD))


def _applied(matrix: Matrix, vector: Vector) -> Vector:
    one, two, three = ((row[0] * vector[0] + row[1] * vector[1] + row[2] * vector[2]) for row in matrix)
    return one, two, three


def _xyz_tag(vector: Vector) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(part) for part in vector)


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def _xyz(x: float, y: float) -> Vector:
    return x / y, 1.0, (1 - x - y) / y


def _transposed(matrix: Matrix) -> Matrix:
    one, two, three = zip(*matrix, strict=True)
    return one, two, three


def _product(one: Matrix, other: Matrix) -> Matrix:
    first, second, third = (_applied(one, column) for column in _transposed(other))
    return _transposed((first, second, third))


def _inverse(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return (
        ((e * i - f * h) / determinant, (c * h - b * i) / determinant, (b * f - c * e) / determinant),
        ((f * g - d * i) / determinant, (a * i - c * g) / determinant, (c * d - a * f) / determinant),
        ((d * h - e * g) / determinant, (b * g - a * h) / determinant, (a * e - b * d) / determinant),
    )
