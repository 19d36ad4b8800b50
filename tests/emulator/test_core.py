"""What all emulated providers share: the clock, faults as a real client meets them, films, control addresses."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.app import running
from ltx_mcp.emulator.emulator_state import EmulatedOrder, EmulatorState, Fault, VideoSpec
from ltx_mcp.emulator.fal import KEY
from ltx_mcp.emulator.wire import KINDS
from tests.conftest import ENDS_S, Emulated
from tests.emulator.conftest import NO_TLS
from tests.patience import HANG_S

PAGE = Path(__file__).parents[2] / "docs" / "emulator.md"
SUBMIT = "/fal-ai/ltx-2.3/text-to-video/fast"
FILM = VideoSpec(1920, 1080, 25, 6)


@pytest.fixture
def state(emulator: Emulated) -> EmulatorState:
    """The emulator's state."""
    return emulator[1]


@pytest.fixture
def client(emulator: Emulated) -> Iterator[httpx.Client]:
    """A client with fal's key."""
    key = {"Authorization": f"Key {KEY}"}
    with httpx.Client(base_url=emulator[0], headers=key, timeout=HANG_S, verify=NO_TLS) as opened:
        yield opened


def place(state: EmulatorState, number: int = 1) -> EmulatedOrder:
    return state.place("fal", SUBMIT[1:], {}, FILM, order_id=f"order-{number}", start_timeout_s=None)


def finished(state: EmulatorState) -> str:
    """The path of a film that is done."""
    order = place(state)
    state.advance(1000)
    return f"/media/{order.media_id}.mp4"


def submit(client: httpx.Client) -> httpx.Response:
    return client.post(SUBMIT, json={"prompt": "a pond"})


def test_an_order_waits_then_runs_then_is_done_by_the_worlds_clock() -> None:
    state = EmulatorState(wait_s=10, work_s=20)
    order = place(state)
    states = [state.status(order)]
    for _ in range(3):
        state.advance(10.5)
        states.append(state.status(order))
    assert states == ["waiting", "running", "running", "done"]


def test_the_position_counts_those_of_the_same_provider_that_wait() -> None:
    state = EmulatorState(wait_s=10)
    first, second = place(state, 1), place(state, 2)
    state.place("ltx", "x", {}, FILM, order_id="other")
    assert (state.position(first), state.position(second)) == (0, 1)
    first.cancelled_at = state.now()
    assert state.position(second) == 0


def test_a_fault_happens_as_often_as_it_was_told_at_its_step_and_provider_only() -> None:
    state = EmulatorState()
    fault = Fault("fal", "submit", "locked", times=2)
    anywhere = Fault("*", "poll", "html")
    state.faults += [fault, anywhere]
    assert [state.take_fault("ltx", "submit"), state.take_fault("fal", "poll"), state.take_fault("ltx", "poll")] == [
        None,
        anywhere,
        None,
    ]
    assert [state.take_fault("fal", "submit") for _ in range(3)] == [fault, fault, None]


def test_a_reset_forgets_all_but_the_clock() -> None:
    state = EmulatorState()
    place(state)
    state.faults.append(Fault("fal", "submit", "locked"))
    state.uploads["1"] = {}
    state.advance(1000)
    before = state.now()
    state.reset()
    assert (state.orders, state.calls, state.faults, state.uploads) == ([], [], [], {})
    assert state.now() >= before


def test_a_connection_dropped_before_the_order_leaves_none(client: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "submit", "drop_before"))
    with pytest.raises(httpx.TransportError):
        submit(client)
    assert state.orders == []
    assert state.calls[-1].status == 0
    assert submit(client).status_code == 200


def test_a_connection_dropped_after_the_order_leaves_one(client: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "submit", "drop_after"))
    with pytest.raises(httpx.TransportError):
        submit(client)
    assert len(state.orders) == 1


@pytest.mark.parametrize(
    ("kind", "status", "orders"), [("html", 502, 0), ("html_after", 200, 1), ("wrong_type", 200, 0)]
)
def test_a_page_comes_where_json_was_due(
    client: httpx.Client, state: EmulatorState, kind: str, status: int, orders: int
) -> None:
    state.faults.append(Fault("fal", "submit", kind))
    answer = submit(client)
    assert (answer.status_code, len(state.orders)) == (status, orders)
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text.startswith("<html>")


def test_a_truncated_answer_is_whole_http_and_broken_json(client: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "submit", "truncated"))
    answer = submit(client)
    assert answer.status_code == 200
    assert answer.text.startswith('{"')
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert len(state.orders) == 1


def test_an_answer_may_be_any_text(client: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "submit", "body", options={"body": '{"request_id": 7}', "status": 201}))
    answer = submit(client)
    assert (answer.status_code, answer.json(), len(state.orders)) == (201, {"request_id": 7}, 1)


def test_a_delay_outlasts_a_client_that_has_no_patience(client: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("fal", "submit", "delay", options={"seconds": 2}))
    with pytest.raises(httpx.ReadTimeout):
        client.post(SUBMIT, json={"prompt": "a pond"}, timeout=0.1)
    state.faults.append(Fault("fal", "submit", "delay", options={"seconds": 0.2}))
    began = time.monotonic()
    assert submit(client).status_code == 200
    assert time.monotonic() - began >= 0.2


def half(client: httpx.Client, path: str, **headers: str) -> tuple[httpx.Response, bytes]:
    """An answer that breaks off, and what came of it."""
    got: list[bytes] = []
    with client.stream("GET", path, headers=headers) as answer:
        chunks = answer.iter_raw()
        with pytest.raises(httpx.RemoteProtocolError):
            got.extend(chunks)
    return answer, b"".join(got)


def test_a_download_that_is_cut_goes_on_by_range_and_may_be_cut_again(
    client: httpx.Client, state: EmulatorState
) -> None:
    path = finished(state)
    whole = client.get(path).content
    state.faults.append(Fault("media", "download", "cut", times=2))
    first, got = half(client, path)
    assert (first.status_code, int(first.headers["content-length"])) == (200, len(whole))
    assert 0 < len(got) <= len(whole) // 2
    second, more = half(client, path, Range=f"bytes={len(got)}-")
    assert (second.status_code, second.headers["content-range"]) == (
        206,
        f"bytes {len(got)}-{len(whole) - 1}/{len(whole)}",
    )
    assert int(second.headers["content-length"]) == len(whole) - len(got)
    got += more
    last = client.get(path, headers={"Range": f"bytes={len(got)}-"})
    assert (last.status_code, got + last.content) == (206, whole)


def test_a_stream_that_is_cut_has_told_its_first_event(client: httpx.Client, state: EmulatorState) -> None:
    state.wait_s = 60
    told = submit(client).json()
    state.faults.append(Fault("fal", "stream", "cut"))
    answer, got = half(client, told["status_url"] + "/stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert got.startswith(b'data: {"status": "IN_QUEUE"')


def test_a_film_is_given_by_range(client: httpx.Client, state: EmulatorState) -> None:
    path = finished(state)
    whole = client.get(path)
    assert whole.content[4:8] == b"ftyp"
    assert whole.headers["accept-ranges"] == "bytes"
    part = client.get(path, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert client.get(path, headers={"Range": f"bytes={len(whole.content)}-"}).status_code == 416
    head = client.head(path)
    assert (head.headers["content-length"], head.content) == (str(len(whole.content)), b"")


def test_a_film_is_there_from_its_end_for_one_day(client: httpx.Client, state: EmulatorState) -> None:
    order = place(state)
    path = f"/media/{order.media_id}.mp4"
    assert client.get(path).status_code == 404
    state.advance(1 + state.wait_s + state.work_s)
    assert client.head(path).status_code == 200
    state.advance(24 * 3600)
    assert client.head(path).status_code == 404


def test_a_download_is_refused_with_the_status_that_was_asked_for(client: httpx.Client, state: EmulatorState) -> None:
    path = finished(state)
    state.faults.append(Fault("media", "download", "status", options={"status": 503}))
    assert [client.head(path).status_code for _ in range(2)] == [503, 200]


def test_the_control_address_tells_orders_and_calls(
    client: httpx.Client, emulator: Emulated, state: EmulatorState
) -> None:
    told = submit(client).json()
    httpx.get(told["status_url"])
    listed = client.get("/control/orders").json()
    [order] = listed["orders"]
    assert listed["counts"] == {"fal": 1}
    assert (order["id"], order["provider"], order["endpoint"]) == (told["request_id"], "fal", SUBMIT[1:])
    assert (order["fields"], order["files"], order["state"]) == ({"prompt": "a pond"}, {}, "waiting")
    calls = client.get("/control/calls").json()
    seen = [(call["step"], call["method"], call["status"], call["authorized"]) for call in calls]
    assert seen == [("submit", "POST", 200, True), ("poll", "GET", 401, False)]
    assert calls[0]["path"] == SUBMIT


def test_the_control_address_turns_the_clock_and_sets_the_times(client: httpx.Client, state: EmulatorState) -> None:
    before = state.now()
    client.post("/control/clock", json={"advance_s": 3600})
    assert (state.now() - before).total_seconds() == pytest.approx(3600, abs=5)
    assert client.post("/control/times", json={"wait_s": 7}).json() == {"wait_s": 7, "work_s": 1.5}
    assert (state.wait_s, state.work_s) == (7, 1.5)


def test_the_control_address_takes_shows_and_forgets_faults(client: httpx.Client, state: EmulatorState) -> None:
    fault = {"provider": "fal", "step": "submit", "kind": "status", "times": 2, "options": {"status": 429}}
    assert client.post("/control/faults", json=fault).json() == [fault]
    assert submit(client).status_code == 429
    assert client.get("/control/faults").json() == [fault | {"times": 1}]
    assert client.delete("/control/faults").json() == []
    assert submit(client).status_code == 200
    client.post("/control/reset")
    assert client.get("/control/orders").json() == {"orders": [], "counts": {}}


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("faults", {"provider": "fal", "step": "submit", "kind": "explode"}),
        ("faults", {"provider": "fal", "step": "submit"}),
        ("faults", {"provider": "fal", "step": "submit", "kind": "html", "often": 2}),
        ("clock", {}),
        ("times", {"wait_s": "long"}),
    ],
)
def test_the_control_address_says_what_it_cannot_read(
    client: httpx.Client, state: EmulatorState, path: str, told: dict[str, Any]
) -> None:
    answer = client.post(f"/control/{path}", json=told)
    assert (answer.status_code, state.faults) == (400, [])
    assert answer.text.startswith("cannot be read")


def test_an_emulator_ends_soon_though_a_stream_is_open(emulator_films: Path) -> None:
    with httpx.Client(headers={"Authorization": f"Key {KEY}"}, timeout=HANG_S) as client:
        with running(emulator_films) as (base_url, state):
            state.wait_s = 600
            told = client.post(base_url + SUBMIT, json={"prompt": "a pond"}).json()
            opened = client.send(client.build_request("GET", told["status_url"] + "/stream"), stream=True)
            lines = opened.iter_lines()
            first = next(lines)
            began = time.monotonic()
        assert time.monotonic() - began < ENDS_S
        opened.close()
    assert "IN_QUEUE" in first


def test_every_fault_and_control_address_is_on_the_page(client: httpx.Client, state: EmulatorState) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [kind for kind in sorted(KINDS) if f"`{kind}`" not in page] == []
    for path in ("orders", "calls", "clock", "times", "faults", "reset"):
        assert f"/control/{path}" in page
    for kind in sorted(KINDS):
        options = {"body": "", "seconds": 0}
        state.faults.append(Fault("fal", "prices", kind, options=options))
        try:
            assert client.get("/v1/models/pricing").status_code < 600
        except httpx.TransportError:
            assert kind in ("drop_before", "drop_after", "cut")
