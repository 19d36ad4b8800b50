"""What an order of ours looks like on the wire, to the byte where it matters: as each provider's pages say."""

import email
import email.policy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ltx_mcp.domain.arguments import (
    AnimateImage,
    ExtendVideo,
    GenerateFromAudio,
    GenerateVideo,
    ReframeVideo,
    RetakeVideo,
)
from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import make_offers
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.emulator.app import settings
from ltx_mcp.providers.base import DeferredVideo, SubmittedOrder
from ltx_mcp.providers.catalog_loader import read_providers
from tests.providers import raw
from tests.providers.adapted import adapters_at
from tests.providers.bench import REMOTE, catalog_of, wire_fixture
from tests.providers.raw import Request, answer, says

pytestmark = pytest.mark.anyio

IDS = b'{"id": "a1", "job_id": "a1", "request_id": "a1", "status": "queued"}'
ADDRESSES = {
    "image": "https://media.example/first.png",
    "end_image": "https://media.example/last.png",
    "audio": "ltx://uploads/voice",
    "video": "ltx://uploads/clip",
}
GIVEN = {
    **{role: Input(role, role, "png", 9, width=64, height=36) for role in ("image", "end_image")},
    "audio": Input("audio", "a", "mp3", 9, codec="mp3", duration=6.5),
    "video": Input("video", "v", "mp4", 9, 1920, 1080, codec="h264", duration=6, fps=25, frames=150, has_audio=True),
}
ASKED: dict[str, type[Any]] = {
    "text": GenerateVideo,
    "image": AnimateImage,
    "audio": GenerateFromAudio,
    "extend": ExtendVideo,
    "retake": RetakeVideo,
    "reframe": ReframeVideo,
}
"""By the first word of an example's name."""
EXAMPLES = [(name, kind) for name in REMOTE for kind in wire_fixture(name) if kind.partition(",")[0] in ASKED]
KEYS = {name: value for name, value in settings("").items() if name.endswith("_KEY")}


def roles_in(body: Mapping[str, Any]) -> list[str]:
    """The media that an example sends, by their places in it."""
    return [role for role in ADDRESSES if f"{{{role}}}" in body.values()]


def offer_of(provider: str, arguments: Mapping[str, Any], kind: str = "text", roles: Sequence[str] = ()) -> Offer:
    """The offer a request leads to at a provider."""
    catalog = catalog_of(settings("http://127.0.0.1:1"))
    asks = ASKED[kind.partition(",")[0]]
    words = {"prompt": "a pond"} if "prompt" in asks.model_fields else {}
    given = {role: f"{role}.file" for role in roles} | words | {"provider": provider, **arguments}
    asked = to_request(asks(**given))
    return make_offers(asked, [GIVEN[role] for role in roles], catalog).offers[0]


def uris_for(provider: str, roles: Sequence[str], folder: Path) -> dict[str, str]:
    """What an order points at: addresses, or paths where the picture itself is sent."""
    if provider != "bytecompute":
        return {role: ADDRESSES[role] for role in roles}
    for role, colour in zip(roles, ("red", "blue"), strict=False):
        Image.new("RGB", (64, 36), colour).save(folder / f"{role}.png")
    return {role: str(folder / f"{role}.png") for role in roles}


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


@pytest.mark.parametrize(("provider", "kind"), EXAMPLES)
async def test_an_order_is_exactly_what_the_pages_say(provider: str, kind: str, tmp_path: Path) -> None:
    fixture = wire_fixture(provider)
    expected = fixture[kind]
    roles = roles_in(expected["body"])
    uris = uris_for(provider, roles, tmp_path)
    key = KEYS[f"{provider.upper()}_API_KEY" if provider != "fal" else "FAL_KEY"]
    async with raw.serving(says(answer(200, IDS))) as server, adapters_at(server.url) as (adapters, _):
        offer = offer_of(provider, expected["arguments"], kind, roles)
        assert isinstance(await adapters.by_name[provider].submit(offer, uris), SubmittedOrder)
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


@pytest.mark.parametrize("kind", [kind for name, kind in EXAMPLES if name == "ltx"])
async def test_an_order_at_the_older_api_of_ltx_has_the_same_body(kind: str) -> None:
    expected = wire_fixture("ltx")[kind]
    roles = roles_in(expected["body"])
    uris = uris_for("ltx", roles, Path())
    film, older = answer(200, b"a film", "Content-Type: video/mp4"), {"LTX_MCP_LTX_API": "v1"}
    async with raw.serving(says(film)) as server, adapters_at(server.url, older) as (adapters, _):
        offer = offer_of("ltx", expected["arguments"], kind, roles)
        assert isinstance(await adapters.by_name["ltx"].submit(offer, uris), DeferredVideo)
    (sent,) = server.requests
    assert sent.head.startswith(f"{expected['request'].replace('/v2/', '/v1/')} HTTP/1.1")
    assert json.dumps(body_of(sent), sort_keys=True) == json.dumps(filled(expected["body"], "", uris), sort_keys=True)


def test_every_operation_of_a_provider_has_an_example() -> None:
    of = {"text_to_video": "text", "image_to_video": "image", "audio_to_video": "audio"}
    offered = {
        (facts.name, of.get(row.operation, row.operation))
        for facts in read_providers()
        if facts.name in REMOTE
        for row in facts.offer
    }
    assert {(name, kind.partition(",")[0]) for name, kind in EXAMPLES} == offered


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
            await adapters.by_name[provider].submit(offer_of(provider, {}), {})
    error = raised.value
    assert (error.code, error.accepted, error.status_code) == (code, "no", status)
    assert error.detail
    assert "{" not in error.detail, "their sentence, not their JSON"
    assert error.hint
