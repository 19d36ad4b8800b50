"""The emulated ByteCompute keeps to its model page: multipart orders, negotiated sizes, the film by its own call."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ltx_mcp.emulator import bytecompute
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.emulator.conftest import NO_TLS, Service, picture
from tests.patience import HANG_S

TEXTS = {"model": "Lightricks/LTX-2.3", "prompt": "A kettle boils", "duration": "4", "resolution": "512x512"}
AUTH = {"authorization": f"Bearer {bytecompute.KEY}"}
DAY_S = 24 * 3600

Part = tuple[str | None, str] | tuple[str | None, bytes, str]


@pytest.fixture
def http(service: Service, state: EmulatorState) -> Iterator[httpx.Client]:
    """A client that has the key."""
    with httpx.Client(base_url=service[0], headers=AUTH, timeout=HANG_S, trust_env=False, verify=NO_TLS) as client:
        yield client


def part(kind: str = "png", called: str | None = None) -> Part:
    """A picture as a file of a form."""
    return f"frame.{kind}", picture(kind), f"image/{called or kind}"


def data_uri(kind: str = "png") -> str:
    """A picture as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(picture(kind)).decode()}"


def submit(http: httpx.Client, parts: dict[str, Part] | None = None, /, **texts: str | None) -> httpx.Response:
    """Send the form with these texts and files; None leaves a text out."""
    kept = {name: value for name, value in (TEXTS | texts).items() if value is not None}
    form: dict[str, Any] = {name: (None, value) for name, value in kept.items()}
    return http.post("/v1/generate", files=form | (parts or {}))


def job(http: httpx.Client, **texts: str) -> str:
    """Order, and give the path of the job."""
    return f"/v1/jobs/{submit(http, **texts).json()['id']}"


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and type of an error, whose envelope is checked."""
    told = answer.json()
    assert (told["type"], set(told["error"])) == ("error", {"type", "message"})
    return answer.status_code, told["error"]["type"]


def test_a_job_is_queued_then_processing_then_completed_and_then_gives_its_film(
    http: httpx.Client, state: EmulatorState
) -> None:
    sent = submit(http)
    assert (sent.status_code, sent.json()["adjustments"]) == (202, None)
    path = f"/v1/jobs/{sent.json()['id']}"
    for word in ("queued", "processing"):
        assert http.post(path).json()["status"] == word
        assert error(http.post(f"{path}/download")) == (409, "conflict")
        state.advance(1001)
    assert http.post(path).json() == {"id": sent.json()["id"], "status": "completed", "adjustments": None}
    film = http.post(f"{path}/download", headers={"range": "bytes=0-9"})
    assert (film.status_code, film.headers["content-type"], film.content[4:8]) == (200, "video/mp4", b"ftyp")
    assert int(film.headers["content-length"]) == len(film.content)


def test_a_job_is_gone_after_a_day(http: httpx.Client, state: EmulatorState) -> None:
    path = job(http)
    state.advance(DAY_S - 60)
    assert http.post(path).json()["status"] == "completed"
    state.advance(61)
    assert error(http.post(path)) == error(http.post(f"{path}/download")) == (404, "not_found")


def test_every_call_is_a_post(http: httpx.Client) -> None:
    path = job(http)
    assert {http.get(each).status_code for each in ("/v1/generate", path, f"{path}/download")} == {405}


@pytest.mark.parametrize("key", [None, bytecompute.KEY, "Bearer other"], ids=repr)
@pytest.mark.parametrize("path", ["/v1/generate", "/v1/jobs/x", "/v1/jobs/x/download"])
def test_every_call_needs_the_key_as_bearer(service: Service, state: EmulatorState, path: str, key: str | None) -> None:
    headers = {} if key is None else {"authorization": key}
    assert error(httpx.post(f"{service[0]}{path}", headers=headers)) == (401, "unauthorized")


@pytest.mark.parametrize("sent", [{"json": TEXTS}, {"data": TEXTS}, {"content": b""}], ids=repr)
def test_only_a_multipart_form_is_taken(http: httpx.Client, state: EmulatorState, sent: dict[str, Any]) -> None:
    assert error(http.post("/v1/generate", **sent)) == (400, "invalid_request")
    assert not state.orders


def test_a_torn_form_and_a_repeated_field_are_refused(http: httpx.Client) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert error(http.post("/v1/generate", content=b"--y\r\n\r\n", headers=headers)) == (400, "invalid_request")
    twice: Any = [(name, (None, value)) for name, value in (*TEXTS.items(), ("prompt", "Another"))]
    assert error(http.post("/v1/generate", files=twice)) == (400, "invalid_request")


@pytest.mark.parametrize(
    "texts",
    [
        {"model": None},
        {"model": "Lightricks/LTX-2"},
        {"prompt": None},
        {"prompt": ""},
        {"duration": "five"},
        {"fps": "25.0"},
        {"resolution": "1080p"},
        {"aspect_ratio": "21:9"},
        {"image": "a.png"},
        {"image_uri": "frame.png"},
        {"image_uri": "https://localhost/frame.png"},
        {"image_uri": data_uri("gif")},
    ],
    ids=repr,
)
def test_a_wrong_text_is_refused_and_nothing_is_ordered(
    http: httpx.Client, state: EmulatorState, texts: dict[str, str | None]
) -> None:
    assert error(submit(http, **texts)) == (400, "invalid_request")
    assert not state.orders


@pytest.mark.parametrize(
    ("names", "uris"),
    [
        (["image", "first_frame"], []),
        (["image"], ["image_uri"]),
        (["first_frame"], ["first_frame_uri"]),
        (["last_frame"], []),
        (["image", "last_frame"], []),
        ([], ["image_uri", "first_frame_uri"]),
        ([], ["last_frame_uri"]),
    ],
)
def test_mixed_modes_are_refused(http: httpx.Client, names: list[str], uris: list[str]) -> None:
    parts = {name: part() for name in names}
    answer = submit(http, parts, **{name: "https://media.example.org/a.png" for name in uris})
    assert error(answer) == (400, "invalid_request")


@pytest.mark.parametrize("called", [None, "jpeg"])
def test_a_file_of_another_format_or_type_is_refused(http: httpx.Client, called: str | None) -> None:
    assert error(submit(http, {"image": part("png" if called else "gif", called)})) == (400, "invalid_request")


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_files_are_kept_by_name_type_size_and_hash(http: httpx.Client, state: EmulatorState, kind: str) -> None:
    assert submit(http, {"first_frame": part(kind), "last_frame": part()}).status_code == 202
    [order] = state.orders
    content = picture(kind)
    assert order.files["first_frame"] == {
        "name": f"frame.{kind}",
        "content_type": f"image/{kind}",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert set(order.files) == {"first_frame", "last_frame"}
    assert order.fields == TEXTS


@pytest.mark.parametrize("name", ["image_uri", "first_frame_uri"])
@pytest.mark.parametrize("uri", ["https://media.example.org/a.png", data_uri(), data_uri("webp")], ids=len)
def test_a_picture_may_be_an_address_or_data(http: httpx.Client, state: EmulatorState, name: str, uri: str) -> None:
    assert submit(http, **{name: uri}).status_code == 202
    assert state.orders[0].fields[name] == uri


def test_a_data_uri_of_megabytes_is_taken(http: httpx.Client) -> None:
    encoded = base64.b64encode(picture() + bytes(3 * 2**20)).decode()
    assert submit(http, image_uri=f"data:image/png;base64,{encoded}").status_code == 202


@pytest.mark.parametrize(
    ("texts", "changed"),
    [
        ({"duration": "4", "fps": "50", "resolution": "1920x1080"}, {}),
        ({"duration": "10", "fps": "25", "resolution": "1080x1920"}, {}),
        ({"duration": "4.5"}, {}),
        ({"duration": "20"}, {"duration": (20, 10)}),
        ({"duration": "2"}, {"duration": (2, 4)}),
        ({"fps": "24"}, {"fps": (24, 25)}),
        ({"fps": "60"}, {"fps": (60, 50)}),
        ({"resolution": "3840x2160"}, {"resolution": ("3840x2160", "1920x1080")}),
        ({"resolution": "1440x2560"}, {"resolution": ("1440x2560", "1080x1920")}),
        ({"resolution": "640x360"}, {"resolution": ("640x360", "640x512")}),
        ({"resolution": "601x601"}, {"resolution": ("601x601", "600x600")}),
    ],
    ids=repr,
)
def test_what_is_out_of_range_is_adjusted_and_told_in_both_answers(
    http: httpx.Client, state: EmulatorState, texts: dict[str, str], changed: dict[str, tuple[Any, Any]]
) -> None:
    told = submit(http, **texts).json()
    expected = [{"field": name, "requested": asked, "applied": got} for name, (asked, got) in changed.items()]
    assert told["adjustments"] == (expected or None)
    assert http.post(f"/v1/jobs/{told['id']}").json()["adjustments"] == (expected or None)
    film = state.orders[0].video
    got = {"duration": film.duration, "fps": film.fps, "resolution": f"{film.width}x{film.height}"}
    assert all(got[name] == applied for name, (_, applied) in changed.items())


def test_the_page_defaults_are_five_seconds_wide_at_25(http: httpx.Client, state: EmulatorState) -> None:
    assert submit(http, duration=None, resolution=None).json()["adjustments"] is None
    film = state.orders[0].video
    assert (film.duration, film.fps, film.width > film.height) == (5, 25, True)


@pytest.mark.parametrize("ratio", [(16, 9), (4, 3), (1, 1), (3, 4), (4, 5), (9, 16)], ids=str)
def test_every_ratio_of_the_page_is_made(http: httpx.Client, state: EmulatorState, ratio: tuple[int, int]) -> None:
    wide, high = ratio
    assert submit(http, resolution=None, aspect_ratio=f"{wide}:{high}").json()["adjustments"] is None
    assert state.orders[0].video.width * high == state.orders[0].video.height * wide


def test_resolution_beats_aspect_ratio(http: httpx.Client, state: EmulatorState) -> None:
    submit(http, resolution="1280x720", aspect_ratio="9:16")
    submit(http, resolution=None, aspect_ratio="9:16")
    assert [order.video.width > order.video.height for order in state.orders] == [True, False]


def test_a_busy_machine_lowers_frame_rate_then_duration_and_keeps_what_was_asked(
    http: httpx.Client, state: EmulatorState
) -> None:
    state.faults.append(Fault("bytecompute", "order", "adjusts"))
    told = submit(http, fps="50", duration="20", resolution="1280x720").json()
    assert told["adjustments"] == [
        {"field": "fps", "requested": 50, "applied": 25},
        {"field": "duration", "requested": 20, "applied": 4},
    ]
    film = state.orders[0].video
    assert (film.fps, film.duration, film.width) == (25, 4, 1280)


@pytest.mark.parametrize(
    ("kind", "options", "status", "word"),
    [
        ("locked", {}, 402, "insufficient_credits"),
        ("content", {}, 400, "invalid_request"),
        ("refuse", {}, 400, "invalid_request"),
        ("status", {"status": 500}, 500, "internal_error"),
        ("status", {"status": 429, "retry_after": 3}, 429, "rate_limited"),
    ],
)
def test_a_refusal_on_demand_is_worded_as_theirs_and_orders_nothing(
    http: httpx.Client, state: EmulatorState, kind: str, options: dict[str, Any], status: int, word: str
) -> None:
    state.faults.append(Fault("bytecompute", "submit", kind, options=options))
    answer = submit(http)
    assert error(answer) == (status, word)
    assert answer.headers.get("retry-after") == (str(options["retry_after"]) if "retry_after" in options else None)
    assert ("content policy" in answer.json()["error"]["message"]) is (kind == "content")
    assert not state.orders


@pytest.mark.parametrize(("kind", "word"), [("fails", "internal_error"), ("content", "content_policy")])
def test_an_order_may_fail_after_it_was_taken(http: httpx.Client, state: EmulatorState, kind: str, word: str) -> None:
    state.faults.append(Fault("bytecompute", "order", kind))
    path = job(http)
    state.advance(2001)
    told = http.post(path).json()
    assert (told["status"], told["error"]["type"]) == ("failed", word)
    assert error(http.post(f"{path}/download")) == (409, "conflict")


def test_an_order_may_stay_in_an_unheard_of_state(http: httpx.Client, state: EmulatorState) -> None:
    state.faults.append(Fault("bytecompute", "order", "unknown_state"))
    path = job(http)
    for _ in range(2):
        assert http.post(path).json()["status"] not in ("queued", "processing", "completed", "failed")
        state.advance(2001)


def test_a_film_may_be_gone_or_lie_elsewhere(http: httpx.Client, state: EmulatorState) -> None:
    state.faults += [Fault("bytecompute", "order", "url_expires"), Fault("bytecompute", "order", "json_download")]
    gone, elsewhere = job(http), job(http)
    state.advance(2001)
    assert http.post(gone).json()["status"] == "completed"
    assert error(http.post(f"{gone}/download")) == (404, "not_found")
    told = http.post(f"{elsewhere}/download").json()
    assert httpx.get(told["url"], timeout=HANG_S).content[4:8] == b"ftyp"
