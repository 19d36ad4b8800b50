"""A payload is read a piece at a time: pieces may end anywhere, and little more than the payload is ever in memory."""

import base64
import hashlib
import tracemalloc
from pathlib import Path
from urllib.parse import quote

import pytest

from ltx_mcp.media.data_uri import PIECE_CHARS, write_data
from ltx_mcp.media.paths import UnreadableError

CONTENT = hashlib.shake_256(b"film").digest(1_400_001)
LETTERS = base64.b64encode(CONTENT).decode()
ESCAPED = "".join(f"%{ord(letter):02x}" for letter in LETTERS)
PAYLOAD_CHARS = 1_044_000


@pytest.mark.parametrize("shift", range(4))
@pytest.mark.parametrize(
    "payload",
    [LETTERS, LETTERS.rstrip("="), ESCAPED, quote(LETTERS, safe=""), base64.encodebytes(CONTENT).decode()],
    ids=["plain", "unpadded", "all percent", "percent", "wrapped"],
)
def test_a_piece_may_end_anywhere(payload: str, shift: int, tmp_path: Path) -> None:
    assert len(payload) > PIECE_CHARS
    written = write_data(" " * shift + payload, tmp_path / "film", len(CONTENT))
    assert (tmp_path / "film").read_bytes() == CONTENT
    assert written == (hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.mark.parametrize("late", ["A=", "=A", "!", "%zz", "%3", "%"])
def test_damage_in_a_later_piece_is_found(late: str, tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="damaged"):
        write_data("A" * PIECE_CHARS + "=" * 4 + late, tmp_path / "film", PIECE_CHARS)


def test_what_is_far_too_long_is_not_even_begun(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="too large"):
        write_data(" " * 6_000_000, tmp_path / "film", 1000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("unit", "bound"), [("%41", 16e6), ("A%41", 20e6), (" ", 1.6e6), ("\n", 1.6e6), ("A ", 2e6), ("A", 2e6)]
)
def test_little_more_than_a_piece_is_kept_in_memory(unit: str, bound: float, tmp_path: Path) -> None:
    """The whole payload, worked on at once, would take twice as much at least."""
    payload = unit * (PAYLOAD_CHARS // len(unit))
    tracemalloc.start()
    try:
        write_data(payload, tmp_path / "film", len(payload))
    except UnreadableError:
        assert unit.isspace()
    finally:
        most_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most_bytes < bound
