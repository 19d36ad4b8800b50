"""Clients that give up after five seconds get an answer in three; those that have waited longer are let wait."""

from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult

from ltx_mcp.emulator.app import settings
from ltx_mcp.server import patience as module
from ltx_mcp.server import tools
from ltx_mcp.server.app import make_server
from ltx_mcp.server.auth.principal import SCOPE_KEY, Principal
from ltx_mcp.server.patience import CONNECTION, LONGER_S, SHORT_S, Patience, Patiences
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS, Emulated
from tests.patience import HANG_S
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio


class Hours:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hours() -> Hours:
    return Hours()


async def _called(patience: Patience, hours: Hours, seconds: float) -> None:
    async with patience.call():
        hours.now += seconds


async def _cancelled(patience: Patience, hours: Hours, seconds: float) -> None:
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            async with patience.call():
                hours.now += seconds
                scope.cancel()
                await anyio.sleep(HANG_S)
        group.cancel_scope.cancel()


async def test_a_connection_is_let_wait_once_it_has(hours: Hours) -> None:
    patience = Patience(hours)
    assert (patience.default_s(25), patience.asked_s(45)) == (SHORT_S, 45)
    # a short wait takes a little longer than it says
    await _called(patience, hours, SHORT_S + 0.9)
    assert patience.default_s(25) == SHORT_S
    await _called(patience, hours, LONGER_S)
    assert patience.default_s(25) == 25


async def test_a_client_that_asked_for_something_else_meanwhile_may_have_given_up(hours: Hours) -> None:
    patience = Patience(hours)
    async with patience.call():
        await _called(patience, hours, 1)
        hours.now += 30
    assert patience.default_s(25) == SHORT_S


@pytest.mark.parametrize(("after", "usual", "most"), [(5.0, SHORT_S, 3.75), (40.0, 25, 30.0), (1.0, 25, 45)])
async def test_later_calls_stay_below_what_a_cancelled_one_was_given(
    hours: Hours, after: float, usual: float, most: float
) -> None:
    patience = Patience(hours)
    if after != 5.0:
        await _called(patience, hours, LONGER_S)
    await _cancelled(patience, hours, after)
    assert (patience.default_s(25), patience.asked_s(45)) == (usual, most)


async def test_a_call_that_its_client_gave_up_is_learned_from_like_a_cancelled_one(hours: Hours) -> None:
    patience = Patience(hours)
    async with patience.call("1"):
        hours.now += 5
        patience.given_up("1")
        hours.now += 40
    patience.given_up("another")
    assert (patience.default_s(25), patience.asked_s(45)) == (SHORT_S, 3.75)


def test_connections_that_cannot_be_told_apart_begin_anew_each_time() -> None:
    known = Patiences(is_alone=True)
    one, other = _request("1"), _request("2")
    assert known.of(one) is known.of(one)
    assert known.of(one) is not known.of(other)
    assert known.of(one) is not known.of(_request("1", "somebody"))
    for stranger in (_request(None), SimpleNamespace(headers={CONNECTION: "x" * 60_000}, scope={})):
        assert known.of(stranger) is not known.of(stranger)
    for number in range(module.MAX_REMEMBERED):
        known.of(_request(f"more {number}"))
    assert len(known._known) == module.MAX_REMEMBERED


def test_a_server_that_shares_its_database_recognizes_only_stdio() -> None:
    known = Patiences(is_alone=False)
    assert known.of(_request("1")) is not known.of(_request("1"))
    assert known.of(None) is known.of(None)


def _request(connection: str | None, caller: str = "local") -> Any:
    """A request of an older client's connection over HTTP; None: of any other client."""
    name = None if connection is None else sha256(connection.encode()).hexdigest()[: 2 * module.NAME_BYTES]
    return SimpleNamespace(
        headers={} if name is None else {CONNECTION: name},
        scope={SCOPE_KEY: Principal(caller, frozenset())},
    )


async def test_a_call_that_says_no_wait_is_answered_soon_until_one_has_waited(
    home: Path, emulator: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SHORT_S", 0.05)
    monkeypatch.setattr(module, "LONGER_S", 0.15)
    base_url, world = emulator
    world.work_s = HANG_S
    env = settings(base_url) | {"LTX_MCP_HOME": str(home)}
    server, current_context = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env))
    async with Client(server) as client:
        placed = await client.call_tool("generate_video", {"prompt": "A pond", "provider": "fal"})
        job_id = _facts(placed)["job_id"]
        monkeypatch.setattr(tools, "DEFAULT_WAIT_S", HANG_S)
        assert _facts(await client.call_tool("check_job", {"job_id": job_id}))["state"] != "succeeded"
        await client.call_tool("check_job", {"job_id": job_id, "wait_seconds": 0.2})
        app_context = current_context()
        assert app_context is not None
        assert app_context.patiences.of(None).default_s(25) == 25
        await client.call_tool("cancel_job", {"job_id": job_id})


def _facts(result: CallToolResult) -> dict[str, Any]:
    assert result.structured_content is not None
    return dict(result.structured_content)
