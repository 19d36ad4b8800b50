"""A joined film in the player: its shots as a strip, each played from where it begins, and ordered again."""

from typing import Any

import pytest
from mcp import Client

from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.player.stage import Player, Stage, place, until_ended
from tests.player.test_film import bare
from tests.player.test_looks import fits_and_reads_well, picture
from tests.player.test_ordering import ordered

pytestmark = pytest.mark.anyio

SMALL: dict[str, Any] = {"provider": "bytecompute", "resolution": "720p"}
PROMPTS = ("A heron stands in the reeds at dawn", "It lifts off and flies low over the water", "It lands on a jetty")
NOW = "strip.filter((one) => one.root.classList.contains('now')).map((one) => one.number).join()"
READY = "document.querySelector('#video').readyState >= 1"


@pytest.fixture
async def joined(client: Client, world: EmulatorState, filmed: dict[str, str]) -> str:
    """A film of three shots; the second goes on from the first, and the third is blended in over 0.4 s."""
    if "joined" not in filmed:
        first = await place(client, prompt=PROMPTS[0], **SMALL)
        second = await place(client, "animate_image", prompt=PROMPTS[1], image=f"{first}#last", **SMALL)
        third = await place(client, prompt=PROMPTS[2], **SMALL)
        seams: dict[str, Any] = {"transition": "crossfade", "transition_seconds": 0.4, "titles": ["", "The flight"]}
        shots = [first, second, f"{third}@1-5"]
        filmed["joined"] = await place(client, "join_videos", videos=shots, **seams)
        filmed["second shot"] = second
        assert (await until_ended(client, filmed["joined"]))["state"] == "succeeded"
    return filmed["joined"]


async def heads(player: Player) -> list[str]:
    return list(await player.ask("strip.map((one) => one.play.textContent)"))


async def test_a_film_shows_its_shots_with_the_times_at_which_they_begin(
    stage: Stage, client: Client, joined: str
) -> None:
    async with stage.open(client, width=900) as player:
        view = await player.give(joined)
        await player.state("Ready")
        assert await heads(player) == ["1 · 0:00", "2 · 0:06 The flight", "3 · 0:11"]
        shots = await player.ask("strip.map((one) => one.shot)")
        # one frame is shown once, and the third begins in the middle of its crossfade
        assert [shot["at"] for shot in shots] == [0, 6, 11.76]
        assert sum(shot["seconds"] for shot in shots) == pytest.approx(view["duration"], abs=0.001)
        facts = await player.at("facts").inner_text()
        assert "this machine" in facts
        assert "free" in facts
        assert not await player.at("preview").is_visible()


async def test_a_shot_is_played_from_where_it_begins_and_the_one_that_is_seen_is_marked(
    stage: Stage, client: Client, joined: str
) -> None:
    async with stage.open(client) as player:
        await player.give(joined)
        await player.until(READY)
        await player.button("Play from shot 2, at 0:06: The flight").click()
        await player.until("$('video').currentTime > 6.1 && !$('video').paused")
        assert await player.ask("$('video').currentTime") < 11
        await player.until(f"{NOW} === '2'")
        await player.ask("$('video').pause(), $('video').currentTime = 12.5")
        await player.until(f"{NOW} === '3'")
        assert await player.ask("strip[2].play.getAttribute('aria-current')") == "true"
        assert await player.ask("strip[1].play.getAttribute('aria-current')") is None


async def test_the_strip_is_used_by_keyboard(stage: Stage, client: Client, joined: str) -> None:
    async with stage.open(client) as player:
        await player.give(joined)
        await player.until(READY)
        await player.at("state").focus()
        reached: list[str] = []
        while "Another take: shot 3" not in reached and len(reached) < 40:
            await player.page.keyboard.press("Tab")
            reached.append(await player.ask("document.activeElement.getAttribute('aria-label') || ''"))
        wanted = [words for words in reached if "shot" in words]
        assert [words.partition(", at")[0] for words in wanted] == [
            f"{words} shot {number}" for number in (1, 2, 3) for words in ("Play from", "Another take:")
        ]
        await player.button("Play from shot 3, at 0:11").focus()
        await player.page.keyboard.press("Enter")
        await player.until("$('video').currentTime > 11.7")


async def test_another_take_of_a_shot_is_ordered_once_and_the_model_hears_how_the_film_is_made_anew(
    stage: Stage, client: Client, world: EmulatorState, joined: str, filmed: dict[str, str]
) -> None:
    sent = len(world.orders)
    async with stage.open(client) as player:
        await player.give(joined)
        await player.until(READY)
        await player.button("Another take: shot 2").click()
        await player.at("form").wait_for()
        assert await player.at("form-title").inner_text() == "Another take of shot 2"
        assert await player.at("words").input_value() == PROMPTS[1]
        assert "about 0.12 USD" in await player.at("price").inner_text()
        await player.page.keyboard.press("Escape")
        assert await player.ask("document.activeElement === strip[1].anew")
        await player.button("Another take: shot 2").click()
        await player.at("words").fill("It lifts off late, and flies low over the water")
        await player.ask("$('order').click(), $('order').click()")
        await ordered(player)
        (call,) = player.bridge.named("animate_image")
        assert call["image"].endswith("#last")
        assert call["max_cost_usd"] == 0.12
        told = (await player.heard("ui/update-model-context"))[0]["params"]["content"][0]["text"]
        assert f"another take of {filmed['second shot']}" in told
        assert f"shot 2 of the film {joined}: join_videos with it in the old one's place" in told
        await player.state("Ready")
        assert await player.ask("strip.length") == 0
        await player.button("Back to the earlier film").click()
        assert len(await heads(player)) == 3
    assert len(world.orders) == sent + 1


async def test_where_the_film_cannot_be_played_its_shots_can_still_be_ordered(
    stage: Stage, client: Client, joined: str
) -> None:
    async with stage.open(client, policy=bare, capabilities={"serverTools": {}}) as player:
        await player.give(joined)
        await player.at("sheet").wait_for()
        await player.button("Play from shot 1, at 0:00").click()
        assert await player.at("problem").inner_text() == "The film cannot be played here."
        assert await player.button("Another take: shot 1").is_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 900])
async def test_a_film_with_its_shots_looks_well(
    stage: Stage, client: Client, joined: str, width: int, theme: str, request: pytest.FixtureRequest
) -> None:
    async with stage.open(client, width=width, context={"theme": theme}) as player:
        await player.give(joined)
        await player.until(READY)
        await player.ask("$('video').currentTime = 8")
        await player.until(f"{NOW} === '2' && !$('video').seeking && $('video').readyState >= 3")
        await fits_and_reads_well(player)
        await picture(player, f"shots-{width}-{theme}", request)
