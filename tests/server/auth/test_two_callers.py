"""Two callers of one service: nothing of one is in any answer to the other, whatever the other has learnt of it."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.emulator.app import settings
from tests.conftest import Emulated
from tests.server.auth.people import ANN, BOB, Person, result_of, served
from tests.server.auth.walker import Name, Theirs, Walk, cursor_of, job_name
from tests.server.follower import LONG_S

pytestmark = pytest.mark.anyio

POND: dict[str, Any] = {"prompt": "a pond", "provider": "fal", "resolution": "1080p", "duration": 6}
SECRET_WORDS = ("xylophone-lighthouse", "quagmire-orchestra", "zeppelin-marmalade")


@pytest.fixture
def signing_key() -> str:
    return secrets.token_urlsafe(32)


async def ended(person: Person, job_id: str) -> dict[str, Any]:
    """A job of this person at its end."""
    view = await person.call("check_job", job_id=job_id, wait_seconds=45)
    assert view["state"] == "succeeded", view
    return view


async def place(person: Person, **more: Any) -> str:
    """An order at the emulated provider."""
    return str((await person.call("generate_video", **{**POND, **more}))["job_id"])


async def overview(person: Person) -> dict[str, Any]:
    """What somebody sees who names nothing."""
    spent = result_of(await person.send("resources/read", {"uri": "ltx://spend/today"}))
    return {
        "list": await person.call("list_jobs"),
        "estimate": await person.call("estimate_cost", prompt="a reed")
        if False
        else await person.call("estimate_cost"),
        "spend": json.loads(spent["contents"][0]["text"]),
    }


async def have_all_kinds(ann: Person, home: Path, emulator: Emulated) -> Theirs:
    """Films, jobs under way, a set, keys, a page and a question: everything that has a name."""
    _, world = emulator
    words = iter(SECRET_WORDS)
    key = f"key-{secrets.token_hex(8)}"
    film = await ended(ann, await place(ann, prompt=f"a {next(words)}", request_key=key))
    takes = await ann.call("generate_video", **{**POND, "prompt": f"a {next(words)}", "takes": 2})
    takes = await ann.call("check_job", job_id=takes["job_id"], wait_seconds=45)
    assert takes["state"] == "succeeded", takes
    world.wait_s, world.work_s = 0.0, LONG_S
    live = await place(ann, prompt=f"a {next(words)}", request_key="")
    jobs = [job_name(each) for each in (film["job_id"], live, takes["job_id"], takes["takes"][0]["job_id"])]
    others = [
        Name(key, f"key-{secrets.token_hex(8)}"),
        cursor_of(jobs[0]),
        jobs[2].within("{}/2"),
        jobs[2].within("{}/2#first"),
        jobs[2].within("{}/9"),
    ]
    texts = [*SECRET_WORDS, ANN, film["video_url"].partition("?")[2] or film["video_url"]]
    return Theirs(jobs, others, texts, str(home))


async def test_nothing_of_one_caller_is_in_any_answer_to_another(
    home: Path, emulator: Emulated, signing_key: str, caplog: pytest.LogCaptureFixture
) -> None:
    base_url, _ = emulator
    more = settings(base_url) | {"LTX_MCP_BUDGET_USD_PER_DAY": "100"}
    async with served(home, signing_key, **more) as service:
        ann, bob = service.person(ANN), service.person(BOB)
        # the first to call is whom all background work was begun by
        await ann.call("list_jobs")
        own_film = (await ended(bob, await place(bob, prompt="a reed")))["job_id"]
        before = await overview(bob)
        theirs = await have_all_kinds(ann, home, emulator)
        walk = Walk(service, bob, theirs, own_film)
        await walk.everything()
        assert walk.told == []
        assert walk.differences == []
        assert await overview(bob) == before
        print(walk.asked)
