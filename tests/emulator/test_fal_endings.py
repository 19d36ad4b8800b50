"""How an order at the emulated fal.ai ends: with a film, with an error, by cancelling, or not at all."""

import io
from typing import Any

import av
import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.conftest import Emulated
from tests.emulator.fal_orders import Submit, fal, state, submit
from tests.patience import HANG_S

__all__ = ["fal", "state", "submit"]


def test_the_result_is_the_address_of_the_film_and_the_seconds_that_are_billed(
    emulator: Emulated, fal: httpx.Client, submit: Submit, state: EmulatorState
) -> None:
    told = submit(duration=8)
    early = fal.get(told["response_url"])
    assert (early.status_code, early.json()["detail"]) == (400, "Request is still in progress")
    state.advance(181)
    name = f"{state.orders[0].media_id}.mp4"
    video = {"url": f"{emulator[0]}/media/{name}", "content_type": "video/mp4", "file_name": name}
    for spelling in (told["response_url"], told["response_url"] + "/response"):
        result = fal.get(spelling)
        assert (result.status_code, result.json()) == (200, {"video": video})
        assert result.headers["x-fal-billable-units"] == "8"
        assert result.headers["x-fal-request-id"] == told["request_id"]


def test_the_film_is_a_real_one_as_it_was_ordered_and_needs_no_key(
    fal: httpx.Client, submit: Submit, state: EmulatorState
) -> None:
    told = submit()
    state.advance(181)
    film = httpx.get(fal.get(told["response_url"]).json()["video"]["url"], timeout=HANG_S)
    assert film.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(film.content)) as opened:
        stream = opened.streams.video[0]
        assert (stream.width, stream.height, float(stream.average_rate or 0)) == (1920, 1080, 25.0)
        assert stream.frames == 150
        assert opened.streams.audio


def test_a_result_is_gone_an_hour_after_its_end(fal: httpx.Client, submit: Submit, state: EmulatorState) -> None:
    told = submit()
    state.advance(180 + 3590)
    assert fal.get(told["response_url"]).status_code == 200
    state.advance(20)
    assert fal.get(told["response_url"]).status_code == 404


@pytest.mark.parametrize(
    ("kind", "options", "status", "told", "error"),
    [
        ("fails", {}, 500, "runner_server_error", "runner_server_error"),
        ("fails", {"status": 504, "type": "generation_timeout"}, 504, "generation_timeout", "generation_timeout"),
        ("content", {}, 422, "content_policy_violation", "content_policy_violation"),
        ("refused", {"type": "image_too_small"}, 422, None, "image_too_small"),
    ],
)
def test_an_order_that_fails_is_completed_and_its_result_is_the_error(
    fal: httpx.Client,
    submit: Submit,
    state: EmulatorState,
    kind: str,
    options: dict[str, Any],
    status: int,
    told: str | None,
    error: str,
) -> None:
    state.faults.append(Fault("fal", "order", kind, options=options))
    order = submit()
    state.advance(181)
    shown = fal.get(order["status_url"])
    assert (shown.status_code, shown.json()["status"]) == (200, "COMPLETED")
    assert (shown.json().get("error_type"), "error" in shown.json()) == (told, told is not None)
    result = fal.get(order["response_url"])
    detail = result.json()["detail"]
    found = detail[0]["type"] if isinstance(detail, list) else result.json()["error_type"]
    assert (result.status_code, found) == (status, error)
    assert "x-fal-billable-units" not in result.headers


def test_an_order_may_stay_in_a_state_nobody_knows(fal: httpx.Client, submit: Submit, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "order", "unknown_state"))
    url = submit()["status_url"]
    for _ in range(2):
        assert (fal.get(url).status_code, fal.get(url).json()["status"]) == (202, "PAUSED_BY_OPERATOR")
        state.advance(1000)


def test_an_order_may_run_for_ever(fal: httpx.Client, submit: Submit, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "order", "never_finishes"))
    url = submit()["status_url"]
    state.advance(100_000)
    assert fal.get(url).json()["status"] == "IN_PROGRESS"


def test_a_film_may_be_smaller_than_ordered_and_is_billed_as_it_is(
    fal: httpx.Client, submit: Submit, state: EmulatorState
) -> None:
    state.faults.append(Fault("fal", "order", "smaller_film"))
    told = submit()
    state.advance(181)
    assert fal.get(told["response_url"]).headers["x-fal-billable-units"] == "3"
    assert (state.orders[0].video.width, state.orders[0].video.height) == (960, 540)


def test_the_address_of_a_film_may_be_gone_at_once(fal: httpx.Client, submit: Submit, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "order", "url_expires"))
    told = submit()
    state.advance(181)
    assert httpx.get(fal.get(told["response_url"]).json()["video"]["url"]).status_code == 403


def test_an_order_that_waits_is_removed(fal: httpx.Client, submit: Submit, state: EmulatorState) -> None:
    told = submit()
    cancelled = fal.put(told["cancel_url"])
    assert (cancelled.status_code, cancelled.json()) == (200, {"status": "OK"})
    status = fal.get(told["status_url"])
    assert (status.status_code, status.json()["error_type"]) == (200, "client_cancelled")
    result = fal.get(told["response_url"])
    assert (result.status_code, result.headers["x-fal-error-type"]) == (499, "client_cancelled")
    state.advance(1000)
    assert state.status(state.orders[0]) == "cancelled"


def test_an_order_that_runs_is_asked_to_stop_and_may_still_finish(
    fal: httpx.Client, submit: Submit, state: EmulatorState
) -> None:
    told = submit()
    state.advance(61)
    cancelled = fal.put(told["cancel_url"])
    assert (cancelled.status_code, cancelled.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    state.advance(120)
    assert fal.get(told["response_url"]).status_code == 200
    late = fal.put(told["cancel_url"])
    assert (late.status_code, late.json()) == (400, {"status": "ALREADY_COMPLETED"})
