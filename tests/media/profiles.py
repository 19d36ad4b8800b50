"""ICC profiles written by hand, from published colorants: not by the code that reads them. Not a test."""

import struct

Colorants = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
"""X, Y and Z of red, green and blue, under the white of profiles."""

SRGB: Colorants = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DISPLAY_P3: Colorants = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB: Colorants = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
PROPHOTO: Colorants = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
_WHITE = (0.9642, 1.0, 0.82491)


def rgb_profile(name: str, colorants: Colorants, gamma: float | None = None) -> bytes:
    """A profile of primaries, and of sRGB's curve where no gamma is named."""
    curve = _srgb_curve() if gamma is None else _curve(gamma)
    columns = {f"{letter}XYZ": _xyz(column) for letter, column in zip("rgb", colorants, strict=True)}
    return _profile(name, b"mntr", b"RGB ", b"XYZ ", columns | dict.fromkeys(("rTRC", "gTRC", "bTRC"), curve))


def grey_profile(name: str, gamma: float) -> bytes:
    """A profile of grey pictures."""
    return _profile(name, b"mntr", b"GRAY", b"XYZ ", {"kTRC": _curve(gamma)})


def cmyk_profile(name: str) -> bytes:
    """A press whose inks are those of the sixteen corners, of two points each between which it is straight."""
    corners = []
    for number in range(16):
        cyan, magenta, yellow, black = (number >> bit & 1 for bit in (3, 2, 1, 0))
        light: float = 95 - 35 * cyan - 45 * magenta - 5 * yellow
        light *= 0.25 if black else 1
        a = (-30 * cyan + 65 * magenta) * (0.2 if black else 1)
        b = (-40 * cyan + 5 * magenta + 80 * yellow) * (0.2 if black else 1)
        corners += [round(max(light, 4) * 2.55), round(a) + 128, round(b) + 128]
    table = struct.pack(">4sI4B9i", b"mft1", 0, 4, 3, 2, 0, *(65536 if place % 4 == 0 else 0 for place in range(9)))
    table += bytes(range(256)) * 4 + bytes(corners) + bytes(range(256)) * 3
    return _profile(name, b"prtr", b"CMYK", b"Lab ", {"A2B0": table})


def _profile(name: str, kind: bytes, space: bytes, connection: bytes, tags: dict[str, bytes]) -> bytes:
    words = name.encode() + b"\0"
    desc = b"desc" + struct.pack(">II", 0, len(words)) + words + bytes(78)
    tags = {"desc": desc, "cprt": b"text\0\0\0\0none\0", "wtpt": _xyz(_WHITE), **tags}
    table, body, places = b"", b"", dict[bytes, tuple[int, int]]()
    for tag, data in tags.items():
        if data not in places:
            places[data] = (132 + 12 * len(tags) + len(body), len(data))
            body += data + bytes(-len(data) % 4)
        table += tag.encode() + struct.pack(">II", *places[data])
    rest = struct.pack(">4sI4s4s4s12s4s", bytes(4), 0x02400000, kind, space, connection, bytes(12), b"acsp")
    rest += bytes(28) + b"".join(struct.pack(">i", round(part * 65536)) for part in _WHITE)
    rest = rest.ljust(124, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(rest) + 4) + rest


def _xyz(column: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(part * 65536)) for part in column)


def _curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))


def _srgb_curve() -> bytes:
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para" + struct.pack(">IHH5i", 0, 3, 0, *(round(number * 65536) for number in numbers))
