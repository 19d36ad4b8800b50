"""How large a film may be that is edited at the emulated LTX."""

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.emulator.ltx_orders import http, order, refusal
from tests.emulator.test_ltx_edits import RETAKE, film_uri

__all__ = ["http"]


@pytest.mark.parametrize("endpoint", ["retake", "extend"])
@pytest.mark.parametrize("size", [(3840, 2160), (2160, 3840)])
def test_a_film_of_up_to_4k_is_taken(
    http: httpx.Client, world: EmulatorState, endpoint: str, size: tuple[int, int]
) -> None:
    order(http, endpoint, video_uri=film_uri(size=size, sound=False), **RETAKE)
    assert len(world.orders) == 1


@pytest.mark.parametrize("endpoint", ["retake", "extend"])
@pytest.mark.parametrize("size", [(3842, 2160), (3840, 2162)])
def test_a_film_of_more_pixels_is_refused(
    http: httpx.Client, world: EmulatorState, endpoint: str, size: tuple[int, int]
) -> None:
    told = refusal(http, endpoint, video_uri=film_uri(size=size), **RETAKE)
    assert told.startswith("video_uri")
    assert "3840x2160" in told
    assert not world.orders
