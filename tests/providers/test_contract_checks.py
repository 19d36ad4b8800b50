"""What every provider answers when it is only asked whether it knows the key: nothing is ordered, whatever it says."""

from datetime import UTC, datetime, timedelta

import pytest

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.providers.base import KeyCheck, SupportsKeyCheck
from tests.conftest import Emulated
from tests.providers.adapted import adapters_at
from tests.providers.bench import REMOTE
from tests.providers.raw import answer, says, serving

pytestmark = pytest.mark.anyio

KEYS = {name for name in settings("") if name.endswith("_KEY")}
WRONG = dict.fromkeys(KEYS, "a-key:nobody-gave-out")
JSON = "Content-Type: application/json"


async def checked(base_url: str, provider: str, env: dict[str, str] | None = None) -> KeyCheck:
    """What this provider's adapter makes of the answer."""
    async with adapters_at(base_url, env) as (adapters, catalog):
        adapter = adapters.by_name[provider]
        assert isinstance(adapter, SupportsKeyCheck)
        assert adapter.asked in catalog.facts(provider).url_env
        return await adapter.check()


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_key_that_is_known_is_not_refused(emulated: Emulated, provider: str) -> None:
    found = await checked(emulated[0], provider)
    assert found.problem is None
    assert found.at is not None
    assert abs(found.at - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_key_that_is_not_known_is_rejected(emulated: Emulated, provider: str) -> None:
    found = await checked(emulated[0], provider, WRONG)
    assert found.problem is not None
    assert found.problem.code is ErrorCode.KEY_REJECTED
    assert found.at is not None


@pytest.mark.parametrize("env", [{}, WRONG, {"LTX_MCP_LTX_API": "v1"}])
@pytest.mark.parametrize("provider", REMOTE)
async def test_to_ask_orders_nothing_and_uploads_nothing(
    emulated: Emulated, provider: str, env: dict[str, str]
) -> None:
    base_url, world = emulated
    world.reset()
    await checked(base_url, provider, env)
    assert (world.orders, world.uploads) == ([], {})
    assert [(call.provider, call.step) for call in world.calls] == [(provider, "poll")]


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (402, ErrorCode.OUT_OF_CREDIT),
        (403, ErrorCode.KEY_REJECTED),
        (422, ErrorCode.REJECTED),
        (429, ErrorCode.RATE_LIMITED),
        (500, ErrorCode.UNAVAILABLE),
        (503, ErrorCode.UNAVAILABLE),
    ],
)
async def test_what_else_it_says_has_a_code(emulated: Emulated, provider: str, status: int, code: ErrorCode) -> None:
    emulated[1].faults = [Fault(provider, "poll", "status", 1, {"status": status})]
    found = await checked(emulated[0], provider)
    assert found.problem is not None
    assert found.problem.code is code


async def test_a_locked_account_at_fal_has_no_credit(emulated: Emulated) -> None:
    emulated[1].faults = [Fault("fal", "poll", "locked")]
    found = await checked(emulated[0], "fal")
    assert found.problem is not None
    assert found.problem.code is ErrorCode.OUT_OF_CREDIT


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"<html>Sign in</html>", ["Content-Type: text/html"]),
        (403, b"<!DOCTYPE html>", []),
        (404, b"<html>nothing here</html>", []),
        (404, b"not here", []),
        (200, b"[]", [JSON]),
        (302, b"", ["Location: https://portal.example/login"]),
    ],
)
async def test_what_is_not_its_own_answer_is_told_as_a_stranger(
    provider: str, status: int, body: bytes, headers: list[str]
) -> None:
    async with serving(says(answer(status, body, *headers))) as strange:
        found = await checked(strange.url, provider)
    assert found.problem is not None
    assert found.problem.code is ErrorCode.BAD_REPLY
    assert len(strange.requests) == 1


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_gateways_page_with_a_5xx_is_an_outage(provider: str) -> None:
    async with serving(says(answer(502, b"<html>Bad gateway</html>"))) as down:
        found = await checked(down.url, provider)
    assert found.problem is not None
    assert found.problem.code is ErrorCode.UNAVAILABLE


@pytest.mark.parametrize("provider", REMOTE)
@pytest.mark.parametrize("date", [[], ["Date: yesterday"], ["Date: Mon, 99 Nov 2026 99:00:00 GMT"]])
async def test_a_date_that_cannot_be_read_is_no_time(provider: str, date: list[str]) -> None:
    body = b'{"detail": "no", "error": {"type": "not_found_error", "message": "no"}}'
    async with serving(says(answer(404, body, JSON, *date))) as timeless:
        assert await checked(timeless.url, provider) == KeyCheck(None, None)


@pytest.mark.parametrize("provider", REMOTE)
async def test_what_it_repeats_of_the_key_is_struck_out(provider: str) -> None:
    body = b'{"detail": "a-key:nobody-gave-out", "error": {"type": "x", "message": "a-key:nobody-gave-out"}}'
    async with serving(says(answer(401, body, JSON))) as telling:
        found = await checked(telling.url, provider, WRONG)
    assert found.problem is not None
    assert "***" in found.problem.provider_detail
    assert "nobody-gave-out" not in str(found)


@pytest.mark.parametrize("provider", REMOTE)
async def test_nobody_there_is_raised(provider: str) -> None:
    with pytest.raises(ProviderError) as raised:
        await checked("http://127.0.0.1:9", provider)
    assert raised.value.code is ErrorCode.UNAVAILABLE
