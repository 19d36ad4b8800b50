"""The player while a job lives, and when it ends without a film."""

import anyio
import pytest
from mcp import Client

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.patience import HANG_S
from tests.player.stage import DRAWN, Lost, Stage, place, until_ended

pytestmark = pytest.mark.anyio

LONG = DRAWN | {"duration": 20}


async def test_progress_moves_until_the_film_is_there(stage: Stage, client: Client) -> None:
    job_id = await place(client, prompt="a mill in the rain", **LONG)
    async with stage.open(client) as player:
        await player.give(job_id, frames=False)
        await player.state("Drawing on this machine")
        bar = "document.querySelector('#bar').getAttribute('aria-valuenow')"
        await player.until(f"Number({bar}) > 0")
        first = await player.at("bar").get_attribute("aria-valuenow")
        await player.until(f"Number({bar}) > {first}")
        assert "free" in await player.at("line").inner_text()
        await player.state("Ready")
        assert await player.at("bar").is_hidden()
    assert player.bridge.most_under_way == 1
    followed = [call for call in player.bridge.named("check_job") if not call["frames"]]
    assert len(followed) > 1
    assert all(0 < call["wait_seconds"] <= 10 for call in followed)


async def test_the_place_in_line_is_told_then_the_work_then_the_film(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.wait_s, world.work_s = 1000, 1000
    await place(client, prompt="the one before", provider="fal")
    job_id = await place(client, prompt="a heron in the reeds", provider="fal")
    async with stage.open(client) as player:
        await player.give(job_id, frames=False)
        await player.state("In line at fal")
        assert "1 before it" in await player.at("line").inner_text()
        assert "quoted 0.24 USD" in await player.at("line").inner_text()
        assert await player.at("bar").get_attribute("aria-valuenow") is None
        world.advance(1000)
        await player.state("Being made at fal")
        world.advance(1000)
        await player.state("Ready")
        assert await player.plays() > 0


async def test_a_shot_of_a_chain_says_what_it_waits_for(stage: Stage, client: Client, world: EmulatorState) -> None:
    world.work_s = 1000
    first = await place(client, prompt="a door opens", provider="fal")
    second = await place(client, "animate_image", prompt="she walks in", image=f"{first}#last", provider="fal")
    async with stage.open(client) as player:
        await player.give(second, frames=False)
        await player.state(f"Waiting for {first} to be done")
        world.advance(1000)
        await player.state("Being made at fal")


async def test_it_follows_from_the_input_on_while_the_call_of_the_model_still_waits(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a lamp", provider="fal")
    async with stage.open(client) as player:
        await player.hear("ui/notifications/tool-input", {"arguments": {"job_id": job_id}})
        await player.state("Being made at fal")
        await player.hear("ui/notifications/tool-cancelled", {"reason": "stopped"})
        world.advance(1000)
        await player.state("Ready")


async def test_an_answer_that_comes_late_does_not_turn_back_what_is_shown(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a comet", provider="fal")
    async with stage.open(client) as player:
        old = await client.call_tool("check_job", {"job_id": job_id, "wait_seconds": 0})
        await player.hear("ui/notifications/tool-input", {"arguments": {"job_id": job_id}})
        world.advance(1000)
        await player.state("Ready")
        told = old.model_dump(by_alias=True, mode="json", exclude_none=True)
        assert told["structuredContent"]["state"] == "running"
        await player.count_words()
        await player.hear("ui/notifications/tool-result", told)
        await player.page.evaluate("tell({ id: 'after', method: 'ping' })")
        await player.page.wait_for_function("heard.some(each => each.id === 'after')")
        assert await player.ask("spoken") == 0


async def test_a_failed_job_says_why_in_plain_words_and_keeps_the_providers_words_apart(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.faults.append(Fault("fal", "order", "content"))
    job_id = await place(client, prompt="something the filter minds", provider="fal")
    await until_ended(client, job_id)
    async with stage.open(client) as player:
        view = await player.give(job_id)
        await player.state("Failed")
        told = await player.at("trouble").inner_text()
        assert "The provider's content filter refused it." in told
        assert f"fal says: “{view['error']['provider_detail']}”" in told
        assert await player.at("screen").is_hidden()
        assert await player.button("Another take").is_visible()
        assert not await player.button("Extend").is_visible()


async def test_an_unknown_outcome_forbids_another_order_and_can_be_asked_after(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.faults.append(Fault("netwrck", "submit", "drop_after"))
    job_id = await place(client, prompt="a ferry", provider="netwrck")
    async with stage.open(client) as player:
        await player.give(job_id)
        await player.state("It is not known what became of this order")
        told = await player.at("trouble").inner_text()
        assert told.startswith("Do not order it again: it may have been taken and charged.")
        for name in ("Another take", "Extend"):
            assert not await player.button(name).is_visible()
        asked = len(player.bridge.calls)
        await player.button("Check again").click()
        await player.until("!document.querySelector('#recheck').disabled")
        assert len(player.bridge.calls) == asked + 1


async def test_a_cancelled_job_says_so(stage: Stage, client: Client, world: EmulatorState) -> None:
    world.wait_s = 1000
    job_id = await place(client, prompt="a gate", provider="fal")
    await client.call_tool("cancel_job", {"job_id": job_id})
    await until_ended(client, job_id)
    async with stage.open(client) as player:
        await player.give(job_id)
        await player.state("Cancelled")


async def test_a_job_that_does_not_exist_is_told_and_not_asked_after(stage: Stage, client: Client) -> None:
    async with stage.open(client) as player:
        await player.give("job_none")
        await player.state("job_not_found: There is no job job_none")
        await player.bridge.idle()
        assert not await player.at("problem").is_visible()
        assert await player.ask("following") is False
        assert await player.at("bar").is_hidden()


async def test_news_that_do_not_come_are_asked_for_again_after_a_pause(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a well", provider="fal")
    async with stage.open(client, own_clock=True) as player:
        broken = True

        def break_once(name: str, answered: bool) -> None:
            if broken and player.bridge.named("check_job"):
                raise Lost("the line is dead")

        player.bridge.faults = break_once
        await player.give(job_id, frames=False)
        await player.at("problem").filter(has_text="asking again in 2 s").wait_for()
        await player.page.clock.fast_forward(2000)
        await player.at("problem").filter(has_text="asking again in 4 s").wait_for()
        broken = False
        world.advance(1000)
        await player.page.clock.fast_forward(4000)
        await player.state("Ready")
        assert await player.at("problem").is_hidden()
        assert player.bridge.most_under_way == 1


async def test_nothing_is_asked_once_the_host_takes_the_page_down(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a barn", provider="fal")
    async with stage.open(client) as player:
        await player.give(job_id, frames=False)
        await player.until_called("check_job")
        await player.page.evaluate("tell({ id: 'end', method: 'ui/resource-teardown', params: {} })")
        await player.page.wait_for_function("heard.some(each => each.id === 'end' && each.result)")
        await player.bridge.idle()
        asked = len(player.bridge.calls)
        world.advance(1000)
        await until_ended(client, job_id)
        assert len(player.bridge.calls) == asked
        assert "Ready" not in await player.at("state").inner_text()


async def test_nothing_is_asked_while_nobody_looks(stage: Stage, client: Client, world: EmulatorState) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a stile", provider="fal")
    async with stage.open(client) as player:
        await player.hide(True)
        await player.give(job_id, frames=False)
        await player.state("Being made at fal")
        assert not player.bridge.calls
        await player.hide(False)
        await player.until_called("check_job")


async def test_what_a_page_still_asks_is_given_up_when_it_is_closed(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a weir", provider="fal")
    async with stage.open(client) as player:
        await player.give(job_id, frames=False)
        await player.until_called("check_job")
        with anyio.fail_after(HANG_S):
            while not player.bridge.under_way:
                await anyio.sleep(0.001)
    assert not player.bridge.under_way


async def test_a_ping_is_answered_and_a_strange_request_refused(stage: Stage, client: Client) -> None:
    async with stage.open(client) as player:
        await player.page.evaluate("tell({ id: 'a', method: 'ping' }); tell({ id: 'b', method: 'strange' })")
        await player.page.wait_for_function("heard.some(each => each.id === 'a' && each.result)")
        await player.page.wait_for_function("heard.some(each => each.id === 'b' && each.error.code === -32601)")


async def test_without_tool_calls_it_shows_what_it_was_given(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a lantern", provider="fal")
    async with stage.open(client, capabilities={"openLinks": {}}) as player:
        await player.hear("ui/notifications/tool-input", {"arguments": {"job_id": job_id}})
        await player.state(f"Waiting for news of {job_id}")
        await player.give(job_id, frames=False)
        await player.state("Being made at fal")
        world.advance(1000)
        await until_ended(client, job_id)
        await player.give(job_id)
        await player.state("Ready")
        assert await player.button("Open").is_visible()
        for name in ("Another take", "Extend", "Check again"):
            assert not await player.button(name).is_visible()
    assert not player.bridge.calls


async def test_a_host_that_never_answers_is_told_of_plainly(stage: Stage, client: Client) -> None:
    async with stage.open(client, silent=True, own_clock=True) as player:
        await player.state("Connecting")
        await player.page.clock.fast_forward(11_000)
        await player.state("This host does not answer the player")
        assert await player.at("bar").is_hidden()


async def test_words_of_others_are_text_and_never_markup(stage: Stage, client: Client, world: EmulatorState) -> None:
    nasty = "<img src=x onerror=parent.pwned=1> 雨中的磨坊 </script><b>bold</b>"
    world.faults.append(Fault("fal", "order", "fails", options={"message": "<svg onload=parent.pwned=1>"}))
    job_id = await place(client, prompt=nasty, provider="fal")
    await until_ended(client, job_id)
    async with stage.open(client) as player:
        await player.give(job_id)
        await player.state("Failed")
        assert await player.at("prompt").inner_text() == nasty
        assert await player.ask("document.querySelectorAll('b, svg, #prompt *, #trouble *:not(p)').length") == 0
        await player.button("Another take").click()
        assert await player.at("words").input_value() == nasty
        assert await player.page.evaluate("window.pwned") is None
