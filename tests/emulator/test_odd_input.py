"""Whatever is sent to the emulator, nothing is a 500 that nobody asked for; and pages of other sites are refused."""

import json
import random
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.app import make_app, make_state, providers
from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.emulator.inputs import Inputs
from ltx_mcp.emulator.videos import Videos
from ltx_mcp.emulator.wire import Emulator
from ltx_mcp.media.client import MediaClient

URL = "http://127.0.0.1:1"

ODD: list[Any] = [
    None,
    True,
    "",
    "x",
    "\ud880",
    "\x00",
    "9" * 5000,
    -1,
    0,
    10**400,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
    [],
    [[]],
    {},
    {"a": {"b": []}},
    "data:image/png;base64,",
    "data:audio/mpeg;base64,AAAA",
    "http://[::1",
    "https://",
    "//",
    "https://127.0.0.1/files/b/x/y",
]
FIELDS = re.findall(
    r"\w+",
    "prompt duration resolution fps aspect_ratio generate_audio seed model image_url image_uri end_image_url video_url "
    "video_uri audio_url audio_uri context mode start_time camera_motion width height num_frames image file_name "
    "content_type parts size video guidance_scale last_frame_uri audio n endpoint_id estimate_type endpoints",
)
VALID = {
    "prompt": "a pond",
    "duration": 6,
    "resolution": "1080p",
    "fps": 25,
    "model": "ltx-2-3-fast",
    "image_url": "https://example.com/a.png",
    "image_uri": "https://example.com/a.png",
    "video_url": "https://example.com/a.mp4",
    "video_uri": "https://example.com/a.mp4",
    "audio_url": "https://example.com/a.mp3",
    "audio_uri": "https://example.com/a.mp3",
    "file_name": "a.png",
    "content_type": "image/png",
}
BODIES = [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"prompt":' * 5000, b"1e999", b'"\\ud800"', b"{}"]


SAMPLE = 150
"""Bodies a route gets, drawn anew for each, the same in every run."""


def routes(folder: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Every method and path, with the credentials of its provider."""
    media = MediaClient()
    emulator = Emulator(make_state(), Videos(folder, media), Inputs(media), URL)
    found: list[tuple[str, str, dict[str, str]]] = [
        ("POST", f"/control/{what}", {}) for what in ("clock", "times", "faults", "reset")
    ]
    for provider in providers():
        word = "Key" if provider.NAME == "fal" else "Bearer"
        keys = {"Authorization": f"{word} {provider.KEY}", "X-Api-Key": provider.KEY}
        for route in provider.routes(emulator):
            path = re.sub(r"\{[^}]*\}", "1", route.path)
            found += [(method, path, keys) for method in sorted(route.methods - {"HEAD"})]
    emulator.inputs.close()
    return found


def bodies() -> list[tuple[str, bytes]]:
    wrong = [json.dumps(VALID | {field: odd}).encode() for field in FIELDS for odd in ODD]
    drawn = [("application/json", body) for body in [*BODIES, *random.sample(wrong, SAMPLE)]]
    part = b'--b\r\nContent-Disposition: form-data; name="duration"\r\n\r\n\xff\r\n--b--\r\n'
    forms = [("multipart/form-data; boundary=b", part), ("multipart/form-data", b"x"), ("text/plain", b"x")]
    return [*drawn, *forms, ("application/x-www-form-urlencoded", b"duration=%FF&prompt=%00")]


@pytest.mark.anyio
async def test_no_input_makes_the_emulator_break(tmp_path: Path) -> None:
    broken: dict[tuple[str, str], Any] = {}
    transport = httpx.ASGITransport(make_app(make_state(), tmp_path, URL), raise_app_exceptions=False)
    random.seed(1)
    async with httpx.AsyncClient(transport=transport, base_url=URL, timeout=30) as client:
        for method, path, keys in routes(tmp_path):
            for content_type, body in bodies() if method in ("POST", "PUT") else [("", b"")]:
                answer = await client.request(
                    method, path, content=body, headers={**keys, "Content-Type": content_type}
                )
                if answer.status_code >= 500:
                    broken.setdefault((method, path), (content_type, body[:200], answer.text[:80]))
        assert (await client.get("/control/orders")).status_code == 200
    assert not broken, "\n".join(map(str, broken.items()))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("clock", '{"advance_s": 1e300}', "advance_s: "),
        ("clock", '{"advance_s": -1}', "advance_s: "),
        ("clock", '{"advance_s": NaN}', "advance_s: "),
        ("clock", '{"advance_s": 1e999}', "advance_s: "),
        ("clock", '{"advance_s": "3600"}', "advance_s: "),
        ("clock", '{"advance_s": 1, "back": true}', "back: "),
        ("clock", "{}", "advance_s: "),
        ("clock", "", "the body: "),
        ("clock", "[" * 100_000, "the body: "),
        ("clock", '{"advance_s": ' + "9" * 5000 + "}", "the body: "),
        ("times", '{"wait_s": Infinity}', "wait_s: "),
        ("times", '{"work_s": -0.5}', "work_s: "),
        ("times", '{"work": 5}', "work: "),
        ("faults", '{"provider": "nobody", "step": "submit", "kind": "html"}', "provider: allowed are "),
        ("faults", '{"provider": "fal", "step": "order", "kind": "html"}', "kind: allowed at order are "),
        ("faults", '{"provider": "fal", "step": "pay", "kind": "html"}', "step: "),
        ("faults", '{"provider": "fal", "step": "poll", "kind": "html", "times": 1e9}', "times: "),
        ("faults", '{"provider": "fal", "step": "poll", "kind": "delay", "options": {"seconds": "1"}}', "options.sec"),
        (
            "faults",
            '{"provider": "fal", "step": "poll", "kind": "status", "options": {"status": 99}}',
            "options.status",
        ),
        ("faults", '{"provider": "fal", "step": "poll", "kind": "body"}', "options.body: "),
    ],
)
async def test_a_control_address_names_the_field_that_is_wrong(tmp_path: Path, path: str, body: str, said: str) -> None:
    async with client_of(make_state(), tmp_path) as client:
        answer = await client.post(f"/control/{path}", content=body)
        assert answer.status_code == 400
        assert answer.text.startswith(f"cannot be read: {said}"), answer.text
        assert len(answer.text) < 600
        assert (await client.get("/control/faults")).json() == []


@pytest.mark.anyio
async def test_the_clock_turned_again_and_again_stays_a_clock(tmp_path: Path) -> None:
    async with client_of(make_state(), tmp_path) as client:
        answers = [await client.post("/control/clock", json={"advance_s": 10 * 366 * 86_400}) for _ in range(12)]
        assert [each.status_code for each in answers] == [200] * 10 + [400] * 2
        assert (await client.get("/control/orders")).status_code == 200


@pytest.mark.anyio
async def test_a_control_body_without_end_is_a_413(tmp_path: Path) -> None:
    async with client_of(make_state(), tmp_path) as client:
        assert (await client.post("/control/faults", content=b" " * 2_000_000)).status_code == 413


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example:8100"}, 421),
        ({"Host": "127.0.0.1.evil.example"}, 421),
        ({"Host": "192.168.0.1:8100"}, 421),
        ({"Host": ""}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:1"}, 200),
        ({"Origin": URL, "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
    ],
)
async def test_only_this_machine_steers_it_and_no_page_of_another_site(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    state = make_state()
    async with client_of(state, tmp_path) as client:
        for method, path in (("POST", "/control/reset"), ("GET", "/control/orders"), ("GET", "/control/faults")):
            answer = await client.request(method, path, headers=headers, content=b"x=y")
            assert answer.status_code == status, answer.text
        ordered = await client.post("/fal-ai/ltx-2.3/text-to-video", headers=headers, json={"prompt": "a pond"})
        assert (ordered.status_code in (421, 403)) is (status != 200)


@pytest.mark.anyio
async def test_a_page_may_show_a_film_but_only_by_a_name_of_this_machine(tmp_path: Path) -> None:
    async with client_of(make_state(), tmp_path) as client:
        shown = {"Origin": "null", "Sec-Fetch-Site": "cross-site"}
        assert (await client.get("/media/000001.mp4", headers=shown)).status_code == 404
        assert (await client.get("/media/000001.mp4", headers={"Host": "evil.example"})).status_code == 421


def client_of(state: EmulatorState, folder: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(make_app(state, folder, URL)), base_url=URL)
