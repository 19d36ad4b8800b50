"""Two servers behind HAProxy, which sends each request to the other one: nothing that a client does notices it.

They share a PostgreSQL, a home and a signing key. Each call is made so often that both have answered it.
"""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import (
    CallToolResult,
    ElicitRequestFormParams,
    ElicitResult,
    PromptReference,
    TextContent,
    TextResourceContents,
)

from tests.conftest import ERAS, Emulated, Era
from tests.databases import PostgresServer
from tests.facts import facts_of
from tests.patience import HANG_S
from tests.server.follower import Follows, ended, send
from tests.service.replicas import Balancer, needs_haproxy, replicas

pytestmark = [pytest.mark.anyio, needs_haproxy]

CALLS, ROUNDS = 20, 4
CHEAP: dict[str, Any] = {"provider": "fal", "model": "ltx-2.3-fast"}
DEAR: dict[str, Any] = {**CHEAP, "duration": 8}
ENDLESS_S = 3600.0


@pytest.fixture
def world(emulator: Emulated) -> Emulated:
    emulator[1].wait_s, emulator[1].work_s = 0.0, 0.3
    return emulator


@pytest.fixture
def balancer(tmp_path: Path, postgres: PostgresServer, world: Emulated) -> Iterator[Balancer]:
    """Prices above 0.40 USD are asked about."""
    with replicas(tmp_path, postgres.new_database(), world[0], CONFIRM_ABOVE_USD="0.40", MAX_LIVE_JOBS="200") as served:
        yield served
        counts = served.served()
        assert len(counts) == 2
        assert max(counts) - min(counts) <= 1


def structured(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    return facts_of(result)


@pytest.mark.parametrize("era", ERAS)
async def test_every_kind_of_call_is_answered_by_either(balancer: Balancer, era: Era) -> None:
    async with Client(f"{balancer.address}/mcp", mode=era) as client:
        for number in range(ROUNDS):
            assert (await client.list_tools()).tools
            placed = structured(await client.call_tool("generate_video", {"prompt": f"pond {number}", **CHEAP}))
            job_id = placed["job_id"]
            waiting = {"job_id": job_id, "wait_seconds": 50}
            view = structured(await client.call_tool("check_job", waiting))
            assert view["state"] == "succeeded"
            read = await client.read_resource(f"ltx://jobs/{job_id}")
            assert isinstance(read.contents[0], TextResourceContents)
            assert job_id in read.contents[0].text
            reference = PromptReference(type="ref/prompt", name="review_job")
            found = await client.complete(reference, {"name": "job_id", "value": job_id})
            assert found.completion.values == [job_id]
            listed = structured(await client.call_tool("list_jobs", {"limit": 1}))
            assert listed["jobs"][0]["job_id"] == job_id
            with urllib.request.urlopen(view["video_url"], timeout=HANG_S) as film:
                assert len(film.read()) == view["size_bytes"]


@pytest.mark.parametrize("era", ERAS)
async def test_who_waits_hears_of_progress_whichever_of_them_works(
    balancer: Balancer, world: Emulated, era: Era
) -> None:
    """The film goes on only once its waiting caller has been told something of it."""
    heard: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")
        world[1].work_s = 0.3

    async with Client(f"{balancer.address}/mcp", mode=era) as client:
        for number in range(ROUNDS):
            world[1].work_s = ENDLESS_S
            heard.clear()
            placed = structured(await client.call_tool("generate_video", {"prompt": f"pond {number}", **CHEAP}))
            waiting = {"job_id": placed["job_id"], "wait_seconds": 50}
            view = structured(await client.call_tool("check_job", waiting, progress_callback=note))
            assert view["state"] == "succeeded"
            assert heard[0] != heard[-1] == "succeeded"


async def test_a_question_asked_by_one_is_answered_at_the_other(balancer: Balancer, world: Emulated) -> None:
    questions: list[str] = []
    world[1].work_s = ENDLESS_S

    async def agree(context: Any, params: Any) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        questions.append(params.message)
        return ElicitResult(action="accept")

    async with Client(f"{balancer.address}/mcp", elicitation_callback=agree) as client:
        for number in range(CALLS):
            placed = structured(await client.call_tool("generate_video", {"prompt": f"pond {number}", **DEAR}))
            assert placed["job_id"]
    assert (len(questions), len(world[1].orders)) == (CALLS, CALLS)


async def test_an_older_client_is_told_how_to_agree_to_a_price_and_does(balancer: Balancer, world: Emulated) -> None:
    async def never(context: Any, params: Any) -> ElicitResult:
        raise AssertionError("it cannot be asked during a call")

    world[1].work_s = ENDLESS_S
    async with Client(f"{balancer.address}/mcp", mode="legacy", elicitation_callback=never) as client:
        for number in range(CALLS):
            wish = {"prompt": f"pond {number}", **DEAR}
            refused = await client.call_tool("generate_video", wish)
            assert isinstance(refused.content[0], TextContent)
            text = refused.content[0].text
            amount = re.search(r"exactly max_cost_usd=(\d+\.\d+):", text)
            assert (refused.is_error, text.partition(":")[0]) == (True, "needs_confirmation")
            assert amount, text
            placed = structured(await client.call_tool("generate_video", {**wish, "max_cost_usd": float(amount[1])}))
            assert placed["job_id"]
    assert len(world[1].orders) == CALLS


async def test_tasks_are_followed_and_cancelled_at_either(balancer: Balancer, world: Emulated) -> None:
    async with Client(f"{balancer.address}/mcp", extensions=[Follows()]) as client:
        for number in range(ROUNDS):
            result = await client.call_tool("generate_video", {"prompt": f"pond {number}", **CHEAP})
            assert structured(result)["state"] == "succeeded"
        world[1].work_s = ENDLESS_S
        placed = await client.session.call_tool("generate_video", {"prompt": "long", **CHEAP}, allow_claimed=True)
        task_id = placed.model_dump(by_alias=True)["taskId"]
        for _ in range(2):
            assert (await send(client.session, "get", task_id))["status"] == "working"
        await send(client.session, "cancel", task_id)
        world[1].advance(ENDLESS_S)
        assert (await ended(client.session, task_id))["status"] in ("completed", "cancelled")
