"""The emulated LTX API keeps to its pages: jobs, films in the answer, uploads, and refusals in its own words."""

import itertools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.ltx import KEY as LTX_KEY
from ltx_mcp.emulator.ltx import app
from ltx_mcp.emulator.ltx.orders import check_generation
from ltx_mcp.emulator.wire import RequestRefused
from tests.emulator.conftest import Service, picture
from tests.emulator.ltx_orders import AUTH, error, http, upload
from tests.emulator.ltx_orders import data_uri as medium_uri
from tests.patience import HANG_S

__all__ = ["http"]

BODY = {"prompt": "A kettle boils", "model": "ltx-2-3-fast", "duration": 6, "resolution": "1280x720"}
WHOLE_UPLOAD = {**app.REQUIRED_HEADERS, "content-type": "image/png"}
DAY_S = 24 * 3600


def data_uri(kind: str = "png", content: bytes | None = None, called: str | None = None) -> str:
    """A picture as a data URI."""
    return medium_uri(content or picture(kind), f"image/{called or kind}")


def job(http: httpx.Client, endpoint: str = "text-to-video", **fields: Any) -> str:
    """Order, and give the path to poll."""
    sent = http.post(f"/v2/{endpoint}", json=BODY | fields)
    assert sent.status_code == 202, sent.text
    return f"/v2/{endpoint}/{sent.json()['id']}"


def test_an_order_is_accepted_with_an_id_and_kept_as_it_was_sent(http: httpx.Client, state: EmulatorState) -> None:
    body = BODY | {"generate_audio": False, "camera_motion": "jib_up", "seed": 7}
    answer = http.post("/v2/text-to-video", json=body)
    assert (answer.status_code, set(answer.json())) == (202, {"id", "created_at"})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", answer.json()["created_at"])
    [order] = state.orders
    assert (order.endpoint, order.fields) == ("/v2/text-to-video", body)
    assert (order.video.width, order.video.height, order.video.fps, order.video.audio) == (1280, 720, 24, False)


def test_a_job_is_pending_then_processing_then_completed_with_a_signed_url(
    http: httpx.Client, state: EmulatorState
) -> None:
    path = job(http)
    common = {"status", "id", "created_at"}
    for word in ("pending", "processing"):
        told = http.get(path).json()
        assert (told["status"], set(told)) == (word, common)
        state.advance(1001)
    told = http.get(path).json()
    assert (told["status"], set(told)) == ("completed", common | {"completed_at", "result"})
    film = httpx.get(told["result"]["video_url"], timeout=HANG_S)
    assert (film.headers["content-type"], film.content[4:8]) == ("video/mp4", b"ftyp")
    assert "sig=" in told["result"]["video_url"]


def test_a_job_is_known_only_under_its_own_endpoint_and_for_a_day_after_its_end(
    http: httpx.Client, state: EmulatorState
) -> None:
    path = job(http)
    assert error(http.get(path.replace("text-to", "image-to"))) == (404, "not_found_error")
    assert error(http.get("/v2/text-to-video/nothing")) == (404, "not_found_error")
    state.advance(2000 + DAY_S - 60)
    assert http.get(path).json()["status"] == "completed"
    state.advance(61)
    assert error(http.get(path)) == (404, "not_found_error")


def test_v1_answers_with_the_whole_film_when_the_clock_says_it_is_done(
    http: httpx.Client, state: EmulatorState
) -> None:
    with ThreadPoolExecutor() as threads:
        asked = threads.submit(http.post, "/v1/text-to-video", json=BODY, headers={"range": "bytes=0-9"})
        while not state.orders:
            assert not wait([asked], timeout=0.01).done
        assert not wait([asked], timeout=0.1).done
        state.advance(2001)
        answer = asked.result(timeout=HANG_S)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert answer.content[4:8] == b"ftyp"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "accept-ranges" not in answer.headers
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_a_v1_order_is_no_job(http: httpx.Client, state: EmulatorState) -> None:
    state.wait_s = state.work_s = 0
    http.post("/v1/text-to-video", json=BODY)
    assert error(http.get(f"/v2/text-to-video/{state.orders[0].id}")) == (404, "not_found_error")


def is_taken(body: dict[str, Any], state: EmulatorState) -> bool:
    try:
        check_generation(body, state, from_image=False)
    except RequestRefused:
        return False
    return True


def test_exactly_the_durations_of_the_table_are_taken(state: EmulatorState) -> None:
    short, long = {6, 8, 10}, {6, 8, 10, 12, 14, 16, 18, 20}
    models = ("ltx-2-3-fast", "ltx-2-5-fast", "ltx-2-3-pro", "ltx-2-5-pro")
    sizes = ("1280x720", "720x1280", "1920x1080", "1080x1920", "2560x1440", "1440x2560", "3840x2160", "2160x3840")
    for model, size, fps in itertools.product(models, sizes, (24, 25, 48, 50)):
        body = {"prompt": "x", "model": model, "resolution": size, "fps": fps}
        taken = {n for n in range(23) if is_taken(body | {"duration": n}, state)}
        assert taken == (long if "fast" in model and size in sizes[:4] and fps < 48 else short), (model, size, fps)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": ""},
        {"prompt": "x" * 5001},
        {"prompt": ["x"]},
        {"model": "ltx-2-pro"},
        {"model": None},
        {"duration": "6"},
        {"duration": 6.0},
        {"duration": 7},
        {"duration": True},
        {"duration": None},
        {"duration": 12, "fps": 48},
        {"duration": 12, "model": "ltx-2-3-pro"},
        {"duration": 12, "resolution": "2560x1440"},
        {"resolution": "1080p"},
        {"resolution": "1920x1088"},
        {"resolution": 1080},
        {"fps": 30},
        {"fps": "24"},
        {"fps": 24.0},
        {"fps": None},
        {"camera_motion": "none"},
        {"camera_motion": None},
        {"generate_audio": "false"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_wrong_field_is_refused_and_nothing_is_ordered(
    http: httpx.Client, state: EmulatorState, version: str, change: dict[str, Any]
) -> None:
    assert error(http.post(f"/{version}/text-to-video", json=BODY | change)) == (400, "invalid_request_error")
    assert not state.orders


@pytest.mark.parametrize("name", ["prompt", "model", "duration", "resolution", "image_uri"])
def test_each_required_field_is_missed_by_name(http: httpx.Client, name: str) -> None:
    body = {key: value for key, value in (BODY | {"image_uri": data_uri()}).items() if key != name}
    answer = http.post("/v2/image-to-video", json=body)
    assert error(answer) == (400, "invalid_request_error")
    assert name in answer.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'"text"'])
def test_a_body_that_is_no_json_object_is_refused(http: httpx.Client, content: bytes) -> None:
    headers = {"content-type": "application/json"}
    assert error(http.post("/v2/text-to-video", content=content, headers=headers)) == (400, "invalid_request_error")


def test_a_form_is_refused(http: httpx.Client) -> None:
    assert error(http.post("/v2/text-to-video", data=BODY)) == (400, "invalid_request_error")


def test_duration_null_gives_eight_seconds_with_2_5_models_and_without_a_last_frame(
    http: httpx.Client, state: EmulatorState
) -> None:
    automatic = {"model": "ltx-2-5-pro", "duration": None, "image_uri": data_uri()}
    job(http, "image-to-video", **automatic)
    assert state.orders[0].video.duration == 8
    refused = http.post("/v2/image-to-video", json=BODY | automatic | {"last_frame_uri": data_uri()})
    assert error(refused) == (400, "invalid_request_error")


@pytest.mark.parametrize("key", [None, "", LTX_KEY, f"Key {LTX_KEY}", "Bearer other"], ids=repr)
@pytest.mark.parametrize(
    "call", [("POST", "/v2/text-to-video"), ("POST", "/v1/image-to-video"), ("POST", "/v1/upload"), ("GET", "/v2/x/y")]
)
def test_every_call_needs_the_key_as_bearer(service: Service, state: EmulatorState, call: Any, key: str | None) -> None:
    headers = {} if key is None else {"authorization": key}
    answer = httpx.request(call[0], f"{service[0]}{call[1]}", headers=headers)
    assert error(answer) == (401, "authentication_error")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("way", ["upload", "data", "https"])
def test_a_picture_may_come_in_three_forms(http: httpx.Client, state: EmulatorState, way: str, kind: str) -> None:
    ways: dict[str, Callable[[], str]] = {
        "upload": lambda: upload(http, picture(kind), f"image/{kind}"),
        "data": lambda: data_uri(kind),
        "https": lambda: f"https://media.example.org/picture.{kind}",
    }
    job(http, "image-to-video", image_uri=ways[way](), last_frame_uri=ways[way]())
    assert len(state.orders) == 1


@pytest.mark.parametrize(
    "uri",
    [
        "http://media.example.org/a.png",
        "https://93.184.216.34/a.png",
        "https://localhost/a.png",
        "https:///a.png",
        "/home/a.png",
        "ltx://uploads/nothing",
        "data:image/png;base64,",
        "data:image/png;base64,%%%",
        "data:image/png,abc",
        data_uri().replace(";base64", ""),
        data_uri("gif"),
        data_uri("avif", b"\0\0\0\x1cftypavif" + bytes(20)),
        data_uri("png", called="jpeg"),
        data_uri("png", picture() + bytes(6 * 2**20)),
        7,
    ],
    ids=lambda uri: str(uri)[:30],
)
@pytest.mark.parametrize("field", ["image_uri", "last_frame_uri"])
def test_any_other_picture_is_refused(http: httpx.Client, state: EmulatorState, field: str, uri: object) -> None:
    body = BODY | {"image_uri": data_uri()} | {field: uri}
    assert error(http.post("/v2/image-to-video", json=body)) == (400, "invalid_request_error")
    assert not state.orders


def test_an_upload_is_refused_when_empty_old_large_or_no_picture(http: httpx.Client, state: EmulatorState) -> None:
    old = upload(http, picture())
    state.advance(DAY_S + 1)
    unused = http.post("/v1/upload").json()["storage_uri"]
    large = upload(http, picture() + bytes(15 * 2**20))
    film = upload(http, bytes(64), "video/mp4")
    for uri in (old, unused, large, film):
        answer = http.post("/v2/image-to-video", json=BODY | {"image_uri": uri})
        assert error(answer) == (400, "invalid_request_error"), uri


def test_a_slot_has_what_the_page_says_and_takes_one_file(http: httpx.Client, state: EmulatorState) -> None:
    slot = http.post("/v1/upload").json()
    assert set(slot) == {"upload_url", "storage_uri", "expires_at", "required_headers"}
    assert slot["storage_uri"].startswith("ltx://uploads/")
    assert httpx.put(slot["upload_url"], headers=WHOLE_UPLOAD, content=picture()).status_code == 200
    again = httpx.put(slot["upload_url"], headers=WHOLE_UPLOAD, content=picture())
    assert (again.status_code, "PreconditionFailed" in again.text) == (412, True)


@pytest.mark.parametrize(
    "change",
    [
        {"x-goog-content-length-range": None},
        {"x-goog-content-length-range": "0,1"},
        {"x-goog-if-generation-match": None},
        {"x-goog-if-generation-match": "1"},
        {"content-type": None},
        AUTH,
    ],
    ids=repr,
)
def test_an_upload_with_other_headers_is_refused_as_google_would(
    http: httpx.Client, state: EmulatorState, change: dict[str, str | None]
) -> None:
    slot = http.post("/v1/upload").json()
    headers = {name: value for name, value in (WHOLE_UPLOAD | change).items() if value is not None}
    answer = httpx.put(slot["upload_url"], headers=headers, content=picture())
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/xml")
    assert answer.text.startswith("<?xml")
    assert "stored_at" not in state.uploads[slot["storage_uri"]]


def test_a_slot_is_closed_after_an_hour_and_to_a_changed_signature(http: httpx.Client, state: EmulatorState) -> None:
    slot = http.post("/v1/upload").json()
    assert httpx.put(slot["upload_url"] + "0", headers=WHOLE_UPLOAD, content=b"x").status_code == 403
    state.advance(3601)
    assert httpx.put(slot["upload_url"], headers=WHOLE_UPLOAD, content=b"x").status_code == 400


def test_a_file_over_the_range_of_its_slot_is_refused(http: httpx.Client, state: EmulatorState) -> None:
    slot = http.post("/v1/upload").json()
    chunks = (bytes(2**20) for _ in range(201))
    answer = httpx.put(slot["upload_url"], headers=WHOLE_UPLOAD, content=chunks, timeout=HANG_S)
    assert (answer.status_code, "EntityTooLarge" in answer.text) == (400, True)


@pytest.mark.parametrize(
    ("kind", "options", "status", "word"),
    [
        ("locked", {}, 402, "insufficient_funds_error"),
        ("content", {}, 422, "content_filtered_error"),
        ("refuse", {}, 400, "invalid_request_error"),
        ("status", {"status": 403}, 403, "permission_error"),
        ("status", {"status": 429, "retry_after": 12}, 429, "rate_limit_error"),
        ("status", {"status": 429, "type": "concurrency_limit_error"}, 429, "concurrency_limit_error"),
        ("status", {"status": 500}, 500, "api_error"),
        ("status", {"status": 503}, 503, "service_unavailable_error"),
        ("status", {"status": 529}, 529, "overloaded_error"),
    ],
)
def test_a_refusal_on_demand_is_worded_as_theirs_and_orders_nothing(
    http: httpx.Client, state: EmulatorState, kind: str, options: dict[str, Any], status: int, word: str
) -> None:
    state.faults.append(Fault("ltx", "submit", kind, options=options))
    answer = http.post("/v2/text-to-video", json=BODY)
    assert error(answer) == (status, word)
    assert answer.headers.get("retry-after") == (str(options["retry_after"]) if "retry_after" in options else None)
    assert not state.orders


def test_a_gateway_time_out_is_no_json(http: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("ltx", "submit", "status", options={"status": 504}))
    answer = http.post("/v1/text-to-video", json=BODY)
    assert (answer.status_code, answer.headers["content-type"]) == (504, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("kind", "word", "status"), [("fails", "api_error", 500), ("content", "content_filtered_error", 422)]
)
def test_an_order_may_fail_after_it_was_taken(
    http: httpx.Client, state: EmulatorState, kind: str, word: str, status: int
) -> None:
    state.faults.append(Fault("ltx", "order", kind, times=2))
    path = job(http)
    state.advance(2001)
    told = http.get(path).json()
    assert (told["status"], told["error"]["type"]) == ("failed", word)
    assert set(told) == {"status", "id", "created_at", "completed_at", "error"}
    state.wait_s = state.work_s = 0
    assert error(http.post("/v1/text-to-video", json=BODY)) == (status, word)


def test_an_order_may_stay_in_an_unheard_of_state_or_never_end(http: httpx.Client, state: EmulatorState) -> None:
    state.faults += [Fault("ltx", "order", "unknown_state"), Fault("ltx", "order", "never_finishes")]
    strange, endless = job(http), job(http)
    for _ in range(2):
        assert http.get(strange).json()["status"] not in ("pending", "processing", "completed", "failed")
        state.advance(DAY_S)
    assert http.get(endless).json()["status"] == "processing"
