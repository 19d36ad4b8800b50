"""How the player looks and reads: widths, themes, contrast, what a screen reader hears, the size it reports.

With `--renew-snapshots` the pictures of the documentation are taken anew.
"""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.player.stage import PROMPT, Player, Stage, place, until_ended

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[2] / "docs"
KEPT = {"film-900-light", "form-320-dark", "line-light", "failed-dark", "takes-900-light", "shots-900-light"}
# The lowest contrast of any text that is shown, as WCAG counts it, and which text that is.
LOWEST_CONTRAST = """(() => {
  const shade = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * shade(r / 255) + 0.7152 * shade(g / 255) + 0.0722 * shade(b / 255);
  const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  let lowest = [99, ""];
  for (const node of document.querySelectorAll("main *")) {
    const own = [...node.childNodes].some((each) => each.nodeType === 3 && each.data.trim()) || "value" in node;
    if (!own || !node.checkVisibility()) continue;
    const pair = [light(numbers(getComputedStyle(node).color)), light(behind(node))].sort((a, b) => b - a);
    const contrast = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, node.textContent];
  }
  return lowest;
})()"""


async def picture(player: Player, name: str, request: pytest.FixtureRequest) -> None:
    """Keep a picture for the documentation."""
    if name in KEPT and request.config.getoption("--renew-snapshots"):
        await player.page.locator("iframe").screenshot(path=DOCS / f"player-{name}.png")


async def fits_and_reads_well(player: Player) -> None:
    """Nothing is wider than the frame, and all text has the contrast that WCAG asks of small print."""
    assert await player.ask("document.documentElement.scrollWidth <= innerWidth")
    contrast, text = await player.ask(LOWEST_CONTRAST)
    assert contrast >= 4.5, text


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 900])
async def test_a_film_and_a_form_look_well(
    stage: Stage, client: Client, drawn: str, width: int, theme: str, request: pytest.FixtureRequest
) -> None:
    async with stage.open(client, width=width, context={"theme": theme}) as player:
        await player.give(drawn)
        await player.plays()
        await player.ask("video.pause(), video.currentTime = 3")
        await player.until("!video.seeking")
        await fits_and_reads_well(player)
        beside = "main.children[2].getBoundingClientRect().left >= video.getBoundingClientRect().right"
        assert await player.ask(beside) is (width == 900)
        await player.until(f"reported === JSON.stringify({{ width: {width}, height: innerHeight }})")
        await picture(player, f"film-{width}-{theme}", request)
        await player.button("Another take").click()
        await fits_and_reads_well(player)
        await player.until("JSON.parse(reported).height === innerHeight")
        await picture(player, f"form-{width}-{theme}", request)
        assert len(await player.heard("ui/notifications/size-changed")) < 12


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_job_under_way_and_a_failed_one_look_well(
    stage: Stage, client: Client, world: EmulatorState, theme: str, request: pytest.FixtureRequest
) -> None:
    world.wait_s = 1000
    await place(client, prompt="the one before", provider="fal", request_key=f"before {theme}")
    waits = await place(client, prompt=PROMPT, provider="fal", request_key=f"waits {theme}")
    async with stage.open(client, context={"theme": theme}) as player:
        await player.give(waits, frames=False)
        await player.state("In line at fal")
        await fits_and_reads_well(player)
        await picture(player, f"line-{theme}", request)
    world.wait_s = 0
    world.faults.append(Fault("fal", "order", "content"))
    failed = await place(client, prompt=PROMPT, provider="fal", request_key=f"failed {theme}")
    await until_ended(client, failed)
    async with stage.open(client, context={"theme": theme}) as player:
        await player.give(failed)
        await player.state("Failed")
        await player.button("Another take").click()
        await fits_and_reads_well(player)
        await player.until("JSON.parse(reported).height === innerHeight")
        await picture(player, f"failed-{theme}", request)


async def test_a_screen_reader_hears_of_states_and_not_of_seconds(
    stage: Stage, client: Client, world: EmulatorState
) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a bell", provider="fal")
    async with stage.open(client) as player:
        await player.give(job_id, frames=False)
        await player.state("Being made at fal")
        await player.count_words()
        line = await player.at("line").inner_text()
        await player.until(f"$('line').innerText !== {line!r}")
        assert await player.ask("spoken") == 0
        world.advance(1000)
        await player.state("Ready")
        assert await player.ask("spoken") > 0
        roles = "[$('state').getAttribute('role'), $('line').getAttribute('role'), $('bar').getAttribute('role')]"
        assert await player.ask(roles) == ["status", None, "progressbar"]


async def test_who_wants_no_motion_gets_none(stage: Stage, client: Client, world: EmulatorState) -> None:
    world.work_s = 1000
    job_id = await place(client, prompt="a still lake", provider="fal")
    async with stage.open(client) as player:
        await player.give(job_id, frames=False)
        await player.state("Being made at fal")
        moves = "getComputedStyle($('bar').firstElementChild).animationName"
        assert await player.ask(moves) == "pass"
        await player.page.emulate_media(reduced_motion="reduce")
        assert await player.ask(moves) == "none"


async def test_the_hosts_theme_is_worn_and_changes_with_it(stage: Stage, client: Client) -> None:
    back = "getComputedStyle(document.body).backgroundColor"
    async with stage.open(client) as player:
        await player.page.emulate_media(color_scheme="dark")
        assert await player.ask(back) == "rgb(28, 28, 32)"
        await player.hear("ui/notifications/host-context-changed", {"theme": "light"})
        await player.until(f"{back} === 'rgb(255, 255, 255)'")


async def test_the_hosts_colours_are_worn_only_as_a_pair(stage: Stage, client: Client) -> None:
    colours: dict[str, Any] = {"--color-background-primary": "#fdf6e3", "--color-text-primary": "#073642"}
    one = {name: colours[name] for name in list(colours)[:1]}
    back = "getComputedStyle(document.body).backgroundColor"
    async with stage.open(client, context={"styles": {"variables": one}}) as player:
        assert await player.ask(back) == "rgb(255, 255, 255)"
        await player.hear("ui/notifications/host-context-changed", {"styles": {"variables": colours}})
        await player.until(f"{back} === 'rgb(253, 246, 227)'")


async def test_everything_can_be_reached_by_keyboard_in_the_order_it_is_read(
    stage: Stage, client: Client, drawn: str
) -> None:
    async with stage.open(client) as player:
        await player.give(drawn)
        await player.state("Ready")
        await player.at("state").focus()
        reached: list[str] = []
        for _ in range(30):
            await player.page.keyboard.press("Tab")
            name = await player.ask("document.activeElement.id")
            if name not in reached:
                reached.append(name)
            if name == "extend":
                break
        wanted = ["video", "prompt", "open", "again", "extend"]
        assert [name for name in reached if name in wanted] == wanted
