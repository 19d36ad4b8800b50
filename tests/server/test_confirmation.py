"""Prices above the operator's limit, through a stock client: who is asked, what counts as a yes, and that nothing is
ordered, held or kept before it. Paid offers are the emulator's, over a socket."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import (
    INTERNAL_ERROR,
    CallToolResult,
    ElicitRequestFormParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
    InputResponses,
    TextContent,
)
from PIL import Image

from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.server import elicitation, tools
from ltx_mcp.server.app import make_server
from ltx_mcp.settings import read_settings
from tests.conftest import ERAS, PROVIDER_SETTINGS, Clock, Emulated, Era
from tests.jobs.moments import SUBMITS, relayed
from tests.providers.bench import catalog_of

pytestmark = pytest.mark.anyio

POND: dict[str, Any] = {"prompt": "a pond at dawn"}
SMALL: dict[str, Any] = {**POND, "provider": "local", "resolution": "720p", "fps": 24, "generate_audio": False}

Shop = Callable[..., AbstractAsyncContextManager[Client]]


class Person:
    """Answers each question in turn as told; the last answer goes for all that follow. Silence is no answer."""

    def __init__(self, *answers: str, before: Callable[[], None] = lambda: None) -> None:
        self.questions: list[str] = []
        self._answers = answers
        self._before = before

    async def __call__(self, context: Any, params: Any) -> ElicitResult | ErrorData:
        assert isinstance(params, ElicitRequestFormParams)
        self.questions.append(params.message)
        self._before()
        answer: Any = self._answers[min(len(self.questions), len(self._answers)) - 1]
        if answer == "broken":
            return ErrorData(code=INTERNAL_ERROR, message="the window could not be opened")
        if answer == "silence":
            await anyio.sleep_forever()
        return ElicitResult(action=answer)


@pytest.fixture
def shop(home: Path, emulator: Emulated, tmp_path: Path) -> Shop:
    """A client of a server that orders at the emulator, and must ask above 0.20 USD."""
    base_url, world = emulator
    world.wait_s, world.work_s = 0.0, 0.05

    @asynccontextmanager
    async def opened(era: Era = "auto", person: Person | None = None, **more: str) -> AsyncIterator[Client]:
        ours = {"HOME": str(home), "INPUT_DIRS": str(tmp_path), "CONFIRM_ABOVE_USD": "0.20"} | more
        env = settings(base_url) | {f"LTX_MCP_{name}": value for name, value in ours.items()}
        server, _ = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env))
        async with Client(server, mode=era, elicitation_callback=person) as client:
            yield client

    return opened


def text_of(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


async def placed(client: Client, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool("generate_video", POND | arguments)
    assert not result.is_error, text_of(result)
    return dict(result.structured_content or {})


def amount_in(told: str) -> float:
    """The one-time amount that a refusal names."""
    found = re.search(r"exactly max_cost_usd=(0\.\d{3,4}):", told)
    assert found, told
    return float(found[1])


async def refused(client: Client, code: str = "needs_confirmation", **arguments: Any) -> str:
    result = await client.call_tool("generate_video", POND | arguments)
    assert result.is_error, result.structured_content
    assert result.structured_content is None
    assert text_of(result).startswith(f"{code}: ")
    return text_of(result)


async def ended(client: Client, job_id: str) -> dict[str, Any]:
    result = await client.call_tool("check_job", {"job_id": job_id, "wait_seconds": 30, "frames": False})
    return dict(result.structured_content or {})


# -- a host that can ask ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_a_yes_places_one_order_and_is_asked_for_once(shop: Shop, emulator: Emulated, era: Era) -> None:
    person = Person("accept")
    async with shop(era, person) as client:
        ref = await placed(client)
        view = await ended(client, ref["job_id"])
    assert (ref["provider"], ref["cost_usd"], view["state"]) == ("bytecompute", 0.24, "succeeded")
    assert len(emulator[1].orders) == len(person.questions) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_the_question_says_what_for_how_much_where_and_why(shop: Shop, era: Era) -> None:
    person = Person("decline")
    async with shop(era, person) as client:
        await refused(client, duration=8, generate_audio=False, provider="fal")
    (question,) = person.questions
    for words in (
        "“a pond at dawn”",
        "0.32 USD, at most 0.48 at",
        "fal (ltx-2.3-fast)",
        "8 s of 1080p",
        "25 fps",
        "silent",
        "0.20 USD",
    ):
        assert words in question


@pytest.mark.parametrize("era", ERAS)
async def test_nothing_is_held_or_kept_while_a_person_thinks(
    shop: Shop, emulator: Emulated, home: Path, clock: Clock, tmp_path: Path, era: Era
) -> None:
    Image.new("RGB", (640, 360)).save(tmp_path / "pier.png")
    seen: list[tuple[int, int, int, bool]] = []

    def look() -> None:
        database = Database.open(home)
        store = Store(database)
        jobs = store.page("local", "", 10, None)
        seen.append((len(jobs), store.budget(clock()).held, len(emulator[1].calls), (home / "inputs").exists()))
        database.close()

    async with shop(era, Person("accept", before=look)) as client:
        arguments = {"prompt": "waves", "image": str(tmp_path / "pier.png")}
        result = await client.call_tool("animate_image", arguments)
    assert not result.is_error
    assert seen == [(0, 0, 0, False)]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("answer", ["decline", "cancel"])
async def test_a_no_orders_nothing_and_says_not_to_repeat_it(
    shop: Shop, emulator: Emulated, era: Era, answer: str
) -> None:
    async with shop(era, Person(answer)) as client:
        told = await refused(client)
        listed = await client.call_tool("list_jobs", {})
    assert "declined" in told
    assert "nothing was ordered" in told
    assert "Do not repeat it: ask the user" in told
    assert (listed.structured_content or {})["jobs"] == []
    assert emulator[1].orders == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_host_that_can_ask_is_asked_although_the_call_names_a_cap(shop: Shop, era: Era) -> None:
    person = Person("decline")
    async with shop(era, person) as client:
        await refused(client, max_cost_usd=1)
        await refused(client, max_cost_usd=1)
    assert len(person.questions) == 2


@pytest.mark.parametrize("era", ERAS)
async def test_a_request_that_has_its_job_is_not_asked_about(shop: Shop, emulator: Emulated, era: Era) -> None:
    person = Person("accept", "decline")
    emulator[1].work_s = 600
    async with shop(era, person) as client:
        first, again = await placed(client), await placed(client)
        await client.call_tool("cancel_job", {"job_id": first["job_id"]})
    assert first["job_id"] == again["job_id"]
    assert len(person.questions) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_a_failed_job_of_a_key_is_its_answer_without_a_question(shop: Shop, emulator: Emulated, era: Era) -> None:
    person = Person("accept", "decline")
    emulator[1].faults.append(Fault("bytecompute", "submit", "content"))
    async with shop(era, person) as client:
        results = [await client.call_tool("generate_video", POND | {"request_key": "k"}) for _ in range(2)]
    first, again = [(each.structured_content or {})["job_id"] for each in results]
    assert first == again
    assert len(person.questions) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_what_cannot_be_ordered_anyway_is_not_asked_about(shop: Shop, era: Era) -> None:
    person = Person("accept")
    async with shop(era, person, BUDGET_USD_PER_DAY="0.23") as client:
        await refused(client, "over_budget", max_cost_usd=0.1)
        await refused(client, "over_budget")
        await refused(client, "not_supported", duration=60)
    assert person.questions == []


@pytest.mark.parametrize("era", ERAS)
async def test_previews_and_prices_up_to_the_limit_are_not_asked_about(shop: Shop, era: Era) -> None:
    person = Person("decline")
    async with shop(era, person, CONFIRM_ABOVE_USD="0") as client:
        preview = await placed(client, **SMALL)
        await client.call_tool("cancel_job", {"job_id": preview["job_id"]})
    async with shop(era, person, CONFIRM_ABOVE_USD="0.24") as client:
        await placed(client)
    assert person.questions == []


async def test_a_picture_that_changes_while_a_person_thinks_is_asked_about_again(
    shop: Shop, emulator: Emulated, tmp_path: Path
) -> None:
    path = tmp_path / "pier.png"
    Image.new("RGB", (640, 360), "red").save(path)
    person = Person("accept", before=lambda: Image.new("RGB", (640, 360), "blue").save(path))
    for era in ERAS:
        Image.new("RGB", (640, 360), "red").save(path)
        async with shop(era, person) as client:
            result = await client.call_tool("animate_image", {"prompt": era, "image": str(path)})
        assert not result.is_error, text_of(result)
    assert len(person.questions) == 4
    assert len(emulator[1].orders) == 2


@pytest.mark.parametrize("answers", ["silence", "broken"])
async def test_a_question_that_is_not_answered_is_no_consent_however_often_the_call_is_repeated(
    shop: Shop, emulator: Emulated, monkeypatch: pytest.MonkeyPatch, answers: str
) -> None:
    if answers == "silence":
        monkeypatch.setattr(elicitation, "MAX_ASKING_S", 0.3)
    person = Person(answers)
    async with shop("legacy", person) as client:
        for cap in (None, 5, 5):
            told = await refused(client, max_cost_usd=cap)
            assert "Nobody answered" in told
            assert "max_cost_usd" not in told
    assert emulator[1].orders == []


async def test_a_call_that_asked_long_does_not_wait_long_for_the_provider(
    shop: Shop, emulator: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "MAX_CALL_S", 0.5)
    with relayed(emulator[0]) as relay:
        kept = relay.keep(SUBMITS["fal"])
        async with shop("legacy", Person("accept"), FAL_QUEUE_URL=relay.url) as client:
            began = anyio.current_time()
            ref = await placed(client, provider="fal", wait_seconds=50)
            assert anyio.current_time() - began < 40
            kept.go.set()
    assert ref["state"] in ("queued", "submitting")


# -- answers that are not to a question of ours -------------------------------------------------------------------


async def round_of(
    client: Client,
    answer: Literal["accept", "decline", "cancel"] | None = None,
    state: str | None = None,
    **arguments: Any,
) -> Any:
    """One round of a call as the newer protocol sends it, with what a person is said to have answered."""
    said: InputResponses | None = {elicitation.PRICE: ElicitResult(action=answer)} if answer else None
    return await client.session.call_tool(
        "generate_video", POND | arguments, input_responses=said, request_state=state, allow_input_required=True
    )


async def test_a_yes_nobody_was_asked_for_is_answered_with_the_question(shop: Shop, emulator: Emulated) -> None:
    async with shop(person=Person("accept")) as client:
        assert isinstance(await round_of(client, "accept"), InputRequiredResult)
    assert emulator[1].orders == []


async def test_a_yes_with_a_forged_or_foreign_state_is_refused(shop: Shop, emulator: Emulated) -> None:
    async with shop(person=Person("accept")) as client:
        question = await round_of(client)
        with pytest.raises(MCPError, match="requestState"):
            await round_of(client, "accept", question.request_state[:-6] + "AAAAAA")
        with pytest.raises(MCPError, match="requestState"):
            await round_of(client, "accept", question.request_state, resolution="2160p")
    async with shop(person=Person("accept")) as client:
        with pytest.raises(MCPError, match="requestState"):
            await round_of(client, "accept", question.request_state)
    assert emulator[1].orders == []


async def test_a_yes_sent_twice_pays_once(shop: Shop, emulator: Emulated) -> None:
    emulator[1].work_s = 1
    emulator[1].faults.append(Fault("bytecompute", "order", "fails"))
    async with shop(person=Person("accept")) as client:
        question = await round_of(client)
        first = await round_of(client, "accept", question.request_state)
        again = await round_of(client, "accept", question.request_state)
        job_id = first.structured_content["job_id"]
        assert again.structured_content["job_id"] == job_id
        assert (await ended(client, job_id))["state"] == "failed"
        assert isinstance(await round_of(client, "accept", question.request_state), InputRequiredResult)
    assert len(emulator[1].orders) == 1


async def test_a_lost_question_is_no_consent_to_the_cap_of_its_call(shop: Shop, emulator: Emulated) -> None:
    async with shop(person=Person("accept")) as client:
        for _ in range(2):
            assert isinstance(await round_of(client, max_cost_usd=5), InputRequiredResult)
    assert emulator[1].orders == []


# -- a host that cannot ask ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ERAS)
async def test_elsewhere_the_refusal_says_how_to_bring_consent_and_it_works(
    shop: Shop, emulator: Emulated, era: Era
) -> None:
    async with shop(era) as client:
        told = await refused(client)
        for words in ("0.24 USD at bytecompute", "6 s of 1080p", "Above 0.20 USD", "nothing was ordered"):
            assert words in told
        assert "within ten minutes" in told
        assert emulator[1].orders == []
        ref = await placed(client, max_cost_usd=amount_in(told))
    assert (ref["cost_usd"], len(emulator[1].orders)) == (0.24, 1)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("cap", [{}, {"max_cost_usd": 5}, {"max_cost_usd": 0.24}])
async def test_a_call_that_is_repeated_unchanged_is_no_consent(
    shop: Shop, emulator: Emulated, era: Era, cap: dict[str, Any]
) -> None:
    async with shop(era) as client:
        amounts = {amount_in(await refused(client, **cap)) for _ in range(3)}
    assert len(amounts) == 1
    assert emulator[1].orders == []


async def test_what_may_be_charged_is_asked_for_and_agreed_to(shop: Shop, emulator: Emulated) -> None:
    async with shop() as client:
        told = await refused(client, provider="fal", model="ltx-2.3-fast")
        assert "0.24 USD, at most 0.36 at fal (ltx-2.3-fast)" in told
        amount = amount_in(told)
        assert 0.36 < amount < 0.37
        await refused(client, provider="fal", model="ltx-2.3-fast", max_cost_usd=0.36)
        ref = await placed(client, provider="fal", model="ltx-2.3-fast", max_cost_usd=amount)
    assert (ref["cost_usd"], ref["at_most_usd"], len(emulator[1].orders)) == (0.24, 0.36, 1)


async def test_consent_is_remembered_by_another_server_of_the_same_home(shop: Shop, emulator: Emulated) -> None:
    async with shop() as client:
        amount = amount_in(await refused(client))
    async with shop() as client:
        await placed(client, max_cost_usd=amount)
    assert len(emulator[1].orders) == 1


async def test_consent_is_used_up_by_the_job_it_placed(shop: Shop, emulator: Emulated) -> None:
    emulator[1].faults.append(Fault("bytecompute", "submit", "content"))
    async with shop() as client:
        cap: dict[str, Any] = {"max_cost_usd": amount_in(await refused(client))}
        first = await client.call_tool("generate_video", POND | cap)
        assert (first.structured_content or {})["state"] == "failed"
        await refused(client, **cap)
    assert emulator[1].orders == []


async def test_a_cap_below_the_price_is_over_budget_as_before(shop: Shop) -> None:
    async with shop() as client:
        await refused(client)
        await refused(client, "over_budget", max_cost_usd=0.23)


@pytest.mark.parametrize("limit", ["0.20", "0.25"])
async def test_a_large_cap_does_not_lead_to_a_provider_nobody_agreed_to(
    shop: Shop, emulator: Emulated, limit: str
) -> None:
    emulator[1].faults.append(Fault("bytecompute", "submit", "locked"))
    async with shop(CONFIRM_ABOVE_USD=limit) as client:
        cap = amount_in(await refused(client, max_cost_usd=5)) if limit == "0.20" else 5
        result = await client.call_tool("generate_video", POND | {"max_cost_usd": cap})
    assert text_of(result).startswith("out_of_credit: ")
    assert emulator[1].orders == []


@pytest.mark.parametrize("era", ERAS)
async def test_without_a_limit_nobody_is_asked(shop: Shop, era: Era) -> None:
    person = Person("decline")
    async with shop(era, person, CONFIRM_ABOVE_USD="") as client:
        await placed(client, resolution="2160p")
    assert person.questions == []
