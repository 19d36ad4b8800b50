"""What a decoder of H.264 must know before the first frame, and how MP4 keeps it (ISO 14496-15, 5.3.3.1).

A film may hold frames of two encoders, ours and that of the clips: the sets of both stand in its head, and each frame
names its own by number. So the numbers must differ.
"""

import re
from dataclasses import dataclass

_START = re.compile(rb"\x00?\x00\x00\x01")
_SPS, _PPS, IDR = 7, 8, 5
_PLAIN_PROFILES = (66, 77, 88)
_FINE = b"\xfd\xf8\xf8\x00"  # 4:2:0 in 8 bits, without further sets
_MAX_SETS = 31


@dataclass(frozen=True)
class ParameterSets:
    """Sequence and picture parameter sets, as bytes without a start code."""

    sequence: tuple[bytes, ...]
    picture: tuple[bytes, ...]

    def numbers(self) -> set[int]:
        """The numbers that sets of either kind have."""
        return {_golomb(unit, 32) for unit in self.sequence} | {_golomb(unit, 8) for unit in self.picture}

    def free_number(self) -> int:
        """One that none of them has."""
        return next(number for number in range(_MAX_SETS) if number not in self.numbers())


def from_record(record: bytes) -> ParameterSets | None:
    """The sets of an MP4's own record (avcC); None for one whose frames we could not put beside ours."""
    if len(record) < 7 or record[0] != 1 or record[4] & 3 != 3:
        return None
    sequence, place = _units(record, 6, record[5] & 31)
    picture, place = _units(record, place + 1, record[place]) if place < len(record) else ((), place)
    return ParameterSets(sequence, picture) if sequence and picture else None


def from_stream(data: bytes) -> ParameterSets:
    """The sets of an encoder, which gives them with start codes."""
    units = split_units(data)
    return ParameterSets(
        tuple(unit for unit in units if unit[0] & 31 == _SPS), tuple(unit for unit in units if unit[0] & 31 == _PPS)
    )


def to_record(*parts: ParameterSets) -> bytes:
    """The record for a film that holds frames of all of these."""
    sequence = [unit for part in parts for unit in part.sequence]
    picture = [unit for part in parts for unit in part.picture]
    profile, level = max(unit[1] for unit in sequence), max(unit[3] for unit in sequence)
    record = bytes((1, profile, next(unit[2] for unit in sequence if unit[1] == profile), level, 0xFF))
    record += bytes((0xE0 | len(sequence),)) + b"".join(map(_with_short_length, sequence))
    record += bytes((len(picture),)) + b"".join(map(_with_short_length, picture))
    return record if profile in _PLAIN_PROFILES else record + _FINE


def split_units(data: bytes) -> list[bytes]:
    """The units between start codes."""
    return [unit for part in _START.split(data) if (unit := part.rstrip(b"\x00"))]


def to_lengths(data: bytes) -> bytes:
    """The same with the length before each unit, as MP4 has it."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in split_units(data))


def unit_kinds(data: bytes) -> set[int]:
    """Which kinds of unit a frame of an MP4 has."""
    kinds, place = set(), 0
    while place + 4 < len(data):
        kinds.add(data[place + 4] & 31)
        place += 4 + int.from_bytes(data[place : place + 4], "big")
    return kinds


def has_sets(kinds: set[int]) -> bool:
    """Whether a frame brings parameter sets of its own."""
    return bool(kinds & {_SPS, _PPS})


def _units(record: bytes, place: int, count: int) -> tuple[tuple[bytes, ...], int]:
    units = []
    for _ in range(count):
        size = int.from_bytes(record[place : place + 2], "big")
        units.append(record[place + 2 : place + 2 + size])
        place += 2 + size
    return tuple(unit for unit in units if len(unit) > 3), place


def _with_short_length(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def _golomb(unit: bytes, skipped_bits: int) -> int:
    """The number that is coded after so many bits of a unit."""
    plain = unit[:24].replace(b"\x00\x00\x03", b"\x00\x00")
    bits = "".join(f"{byte:08b}" for byte in plain)[skipped_bits:]
    zeros = len(bits) - len(bits.lstrip("0"))
    return int(bits[zeros : 2 * zeros + 1] or "1", 2) - 1
