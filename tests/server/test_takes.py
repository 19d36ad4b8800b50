"""Several takes in one call, through a stock client: one order a take at the emulator, one picture, one task."""

import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.types import CallToolResult, ImageContent, ResourceTemplateReference, TextResourceContents
from PIL import Image

from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests.conftest import ERAS, PROVIDER_SETTINGS, Emulated, Era
from tests.conversations.reading import HALVES, read
from tests.facts import facts_of
from tests.patience import HANG_S
from tests.providers.bench import catalog_of
from tests.server.follower import LONG_S, Follows, ended, handle, send, structured, text_of

pytestmark = pytest.mark.anyio

POND: dict[str, Any] = {"prompt": "a pond at dawn", "provider": "fal", "takes": 3}
Shop = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def world(emulator: Emulated) -> EmulatorState:
    """The emulated providers; orders are done at once."""
    emulator[1].wait_s = emulator[1].work_s = 0.0
    return emulator[1]


@pytest.fixture
def shop(home: Path, emulator: Emulated, world: EmulatorState, tmp_path: Path) -> Shop:
    """A client of a server that orders at the emulator."""

    @asynccontextmanager
    async def opened(era: Era = "auto", *, follows: bool = False, **more: str) -> AsyncIterator[Client]:
        ours = {"LTX_MCP_HOME": str(home), "LTX_MCP_INPUT_DIRS": str(tmp_path)} | more
        env = settings(emulator[0]) | ours
        server, _ = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env))
        extensions = [Follows()] if follows else []
        async with Client(server, mode=era, read_timeout_seconds=HANG_S, extensions=extensions) as client:
            yield client

    return opened


async def placed(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("generate_video", POND | arguments)
    assert not result.is_error, result.content
    return facts_of(result)


async def looked(client: Client, name: str, **arguments: Any) -> CallToolResult:
    """What check_job says at the end of a job or a set."""
    with anyio.fail_after(HANG_S):
        while True:
            result = await client.call_tool("check_job", {"job_id": name, "wait_seconds": 45} | arguments)
            if facts_of(result).get("state") not in ("queued", "submitting", "running", "saving"):
                return result


async def when_two_came(client: Client, name: str) -> CallToolResult:
    """What check_job says of a set of three, one of which goes on."""
    with anyio.fail_after(HANG_S):
        while True:
            result = await client.call_tool("check_job", {"job_id": name, "wait_seconds": 0.2})
            if sum(take["state"] == "succeeded" for take in facts_of(result)["takes"]) == 2:
                return result


def picture_of(result: CallToolResult) -> bytes:
    (picture,) = (part for part in result.content if isinstance(part, ImageContent))
    assert picture.mime_type == "image/jpeg"
    return base64.b64decode(picture.data)


@pytest.mark.parametrize("era", ERAS)
async def test_three_takes_are_one_call_three_orders_and_one_picture(
    shop: Shop, era: Era, world: EmulatorState
) -> None:
    async with shop(era) as client:
        schemas = {tool.name: tool.output_schema or {} for tool in (await client.list_tools()).tools}
        ref = await placed(client)
        Draft202012Validator(schemas["generate_video"]).validate(ref)
        assert ref["job_id"].startswith("set_")
        assert ref["cost_usd"] == 0.72
        assert [take["take"] for take in ref["takes"]] == [1, 2, 3]
        result = await looked(client, ref["job_id"])
    view = facts_of(result)
    assert result.structured_content is None
    assert [take["name"] for take in view["takes"]] == [f"{ref['job_id']}/{number}" for number in (1, 2, 3)]
    assert [take["job_id"] for take in view["takes"]] == [take["job_id"] for take in ref["takes"]]
    assert all(Path(take["file"]).stat().st_size for take in view["takes"])
    picture = picture_of(result)
    assert len(picture) <= 90_000
    with Image.open(io.BytesIO(picture)) as sheet:
        assert sheet.width / sheet.height == pytest.approx(6 / 3 * 16 / 9, rel=0.1)
    assert len(world.orders) == 3


async def test_each_take_is_reported_as_it_ends(shop: Shop) -> None:
    said: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        said.append(message or "")

    async with shop() as client:
        await client.call_tool("generate_video", POND | {"wait_seconds": 45}, progress_callback=note)
    for take in (1, 2, 3):
        assert sum(f"take {take} of 3 succeeded" in message for message in said) == 1, said


async def test_a_take_that_was_refused_is_an_answer_and_a_row_of_words(shop: Shop, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "submit", "content"))
    async with shop() as client:
        ref = await placed(client)
        result = await looked(client, ref["job_id"])
    view = facts_of(result)
    assert view["state"] == "succeeded"
    assert sorted(take["state"] for take in view["takes"]) == ["failed", "succeeded", "succeeded"]
    refused = next(take for take in view["takes"] if take["state"] == "failed")
    assert refused["error"]["code"] == "content_refused"
    with Image.open(io.BytesIO(picture_of(result))) as sheet:
        assert sheet.width / sheet.height > 6 / 3 * 16 / 9 * 1.15
    assert len(world.orders) == 2


async def test_while_a_take_is_on_its_way_the_others_are_shown_in_words_only(shop: Shop, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "order", "never_finishes"))
    async with shop() as client:
        result = await when_two_came(client, (await placed(client))["job_id"])
    assert facts_of(result)["state"] == "running"
    assert len(result.content) == 1
    assert "2 of 3 takes ended." in text_of(result)
    assert "running (at fal: " in text_of(result)


async def test_only_where_no_take_is_left_the_call_is_an_error(shop: Shop, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "submit", "content", times=3))
    async with shop() as client:
        result = await client.call_tool("generate_video", POND | {"request_key": "pond", "wait_seconds": 45})
    assert result.is_error
    for half in HALVES:
        answer = read("generate_video", result, half)
        assert answer.code == "content_refused"
        assert answer.facts["job_id"].startswith("set_")
        assert [take["state"] for take in answer.facts["takes"]] == ["failed"] * 3
        assert answer.tells("It costs nothing", "A retry needs a new request_key")
    assert not world.orders


async def test_an_unknown_take_is_no_error_and_forbids_repeating(shop: Shop, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "submit", "drop_after", times=3))
    async with shop() as client:
        result = await client.call_tool("generate_video", POND | {"wait_seconds": 45})
    assert not result.is_error
    for half in HALVES:
        answer = read("generate_video", result, half)
        assert answer.facts["state"] == "unknown"
        assert answer.tells("outcome_unknown", "Do not order it again")


async def test_a_take_goes_by_its_name_wherever_a_job_is_named(shop: Shop, world: EmulatorState) -> None:
    async with shop() as client:
        ref = await placed(client, takes=2)
        await looked(client, ref["job_id"])
        name, job_id = f"{ref['job_id']}/2", ref["takes"][1]["job_id"]
        sheet, frame = (await looked(client, name), await looked(client, name, frame_at=1))
        assert facts_of(sheet)["job_id"] == facts_of(frame)["job_id"] == job_id
        assert picture_of(sheet) != picture_of(frame)
        assert f"extend_video(video={name}" in text_of(sheet)
        shot = await client.call_tool("animate_image", {"prompt": "on", "image": f"{name}#last", "provider": "fal"})
        done = await looked(client, facts_of(shot)["job_id"])
        assert facts_of(done)["sources"] == [job_id]
        of_all = await client.call_tool("check_job", {"job_id": ref["job_id"], "frame_at": 1})
        assert of_all.is_error
        assert f"Name one of them: {ref['job_id']}/1, {name}." in text_of(of_all)


async def test_a_list_names_each_take_in_both_halves(shop: Shop) -> None:
    async with shop() as client:
        ref = await placed(client, takes=2)
        await looked(client, ref["job_id"])
        listed = await client.call_tool("list_jobs", {})
    names = [f"{ref['job_id']}/2", f"{ref['job_id']}/1"]
    for half in HALVES:
        assert [row["take"] for row in read("list_jobs", listed, half).facts["jobs"]] == names


async def test_a_set_is_a_resource_as_check_job_shows_it_and_is_offered_with_its_takes(shop: Shop) -> None:
    async with shop() as client:
        name = (await placed(client, takes=2))["job_id"]
        view = facts_of(await looked(client, name))
        texts = []
        for uri in (f"ltx://jobs/{name}", f"ltx://jobs/{name}%2F2"):
            (read_part,) = (await client.read_resource(uri)).contents
            assert isinstance(read_part, TextResourceContents)
            texts.append(json.loads(read_part.text))
        template = ResourceTemplateReference(type="ref/resource", uri="ltx://jobs/{job_id}")
        offered = await client.complete(template, {"name": "job_id", "value": "set_"})
    assert texts[0] == view
    assert texts[1]["take"] == f"{name}/2"
    assert offered.completion.values == [name, f"{name}/2", f"{name}/1"]


async def test_cancelling_a_set_stops_every_take_that_is_on_its_way(shop: Shop, world: EmulatorState) -> None:
    world.wait_s = LONG_S
    async with shop() as client:
        ref = await placed(client)
        cancelled = await client.call_tool("cancel_job", {"job_id": ref["job_id"]})
        again = await client.call_tool("cancel_job", {"job_id": ref["job_id"]})
    for half in HALVES:
        answer = read("cancel_job", cancelled, half)
        assert (answer.facts["state"], answer.facts["cancel"]) == ("cancelled", "stopped")
        assert [take["state"] for take in answer.facts["takes"]] == ["cancelled"] * 3
        assert answer.tells("fal stopped it; it costs nothing.")
    assert facts_of(again)["state"] == "cancelled"


async def test_without_pictures_the_set_says_that_there_are_none(shop: Shop) -> None:
    async with shop(LTX_MCP_FRAMES="off") as client:
        result = await looked(client, (await placed(client, takes=2))["job_id"])
    assert len(result.content) == 1
    assert (result.structured_content or {})["next"].startswith("No picture: LTX_MCP_FRAMES is off.")


# -- tasks --------------------------------------------------------------------------------------------------------


async def test_the_set_is_the_task_and_is_completed_when_all_takes_have_ended(shop: Shop, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "order", "never_finishes"))
    async with shop(follows=True) as client:
        task = (await handle(client, **POND))["taskId"]
        await when_two_came(client, task)
        assert (await send(client.session, "get", task))["status"] == "working"
        for order in world.orders:
            order.fault = None
        done = await ended(client.session, task)
        plain = structured(await client.session.call_tool("generate_video", POND, allow_claimed=True))
    assert done["status"] == "completed"
    assert plain["job_id"] == task
    assert structured(CallToolResult.model_validate(done["result"]))["takes"] == plain["takes"]


async def test_cancelling_the_task_cancels_the_set(shop: Shop, world: EmulatorState) -> None:
    world.wait_s = LONG_S
    async with shop(follows=True) as client:
        task = await handle(client, **POND)
        await send(client.session, "cancel", task["taskId"])
        done = await ended(client.session, task["taskId"])
    assert done["status"] == "cancelled"
