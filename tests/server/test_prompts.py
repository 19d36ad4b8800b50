"""The prompts a person picks by name: what they hold, what they compute, and how a wrong argument is refused."""

import re

import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import TextContent

from ltx_mcp.domain.plan import Catalog
from tests.conftest import ERAS, Connect, Era

pytestmark = pytest.mark.anyio


async def told(connect: Connect, name: str, era: Era = "auto", **arguments: str) -> str:
    async with connect(era) as client:
        messages = (await client.get_prompt(name, arguments)).messages
    assert [message.role for message in messages] == ["user"]
    content = messages[0].content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("era", ERAS)
async def test_both_prompts_are_listed_with_every_argument_described(connect: Connect, era: Era) -> None:
    async with connect(era) as client:
        prompts = (await client.list_prompts()).prompts
    assert [prompt.name for prompt in prompts] == ["direct_video", "storyboard"]
    for prompt in prompts:
        assert prompt.title
        assert prompt.description
        assert all(argument.description for argument in prompt.arguments or [])
    required = [[each.name for each in prompt.arguments or [] if each.required] for prompt in prompts]
    assert required == [["idea"], ["story"]]


@pytest.mark.parametrize("era", ERAS)
async def test_directing_teaches_how_ltx_is_prompted_and_leads_through_the_tools(connect: Connect, era: Era) -> None:
    text = await told(connect, "direct_video", era, idea="a heron at dawn 夜明けの鷺")
    assert "a heron at dawn 夜明けの鷺" in text
    for word in ("shot size", "camera", "light", "Sound", "one paragraph", "present tense", "no negative prompt"):
        assert word.casefold() in text.casefold()
    steps = [text.index(word) for word in ("1. estimate_cost", "2. generate_video", "3. check_job", "4. Look")]
    assert steps == sorted(steps)
    assert "60 to 110 words" in text


async def test_a_longer_video_may_say_more(connect: Connect) -> None:
    assert "150 to 200 words" in await told(connect, "direct_video", idea="a heron", duration="14")


async def test_lengths_come_from_the_facts_of_the_model(connect: Connect, catalog: Catalog) -> None:
    text = await told(connect, "direct_video", idea="a heron", model="ltx-2.3-pro")
    row = next(row for row in catalog.facts("fal").offer if row.model == "ltx-2.3-pro")
    assert f"- fal ltx-2.3-pro: duration {row.limits[0].duration} at" in text
    assert "- ltx ltx-2.5" not in text
    assert "LTX-2.5 wants" not in text
    assert "LTX-2.5 wants" in await told(connect, "direct_video", idea="a heron", model="ltx-2.5-fast")


async def test_a_picture_turns_directing_into_animating(connect: Connect) -> None:
    text = await told(connect, "direct_video", idea="it takes off", image="job_abc#last")
    assert "2. animate_image with your prompt, duration=6, image='job_abc#last'" in text
    assert "The picture carries looks" in text


async def test_a_storyboard_divides_its_budget_and_never_above_it(connect: Connect) -> None:
    text = await told(connect, "storyboard", story="a boat comes home", shots="3", budget_usd="2")
    assert "must cost at most 2 USD: that is 0.66 USD a shot" in text
    assert "Give each max_cost_usd=0.66." in text
    assert "count=2" in text
    assert "image=job_…#last" in text


async def test_a_storyboard_without_a_budget_asks_for_one(connect: Connect) -> None:
    text = await told(connect, "storyboard", story="a boat comes home")
    assert "Ask the user how much" in text
    assert "max_cost_usd" not in text


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("direct_video", {"idea": " "}, "idea ' ' cannot be used; give some words."),
        ("direct_video", {"idea": "x", "duration": "soon"}, "duration 'soon' cannot be used; give a number above 0."),
        ("direct_video", {"idea": "x", "duration": "nan"}, "duration 'nan' cannot be used; give a number above 0."),
        ("direct_video", {"idea": "x", "model": "sora"}, "model 'sora' cannot be used; give one of auto, ltx-2.3-fast"),
        ("storyboard", {"story": "x", "shots": "2.5"}, "shots '2.5' cannot be used; give a whole number from 1 to 12."),
        ("storyboard", {"story": "x", "shots": "99"}, "shots '99' cannot be used; give a whole number from 1 to 12."),
        ("storyboard", {"story": "x", "budget_usd": "-1"}, "budget_usd '-1' cannot be used; give a number above 0."),
    ],
)
async def test_a_wrong_argument_is_refused_by_name(
    connect: Connect, name: str, arguments: dict[str, str], words: str
) -> None:
    async with connect() as client:
        with pytest.raises(MCPError, match=re.escape(words)) as told:
            await client.get_prompt(name, arguments)
    assert told.value.error.code == -32602


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("direct_film", {}, "Unknown prompt: direct_film"),
        ("direct_video", {}, "Missing required arguments: {'idea'}"),
        ("direct_video", {"idea": "x", "lenght": "6"}, "lenght: Unexpected keyword argument"),
    ],
)
async def test_a_prompt_that_cannot_be_given_is_the_callers_mistake(
    connect: Connect, era: Era, name: str, arguments: dict[str, str], words: str
) -> None:
    async with connect(era) as client:
        with pytest.raises(MCPError, match=re.escape(words)) as told:
            await client.get_prompt(name, arguments)
    assert told.value.error.code == -32602


async def test_a_prompt_is_short_enough_to_be_read(connect: Connect) -> None:
    assert len(await told(connect, "direct_video", idea="x")) < 9000
    assert len(await told(connect, "storyboard", story="x")) < 9000


async def test_several_shots_in_one_clip_are_weighed_against_a_chain_where_a_model_films_them(connect: Connect) -> None:
    clip = await told(connect, "direct_video", idea="a talk", model="ltx-2.5-fast", duration="10")
    assert "ltx-2.5-fast can film two to four shots in one clip" in clip
    for word in ("beats a chain", "A chain is better", "one shot is better", '"A hard cut transitions to …"'):
        assert word in clip
    assert "shots in one clip" not in await told(connect, "direct_video", idea="a talk", model="ltx-2.3-pro")
    chain = await told(connect, "storyboard", story="a talk", shots="3")
    assert chain.index("shots in one clip") < chain.index("The steps below are for a chain.") < chain.index("1. Write")
    assert "shots in one clip" not in await told(connect, "storyboard", story="a talk", shots="1")


async def test_a_storyboard_leads_from_one_price_over_one_order_and_one_look_to_a_film(connect: Connect) -> None:
    text = await told(connect, "storyboard", story="a boat comes home", shots="5")
    road = (
        *("joining is free", "one yes to everything", "Order all shots in one breath"),
        *("In the same breath join_videos", "Follow the film alone: check_job", "Take again only what failed"),
        *("join_videos again with the new job in the old one's place", "are not made again", "reframe_video"),
    )
    assert sorted(road, key=text.index) == list(road)
    assert "join_videos" not in await told(connect, "storyboard", story="a boat", shots="1")


@pytest.mark.parametrize(("name", "about"), [("direct_video", "idea"), ("storyboard", "story")])
async def test_both_say_how_to_have_several_takes_to_choose_from(connect: Connect, name: str, about: str) -> None:
    text = await told(connect, name, "auto", **{about: "a heron"})
    assert "takes=3 orders three versions" in text
    assert "video=set_…/2" in text
