"""How large a film may be that is edited at the emulated LTX."""

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.emulator.ltx_orders import http, order, refusal, upload
from tests.emulator.made import film
from tests.emulator.test_ltx_edits import RETAKE, film_uri
from tests.emulator.test_ltx_media import padded

__all__ = ["http"]


@pytest.mark.parametrize("endpoint", ["retake", "extend"])
@pytest.mark.parametrize("size", [(3840, 2160), (2160, 3840)])
def test_a_film_of_up_to_4k_is_taken(
    http: httpx.Client, state: EmulatorState, endpoint: str, size: tuple[int, int]
) -> None:
    order(http, endpoint, video_uri=film_uri(size=size, sound=False), **RETAKE)
    assert len(state.orders) == 1


@pytest.mark.parametrize("endpoint", ["retake", "extend"])
@pytest.mark.parametrize("size", [(3842, 2160), (3840, 2162)])
def test_a_film_of_more_pixels_is_refused(
    http: httpx.Client, state: EmulatorState, endpoint: str, size: tuple[int, int]
) -> None:
    told = refusal(http, endpoint, video_uri=film_uri(size=size), **RETAKE)
    assert told.startswith("video_uri")
    assert "3840x2160" in told
    assert not state.orders


def test_a_film_to_extend_has_100_mb_at_most_and_one_to_retake_what_the_slot_lets_in(
    http: httpx.Client, state: EmulatorState
) -> None:
    most = 100 * 2**20 - len(film("mp4"))
    order(http, "extend", video_uri=upload(http, padded(most), "video/mp4"), duration=2)
    large = upload(http, padded(most + 1), "video/mp4")
    assert "100 MB" in refusal(http, "extend", video_uri=large, duration=2)
    order(http, "retake", video_uri=large, start_time=0, duration=2)
