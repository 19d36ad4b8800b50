"""What is fal's alone: the addresses its answers name, its price call, its two ways to say that a film failed."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from ltx_mcp.cli.checks.providers import price_difference
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import make_offers
from ltx_mcp.domain.request import to_request
from ltx_mcp.domain.unit_price import UnitPrice
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.emulator.fal.webhooks import sign
from ltx_mcp.media.client import MediaClient
from ltx_mcp.net.provider_client import ProviderClient
from ltx_mcp.net.reply import HttpResponse
from ltx_mcp.providers.base import AdapterContext
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.providers.fal import Fal, _units, read_news
from tests.conftest import Emulated
from tests.providers import raw

pytestmark = pytest.mark.anyio

FACTS = next(facts for facts in read_providers() if facts.name == "fal")


def made(base_url: str, queue: str = "") -> Fal:
    client = ProviderClient("fal", is_loopback=True)
    urls = {"queue": queue or base_url, "rest": base_url, "api": base_url}
    return Fal(
        AdapterContext(FACTS, client, settings(base_url)["FAL_KEY"], urls, {}, lambda: datetime.now(UTC), MediaClient())
    )


@pytest.fixture
async def fal(emulator: Emulated) -> AsyncIterator[Fal]:
    adapter = made(emulator[0])
    yield adapter
    await adapter._client.close()


def offer(**arguments: Any) -> Offer:
    catalog = make_catalog((FACTS,), (), lambda name: "")
    request = to_request(GenerateVideo(prompt="a pond", provider="fal", model="ltx-2.3-fast", **arguments))
    return make_offers(request, (), catalog).unusable[0][0]


def answers(world: EmulatorState, step: str, body: Any, status: int = 200) -> None:
    world.faults.append(Fault("fal", step, "body", options={"body": json.dumps(body), "status": status}))


@pytest.mark.parametrize(
    "foreign",
    [
        "https://evil.example/fal-ai/ltx-2.3/requests/r1/status",
        "http://127.0.0.1:9/fal-ai/ltx-2.3/requests/r1/status",
        "http://user:pass@127.0.0.1/x",
        "http://[::1",
        "",
        None,
        7,
    ],
)
async def test_an_address_that_is_not_the_queues_own_is_replaced_by_the_documented_one(
    fal: Fal, emulator: Emulated, foreign: Any
) -> None:
    base_url, world = emulator
    answers(world, "submit", {"request_id": "r1", "status_url": foreign, "response_url": foreign})
    remote = (await fal.submit(offer(), {})).remote
    assert remote["status_url"] == f"{base_url}/fal-ai/ltx-2.3/requests/r1/status"
    assert remote["response_url"] == f"{base_url}/fal-ai/ltx-2.3/requests/r1"
    assert remote["cancel_url"] == f"{base_url}/fal-ai/ltx-2.3/requests/r1/cancel"


async def test_the_addresses_of_the_answer_are_used_as_they_are(fal: Fal, emulator: Emulated) -> None:
    base_url, world = emulator
    own = {f"{name}_url": f"{base_url}/some/where/{name}" for name in ("status", "response", "cancel")}
    answers(world, "submit", {"request_id": "r1", **own})
    remote = (await fal.submit(offer(), {})).remote
    assert own.items() <= remote.items()


async def test_the_backup_host_of_the_queue_is_the_queues_own() -> None:
    fal = made("http://127.0.0.1:1", "https://queue.fal.run")
    assert fal._own("https://queue.falrun.com/x", "no") == "https://queue.falrun.com/x"
    assert fal._own("https://queue.fal.run.evil.example/x", "no") == "no"


async def test_a_refusal_that_only_the_result_tells_is_one(fal: Fal, emulator: Emulated) -> None:
    """fal takes an order unread: what its model refuses is COMPLETED, and a 422 in the result."""
    _, world = emulator
    world.wait_s = world.work_s = 0
    world.faults.append(Fault("fal", "order", "refused"))
    seen = await fal.poll((await fal.submit(offer(), {})).remote)
    assert (seen.status, seen.problem and seen.problem.code) == ("failed", ErrorCode.REJECTED)


async def test_a_404_of_a_gateway_does_not_say_that_the_order_is_gone(fal: Fal, emulator: Emulated) -> None:
    _, world = emulator
    remote = (await fal.submit(offer(), {})).remote
    world.faults += [
        Fault("fal", "poll", "html", options={"status": 404}),
        Fault("fal", "poll", "status", options={"status": 404}),
    ]
    codes = []
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            await fal.poll(remote)
        codes.append(caught.value.code)
    assert codes == [ErrorCode.UNAVAILABLE, ErrorCode.EXPIRED]


async def test_what_the_runner_failed_at_costs_nothing(fal: Fal, emulator: Emulated) -> None:
    _, world = emulator
    world.wait_s = world.work_s = 0
    world.faults.append(Fault("fal", "order", "fails"))
    seen = await fal.poll((await fal.submit(offer(), {})).remote)
    assert (seen.status, seen.charged_usd) == ("failed", Decimal(0))


@pytest.mark.parametrize(
    ("units", "counted"),
    [("6", "6"), ("6.04", "6.04"), ("0", "0"), (" 24 ", "24"), ("", None), ("NaN", None), ("-1", None), ("x", None)],
)
def test_what_fal_counted_is_told_as_it_stands(units: str, counted: str | None) -> None:
    assert _units(HttpResponse(200, {"x-fal-billable-units": units}, b"")) == (
        None if counted is None else Decimal(counted)
    )


async def test_a_price_that_differs_from_the_table_is_told(fal: Fal) -> None:
    theirs = await fal.prices()
    fast = FACTS.offer[0]
    assert (theirs[fast.endpoint].amount, price_difference(fast, theirs)) == (Decimal("0.04"), "")
    raised = {**theirs, fast.endpoint: replace(theirs[fast.endpoint], amount=Decimal("0.06"))}
    assert price_difference(fast, raised) == (
        "fal-ai/ltx-2.3/text-to-video/fast costs 0.06 USD a unit there, 0.04 a second here, at most 0.06 "
        "(as of 2026-11-21)"
    )
    other = {fast.endpoint: replace(theirs[fast.endpoint], unit="megapixel", currency="EUR")}
    assert "costs 0.04 EUR a megapixel there" in price_difference(fast, other)


async def test_the_key_goes_neither_to_the_upload_nor_to_the_media_host(
    fal: Fal, emulator: Emulated, tmp_path: Path
) -> None:
    picture = tmp_path / "p.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    await fal.upload(picture, "png")
    assert [(call.step, call.authorized) for call in emulator[1].calls] == [("upload", True), ("put", False)]


def test_units_that_are_no_seconds_are_compared_by_what_they_are() -> None:
    first = {row.model: row for row in reversed(FACTS.offer)}
    cheap, open_weights = first["ltx-2.5-fast"], first["ltx-2.3-open"]
    cents = {cheap.endpoint: UnitPrice("unit", "USD", Decimal("0.01"), datetime.now(UTC))}
    assert price_difference(cheap, cents) == ""
    same = {open_weights.endpoint: UnitPrice("megapixels", "USD", Decimal("0.001605"), datetime.now(UTC))}
    assert price_difference(open_weights, same) == ""
    higher = {open_weights.endpoint: UnitPrice("megapixel", "USD", Decimal("0.002"), datetime.now(UTC))}
    assert "costs 0.002 USD a unit there, 0.001605 a megapixel here" in price_difference(open_weights, higher)


async def test_an_order_names_the_address_that_is_to_be_told_and_is_otherwise_the_same() -> None:
    url = "https://films.example.com/ltx/webhooks/fal/job_1?a=b&c"
    async with raw.serving(raw.says(raw.answer(200, b'{"request_id": "r1"}'))) as server:
        adapter = made(server.url)
        for each in (adapter, adapter.with_webhook(url), adapter):
            assert (await each.submit(offer(), {})).remote["request_id"] == "r1"
    plain, told, again = server.requests
    line, named = (request.head.partition("\r\n")[0].split(" ")[1] for request in (plain, told))
    assert line == "/fal-ai/ltx-2.3/text-to-video/fast"
    path, _, query = named.partition("?")
    assert (path, parse_qs(query, strict_parsing=True)) == (line, {"fal_webhook": [url]})
    assert (told.head.replace(named, line), told.body) == (plain.head, plain.body) == (again.head, again.body)


def test_what_is_no_webhook_is_not_read() -> None:
    body, at = b'{"request_id": "r1"}', 1_800_000_000
    headers = {name.lower(): value for name, value in sign(bytes(32), "r1", at, body).items()}
    news = read_news(headers, body)
    assert news is not None
    assert (news.sent_at, news.is_about({"request_id": "r1"}), news.is_about({"request_id": "r2"})) == (at, True, False)
    later = read_news(headers, b'{"request_id": "r1", "gateway_request_id": "r2"}')
    assert later is not None
    assert later.is_about({"request_id": "r2"})
    for nothing in (b"", b"[]", b"{}", b'{"request_id": ""}', b'{"request_id": ["r1"]}', b"[" * 60_000):
        assert read_news(headers, nothing) is None
    for name, value in (("timestamp", "1e9"), ("timestamp", "-1"), ("signature", "ab" * 63), ("signature", "x" * 128)):
        assert read_news(headers | {f"x-fal-webhook-{name}": value}, body) is None
