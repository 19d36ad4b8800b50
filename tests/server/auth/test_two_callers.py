"""Two callers of one service: nothing of one is in any answer to the other, whatever the other has learnt of it."""

import json
import re
import secrets
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.emulator.app import settings
from ltx_mcp.jobs.callers import LOCAL, token_caller
from tests.conftest import Emulated
from tests.server.auth.people import (
    ANN,
    BACKEND,
    BOB,
    SMALL,
    Person,
    Service,
    message_of,
    result_of,
    served,
    to_message,
)
from tests.server.auth.service import ACCEPT
from tests.server.auth.walker import Name, Theirs, Walk, cursor_of, job_name, statements_of
from tests.server.follower import LONG_S

pytestmark = pytest.mark.anyio

POND: dict[str, Any] = {"prompt": "a pond", "provider": "fal", "resolution": "1080p", "duration": 6}
SECRET_WORDS = ("xylophone-lighthouse", "quagmire-orchestra", "zeppelin-marmalade", "wombat-cathedral")


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


async def have_all_kinds(service: Service, home: Path, emulator: Emulated) -> Theirs:
    """Ann's films, jobs under way, a set, keys and a page: everything that has a name; and a job of the operator."""
    ann = service.person(ANN)
    _, world = emulator
    words = iter(SECRET_WORDS)
    key = f"key-{secrets.token_hex(8)}"
    film = await ended(ann, await place(ann, prompt=f"a {next(words)}", request_key=key))
    takes = await ann.call("generate_video", **{**POND, "prompt": f"a {next(words)}", "takes": 2})
    takes = await ann.call("check_job", job_id=takes["job_id"], wait_seconds=45)
    assert takes["state"] == "succeeded", takes
    world.wait_s, world.work_s = 0.0, LONG_S
    live = await place(ann, prompt=f"a {next(words)}", request_key="")
    operators = await (await service.jobs()).order(GenerateVideo(**POND | {"prompt": f"a {next(words)}"}), LOCAL)
    ids = (film["job_id"], live, operators.job.id, takes["takes"][0]["job_id"], takes["job_id"])
    jobs = [job_name(each) for each in ids]
    others = [
        Name(key, f"key-{secrets.token_hex(8)}"),
        cursor_of(jobs[0]),
        jobs[-1].within("{}/2"),
        jobs[-1].within("{}/2#first"),
        jobs[-1].within("{}/9"),
    ]
    texts = [*SECRET_WORDS, ANN, film["video_url"].partition("?")[2] or film["video_url"]]
    return Theirs(jobs, others, texts, str(home))


async def test_nothing_of_one_caller_is_in_any_answer_to_another(
    home: Path, emulator: Emulated, signing_key: str
) -> None:
    base_url, _ = emulator
    webhooks = home.with_name("webhooks.toml")
    webhooks.write_text('[incoming]\nproviders = ["fal"]\n', encoding="utf-8")
    more = settings(base_url) | {"LTX_MCP_BUDGET_USD_PER_DAY": "100", "LTX_MCP_WEBHOOKS": str(webhooks)}
    with statements_of(token_caller(BOB)) as statements:
        async with served(home, signing_key, more=more) as service:
            ann, bob = service.person(ANN), service.person(BOB)
            # the first to call is whom all background work was begun by
            await ann.call("list_jobs")
            own_film = (await ended(bob, await place(bob, prompt="a reed")))["job_id"]
            before = await overview(bob)
            theirs = await have_all_kinds(service, home, emulator)
            statements.own_film = own_film
            walk = Walk(service, bob, theirs, own_film, statements)
            await walk.everything()
            assert walk.told == []
            assert walk.differences == []
            assert walk.looked_up > 100
            assert await overview(bob) == before


async def test_a_client_of_an_older_protocol_is_told_as_little(home: Path, signing_key: str) -> None:
    async with served(home, signing_key) as service:
        ann, bob = service.person(ANN), service.person(BOB)
        name = job_name((await ann.call("generate_video", prompt="a pond", provider="local", **SMALL))["job_id"])
        await bob.begin()
        for tool in ("check_job", "cancel_job"):
            told = [
                (await bob.send_older("tools/call", {"name": tool, "arguments": {"job_id": job_id}})).text
                for job_id in (name.theirs, name.never)
            ]
            assert told[0].replace(name.theirs, name.never) == told[1]
            assert "job_not_found" in told[0]
        assert name.theirs not in (await bob.send_older("tools/call", {"name": "list_jobs", "arguments": {}})).text
        assert (await ann.call("cancel_job", job_id=name.theirs))["cancel"] in ("never_sent", "stopped")


async def test_where_the_films_lie_cannot_be_guessed(home: Path, signing_key: str) -> None:
    async with served(home, signing_key) as service:
        bob = service.person(BOB)
        film = f"videos/job_{'a' * 20}.mp4"
        told = []
        for folder in (str(home), "/" + "x" * (len(str(home)) - 1)):
            order = {"prompt": "a reed", "image": f"{folder}/{film}", "max_cost_usd": 0}
            told.append((await bob.send("tools/call", {"name": "animate_image", "arguments": order})).text)
        assert told[0] == told[1]


async def test_the_same_key_and_the_same_request_give_each_caller_a_job(home: Path, signing_key: str) -> None:
    async with served(home, signing_key) as service:
        people = [service.person(ANN), service.person(BOB), *(service.person(BACKEND, user) for user in ("x", "y"))]
        for key in ("one-video", ""):
            order = {"prompt": "a pond", "provider": "local", "request_key": key, **SMALL}
            placed = [await person.call("generate_video", **order) for person in people for _ in range(2)]
            ids = [each["job_id"] for each in placed]
            assert ids[::2] == ids[1::2]
            assert len({*ids}) == len(people)
        for person in people:
            for job in (await person.call("list_jobs"))["jobs"]:
                await person.call("cancel_job", job_id=job["job_id"])


async def test_callers_whose_names_could_be_taken_for_one_another_are_not(home: Path, signing_key: str) -> None:
    alike = [
        "a/b",
        "a%2Fb",
        "a%252Fb",
        "a|b",
        "a%7Cb",
        "token|bob",
        "bob",
        "../bob",
        "A/B",
        "a/b/",
        "\u00fc",
        "u\u0308",
    ]
    async with served(home, signing_key) as service:
        people = [service.person(BACKEND, ""), service.person(BOB), *(service.person(BACKEND, user) for user in alike)]
        film = {"prompt": "a pond", "provider": "local", "request_key": "one-video", **SMALL}
        ids = {(await person.call("generate_video", **film))["job_id"]: person for person in people}
        assert len(ids) == len({person.caller for person in people}) == len(people)
        for job_id, person in ids.items():
            listed = await person.call("list_jobs", limit=100)
            assert [job["job_id"] for job in listed["jobs"]] == [job_id]
            await person.call("cancel_job", job_id=job_id)


async def test_a_price_is_agreed_to_by_the_caller_who_was_asked(
    home: Path, emulator: Emulated, signing_key: str
) -> None:
    base_url, world = emulator
    more = settings(base_url) | {"LTX_MCP_CONFIRM_ABOVE_USD": "0.01"}
    order: dict[str, Any] = {"name": "generate_video", "arguments": {**POND, "request_key": "one-video"}}
    async with served(home, signing_key, more=more) as service:
        ann, bob = service.person(ANN), service.person(BOB)
        asks: dict[str, Any] = {"elicitation": {"form": {}}}
        question = result_of(await ann.send("tools/call", order, **asks))
        answer = {"inputResponses": {"price": {"action": "accept"}}, "requestState": question["requestState"]}
        for state in (question["requestState"], f"{question['requestState']}x"):
            refused = await bob.send("tools/call", order | answer | {"requestState": state}, **asks)
            assert message_of(refused)["error"]["message"] == "Invalid or expired requestState"

        told = [result_of(await person.send("tools/call", order))["content"][0]["text"] for person in (ann, bob)]
        amounts = [re.findall(r"max_cost_usd=([0-9.]+)", text)[0] for text in told]
        assert amounts[0] != amounts[1]
        as_ann = {**order["arguments"], "max_cost_usd": float(amounts[0])}
        text = result_of(await bob.send("tools/call", {"name": "generate_video", "arguments": as_ann}))
        assert "needs_confirmation" in text["content"][0]["text"]
        assert world.orders == []
        assert result_of(await ann.send("tools/call", order | answer, **asks))["resultType"] in ("task", "complete")
        assert [job["job_id"] for job in (await bob.call("list_jobs"))["jobs"]] == []
        assert len((await ann.call("list_jobs"))["jobs"]) == 1


async def test_who_listens_for_a_job_of_another_hears_nothing_of_it(home: Path, signing_key: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with served(home, signing_key, listener=listener) as service:
            ann, bob = service.person(ANN), service.person(BOB)
            order = {"prompt": "a pond", "provider": "local", **SMALL}
            job_id = (await ann.call("generate_video", **order))["job_id"]
            heard: list[str] = []
            has_begun = anyio.Event()

            async def listen() -> None:
                asked = {"resourceSubscriptions": [f"ltx://jobs/{job_id}"], "taskIds": [job_id]}
                method, params, headers = to_message("subscriptions/listen", {"notifications": asked})
                body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                async with service.web.stream("POST", "/mcp", json=body, headers=bob.who | ACCEPT | headers) as answer:
                    async for text in answer.aiter_text():
                        heard.append(text)
                        has_begun.set()

            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                await has_begun.wait()
                await ann.call("cancel_job", job_id=job_id)
                await bob.call("list_jobs")
                group.cancel_scope.cancel()
            assert "subscriptions/acknowledged" in heard[0]
            assert heard[1:] == []
