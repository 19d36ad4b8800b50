"""The emulated fal.ai keeps to fal"s documented contract: orders, refusals, status and stream."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault, VideoSpec
from ltx_mcp.emulator.fal import KEY
from ltx_mcp.emulator.fal.app import Queue
from ltx_mcp.emulator.inputs import Inputs
from ltx_mcp.emulator.videos import Videos
from ltx_mcp.emulator.wire import Emulator
from ltx_mcp.media.client import MediaClient
from tests.conftest import ENDS_S, Emulated
from tests.emulator.fal_orders import ELSEWHERE, FAST, IMAGE, PRO, PROMPT, Submit, fal, state, submit
from tests.patience import HANG_S

__all__ = ["fal", "state", "submit"]

FILM = VideoSpec(1920, 1080, 25, 6)


def test_an_order_is_answered_with_the_three_addresses_to_follow_it_at(
    emulator: Emulated, fal: httpx.Client, state: EmulatorState
) -> None:
    answer = fal.post(FAST, json=PROMPT)
    told = answer.json()
    request_id = told["request_id"]
    base = f"{emulator[0]}/fal-ai/ltx-2.3/requests/{request_id}"
    assert told == {
        "status": "IN_QUEUE",
        "queue_position": 0,
        "request_id": request_id,
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
    }
    assert answer.headers["x-fal-request-id"] == request_id == state.orders[0].id


def test_an_order_is_kept_as_it_was_sent_with_fields_that_fal_ignores(submit: Submit, state: EmulatorState) -> None:
    submit(seed=7)
    assert state.orders[0].fields == {"prompt": "a pond", "seed": 7}
    assert state.orders[0].endpoint == FAST[1:]


@pytest.mark.parametrize("authorization", [None, "Key wrong", f"Bearer {KEY}", f"key {KEY}", KEY])
def test_another_key_is_401_and_orders_nothing(
    emulator: Emulated, submit: Submit, state: EmulatorState, authorization: str | None
) -> None:
    told = submit()
    headers = {"Authorization": authorization} if authorization else {}
    refused = [
        httpx.post(emulator[0] + FAST, json=PROMPT, headers=headers),
        httpx.get(told["status_url"], headers=headers),
        httpx.get(told["status_url"] + "/stream", headers=headers),
        httpx.get(told["response_url"], headers=headers),
        httpx.put(told["cancel_url"], headers=headers),
        httpx.post(emulator[0] + "/storage/upload/initiate", json={}, headers=headers),
        httpx.post(emulator[0] + "/storage/auth/token", json={}, headers=headers),
        httpx.post(emulator[0] + "/files/upload", content=b"x", headers=headers),
        httpx.get(emulator[0] + "/v1/models/pricing?endpoint_id=x", headers=headers),
    ]
    assert [answer.status_code for answer in refused] == [401] * len(refused)
    assert isinstance(refused[0].json()["detail"], str)
    assert len(state.orders) == 1
    assert state.status(state.orders[0]) == "waiting"


def test_an_endpoint_that_does_not_exist_is_404(fal: httpx.Client, state: EmulatorState) -> None:
    answer = fal.post("/fal-ai/ltx-2.3/text-to-video/turbo", json=PROMPT)
    assert (answer.status_code, state.orders) == (404, [])
    assert isinstance(answer.json()["detail"], str)


BAD: list[tuple[str, dict[str, Any], str, list[str]]] = [
    (FAST, {"prompt": None}, "string_type", ["body", "prompt"]),
    (FAST, {"duration": "6"}, "int_type", ["body", "duration"]),
    (FAST, {"duration": 6.0}, "int_type", ["body", "duration"]),
    (FAST, {"duration": 7}, "one_of", ["body", "duration"]),
    (FAST, {"duration": 22}, "one_of", ["body", "duration"]),
    (PRO, {"duration": 12}, "one_of", ["body", "duration"]),
    (IMAGE, {"duration": 12, "image_url": ELSEWHERE}, "one_of", ["body", "duration"]),
    (FAST, {"fps": "25"}, "int_type", ["body", "fps"]),
    (FAST, {"fps": 30}, "one_of", ["body", "fps"]),
    (FAST, {"resolution": "720p"}, "one_of", ["body", "resolution"]),
    (FAST, {"aspect_ratio": "1:1"}, "one_of", ["body", "aspect_ratio"]),
    (FAST, {"aspect_ratio": "auto"}, "one_of", ["body", "aspect_ratio"]),
    (FAST, {"generate_audio": "true"}, "bool_type", ["body", "generate_audio"]),
    (FAST, {"duration": 12, "fps": 24}, "feature_not_supported", ["body"]),
    (FAST, {"duration": 20, "resolution": "1440p"}, "feature_not_supported", ["body"]),
    (IMAGE + "/fast", {"duration": 12, "fps": 50, "image_url": ELSEWHERE}, "feature_not_supported", ["body"]),
    (IMAGE, {}, "missing", ["body", "image_url"]),
]


@pytest.mark.parametrize(("path", "fields", "kind", "loc"), BAD)
def test_an_input_the_model_does_not_take_is_a_422_in_a_list(
    fal: httpx.Client, state: EmulatorState, path: str, fields: dict[str, Any], kind: str, loc: list[str]
) -> None:
    answer = fal.post(path, json=PROMPT | fields)
    [detail] = answer.json()["detail"]
    assert (answer.status_code, detail["type"], detail["loc"]) == (422, kind, loc)
    assert detail["url"] == f"https://docs.fal.ai/errors/#{kind}"
    assert {"msg", "input"} <= set(detail)
    assert answer.headers["x-fal-retryable"] == "false"
    assert state.orders == []


def test_what_would_be_allowed_is_told(fal: httpx.Client) -> None:
    [detail] = fal.post(PRO, json=PROMPT | {"duration": 7}).json()["detail"]
    assert detail["ctx"] == {"expected": [6, 8, 10]}
    assert (detail["input"], detail["msg"]) == (7, "Input should be 6, 8 or 10")


def test_a_body_that_is_no_json_object_is_422(fal: httpx.Client, state: EmulatorState) -> None:
    assert fal.post(FAST, content=b"prompt=pond").status_code == 422
    assert fal.post(FAST, json=["a pond"]).status_code == 422
    assert state.orders == []


@pytest.mark.parametrize("duration", [12, 14, 16, 18, 20])
def test_a_long_film_of_the_fast_model_is_taken_at_25_fps_and_1080p(submit: Submit, duration: int) -> None:
    submit(duration=duration, fps=25, resolution="1080p")


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({}, (1920, 1080)),
        ({"aspect_ratio": "9:16"}, (1080, 1920)),
        ({"resolution": "1440p", "fps": 48}, (2560, 1440)),
        ({"resolution": "2160p", "duration": 10, "fps": 50}, (3840, 2160)),
    ],
)
def test_the_film_has_the_size_that_resolution_and_ratio_name(
    submit: Submit, state: EmulatorState, fields: dict[str, Any], size: tuple[int, int]
) -> None:
    submit(PRO, **fields)
    film = state.orders[0].video
    assert (film.width, film.height) == size
    assert (film.fps, film.duration) == (fields.get("fps", 25), fields.get("duration", 6))


def test_an_order_that_could_not_start_in_its_time_ends_with_504(
    fal: httpx.Client, submit: Submit, state: EmulatorState
) -> None:
    told = submit(headers={"X-Fal-Request-Timeout": "5"})
    state.advance(6)
    status = fal.get(told["status_url"])
    assert (status.status_code, status.json()["error_type"]) == (200, "request_timeout")
    result = fal.get(told["response_url"])
    assert (result.status_code, result.headers["x-fal-request-timeout-type"]) == (504, "user")
    assert fal.post(FAST, json=PROMPT, headers={"X-Fal-Request-Timeout": "soon"}).status_code == 400


def test_the_status_is_202_until_the_order_has_ended(fal: httpx.Client, submit: Submit, state: EmulatorState) -> None:
    url = submit()["status_url"]
    waiting = fal.get(url)
    assert (waiting.status_code, waiting.json()["status"]) == (202, "IN_QUEUE")
    assert "logs" not in waiting.json()
    state.advance(120)
    running = fal.get(url, params={"logs": 0})
    assert (running.status_code, running.json()["status"], running.json()["logs"]) == (202, "IN_PROGRESS", None)
    assert "queue_position" not in running.json()
    [first, *_] = logs = fal.get(url, params={"logs": 1}).json()["logs"]
    assert set(first) == {"message", "level", "source", "timestamp"}
    assert len(logs) == 4
    state.advance(61)
    done = fal.get(url)
    assert (done.status_code, done.json()["status"]) == (200, "COMPLETED")
    assert done.json()["metrics"] == {"inference_time": 120}
    assert "error" not in done.json()


def test_the_position_counts_the_orders_before(fal: httpx.Client, submit: Submit, state: EmulatorState) -> None:
    submit()
    state.advance(30)
    told = submit()
    assert told["queue_position"] == 1
    state.advance(31)
    assert fal.get(told["status_url"]).json()["queue_position"] == 0


def test_an_id_that_is_not_known_is_404(fal: httpx.Client, submit: Submit) -> None:
    told = submit()
    for url in (told["response_url"][:-1] + "g", told["response_url"].replace("ltx-2.3", "flux")):
        assert fal.get(url + "/status").status_code == 404
        assert fal.get(url).status_code == 404
        assert fal.put(url + "/cancel").json() == {"status": "NOT_FOUND"}


def test_the_stream_tells_each_change_at_once_and_ends_with_the_order(
    fal: httpx.Client, submit: Submit, state: EmulatorState
) -> None:
    told = submit()
    turns = iter([61.0, 60.0, 60.0])
    seen: list[tuple[str, int]] = []
    with fal.stream("GET", told["status_url"] + "/stream", params={"logs": 1}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        turned_at = time.monotonic()
        for line in answer.iter_lines():
            if not line:
                continue
            assert time.monotonic() - turned_at < ENDS_S
            event = httpx.Response(200, content=line.removeprefix("data: ")).json()
            assert event["request_id"] == told["request_id"]
            seen.append((event["status"], len(event.get("logs", []))))
            state.advance(next(turns, 0))
            turned_at = time.monotonic()
    assert seen == [("IN_QUEUE", 0), ("IN_PROGRESS", 0), ("IN_PROGRESS", 4), ("COMPLETED", 8)]


@pytest.mark.anyio
async def test_a_stream_with_nothing_to_tell_sends_comments(tmp_path: Path) -> None:
    state, media = EmulatorState(wait_s=60), MediaClient()
    emulator = Emulator(state, Videos(tmp_path, media), Inputs(media), "http://127.0.0.1:9")
    queue = Queue(emulator, lambda url: None, alive_s=0.05)
    path = {"owner": "fal-ai", "app": "ltx-2.3", "request_id": "1"}
    headers = [(b"authorization", f"Key {KEY}".encode())]
    order = state.place("fal", FAST[1:], {}, FILM, order_id="1", start_timeout_s=None)
    answer = await queue.stream(Request({"type": "http", "headers": headers, "path_params": path, "query_string": b""}))
    assert isinstance(answer, StreamingResponse)
    assert isinstance(answer.body_iterator, AsyncIterator)
    with anyio.fail_after(HANG_S):
        lines = [await anext(answer.body_iterator) for _ in range(2)]
        order.cancelled_at = state.now()
        rest = [line async for line in answer.body_iterator]
    assert "IN_QUEUE" in str(lines[0])
    assert str(lines[1]).startswith(":")
    assert "COMPLETED" in str(rest[-1])


@pytest.mark.parametrize(
    ("kind", "options", "status", "error"),
    [
        ("locked", {}, 403, None),
        ("content", {}, 422, "content_policy_violation"),
        ("refuse", {}, 422, "one_of"),
        ("status", {"status": 422, "type": "image_too_small"}, 422, "image_too_small"),
        ("status", {"status": 400}, 400, "bad_request"),
        ("status", {"status": 401}, 401, None),
        ("status", {"status": 418}, 418, None),
        ("status", {"status": 429, "retry_after": 7}, 429, "concurrent_requests_limit"),
        ("status", {"status": 500}, 500, "internal_error"),
        ("status", {"status": 503}, 503, "runner_scheduling_failure"),
        ("status", {"status": 504, "type": "startup_timeout"}, 504, "startup_timeout"),
        ("status", {"status": 504, "type": "generation_timeout"}, 504, "generation_timeout"),
    ],
)
def test_a_refusal_on_demand_is_worded_as_fal_words_it(
    fal: httpx.Client, state: EmulatorState, kind: str, options: dict[str, Any], status: int, error: str | None
) -> None:
    state.faults.append(Fault("fal", "submit", kind, options=options))
    answer = fal.post(FAST, json=PROMPT)
    body = answer.json()
    found = body["detail"][0]["type"] if isinstance(body["detail"], list) else body.get("error_type")
    assert (answer.status_code, found, state.orders) == (status, error, [])
    if isinstance(body["detail"], str):
        assert answer.headers.get("x-fal-error-type") == error
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert answer.headers.get("x-fal-needs-retry") == ("1" if status == 429 else None)
    assert fal.post(FAST, json=PROMPT).status_code == 200


def test_a_locked_account_says_why(fal: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "submit", "locked"))
    assert fal.post(FAST, json=PROMPT).json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
