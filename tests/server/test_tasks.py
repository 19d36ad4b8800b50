"""The tasks extension through the SDK's own client: which calls become tasks, how they end, and that a task is a job.

Orders go to the emulator over a socket, whose clock the tests turn.
"""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolResult,
    ElicitResult,
)
from PIL import Image

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import ErrorCode, JobError
from ltx_mcp.domain.job import State
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.server.app import make_server
from ltx_mcp.server.tasks import TASKS
from ltx_mcp.settings import read_settings
from tests.conftest import ERAS, PROVIDER_SETTINGS, Connect, Emulated, Era
from tests.jobs.moments import SUBMITS, relayed
from tests.patience import HANG_S
from tests.providers.bench import catalog_of
from tests.server.follower import (
    ENDED,
    LONG_S,
    POND,
    SMALL,
    Answered,
    Follows,
    UpdateParams,
    UpdateRequest,
    code_of,
    ended,
    handle,
    let_it_end,
    send,
    structured,
    text_of,
)

pytestmark = pytest.mark.anyio

REF = ("job_id", "state", "provider", "cost_usd", "next")

Shop = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def shop(home: Path, emulator: Emulated, tmp_path: Path) -> Shop:
    """A client of a server that orders at the emulator, where work goes on until the clock is turned."""
    base_url, world = emulator
    world.wait_s, world.work_s = 0.0, LONG_S

    @asynccontextmanager
    async def opened(era: Era = "auto", *, follows: bool = True, person: Any = None, **more: str) -> Any:
        ours = {"HOME": str(home), "INPUT_DIRS": str(tmp_path), "PROVIDERS": "fal"} | more
        env = settings(base_url) | {f"LTX_MCP_{name}": value for name, value in ours.items()}
        server, _ = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env, ("fal",)))
        # the SDK's client keeps what it cannot follow in an older protocol to itself; others may not
        declared = Follows() if era == "auto" else advertise(TASKS)
        extensions = [declared] if follows else []
        async with Client(server, mode=era, elicitation_callback=person, extensions=extensions) as client:
            yield client

    return opened


# -- which calls become tasks -------------------------------------------------------------------------------------


async def test_the_extension_is_advertised_and_the_old_tasks_slot_is_not(shop: Shop) -> None:
    async with shop() as client:
        capabilities = client.server_capabilities.model_dump(by_alias=True, exclude_none=True)
    assert capabilities["extensions"][TASKS] == {}
    assert "tasks" not in capabilities


async def test_an_order_under_way_is_a_flat_task_named_like_its_job(shop: Shop, home: Path) -> None:
    async with shop() as client:
        task = await handle(client)
        names = set(task) - {"_meta", "statusMessage"}
        assert names == {"resultType", "taskId", "status", "createdAt", "lastUpdatedAt", "ttlMs", "pollIntervalMs"}
        assert (task["resultType"], task["status"], task["ttlMs"]) == ("task", "working", None)
        row = structured(await client.call_tool("check_job", {"job_id": task["taskId"], "wait_seconds": 0}))
        assert (row["job_id"], row["created_at"]) == (task["taskId"], task["createdAt"])
        assert 1000 <= task["pollIntervalMs"] <= 5000


async def test_what_the_first_answer_would_have_said_is_in_the_first_message(shop: Shop) -> None:
    async with shop() as client:
        task = await handle(client, duration=7, adjust="nearest", request_key="pond")
        again = await handle(client, duration=7, adjust="nearest", request_key="pond")
    assert "at fal (ltx-2.3-fast), 0.24 USD" in task["statusMessage"]
    assert "Changed: duration 7 -> 6" in task["statusMessage"]
    assert "for another take give a new request_key" in again["statusMessage"]


async def test_a_picture_set_in_motion_is_a_task_and_free_looks_are_not(shop: Shop, tmp_path: Path) -> None:
    Image.new("RGB", (640, 360)).save(tmp_path / "pier.png")
    async with shop() as client:
        task = await handle(client, "animate_image", image=str(tmp_path / "pier.png"))
        looks: dict[str, dict[str, Any]] = {
            "check_job": {"job_id": task["taskId"], "wait_seconds": 0},
            "estimate_cost": {},
            "list_jobs": {},
            "cancel_job": {"job_id": task["taskId"]},
        }
        for name, arguments in looks.items():
            assert isinstance(await client.session.call_tool(name, arguments, allow_claimed=True), CallToolResult)


@pytest.mark.parametrize(("era", "follows"), [("auto", False), ("legacy", False), ("legacy", True)])
async def test_a_host_that_cannot_follow_tasks_sees_plain_tools(shop: Shop, era: Era, follows: bool) -> None:
    async with shop(era, follows=follows) as client:
        answer = await client.session.call_tool("generate_video", POND, allow_claimed=True)
    assert structured(answer)["state"] == "running"
    assert "taskId" not in answer.model_dump(by_alias=True)


async def test_a_refusal_without_a_job_is_a_plain_answer(shop: Shop) -> None:
    async with shop() as client:
        answer = await client.session.call_tool("generate_video", POND | {"max_cost_usd": 0.01}, allow_claimed=True)
    assert text_of(answer).startswith("over_budget: ")


async def test_a_task_is_handed_out_before_the_providers_word_unless_a_wait_is_asked_for(
    shop: Shop, emulator: Emulated
) -> None:
    with relayed(emulator[0]) as relay:
        kept = relay.keep(SUBMITS["fal"])
        async with shop(FAL_QUEUE_URL=relay.url) as client:
            with anyio.fail_after(15):  # the word would be waited for longer
                task = await handle(client)
            await anyio.to_thread.run_sync(kept.wait)
            assert (await send(client.session, "get", task["taskId"]))["status"] == "working"
            began = anyio.current_time()
            await handle(client, wait_seconds=1)
            assert anyio.current_time() - began > 0.9
            kept.go.set()


async def test_the_same_key_gives_the_same_task_and_at_its_end_the_plain_answer(shop: Shop, emulator: Emulated) -> None:
    async with shop() as client:
        first = await handle(client, request_key="one")
        assert (await handle(client, request_key="one"))["taskId"] == first["taskId"]
        await let_it_end(emulator[1])
        await ended(client.session, first["taskId"])
        answer = await client.session.call_tool("generate_video", POND | {"request_key": "one"}, allow_claimed=True)
    assert structured(answer)["job_id"] == first["taskId"]
    assert structured(answer)["state"] == "succeeded"
    assert len(emulator[1].orders) == 1


@pytest.mark.parametrize("answer", ["accept", "decline"])
async def test_the_question_about_the_price_comes_before_the_task(shop: Shop, answer: str, emulator: Emulated) -> None:
    asked: list[str] = []

    async def person(context: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult.model_validate({"action": answer})

    async with shop(person=person, CONFIRM_ABOVE_USD="0.20") as client:
        emulator[1].work_s = 0.05
        ref = structured(await client.call_tool("generate_video", POND))
    assert len(asked) == 1
    assert ref.get("state") == ("succeeded" if answer == "accept" else None)
    assert len(emulator[1].orders) == (answer == "accept")


# -- following ----------------------------------------------------------------------------------------------------


async def test_a_task_tells_its_stage_and_ends_with_the_final_answer_of_the_call(
    shop: Shop, emulator: Emulated
) -> None:
    async with shop() as client:
        task = await handle(client)
        with anyio.fail_after(HANG_S):
            while "at fal" not in (seen := await send(client.session, "get", task["taskId"]))["statusMessage"]:
                await anyio.sleep(0.02)
        assert (seen["status"], seen["resultType"]) == ("working", "complete")
        assert "result" not in seen
        await let_it_end(emulator[1])
        done = await ended(client.session, task["taskId"])
        plain = await client.session.call_tool("generate_video", POND, allow_claimed=True)
    assert done["status"] == "completed"
    result = CallToolResult.model_validate(done["result"])
    assert not result.is_error
    mine, again = structured(result), structured(plain)
    assert {name: mine[name] for name in REF[:-1]} == {name: again[name] for name in REF[:-1]}
    assert mine["video_url"] == again["video_url"]
    assert again["next"].endswith(mine["next"])


async def test_a_host_that_follows_ends_with_the_same_result_as_a_plain_one(shop: Shop, emulator: Emulated) -> None:
    emulator[1].work_s = 0.05
    async with shop() as client:
        followed = structured(await client.call_tool("generate_video", POND))
    async with shop(follows=False) as client:
        plain = structured(await client.call_tool("generate_video", POND))
    assert followed["state"] == plain["state"] == "succeeded"
    assert followed["job_id"] == plain["job_id"]
    assert set(plain) == set(followed)


async def test_times_only_go_forward(shop: Shop, emulator: Emulated) -> None:
    seen: list[dict[str, Any]] = []
    async with shop() as client:
        seen.append(await handle(client))
        await let_it_end(emulator[1])
        while len(seen) < 400 and seen[-1]["status"] not in ENDED:
            seen.append(await send(client.session, "get", seen[0]["taskId"]))
            await anyio.sleep(0.05)
    assert seen[-1]["status"] == "completed"
    assert len({task["createdAt"] for task in seen}) == 1
    times = [datetime.fromisoformat(task["lastUpdatedAt"]) for task in seen]
    assert times == sorted(times)
    assert times[0] < times[-1]
    assert datetime.fromisoformat(seen[0]["createdAt"]) <= times[0]


async def test_a_failed_job_is_completed_with_an_error_for_a_result(shop: Shop, emulator: Emulated) -> None:
    emulator[1].faults.append(Fault("fal", "submit", "locked"))
    async with shop() as client:
        task = await ended(client.session, (await handle(client))["taskId"])
    result = CallToolResult.model_validate(task["result"])
    assert (task["status"], result.is_error) == ("completed", True)
    assert text_of(result).startswith("out_of_credit: ")
    assert (structured(result)["state"], structured(result)["job_id"]) == ("failed", task["taskId"])
    assert "error" not in task


async def test_an_unknown_outcome_is_completed_with_an_answer_that_forbids_repeating(
    shop: Shop, emulator: Emulated
) -> None:
    emulator[1].faults.append(Fault("fal", "submit", "drop_after"))
    async with shop() as client:
        task = await ended(client.session, (await handle(client))["taskId"])
    result = CallToolResult.model_validate(task["result"])
    assert (task["status"], result.is_error) == ("completed", False)
    ref = structured(result)
    assert (ref["state"], ref["error"]["code"]) == ("unknown", "outcome_unknown")
    assert "Do not order it again" in ref["next"]
    assert "Do not order it again" in task["statusMessage"]


async def test_a_task_that_ended_stays_so_while_its_provider_is_asked_once_more(
    connect: Connect, home: Path, emulator: Emulated
) -> None:
    job_id, store = fal_order(home, emulator[0], unknown=True)
    async with connect(extensions=[Follows()]) as client:  # without a key: nobody here can ask
        before = await send(client.session, "get", job_id)
        assert store.recheck("local", job_id, datetime.now(UTC)) is not None
        after = await send(client.session, "get", job_id)
    assert before["status"] == after["status"] == "completed"
    assert (before["result"]["structuredContent"]["state"], after["result"]["structuredContent"]["state"]) == (
        "unknown",
        "running",
    )
    assert before["lastUpdatedAt"] <= after["lastUpdatedAt"]


async def test_a_task_that_nobody_can_work_on_says_what_is_missing(
    connect: Connect, home: Path, emulator: Emulated
) -> None:
    job_id, _ = fal_order(home, emulator[0])
    async with connect(extensions=[Follows()]) as client:
        task = await send(client.session, "get", job_id)
    assert task["status"] == "working"
    assert "fal needs FAL_KEY" in task["statusMessage"]


def fal_order(home: Path, base_url: str, *, unknown: bool = False) -> tuple[str, Store]:
    """An order for fal, placed where the key was; `unknown`: fal has taken it, and nobody has seen its end."""
    request = to_request(GenerateVideo(**POND, provider="fal"))
    store, now = Store(Database.open(home)), datetime.now(UTC)
    new = NewJob(
        "local", "", canonical_form(request, ()), select_offers(request, (), catalog_of(settings(base_url))), ()
    )
    job_id = store.place(new, now).job.id
    if unknown:
        job = store.claim("w", {}, now)
        assert job is not None
        job = store.transition(job, State.SUBMITTING, now, submitted_by="w", ordered_at=now)
        job = store.transition(job, State.RUNNING, now, provider_ref={"id": "1"})
        store.transition(job, State.UNKNOWN, now, error=JobError(ErrorCode.OUTCOME_UNKNOWN, "Nobody knows."))
    return job_id, store


# -- cancelling ---------------------------------------------------------------------------------------------------


async def test_cancelling_a_task_cancels_its_job_and_is_only_acknowledged(shop: Shop, emulator: Emulated) -> None:
    emulator[1].wait_s = LONG_S
    async with shop() as client:
        task = await handle(client)
        ack = await send(client.session, "cancel", task["taskId"])
        done = await ended(client.session, task["taskId"])
        row = structured(await client.call_tool("check_job", {"job_id": task["taskId"]}))
        again = await send(client.session, "cancel", task["taskId"])
    assert set(ack) - {"_meta"} == set(again) - {"_meta"} == {"resultType"}
    assert ack["resultType"] == "complete"
    assert (done["status"], row["state"]) == ("cancelled", "cancelled")
    assert "result" not in done
    assert "order again if it is wanted after all" in done["statusMessage"]


async def test_a_film_that_cannot_be_stopped_any_more_is_still_the_tasks_result(shop: Shop, emulator: Emulated) -> None:
    async with shop() as client:
        task = await handle(client)
        with anyio.fail_after(HANG_S):
            while "at fal" not in (await send(client.session, "get", task["taskId"]))["statusMessage"]:
                await anyio.sleep(0.02)
        await send(client.session, "cancel", task["taskId"])
        assert (await send(client.session, "get", task["taskId"]))["status"] == "working"
        await let_it_end(emulator[1])
        done = await ended(client.session, task["taskId"])
    assert (done["status"], done["result"]["structuredContent"]["state"]) == ("completed", "succeeded")


async def test_cancelling_the_call_that_waits_leaves_the_task_working(shop: Shop, emulator: Emulated) -> None:
    async with shop() as client:
        with anyio.move_on_after(0.5) as waiting:
            await handle(client, wait_seconds=50, request_key="k")
        assert waiting.cancelled_caught
        task = await handle(client, request_key="k")
        assert (await send(client.session, "get", task["taskId"]))["status"] == "working"
        await let_it_end(emulator[1])
        assert (await ended(client.session, task["taskId"]))["status"] == "completed"


async def test_answers_to_a_question_nobody_asked_are_acknowledged(shop: Shop) -> None:
    async with shop() as client:
        task_id = (await handle(client))["taskId"]
        given = UpdateParams(taskId=task_id, inputResponses={"x": {"action": "accept"}})
        ack = await client.session.send_request(UpdateRequest(method="tasks/update", params=given), Answered)
        assert set(ack.model_dump(by_alias=True, exclude_none=True)) - {"_meta"} == {"resultType"}
        assert (await send(client.session, "get", task_id))["status"] == "working"


# -- strangers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["get", "update", "cancel"])
async def test_another_callers_task_and_no_task_are_equally_unknown(
    connect: Connect, home: Path, new_job: Callable[..., NewJob], verb: str
) -> None:
    theirs = Store(Database.open(home)).place(new_job(caller="somebody else", **SMALL), datetime.now(UTC)).job.id
    async with connect(extensions=[Follows()]) as client:
        strange, nonsense = theirs, "job_" + "a" * 20
        said = [await code_of(client.session, verb, task_id) for task_id in (strange, nonsense, "'; --")]
    assert [code for code, _ in said] == [INVALID_PARAMS] * 3
    assert said[0][1].replace(strange, nonsense) == said[1][1]
    with sqlite3.connect(home / "jobs.sqlite") as database:
        assert database.execute("SELECT cancel_wanted FROM jobs").fetchall() == [(0,)]


@pytest.mark.parametrize("verb", ["get", "update", "cancel"])
@pytest.mark.parametrize("era", ERAS)
async def test_the_methods_are_refused_to_who_did_not_declare_them(shop: Shop, era: Era, verb: str) -> None:
    async with shop(era, follows=False) as client:
        placed = structured(await client.call_tool("generate_video", POND))
        code, _ = await code_of(client.session, verb, placed["job_id"])
    assert code == (MISSING_REQUIRED_CLIENT_CAPABILITY if era == "auto" else METHOD_NOT_FOUND)


async def test_a_store_that_fails_is_a_protocol_error_in_our_words(connect: Connect, home: Path) -> None:
    home.mkdir()
    (home / "jobs.sqlite").write_bytes(b"not a database at all" * 100)
    async with connect(extensions=[Follows()]) as client:
        code, message = await code_of(client.session, "get", "job_x")
    assert code == INTERNAL_ERROR
    assert message.startswith("storage_failed: ")
    assert str(home / "jobs.sqlite") in message
