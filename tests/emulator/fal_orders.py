"""What the tests of the emulated fal.ai share: a client with the key, a state that stands still, an order to place."""

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.emulator.fal import KEY
from tests.conftest import Emulated
from tests.emulator.conftest import NO_TLS
from tests.patience import HANG_S

FAST = "/fal-ai/ltx-2.3/text-to-video/fast"
PRO = "/fal-ai/ltx-2.3/text-to-video"
IMAGE = "/fal-ai/ltx-2.3/image-to-video"
PROMPT = {"prompt": "a pond"}
ELSEWHERE = "https://pictures.example.com/pond.png"

Submit = Callable[..., dict[str, Any]]


@pytest.fixture
def state(emulator: Emulated) -> EmulatorState:
    """A state that stands still unless a test turns its clock: a minute of waiting, two of work."""
    emulator[1].wait_s, emulator[1].work_s = 60, 120
    return emulator[1]


@pytest.fixture
def fal(emulator: Emulated, state: EmulatorState) -> Iterator[httpx.Client]:
    """A client with the right key."""
    key = {"Authorization": f"Key {KEY}"}
    with httpx.Client(base_url=emulator[0], headers=key, timeout=HANG_S, verify=NO_TLS) as client:
        yield client


@pytest.fixture
def submit(fal: httpx.Client) -> Submit:
    """Places an order and gives fal's answer."""

    def place(path: str = FAST, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
        answer = fal.post(path, json=PROMPT | fields, headers=headers)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    return place


def picture(kind: str = "PNG") -> bytes:
    with io.BytesIO() as out:
        Image.new("RGB", (64, 36)).save(out, kind)
        return out.getvalue()


def data_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def tall() -> str:
    """A picture that is higher than wide, as a data URI."""
    with io.BytesIO() as out:
        Image.new("RGB", (36, 64)).save(out, "PNG")
        return data_uri(out.getvalue())


def uploaded(fal: httpx.Client, way: str, content: bytes, kind: str) -> str:
    """A file's address: at the storage, at the CDN, or all of it in the address."""
    if way == "data":
        return data_uri(content, kind)
    if way == "storage":
        told = fal.post("/storage/upload/initiate", json={"content_type": kind, "file_name": "a pond"}).json()
        assert httpx.put(told["upload_url"], content=content, headers={"Content-Type": kind}).status_code == 200
        return str(told["file_url"])
    token = fal.post("/storage/auth/token", json={}).json()
    headers = {"Authorization": f"{token['token_type']} {token['token']}", "Content-Type": kind}
    return str(httpx.post(f"{token['base_url']}/files/upload", content=content, headers=headers).json()["access_url"])
