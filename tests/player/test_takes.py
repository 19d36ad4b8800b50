"""The takes of a set in the player: side by side, each played by itself, one chosen, others laid aside."""

from typing import Any

import pytest
from mcp import Client

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.player.stage import ALL, DRAWN, PROMPT, Player, Stage, place, until_ended
from tests.player.test_film import bare
from tests.player.test_looks import fits_and_reads_well, picture

pytestmark = pytest.mark.anyio

SHOWN = "[...document.querySelectorAll('.take video')].filter((each) => !each.hidden && each.readyState >= 2).length"
SOUNDING = "cards.filter((each) => !each.video.paused && !each.video.muted).map((each) => each.number)"
RUNNING = "cards.filter((each) => !each.video.paused).map((each) => each.number)"


@pytest.fixture
async def taken(client: Client, world: EmulatorState, filmed: dict[str, str]) -> str:
    """Three finished takes of a provider."""
    if "taken" not in filmed:
        filmed["taken"] = await place(client, prompt="a weir in spring", provider="fal", takes=3)
        assert (await until_ended(client, filmed["taken"]))["state"] == "succeeded"
    return filmed["taken"]


async def press(player: Player, words: str, take: int) -> None:
    await player.button(f"{words}: take {take}").click()


async def titles(player: Player) -> list[str]:
    """What the head of each take says."""
    return list(await player.ask("cards.map((card) => `${card.title.textContent}: ${card.state.textContent}`)"))


async def said(player: Player, method: str = "ui/message") -> list[str]:
    """What the model was told."""
    return [each["params"]["content"][0]["text"] for each in await player.heard(method)]


async def test_takes_stand_side_by_side_with_the_price_of_each_and_of_all(
    stage: Stage, client: Client, taken: str
) -> None:
    async with stage.open(client, width=900) as player:
        await player.give(taken)
        await player.state("3 of 3 takes ready")
        assert await titles(player) == ["Take 1: Ready", "Take 2: Ready", "Take 3: Ready"]
        assert await player.ask("new Set(cards.map((card) => card.root.getBoundingClientRect().top)).size") == 1
        assert await player.ask("cards[1].facts.textContent") == "6 s · 0.24 USD charged"
        assert "quoted 0.72 USD" in await player.at("facts").inner_text()


async def test_a_set_is_followed_and_says_how_many_takes_are_ready(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    set_id = await place(client, prompt="a lock gate opens", provider="fal", takes=2)
    async with stage.open(client) as player:
        await player.hear("ui/notifications/tool-input", {"arguments": {"job_id": set_id}})
        await player.state("2 takes under way at fal")
        await player.until("cards.length === 2 && cards[1].state.textContent === 'Being made at fal'")
        assert "quoted 0.48 USD" in await player.at("line").inner_text()
        world.advance(1000)
        await player.state("2 of 2 takes ready")
        await player.until(f"{SHOWN} === 2")
    assert player.bridge.most_under_way == 1


async def test_an_older_answer_does_not_take_back_a_take_that_is_ready(
    stage: Stage, client: Client, taken: str
) -> None:
    view = await until_ended(client, taken)
    half = {**view, "state": "running", "takes": [*view["takes"][:2], {**view["takes"][2], "state": "running"}]}
    none = {**half, "takes": [{**take, "state": "running"} for take in view["takes"]]}
    async with stage.open(client, capabilities={}) as player:
        for told in (half, none):
            await player.hear("ui/notifications/tool-result", {"structuredContent": told, "content": []})
        await player.page.evaluate("tell({ id: 'after', method: 'ping' })")
        await player.page.wait_for_function("heard.some(each => each.id === 'after')")
        assert await player.at("state").inner_text() == "2 of 3 takes ready, 1 under way"


async def test_a_name_of_a_take_is_followed_as_the_job_it_stands_for(stage: Stage, client: Client, taken: str) -> None:
    async with stage.open(client) as player:
        await player.hear("ui/notifications/tool-input", {"arguments": {"job_id": f"{taken}/2"}})
        await player.state("Ready")
        assert await player.plays() > 0
        await player.bridge.idle()
        assert len(player.bridge.calls) == 1


async def test_only_one_take_is_heard_at_a_time(stage: Stage, client: Client, taken: str) -> None:
    async with stage.open(client) as player:
        await player.give(taken)
        await player.until(f"{SHOWN} === 3")
        await player.ask("cards[0].video.play()")
        await player.ask("cards[1].video.play()")
        await player.until(f"{RUNNING}.join() === '2'")
        assert not await player.ask("cards[0].video.ended")
        await player.button("Play all").click()
        await player.until(f"{RUNNING}.join() === '1,2,3'")
        assert await player.ask(SOUNDING) == [1]
        await player.ask("cards[2].video.muted = false")
        await player.until(f"{SOUNDING}.join() === '3'")
        await player.ask("cards.forEach((card) => card.video.pause()), cards[0].video.play()")
        await player.until(f"{SOUNDING}.join() === '1'")


async def test_a_choice_is_said_to_the_model_once_and_orders_and_deletes_nothing(
    stage: Stage, client: Client, taken: str
) -> None:
    async with stage.open(client) as player:
        await player.give(taken)
        await player.until(f"{SHOWN} === 3")
        await press(player, "Choose", 2)
        await player.at("problem").filter(has_text="The model was told that you choose take 2.").wait_for()
        await press(player, "Chosen", 2)
        goes_on = f'It is {taken}/2: video="{taken}/2" or image="{taken}/2#last" goes on from it.'
        assert await said(player) == [f"I choose take 2 of {taken}. {goes_on}"]
        assert [each["params"]["role"] for each in await player.heard("ui/message")] == ["user"]
        assert await titles(player) == ["Take 1: Ready", "Take 2: Chosen", "Take 3: Ready"]
        await press(player, "Choose", 3)
        await player.at("problem").filter(has_text="take 3").wait_for()
        assert (await said(player))[1].startswith(f"I choose take 3 of {taken}, not take 2.")
        assert {name for name, _ in player.bridge.calls} <= {"check_job"}


@pytest.mark.parametrize("refuses", [False, True])
async def test_where_no_message_can_be_sent_the_model_is_told_another_way(
    stage: Stage, client: Client, taken: str, refuses: bool
) -> None:
    able: dict[str, Any] = {name: {} for name in ALL if refuses or name != "message"}
    async with stage.open(client, capabilities=able, refusesMessages=refuses) as player:
        await player.give(taken)
        await press(player, "Choose", 1)
        await player.at("problem").filter(has_text="The model was told").wait_for()
        assert [text[:15] for text in await said(player, "ui/update-model-context")] == ["I choose take 1"]


async def test_a_choice_that_the_model_cannot_be_told_is_a_sentence_for_the_chat(
    stage: Stage, client: Client, taken: str
) -> None:
    async with stage.open(client, capabilities={"serverTools": {}}) as player:
        await player.give(taken)
        await press(player, "Choose", 1)
        await player.at("problem").filter(has_text=f"Say it in the chat: I choose {taken}/1.").wait_for()


async def test_what_is_discarded_is_only_dimmed_and_can_be_taken_back(stage: Stage, client: Client, taken: str) -> None:
    async with stage.open(client) as player:
        await player.give(taken)
        await player.until(f"{SHOWN} === 3")
        await press(player, "Discard", 3)
        assert await titles(player) == ["Take 1: Ready", "Take 2: Ready", "Take 3: Discarded"]
        assert float(await player.ask("getComputedStyle(cards[2].video).opacity")) < 0.5
        assert not await player.button("Choose: take 3").is_visible()
        await press(player, "Take back", 3)
        assert float(await player.ask("getComputedStyle(cards[2].video).opacity")) == 1
        assert await player.button("Choose: take 3").is_visible()
        assert not await said(player)
        assert {name for name, _ in player.bridge.calls} <= {"check_job"}


async def test_a_take_is_looked_at_alone_with_what_can_be_ordered_from_it(
    stage: Stage, client: Client, taken: str
) -> None:
    async with stage.open(client) as player:
        await player.give(taken)
        await press(player, "Discard", 1)
        await press(player, "Details", 2)
        await player.state("Ready")
        assert await player.plays() > 0
        await player.button("Extend").click()
        assert "about 0.70 USD" in await player.at("price").inner_text()
        await player.button("Cancel").click()
        await player.button("Back to the takes").click()
        await player.state("3 of 3 takes ready")
        assert (await titles(player))[0] == "Take 1: Discarded"
        await player.until(f"{SHOWN} === 3")


async def test_a_refused_take_says_why_and_the_others_can_be_chosen(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.faults.append(Fault("fal", "order", "content"))
    set_id = await place(client, prompt="something one filter minds", provider="fal", takes=3)
    view = await until_ended(client, set_id)
    (number,) = [take["take"] for take in view["takes"] if take["state"] == "failed"]
    async with stage.open(client) as player:
        await player.give(set_id)
        await player.state("2 of 3 takes ready, 1 failed")
        told = await player.ask(f"cards[{number - 1}].trouble.innerText")
        assert "The provider's content filter refused it." in told
        for take in (1, 2, 3):
            assert await player.button(f"Choose: take {take}").is_visible() is (take != number)


async def test_where_no_film_can_be_played_the_picture_of_all_takes_is_shown(
    stage: Stage, client: Client, taken: str
) -> None:
    able: dict[str, Any] = {"serverTools": {}}
    async with stage.open(client, policy=bare, capabilities=able) as player:
        await player.give(taken, frames=False)
        await player.at("sheet").wait_for()
        assert await player.ask("document.querySelector('#sheet').naturalWidth") > 0
        note = "A film cannot be played here. These are the frames of all takes."
        assert await player.at("screen-note").inner_text() == note
        assert not await player.button("Play all").is_visible()
        await player.bridge.idle()
        assert [call["frames"] for call in player.bridge.named("check_job") if call["frames"]] == [True]
        assert await player.button("Choose: take 2").is_visible()


async def test_previews_of_one_prompt_differ_and_look_well(
    stage: Stage, client: Client, request: pytest.FixtureRequest
) -> None:
    set_id = await place(client, prompt="A heron lifts off a reed bed at dawn", takes=3, **DRAWN)
    await until_ended(client, set_id)
    async with stage.open(client, width=900, context={"theme": "light"}) as player:
        await player.give(set_id)
        await player.until(f"{SHOWN} === 3")
        await player.ask("cards.forEach((card) => { card.video.currentTime = 3; })")
        await player.until("cards.every((card) => !card.video.seeking)")
        await press(player, "Choose", 2)
        await player.at("problem").filter(has_text="The model was told").wait_for()
        await fits_and_reads_well(player)
        assert await player.at("preview").is_visible()
        await picture(player, "takes-900-light", request)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 900])
async def test_takes_of_which_one_failed_look_well(
    stage: Stage, client: Client, world: EmulatorState, width: int, theme: str
) -> None:
    world.faults.append(Fault("fal", "order", "content"))
    key = f"looks {width} {theme}"
    set_id = await place(client, prompt=PROMPT, provider="fal", takes=3, request_key=key)
    view = await until_ended(client, set_id)
    first, last, *_ = [take["take"] for take in view["takes"] if take["state"] == "succeeded"]
    async with stage.open(client, width=width, context={"theme": theme}) as player:
        await player.give(set_id)
        await player.until(f"{SHOWN} === 2")
        await press(player, "Choose", first)
        await press(player, "Discard", last)
        await player.at("problem").filter(has_text="The model was told").wait_for()
        await fits_and_reads_well(player)
        await player.until(f"reported === JSON.stringify({{ width: {width}, height: innerHeight }})")


async def test_upright_takes_stand_two_in_a_row_on_a_phone(stage: Stage, client: Client, world: EmulatorState) -> None:
    set_id = await place(client, prompt="a lighthouse", provider="fal", takes=2, aspect_ratio="9:16")
    await until_ended(client, set_id)
    async with stage.open(client, width=360) as player:
        await player.give(set_id)
        await player.until(f"{SHOWN} === 2")
        await fits_and_reads_well(player)
        assert await player.ask("new Set(cards.map((card) => card.root.getBoundingClientRect().top)).size") == 1
        assert await player.ask("cards.every((card) => card.video.clientHeight > card.video.clientWidth)")


async def test_every_button_of_a_take_can_be_reached_by_keyboard_and_says_which_take_it_is_of(
    stage: Stage, client: Client, taken: str
) -> None:
    async with stage.open(client) as player:
        await player.give(taken)
        await player.until(f"{SHOWN} === 3")
        await player.at("state").focus()
        reached: list[str] = []
        while "Play all" not in reached and len(reached) < 60:
            await player.page.keyboard.press("Tab")
            focused = "document.activeElement"
            reached.append(await player.ask(f"{focused}.getAttribute('aria-label') || {focused}.textContent"))
        wanted = [f"{words}: take {take}" for take in (1, 2, 3) for words in ("Choose", "Discard", "Details")]
        assert [words for words in reached if words in wanted] == wanted
        await player.button("Choose: take 2").focus()
        await player.page.keyboard.press("Enter")
        await player.at("problem").filter(has_text="take 2").wait_for()
        assert await player.button("Chosen: take 2").get_attribute("aria-pressed") == "true"
