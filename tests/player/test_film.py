"""The film in the player: by its address, else through the host, else its frames; and its facts."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from tests.facts import facts_on_wire
from tests.player.stage import APPS, DRAWN, Stage, place, policy_of, until_ended

pytestmark = pytest.mark.anyio


@pytest.fixture
async def at_home(tmp_path: Path) -> AsyncIterator[Client]:
    """A server on stdio, whose films are files of this machine."""
    env = {"LTX_MCP_HOME": str(tmp_path / "home")}
    server = StdioServerParameters(command=sys.executable, args=["-m", "ltx_mcp"], env=env)
    async with Client(server, mode="legacy", extensions=[APPS]) as connected:
        yield connected


def bare(meta: dict[str, Any]) -> str:
    """The policy of a host that allows no domains at all."""
    return policy_of({})


def with_blobs(meta: dict[str, Any]) -> str:
    """The policy of a host that allows no domains, but what a page made itself."""
    return policy_of({}, "blob:")


async def test_a_film_plays_by_its_address_with_its_facts_beside_it(stage: Stage, client: Client, bought: str) -> None:
    async with stage.open(client) as player:
        await player.hear("ui/notifications/tool-input", {"arguments": {"job_id": bought}})
        await player.state("Ready")
        view = await player.give(bought)
        await player.until("video.poster.startsWith('data:image/jpeg;base64,')")
        assert await player.plays() > 0.2
        assert await player.ask("document.querySelector('video').currentSrc") == view["video_url"]
        facts = await player.at("facts").inner_text()
        for fact in ("fal, ltx-2.3-fast", "6 s", "1920 × 1080 pixels", "25 fps", "yes", "kB", "quoted 0.24 USD"):
            assert fact in facts
        assert await player.at("prompt").inner_text() == "a tide pool\nat noon"
        assert await player.at("preview").is_hidden()
    assert not player.bridge.reads


async def test_a_film_that_this_server_keeps_plays_by_its_address(stage: Stage, client: Client, drawn: str) -> None:
    async with stage.open(client) as player:
        view = await player.give(drawn)
        assert await player.plays() > 0.2
        assert await player.ask("document.querySelector('video').currentSrc") == view["video_url"]
        assert view["video_url"].endswith(f"/videos/{drawn}.mp4")
    assert not player.bridge.reads


async def test_an_address_that_has_ended_is_asked_for_again_and_not_tried(
    stage: Stage, client: Client, drawn: str
) -> None:
    """As in a chat that is opened again on another day."""
    async with stage.open(client) as player:
        tried: list[str] = []
        player.page.on("request", lambda request: tried.append(request.url))
        told = (await client.call_tool("check_job", {"job_id": drawn})).model_dump(by_alias=True, mode="json")
        view = facts_on_wire(told)
        address = view["video_url"]
        view["video_url"] = address.replace(drawn, "job_ended000000").replace(".mp4", ".mp4?exp=1700000000&sig=x")
        await player.hear("ui/notifications/tool-result", told | {"structuredContent": view})
        assert await player.plays() > 0.2
        assert await player.ask("document.querySelector('video').currentSrc") == address
        await player.button("Open").click()
        await player.page.wait_for_function("heard.some(each => each.method === 'ui/open-link')")
        assert [each["params"] for each in await player.heard("ui/open-link")] == [{"url": address}]
    assert not [url for url in tried if "job_ended" in url]
    assert player.bridge.named("check_job") == [{"job_id": drawn, "wait_seconds": 0, "frames": False}]


async def test_a_page_that_stays_open_past_the_end_of_an_address_has_the_next_one(
    stage: Stage, client: Client, drawn: str
) -> None:
    async with stage.open(client, own_clock=True) as player:
        told = (await client.call_tool("check_job", {"job_id": drawn})).model_dump(by_alias=True, mode="json")
        view = facts_on_wire(told)
        address, day_s = view["video_url"], 86_400
        ends_s = round(await player.ask("Date.now()") / 1000) + day_s
        view["video_url"] = f"{address}?exp={ends_s}&sig=x"
        await player.hear("ui/notifications/tool-result", told | {"structuredContent": view})
        await player.until("document.querySelector('video').currentSrc.includes('?exp=')")
        await player.page.clock.fast_forward(day_s * 1000 - 10_000)
        assert player.bridge.named("check_job") == []
        await player.page.clock.fast_forward(20_000)
        await player.until(f"link(shown.job) === '{address}'")
        await player.page.clock.fast_forward(day_s * 1000)
        await player.bridge.idle()
    assert len(player.bridge.named("check_job")) == 1


async def test_open_hands_the_films_address_to_the_host(stage: Stage, client: Client, bought: str) -> None:
    async with stage.open(client) as player:
        view = await player.give(bought)
        await player.button("Open").click()
        await player.page.wait_for_function("heard.some(each => each.method === 'ui/open-link')")
        assert [each["params"] for each in await player.heard("ui/open-link")] == [{"url": view["video_url"]}]
        assert await player.at("path").is_hidden()


async def test_an_address_the_host_will_not_open_is_shown_to_copy(stage: Stage, client: Client, bought: str) -> None:
    async with stage.open(client, blocksLinks=True) as player:
        view = await player.give(bought)
        await player.button("Open").click()
        await player.at("path").wait_for()
        assert await player.at("path").input_value() == view["video_url"]
        assert not await player.button("Open").is_visible()


async def test_a_preview_is_called_one_and_is_free(stage: Stage, client: Client, drawn: str) -> None:
    async with stage.open(client) as player:
        await player.give(drawn)
        await player.state("Ready")
        assert await player.at("preview").is_visible()
        assert await player.at("preview").inner_text() == "A preview drawn on this machine, not LTX."
        assert "free" in await player.at("facts").inner_text()
        assert "none" in await player.at("facts").inner_text()


@pytest.mark.parametrize(("ratio", "shape"), [("9:16", 16 / 9), ("1:1", 1.0)])
async def test_a_film_has_its_own_shape_before_anything_of_it_is_loaded(
    stage: Stage, client: Client, ratio: str, shape: float
) -> None:
    """An upright one is no wide box with a strip in it, of black or of frames."""
    job_id = await place(client, prompt="a pond", aspect_ratio=ratio, duration=6, **DRAWN)
    await until_ended(client, job_id)
    async with stage.open(client) as player:
        await player.page.route("**/*.mp4", lambda route: None)
        await player.give(job_id)
        await player.at("video").wait_for()
        assert await player.ask("document.querySelector('video').readyState") == 0
        box = await player.at("video").bounding_box()
        assert box
        assert box["height"] / box["width"] == pytest.approx(shape, rel=0.02)
        assert box["height"] <= 481
        assert bool(await player.ask("document.querySelector('video').poster")) is (shape <= 1)
        assert await player.ask("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize(("policy", "source"), [(with_blobs, "blob:"), (bare, "data:")])
async def test_a_film_the_page_may_not_load_comes_through_the_host(
    stage: Stage, client: Client, drawn: str, policy: Any, source: str
) -> None:
    async with stage.open(client, policy=policy) as player:
        await player.give(drawn)
        await player.until(f"document.querySelector('video').currentSrc.startsWith('{source}')")
        assert await player.plays() > 0.2
    assert player.bridge.reads == [f"ltx://jobs/{drawn}/video"]


async def test_where_no_film_can_be_had_its_frames_are_shown(stage: Stage, client: Client, drawn: str) -> None:
    async with stage.open(client, policy=bare, capabilities={"serverTools": {}}) as player:
        await player.give(drawn, frames=False)
        await player.at("sheet").wait_for()
        assert await player.at("screen-note").inner_text() == "The film cannot be played here. These are its frames."
        assert await player.ask("document.querySelector('#sheet').naturalWidth") > 0
        assert not await player.at("video").is_visible()
        assert [call["frames"] for call in player.bridge.named("check_job") if call["frames"]] == [True]


async def test_without_any_road_it_says_so_and_names_the_address(stage: Stage, client: Client, drawn: str) -> None:
    async with stage.open(client, policy=bare, capabilities={}) as player:
        view = await player.give(drawn, frames=False)
        await player.at("screen-note").wait_for()
        assert await player.at("screen-note").inner_text() == "The film cannot be played here."
        assert await player.at("path").input_value() == view["video_url"]
        assert not await player.at("video").is_visible()


async def test_on_this_machine_it_plays_and_names_its_file(stage: Stage, at_home: Client) -> None:
    job_id = await place(at_home, prompt="a shed", **DRAWN)
    await until_ended(at_home, job_id)
    async with stage.open(at_home) as player:
        view = await player.give(job_id)
        assert view["video_url"].startswith("file://")
        await player.state("Ready")
        assert await player.plays() > 0.2
        assert await player.at("path").input_value() == view["file"]
        assert not await player.button("Open").is_visible()
        await player.button("Copy").click()
        assert await player.ask("getSelection().toString()") == view["file"]


async def test_what_is_not_as_asked_is_told(stage: Stage, client: Client, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "order", "smaller_film"))
    job_id = await place(client, prompt="an arch", provider="fal", duration=7, adjust="nearest")
    await until_ended(client, job_id)
    async with stage.open(client) as player:
        view = await player.give(job_id)
        await player.state("Ready")
        assert await player.at("changes").is_visible()
        told = await player.at("changes").inner_text()
        first = view["adjustments"][0]
        assert first["asked"] == "7"
        assert f"duration: asked 7 s, got {first['got']} s (changed before the order)" in told
        assert "(as measured)" in told
