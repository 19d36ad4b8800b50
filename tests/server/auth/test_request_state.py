"""The state of a price question, which a client carries: any server of the same signing key takes it, from the same
caller with the same arguments, and from nobody else.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.server.app import make_server
from ltx_mcp.server.http import make_app
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS, Emulated
from tests.providers.bench import catalog_of
from tests.server.auth.people import BASE_URL, WHO, Door, Person, message_of

pytestmark = pytest.mark.anyio

POND: dict[str, Any] = {"prompt": "a pond at dawn", "provider": "bytecompute"}
REFUSED = "Invalid or expired requestState"


@pytest.fixture(autouse=True)
def quick(emulator: Emulated) -> None:
    emulator[1].wait_s, emulator[1].work_s = 0.0, 0.05


@asynccontextmanager
async def served(home: Path, emulator: Emulated, *signing_keys: str) -> AsyncIterator[tuple[Person, Person]]:
    """Two callers of one server, which asks above 0.20 USD."""
    ours = {"HOME": str(home), "CONFIRM_ABOVE_USD": "0.20", "SIGNING_KEY": ",".join(signing_keys)}
    env = settings(emulator[0]) | {f"LTX_MCP_{name}": value for name, value in ours.items()}
    server, current_context = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env), base_url=BASE_URL)
    app = make_app(server, current_context)
    web = httpx.AsyncClient(transport=httpx.ASGITransport(Door(app)), base_url=BASE_URL)
    async with app.router.lifespan_context(app), web:
        yield Person("token|ann", web, {WHO: "token|ann"}), Person("token|bob", web, {WHO: "token|bob"})


async def ask(person: Person, **arguments: Any) -> str:
    """The state of the question that a call is answered with."""
    call = {"name": "generate_video", "arguments": POND | arguments}
    result = message_of(await person.send("tools/call", call, elicitation={}))["result"]
    assert result["resultType"] == "input_required", result
    return str(result["requestState"])


async def agree(person: Person, state: str, **arguments: Any) -> dict[str, Any]:
    """What the same call with a person's yes is answered with."""
    yes = {"requestState": state, "inputResponses": {"price": {"action": "accept"}}}
    call = {"name": "generate_video", "arguments": POND | arguments, **yes}
    return message_of(await person.send("tools/call", call, elicitation={}))


def is_ordered(message: dict[str, Any]) -> bool:
    return "taskId" in message.get("result", {}) or "job_id" in message.get("result", {}).get("structuredContent", {})


def key() -> str:
    return secrets.token_urlsafe(32)


async def test_a_question_of_one_server_is_answered_at_another_of_the_same_key(home: Path, emulator: Emulated) -> None:
    old, new = key(), key()
    async with served(home, emulator, old) as (ann, _), served(home, emulator, new, old) as (ann_elsewhere, _):
        assert is_ordered(await agree(ann_elsewhere, await ask(ann)))
    assert len(emulator[1].orders) == 1


@pytest.mark.parametrize("keys", [(True, True), (True, False), (False, False)])
async def test_a_server_of_another_key_or_of_none_refuses_it(
    home: Path, emulator: Emulated, keys: tuple[bool, bool]
) -> None:
    one, other = [[key()] if has_key else [] for has_key in keys]
    async with served(home, emulator, *one) as (ann, _), served(home, emulator, *other) as (ann_elsewhere, _):
        assert (await agree(ann_elsewhere, await ask(ann)))["error"]["message"] == REFUSED
    assert emulator[1].orders == []


@pytest.mark.parametrize("has_key", [True, False])
async def test_a_state_is_of_its_caller_and_of_its_arguments(home: Path, emulator: Emulated, has_key: bool) -> None:
    async with served(home, emulator, *([key()] if has_key else [])) as (ann, bob):
        state = await ask(ann)
        # Bob was asked the same, so only the state tells whose yes it is
        await ask(bob)
        assert (await agree(bob, state))["error"]["message"] == REFUSED
        assert (await agree(ann, state, resolution="2160p"))["error"]["message"] == REFUSED
        assert emulator[1].orders == []
        assert is_ordered(await agree(ann, state))
    assert len(emulator[1].orders) == 1
