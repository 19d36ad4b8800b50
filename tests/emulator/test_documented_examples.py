"""Every example the providers' pages show, sent as it stands there with only host and key replaced.

What curl shows is sent by curl, what `requests` or a JSON body shows by httpx. fal's examples have their own file.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from ltx_mcp.emulator import bytecompute, netwrck
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.inputs import Stored
from ltx_mcp.emulator.ltx import KEY as LTX_KEY
from ltx_mcp.media.client import MediaClient
from tests.emulator.conftest import Service
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio
needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


NETWRCK_TEXT_QUICK_START = r"""
curl -X POST https://beta.netwrck.com/api/ltx-text-to-video \
-H "Content-Type: application/json" \
-d '{
"api_key": "YOUR_API_KEY",
"prompt": "Drone descent through a derelict radio telescope dish, spiraling into the rusted bowl where wildflowers grow through cracked concrete",
"duration": 6,
"resolution": "1080p",
"aspect_ratio": "16:9",
"fps": 25,
"generate_audio": true
}'"""  # noqa: E501
NETWRCK_TEXT_LONG = r"""
curl -X POST https://beta.netwrck.com/api/ltx-text-to-video \
-H "Content-Type: application/json" \
-d '{
"api_key": "YOUR_API_KEY",
"prompt": "Cinematic flyover of a misty mountain lake at dawn, golden light breaking through clouds",
"duration": 16,
"resolution": "1080p",
"fps": 25,
"generate_audio": true
}'"""
NETWRCK_TEXT_PORTRAIT = r"""
curl -X POST https://beta.netwrck.com/api/ltx-text-to-video \
-H "Content-Type: application/json" \
-d '{
"api_key": "YOUR_API_KEY",
"prompt": "A cat sitting on a windowsill watching rain, cozy interior, warm lighting",
"duration": 8,
"resolution": "1080p",
"aspect_ratio": "9:16",
"fps": 25,
"generate_audio": true
}'"""
NETWRCK_PICTURE_QUICK_START = r"""
curl -X POST https://beta.netwrck.com/api/ltx-2.3-image-to-video \
-H "Content-Type: application/json" \
-d '{
"api_key": "YOUR_API_KEY",
"prompt": "The woman turns her head slowly and smiles",
"image_url": "https://example.com/portrait.jpg",
"duration": 6,
"resolution": "1080p",
"generate_audio": true
}'"""
LTX_TEXT = r"""
curl -X POST https://api.ltx.video/v1/text-to-video \
 -H "Authorization: Bearer YOUR_API_KEY" \
 -H "Content-Type: application/json" \
 -d '{
 "prompt": "A majestic eagle soaring through clouds at sunset",
 "model": "ltx-2-3-pro",
 "duration": 8,
 "resolution": "1920x1080"
 }' \
 -o generated_video.mp4"""


@pytest.fixture
def state(service: Service) -> EmulatorState:
    """Its state, empty, where films are done at once."""
    service[1].reset()
    service[1].wait_s = service[1].work_s = 0
    return service[1]


@pytest.fixture
def base_url(service: Service, state: EmulatorState) -> str:
    """Where it is."""
    return service[0]


def curl(command: str, host: str, base_url: str, key: str, folder: Path) -> bytes:
    """What a command of a page prints, after host and key were replaced in it."""
    if sys.platform == "win32":
        pytest.skip("the pages' commands are for a POSIX shell")
    assert host in command
    assert "YOUR_API_KEY" in command
    command = command.replace(host, base_url).replace("YOUR_API_KEY", key).strip()
    path = str(Path(shutil.which("curl") or "").parent)
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env={"PATH": path}, capture_output=True, check=True, timeout=HANG_S
    )
    return done.stdout


def netwrck_curl(command: str, base_url: str, folder: Path) -> Any:
    """The JSON that a command of Netwrck's pages prints."""
    return json.loads(curl(command, "https://beta.netwrck.com", base_url, netwrck.KEY, folder))


NETWRCK_INLINE = {
    "content_type": "video/mp4",
    "file_name": "output.mp4",
    "duration": 6.0,
    "width": 1920,
    "height": 1080,
    "fps": 25,
}


@needs_curl
def test_netwrcks_text_quick_start_answers_with_the_film_as_shown(base_url: str, tmp_path: Path) -> None:
    told = netwrck_curl(NETWRCK_TEXT_QUICK_START, base_url, tmp_path)
    url = told["result"]["video"].pop("url")
    assert told == {"result": {"video": NETWRCK_INLINE}, "credits_charged": 29, "cost_usd": 0.288}
    assert httpx.get(url, headers={"range": "bytes=4-7"}, timeout=HANG_S).content == b"ftyp"


@needs_curl
def test_netwrcks_long_film_costs_sixteen_seconds(base_url: str, tmp_path: Path) -> None:
    told = netwrck_curl(NETWRCK_TEXT_LONG, base_url, tmp_path)
    assert (told["result"]["video"]["duration"], told["result"]["video"]["fps"]) == (16.0, 25)
    assert (told["credits_charged"], told["cost_usd"]) == (77, 0.768)


@needs_curl
def test_netwrcks_portrait_film_is_upright(base_url: str, tmp_path: Path) -> None:
    video = netwrck_curl(NETWRCK_TEXT_PORTRAIT, base_url, tmp_path)["result"]["video"]
    assert (video["width"], video["height"], video["duration"]) == (1080, 1920, 8.0)


@needs_curl
def test_netwrcks_picture_quick_start_answers_with_the_film_as_shown(
    base_url: str, state: EmulatorState, tmp_path: Path
) -> None:
    told = netwrck_curl(NETWRCK_PICTURE_QUICK_START, base_url, tmp_path)
    shown = {name: value for name, value in NETWRCK_INLINE.items() if name != "file_name"}
    assert told["result"]["video"].pop("url").startswith(base_url)
    assert told == {"result": {"video": shown}, "credits_charged": 29, "cost_usd": 0.288}
    assert state.orders[0].fields["image_url"] == "https://example.com/portrait.jpg"


NETWRCK_POLLED = [
    (
        "/api/ltx-text-to-video",
        {
            "api_key": "YOUR_API_KEY",
            "prompt": "Drone descent through a derelict radio telescope dish",
            "duration": 6,
            "resolution": "1080p",
            "generate_audio": True,
            "response_mode": "polling",
        },
    ),
    (
        "/api/ltx-2.3-image-to-video",
        {
            "api_key": "YOUR_API_KEY",
            "prompt": "The woman turns her head slowly and smiles",
            "image_url": "https://example.com/portrait.jpg",
            "duration": 6,
            "resolution": "1080p",
            "generate_audio": True,
            "response_mode": "polling",
        },
    ),
]


@pytest.mark.parametrize(("path", "body"), NETWRCK_POLLED)
def test_netwrcks_polled_examples_give_a_job_and_then_the_film(base_url: str, path: str, body: dict[str, Any]) -> None:
    sent = httpx.post(f"{base_url}{path}", json=body | {"api_key": netwrck.KEY})
    job_id = sent.json().pop("job_id")
    assert sent.status_code == 202
    assert sent.json() == {"job_id": job_id, "status": "in_progress", "credits_charged": 29, "cost_usd": 0.288}
    told = httpx.get(f"{base_url}/api/fal/status/{job_id}?api_key={netwrck.KEY}").json()
    url = told["result"]["video"]["url"]
    assert told == {"status": "completed", "result": {"video": {"url": url, "content_type": "video/mp4"}}}


def test_netwrcks_ten_seconds_cost_48_credits(base_url: str) -> None:
    body = NETWRCK_POLLED[0][1] | {"api_key": netwrck.KEY, "duration": 10}
    told = httpx.post(f"{base_url}/api/ltx-text-to-video", json=body).json()
    assert (told["cost_usd"], told["credits_charged"]) == (0.48, 48)


@pytest.mark.parametrize(
    ("change", "fault", "status"),
    [
        ({"api_key": "YOUR_API_KEY"}, None, 401),
        ({}, "locked", 402),
        ({"prompt": None}, None, 400),
        ({"duration": 5}, None, 400),
        ({"resolution": "720p"}, None, 400),
        ({"response_mode": "inline"}, "fails", 500),
    ],
)
def test_netwrcks_table_of_errors_holds(
    base_url: str, state: EmulatorState, change: dict[str, Any], fault: str | None, status: int
) -> None:
    if fault:
        state.faults.append(Fault("netwrck", "order" if fault == "fails" else "submit", fault))
    body = NETWRCK_POLLED[0][1] | {"api_key": netwrck.KEY} | change
    answer = httpx.post(f"{base_url}/api/ltx-text-to-video", json=body)
    assert (answer.status_code, set(answer.json())) == (status, {"error"})
    assert status != 402 or answer.json() == {"error": "Insufficient credits"}


@needs_curl
async def test_ltxs_example_writes_the_film_that_was_asked_for(
    base_url: str, state: EmulatorState, tmp_path: Path
) -> None:
    await anyio.to_thread.run_sync(curl, LTX_TEXT, "https://api.ltx.video", base_url, LTX_KEY, tmp_path)
    media = MediaClient()
    film = await media.measure_film(tmp_path / "generated_video.mp4")
    await media.close()
    assert (film.width, film.height, film.fps, film.duration, film.has_audio) == (1920, 1080, 24, 8, True)
    assert state.orders[0].endpoint == "/v1/text-to-video"


LTX_BODIES = [
    (
        "/v1/text-to-video",
        '{"prompt": "A paper boat drifts down a rain gutter, camera low", "model": "ltx-2-3-fast", "duration": 6,'
        ' "resolution": "1920x1080", "fps": 24, "generate_audio": true}',
    ),
    (
        "/v2/text-to-video",
        '{"prompt": "A paper boat drifts down a rain gutter, camera low", "model": "ltx-2-5-fast", "duration": 8,'
        ' "resolution": "1280x720", "fps": 24, "camera_motion": "dolly_in", "generate_audio": false}',
    ),
    (
        "/v2/image-to-video",
        '{"image_uri": "ltx://uploads/example-first", "last_frame_uri": "ltx://uploads/example-last", "prompt":'
        ' "The kettle lid starts to rattle as steam builds", "model": "ltx-2-3-pro", "duration": 6,'
        ' "resolution": "1080x1920"}',
    ),
]


def ltx_post(base_url: str, path: str, content: str) -> httpx.Response:
    """Send a body of LTX's page, byte for byte."""
    headers = {"authorization": f"Bearer {LTX_KEY}", "content-type": "application/json"}
    return httpx.post(f"{base_url}{path}", content=content, headers=headers, timeout=HANG_S)


@pytest.mark.parametrize(("path", "content"), LTX_BODIES[1:])
def test_ltxs_v2_bodies_become_jobs_shaped_as_shown(
    base_url: str, state: EmulatorState, path: str, content: str, tmp_path: Path
) -> None:
    for name in ("example-first", "example-last"):
        file = Stored(tmp_path / name, 99, "", b"\x89PNG\r\n\x1a\n")
        stored = {"content_type": "image/png", "file": file, "stored_at": state.now()}
        state.uploads[f"ltx://uploads/{name}"] = stored
    state.wait_s = state.work_s = 1000
    sent = ltx_post(base_url, path, content)
    assert (sent.status_code, set(sent.json())) == (202, {"id", "created_at"})
    shown = {"status", "id", "created_at"}
    for word, keys in (("pending", shown), ("processing", shown), ("completed", shown | {"completed_at", "result"})):
        told = httpx.get(f"{base_url}{path}/{sent.json()['id']}", headers={"authorization": f"Bearer {LTX_KEY}"})
        assert (told.json()["status"], set(told.json())) == (word, keys)
        state.advance(1001)


def test_ltxs_v1_body_is_answered_with_the_film_and_its_headers(base_url: str) -> None:
    answer = ltx_post(base_url, *LTX_BODIES[0])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mp4")
    assert len(answer.headers["x-request-id"]) == 32
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_ltxs_upload_slot_is_shaped_as_shown(base_url: str) -> None:
    slot = httpx.post(f"{base_url}/v1/upload", headers={"authorization": f"Bearer {LTX_KEY}"}).json()
    assert set(slot) == {"upload_url", "storage_uri", "expires_at", "required_headers"}
    assert slot["required_headers"] == {
        "x-goog-content-length-range": "0,209715200",
        "x-goog-if-generation-match": "0",
    }


def test_ltxs_429_is_as_shown(base_url: str, state: EmulatorState) -> None:
    told = {"status": 429, "retry_after": 12, "type": "concurrency_limit_error", "message": "limit reached"}
    state.faults.append(Fault("ltx", "submit", "status", options=told))
    answer = ltx_post(base_url, *LTX_BODIES[1])
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "12")
    shown = {"type": "error", "error": {"type": "concurrency_limit_error", "message": "limit reached"}}
    assert answer.json() == shown


def test_ltxs_failed_job_is_as_shown(base_url: str, state: EmulatorState) -> None:
    state.faults.append(Fault("ltx", "order", "content"))
    path, content = LTX_BODIES[1]
    sent = ltx_post(base_url, path, content).json()
    told = httpx.get(f"{base_url}{path}/{sent['id']}", headers={"authorization": f"Bearer {LTX_KEY}"}).json()
    assert set(told) == {"status", "id", "created_at", "completed_at", "error"}
    assert (told["status"], told["error"]["type"]) == ("failed", "content_filtered_error")


def bytecompute_post(base_url: str, path: str, **texts: str) -> httpx.Response:
    """One call of ByteCompute's quick start, with these fields of a form."""
    headers = {"authorization": f"Bearer {bytecompute.KEY}"}
    files: Any = {name: (None, text) for name, text in texts.items()} or None
    return httpx.post(f"{base_url}{path}", headers=headers, files=files, timeout=HANG_S)


def test_bytecomputes_quick_start_ends_in_a_film(base_url: str) -> None:
    told = bytecompute_post(base_url, "/v1/generate", model="Lightricks/LTX-2.3", prompt="A kettle boils").json()
    assert told["adjustments"] is None
    assert bytecompute_post(base_url, f"/v1/jobs/{told['id']}").json()["status"] == "completed"
    assert bytecompute_post(base_url, f"/v1/jobs/{told['id']}/download").content[4:8] == b"ftyp"


def test_bytecomputes_error_is_as_shown(base_url: str) -> None:
    answer = bytecompute_post(base_url, "/v1/jobs/550e8400-...")
    assert answer.status_code == 404
    shown = {"type": "error", "error": {"type": "not_found", "message": "Job '550e8400-...' not found"}}
    assert answer.json() == shown


def test_bytecomputes_adjusted_order_is_told_as_shown(base_url: str, state: EmulatorState) -> None:
    state.faults.append(Fault("bytecompute", "order", "adjusts", options={"duration": 5}))
    told = bytecompute_post(
        base_url, "/v1/generate", model="Lightricks/LTX-2.3", prompt="A kettle boils", fps="50"
    ).json()
    shown = {"status": "queued", "adjustments": [{"field": "fps", "requested": 50, "applied": 25}]}
    assert told == {"id": told["id"], **shown}
