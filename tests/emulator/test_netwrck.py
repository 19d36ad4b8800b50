"""The emulated Netwrck keeps to its two pages: inline and polled orders, credits, values, errors in its words."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest
from PIL import Image

from ltx_mcp.emulator import netwrck
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.emulator.conftest import NO_TLS, Service
from tests.patience import HANG_S

TEXT, PICTURE = "/api/ltx-text-to-video", "/api/ltx-2.3-image-to-video"
BODY = {"api_key": netwrck.KEY, "prompt": "A kettle boils", "response_mode": "polling"}


@pytest.fixture
def http(service: Service, state: EmulatorState) -> Iterator[httpx.Client]:
    """A client."""
    with httpx.Client(base_url=service[0], timeout=HANG_S, trust_env=False, verify=NO_TLS) as client:
        yield client


def data_uri(kind: str = "png", size: tuple[int, int] = (16, 9), content: bytes = b"") -> str:
    """A picture, or other bytes, as a data URI."""
    kept = io.BytesIO(content)
    if not content:
        Image.new("RGB", size, "teal").save(kept, kind)
    return f"data:image/{kind};base64,{base64.b64encode(kept.getvalue()).decode()}"


def poll(http: httpx.Client, job_id: str) -> Any:
    """What a poll with the key says."""
    return http.get(f"/api/fal/status/{job_id}", params={"api_key": netwrck.KEY}).json()


def test_a_polled_order_is_in_progress_until_it_is_completed_with_a_film(
    http: httpx.Client, state: EmulatorState
) -> None:
    sent = http.post(TEXT, json=BODY)
    assert (sent.status_code, set(sent.json())) == (202, {"job_id", "status", "credits_charged", "cost_usd"})
    job_id = sent.json()["job_id"]
    for _ in range(2):
        assert poll(http, job_id) == {"status": "in_progress"}
        state.advance(1001)
    told = poll(http, job_id)
    assert (told["status"], told["result"]["video"]["content_type"]) == ("completed", "video/mp4")
    assert set(told["result"]["video"]) == {"url", "content_type"}
    film = httpx.get(told["result"]["video"]["url"], timeout=HANG_S)
    assert (film.status_code, film.content[4:8]) == (200, b"ftyp")


def test_an_inline_order_is_answered_when_the_film_is_done(http: httpx.Client, state: EmulatorState) -> None:
    body = BODY | {"response_mode": "inline", "resolution": "1440p", "fps": 50, "duration": 8, "aspect_ratio": "9:16"}
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(http.post, TEXT, json=body)
        while not state.orders:
            assert not wait([asked], timeout=0.01).done
        assert not wait([asked], timeout=0.1).done
        state.advance(2001)
        told = asked.result(timeout=HANG_S).json()
    video = told["result"]["video"]
    assert (video["duration"], video["width"], video["height"], video["fps"]) == (8.0, 1440, 2560, 50)
    assert (told["credits_charged"], told["cost_usd"]) == (77, 0.768)


def test_inline_is_what_happens_when_nothing_is_said(http: httpx.Client, state: EmulatorState) -> None:
    state.wait_s = state.work_s = 0
    answer = http.post(TEXT, json={"api_key": netwrck.KEY, "prompt": "A kettle boils"})
    assert (answer.status_code, set(answer.json())) == (200, {"result", "credits_charged", "cost_usd"})
    [order] = state.orders
    assert (order.video.width, order.video.fps, order.video.duration, order.video.audio) == (1920, 25, 6, True)


@pytest.mark.parametrize(
    ("resolution", "duration", "credits"),
    [("1080p", 6, 29), ("1080p", 8, 39), ("1080p", 10, 48), ("1080p", 14, 68), ("1080p", 18, 87), ("2160p", 6, 116)],
)
def test_a_started_credit_is_a_whole_one(http: httpx.Client, resolution: str, duration: int, credits: int) -> None:
    told = http.post(TEXT, json=BODY | {"resolution": resolution, "duration": duration}).json()
    assert told["credits_charged"] == credits
    assert 0 <= credits - told["cost_usd"] * 100 < 1


def test_the_key_is_kept_nowhere(http: httpx.Client, state: EmulatorState) -> None:
    job_id = http.post(TEXT, json=BODY | {"seed": 7}).json()["job_id"]
    poll(http, job_id)
    assert state.orders[0].fields == {"prompt": "A kettle boils", "response_mode": "polling", "seed": 7}
    kept = json.dumps([http.get("/control/orders").json(), http.get("/control/calls").json()])
    assert netwrck.KEY not in kept
    assert job_id in kept


@pytest.mark.parametrize("key", [None, "", "other", 7], ids=repr)
def test_a_missing_or_wrong_key_is_401(http: httpx.Client, state: EmulatorState, key: object) -> None:
    headers = {"authorization": f"Bearer {netwrck.KEY}"}
    answer = http.post(TEXT, json=BODY | {"api_key": key}, headers=headers)
    assert (answer.status_code, set(answer.json())) == (401, {"error"})
    params = {} if key is None else {"api_key": str(key)}
    assert http.get("/api/fal/status/job_1", params=params, headers=headers).status_code == 401
    assert not state.orders


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": ""},
        {"prompt": None},
        {"duration": 7},
        {"duration": "6"},
        {"duration": True},
        {"duration": 12, "fps": 24},
        {"duration": 12, "resolution": "1440p"},
        {"resolution": "720p"},
        {"resolution": "1920x1080"},
        {"aspect_ratio": "1:1"},
        {"aspect_ratio": "auto"},
        {"fps": 30},
        {"fps": "25"},
        {"generate_audio": "true"},
        {"response_mode": "webhook"},
    ],
    ids=repr,
)
def test_a_wrong_field_is_refused_and_nothing_is_ordered(
    http: httpx.Client, state: EmulatorState, change: dict[str, Any]
) -> None:
    answer = http.post(TEXT, json=BODY | change)
    assert (answer.status_code, set(answer.json())) == (400, {"error"})
    assert not state.orders


def test_a_body_that_is_no_json_is_refused(http: httpx.Client) -> None:
    assert http.post(TEXT, data=BODY).status_code == 400
    assert http.post(TEXT, content=b"{", headers={"content-type": "application/json"}).status_code == 400


@pytest.mark.parametrize("change", [{"duration": n} for n in (8.0, 12, 14, 16, 18, 20)], ids=repr)
def test_every_duration_of_the_page_is_taken(http: httpx.Client, change: dict[str, Any]) -> None:
    assert http.post(TEXT, json=BODY | change).status_code == 202


@pytest.mark.parametrize(
    "uri",
    [
        "https://media.example.org/a.png",
        "http://media.example.org/a.png",
        data_uri("png"),
        data_uri("jpeg"),
        data_uri("webp"),
        data_uri("avif", content=b"\0\0\0\x1cftypavif" + bytes(20)),
        data_uri("heic", content=b"\0\0\0\x1cftypheic" + bytes(20)),
    ],
    ids=lambda uri: str(uri)[:24],
)
@pytest.mark.parametrize("field", ["image_url", "end_image_url"])
def test_a_picture_may_be_a_public_address_or_data(
    http: httpx.Client, state: EmulatorState, field: str, uri: str
) -> None:
    body = BODY | {"image_url": "https://media.example.org/b.png"} | {field: uri}
    assert http.post(PICTURE, json=body).status_code == 202
    assert state.orders[0].fields[field] == uri


@pytest.mark.parametrize(
    "uri",
    [
        "ftp://media.example.org/a.png",
        "http://127.0.0.1/a.png",
        "/home/a.png",
        "data:image/png;base64,%%%",
        data_uri("gif"),
        None,
    ],
    ids=lambda uri: str(uri)[:24],
)
@pytest.mark.parametrize("field", ["image_url", "end_image_url"])
def test_any_other_picture_is_refused(http: httpx.Client, state: EmulatorState, field: str, uri: object) -> None:
    body = BODY | {"image_url": "https://media.example.org/b.png"} | {field: uri}
    assert http.post(PICTURE, json=body).status_code == 400
    assert not state.orders


def test_a_film_from_a_picture_needs_the_picture(http: httpx.Client) -> None:
    answer = http.post(PICTURE, json=BODY)
    assert (answer.status_code, answer.json()) == (400, {"error": "Missing image_url"})


@pytest.mark.parametrize(
    ("size", "ratio", "upright"),
    [((9, 16), {}, True), ((16, 9), {}, False), ((9, 16), {"aspect_ratio": "16:9"}, False)],
)
def test_auto_is_the_pictures_own_ratio(
    http: httpx.Client, state: EmulatorState, size: tuple[int, int], ratio: dict[str, str], upright: bool
) -> None:
    http.post(PICTURE, json=BODY | {"image_url": data_uri(size=size)} | ratio)
    assert (state.orders[0].video.height > state.orders[0].video.width) is upright


@pytest.mark.parametrize(
    ("kind", "options", "status"),
    [
        ("locked", {}, 402),
        ("content", {}, 400),
        ("refuse", {}, 400),
        ("status", {"status": 500}, 500),
        ("status", {"status": 429, "retry_after": 3}, 429),
    ],
)
def test_a_refusal_on_demand_is_worded_as_theirs_and_orders_nothing(
    http: httpx.Client, state: EmulatorState, kind: str, options: dict[str, Any], status: int
) -> None:
    state.faults.append(Fault("netwrck", "submit", kind, options=options))
    answer = http.post(TEXT, json=BODY)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
    assert answer.headers.get("retry-after") == (str(options["retry_after"]) if "retry_after" in options else None)
    assert ("content policy" in answer.json()["error"]) is (kind == "content")
    assert not state.orders


@pytest.mark.parametrize("kind", ["fails", "content"])
def test_an_order_may_fail_after_it_was_taken(http: httpx.Client, state: EmulatorState, kind: str) -> None:
    state.faults.append(Fault("netwrck", "order", kind, times=2))
    job_id = http.post(TEXT, json=BODY).json()["job_id"]
    state.advance(2001)
    told = poll(http, job_id)
    assert (told["status"], set(told)) == ("failed", {"status", "error"})
    assert ("content policy" in told["error"]) is (kind == "content")
    state.wait_s = state.work_s = 0
    inline = http.post(TEXT, json=BODY | {"response_mode": "inline"})
    assert (inline.status_code, inline.json()) == (500, {"error": told["error"]})


def test_an_order_may_stay_in_an_unheard_of_state(http: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("netwrck", "order", "unknown_state"))
    job_id = http.post(TEXT, json=BODY).json()["job_id"]
    for _ in range(2):
        assert poll(http, job_id)["status"] not in ("in_progress", "completed", "failed")
        state.advance(2001)


def test_an_unknown_job_is_not_found(http: httpx.Client) -> None:
    answer = http.get("/api/fal/status/job_1", params={"api_key": netwrck.KEY})
    assert (answer.status_code, set(answer.json())) == (404, {"error"})
