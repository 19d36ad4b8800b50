"""What an order of ours looks like on the wire, to the byte where it matters: as each provider's pages say."""

import email
import email.policy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.plan import Offer, make_offers
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.emulator.app import settings
from ltx_mcp.providers.base import Accepted
from tests.providers import raw
from tests.providers.adapted import adapters_at
from tests.providers.bench import REMOTE, image, market_of, text, wire_fixture
from tests.providers.raw import Request, answer, says

pytestmark = pytest.mark.anyio

IDS = b'{"id": "a1", "job_id": "a1", "request_id": "a1", "status": "queued"}'
ADDRESSES = {"image": "https://pictures.example/first.png", "end_image": "https://pictures.example/last.png"}
KEYS = {name: value for name, value in settings("").items() if name.endswith("_KEY")}


def offer_of(provider: str, arguments: Mapping[str, Any], *, picture: bool) -> Offer:
    """The offer a request leads to at a provider."""
    market = market_of(settings("http://127.0.0.1:1"))
    roles = ("image", "end_image") if picture else ()
    inputs = [Input(role=role, sha256=role, format="png", size_bytes=9, width=64, height=36) for role in roles]
    given = {**arguments, "provider": provider}
    asked = to_request(image("x.png", end_image="y.png", **given) if picture else text(**given))
    return make_offers(asked, inputs, market).offers[0]


def uris_for(provider: str, folder: Path) -> dict[str, str]:
    """What an order points at: addresses, or paths where the picture itself is sent."""
    if provider != "bytecompute":
        return dict(ADDRESSES)
    for role, colour in zip(ADDRESSES, ("red", "blue"), strict=True):
        Image.new("RGB", (64, 36), colour).save(folder / f"{role}.png")
    return {role: str(folder / f"{role}.png") for role in ADDRESSES}


def body_of(request: Request) -> Any:
    """The body as its type says; the file parts of a form as their bytes."""
    kind = request.headers["content-type"]
    if kind.startswith("application/json"):
        return json.loads(request.body)
    head = f"Content-Type: {kind}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    fields = {}
    for part in parts.iter_parts():
        name, content = str(part.get_param("name", header="content-disposition")), part.get_payload(decode=True)
        assert isinstance(content, bytes)
        assert name not in fields, f"{name} is sent twice"
        fields[name] = content if part.get_filename() else content.decode()
        assert bool(part.get_filename()) == (part.get_content_maintype() == "image")
    return fields


def filled(expected: Mapping[str, Any], key: str, uris: Mapping[str, str]) -> Any:
    """The fixture's body with the key and what the pictures became."""
    meant = {"{key}": key, **{f"{{{role}}}": uri for role, uri in uris.items()}}
    whole = {name: meant.get(value, value) if isinstance(value, str) else value for name, value in expected.items()}
    return {
        name: Path(value).read_bytes() if name in ("first_frame", "last_frame") else value
        for name, value in whole.items()
    }


@pytest.mark.parametrize("kind", ["text", "image"])
@pytest.mark.parametrize("provider", REMOTE)
async def test_an_order_is_exactly_what_the_pages_say(provider: str, kind: str, tmp_path: Path) -> None:
    fixture = wire_fixture(provider)
    expected = fixture[kind]
    uris = uris_for(provider, tmp_path) if kind == "image" else {}
    key = KEYS[f"{provider.upper()}_API_KEY" if provider != "fal" else "FAL_KEY"]
    async with raw.serving(says(answer(200, IDS))) as server, adapters_at(server.url) as (adapters, _):
        offer = offer_of(provider, expected["arguments"], picture=kind == "image")
        assert isinstance(await adapters.by_name[provider].submit(offer, uris), Accepted)
    (sent,) = server.requests
    assert sent.head.startswith(f"{expected['request']} HTTP/1.1")
    headers = {name: value.split(";")[0] for name, value in sent.headers.items()}
    wanted = {name: value.replace("{key}", key) for name, value in fixture["headers"].items()}
    assert headers | wanted == headers
    known = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length", *wanted}
    assert set(headers) <= known, "a header no page asks for"
    body = filled(expected["body"], key, uris)
    assert body_of(sent) == body
    if isinstance(body, dict) and provider != "bytecompute":
        assert json.dumps(body_of(sent), sort_keys=True) == json.dumps(body, sort_keys=True), "6 is not 6.0"
    assert (key.encode() in sent.body) == fixture["key_in_body"]
    assert ("authorization" in sent.headers) != fixture["key_in_body"]


OWN_WORDS = [
    ("fal", 403, {"detail": "User is locked. Reason: Exhausted balance."}, ErrorCode.OUT_OF_CREDIT),
    ("fal", 403, {"detail": "Forbidden"}, ErrorCode.KEY_REJECTED),
    ("fal", 401, {"detail": "Invalid credentials"}, ErrorCode.KEY_REJECTED),
    (
        "fal",
        422,
        {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]},
        ErrorCode.CONTENT_REFUSED,
    ),
    (
        "fal",
        422,
        {"detail": [{"loc": ["body", "duration"], "msg": "Input should be 6", "type": "one_of"}]},
        ErrorCode.REJECTED,
    ),
    ("fal", 429, {"detail": "Too many", "error_type": "concurrent_requests_limit"}, ErrorCode.RATE_LIMITED),
    ("ltx", 400, "invalid_request_error", ErrorCode.REJECTED),
    ("ltx", 401, "authentication_error", ErrorCode.KEY_REJECTED),
    ("ltx", 402, "insufficient_funds_error", ErrorCode.OUT_OF_CREDIT),
    ("ltx", 403, "permission_error", ErrorCode.KEY_REJECTED),
    ("ltx", 413, "request_too_large", ErrorCode.REJECTED),
    ("ltx", 422, "content_filtered_error", ErrorCode.CONTENT_REFUSED),
    ("ltx", 429, "concurrency_limit_error", ErrorCode.RATE_LIMITED),
    ("ltx", 429, "rate_limit_error", ErrorCode.RATE_LIMITED),
    ("ltx", 503, "service_unavailable", ErrorCode.UNAVAILABLE),
    ("ltx", 503, "service_unavailable_error", ErrorCode.UNAVAILABLE),
    ("ltx", 529, "overloaded_error", ErrorCode.UNAVAILABLE),
    ("netwrck", 401, {"error": "Missing or invalid API key"}, ErrorCode.KEY_REJECTED),
    ("netwrck", 402, {"error": "Insufficient credits"}, ErrorCode.OUT_OF_CREDIT),
    ("netwrck", 400, {"error": "Invalid duration"}, ErrorCode.REJECTED),
    ("netwrck", 400, {"error": "Blocked by content policy"}, ErrorCode.CONTENT_REFUSED),
    ("netwrck", 400, {"detail": "Invalid duration"}, ErrorCode.REJECTED),
    ("netwrck", 400, {"message": "Invalid duration"}, ErrorCode.REJECTED),
    ("bytecompute", 400, "invalid_request", ErrorCode.REJECTED),
    ("bytecompute", 401, "unauthorized", ErrorCode.KEY_REJECTED),
    ("bytecompute", 404, "not_found", ErrorCode.UNAVAILABLE),
]


@pytest.mark.parametrize(("provider", "status", "said", "code"), OWN_WORDS)
async def test_a_refusal_in_the_providers_words_has_our_code_and_keeps_theirs(
    provider: str, status: int, said: Any, code: ErrorCode
) -> None:
    body = {"type": "error", "error": {"type": said, "message": "as it says"}} if isinstance(said, str) else said
    reply = answer(status, json.dumps(body).encode(), "Content-Type: application/json")
    async with raw.serving(says(reply)) as server, adapters_at(server.url) as (adapters, _):
        with pytest.raises(ProviderError) as raised:
            await adapters.by_name[provider].submit(offer_of(provider, {}, picture=False), {})
    error = raised.value
    assert (error.code, error.accepted, error.status_code) == (code, "no", status)
    assert error.detail
    assert "{" not in error.detail, "their sentence, not their JSON"
    assert error.hint
