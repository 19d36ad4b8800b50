"""What the tests of the emulated LTX API share: a client with the key, uploads, orders, and errors to check."""

import base64
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.emulator.ltx import KEY
from tests.emulator.conftest import NO_TLS, Service
from tests.patience import HANG_S

AUTH = {"authorization": f"Bearer {KEY}"}
REFUSED = (400, "invalid_request_error")
TYPES = {
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "mkv": "video/x-matroska",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "ogg": "audio/ogg",
    "wav": "audio/wav",
}
ELSEWHERE = "https://media.example.org/medium"


@pytest.fixture
def http(service: Service, state: EmulatorState) -> Iterator[httpx.Client]:
    """A client that has the key."""
    with httpx.Client(base_url=service[0], headers=AUTH, timeout=HANG_S, trust_env=False, verify=NO_TLS) as client:
        yield client


def upload(http: httpx.Client, content: bytes, content_type: str = "image/png") -> str:
    """Put a file up and give its address."""
    slot = http.post("/v1/upload").json()
    headers = slot["required_headers"] | {"content-type": content_type}
    assert httpx.put(slot["upload_url"], headers=headers, content=content).status_code == 200
    return str(slot["storage_uri"])


def data_uri(content: bytes, content_type: str) -> str:
    """A medium inside its own address."""
    return f"data:{content_type};base64,{base64.b64encode(content).decode()}"


def order(http: httpx.Client, endpoint: str, **fields: Any) -> str:
    """Order at v2, and give the path to poll."""
    sent = http.post(f"/v2/{endpoint}", json=fields)
    assert sent.status_code == 202, sent.text
    return f"/v2/{endpoint}/{sent.json()['id']}"


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and type of an error, whose envelope is checked."""
    told = answer.json()
    assert told["type"] == "error", told
    assert set(told["error"]) == {"type", "message"}
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
    return answer.status_code, told["error"]["type"]


def refusal(http: httpx.Client, endpoint: str, **fields: Any) -> str:
    """The words an order is refused with; `endpoint` is one of v2, or begins with its version."""
    answer = http.post(endpoint if endpoint.startswith("v") else f"/v2/{endpoint}", json=fields)
    assert error(answer) == REFUSED, answer.text
    return str(answer.json()["error"]["message"])
