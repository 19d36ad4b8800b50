"""The emulated fal.ai's webhooks, checked as fal's page says that they are."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.fal import KEY
from tests.emulator.conftest import NO_TLS, Service
from tests.patience import HANG_S
from tests.providers import raw
from tests.providers.raw import Line, Raw, answer

pytestmark = pytest.mark.anyio

ENDPOINT = "fal-ai/ltx-2.3/text-to-video/fast"
HEADER = "x-fal-webhook-"


@pytest.fixture
async def receiver() -> AsyncIterator[Raw]:
    """It takes what it is told at the third try."""

    async def deed(line: Line) -> None:
        await line.read()
        await line.say(answer(200 if len(line.kept) >= 3 else 503))

    async with raw.serving(deed) as made:
        yield made


@pytest.fixture
async def web(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Key {KEY}"}
    async with httpx.AsyncClient(base_url=service[0], headers=headers, verify=NO_TLS) as made:
        yield made


async def told(web: httpx.AsyncClient, url: str, state: EmulatorState, times: int) -> dict[str, Any]:
    """Order, let it end, and wait until it was told so often; the answer to the order."""
    query = {"fal_webhook": url}
    placed = await web.post(f"/{ENDPOINT}", params=query, json={"prompt": "a pond"})
    state.advance(2001)
    with anyio.fail_after(HANG_S):
        while sum(call.step == "webhook" for call in state.calls) < times:
            await anyio.sleep(0.005)
    accepted: dict[str, Any] = placed.json()
    return accepted


async def test_the_end_of_an_order_is_told_until_it_is_taken(
    web: httpx.AsyncClient, receiver: Raw, state: EmulatorState
) -> None:
    placed = await told(web, f"{receiver.url}/hook/1", state, 3)
    assert placed["gateway_request_id"] == placed["request_id"]
    assert [call.status for call in state.calls if call.step == "webhook"] == [503, 503, 200]
    assert {request.head.partition("\r\n")[0] for request in receiver.requests} == {"POST /hook/1 HTTP/1.1"}
    assert len({request.body for request in receiver.requests}) == 1
    said = json.loads(receiver.requests[0].body)
    result = (await web.get(placed["response_url"])).json()
    ids = {name: placed["request_id"] for name in ("request_id", "gateway_request_id")}
    assert said == ids | {"status": "OK", "payload": result}


async def test_it_is_signed_as_the_page_says(web: httpx.AsyncClient, receiver: Raw, state: EmulatorState) -> None:
    await told(web, receiver.url, state, 1)
    sent = receiver.requests[0]
    (key,) = (await web.get("/.well-known/jwks.json")).json()["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    marks = [sent.headers[f"{HEADER}{name}"] for name in ("request-id", "user-id", "timestamp")]
    text = "\n".join([*marks, hashlib.sha256(sent.body).hexdigest()])
    public.verify(bytes.fromhex(sent.headers[f"{HEADER}signature"]), text.encode())


async def test_a_failure_is_told_with_the_models_own_words(
    web: httpx.AsyncClient, receiver: Raw, state: EmulatorState
) -> None:
    state.faults.append(Fault("fal", "order", "refused"))
    await told(web, receiver.url, state, 1)
    said = json.loads(receiver.requests[0].body)
    assert (said["status"], said["error"]) == ("ERROR", "Invalid status code: 422")
    assert said["payload"]["detail"][0]["type"] == "value_error"


async def test_nobody_beyond_this_machine_is_told(web: httpx.AsyncClient, receiver: Raw, state: EmulatorState) -> None:
    await web.post(f"/{ENDPOINT}", params={"fal_webhook": "http://192.0.2.1/hook"}, json={"prompt": "a pond"})
    await told(web, receiver.url, state, 3)
    assert [call.path for call in state.calls if call.step == "webhook" and "hook" in call.path] == []
