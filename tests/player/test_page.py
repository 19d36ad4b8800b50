"""What the server says about the player, and what it tells the player of a job: no browser needed."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.types import TextResourceContents

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.request import Input, canonical_form, to_request
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.server.player.page import PAGE
from ltx_mcp.server.player.player_actions import KEY, player_meta, set_meta
from ltx_mcp.settings import read_settings
from tests.conftest import ERAS, Clock, Connect, Era

pytestmark = pytest.mark.anyio

APPS = advertise("io.modelcontextprotocol/ui", {"mimeTypes": ["text/html;profile=mcp-app"]})
OTHER = advertise("io.modelcontextprotocol/ui", {"mimeTypes": ["text/other"]})
FILM = VideoInfo(duration=6, width=1920, height=1080, fps=25, frames=150, has_audio=True, size_bytes=1)


@pytest.fixture
def database_url() -> str:
    """One database is enough here."""
    return ""


@pytest.fixture
def job(store: Store, clock: Clock) -> Callable[..., Job]:
    """A job at fal as it would be in a state, ordered with these arguments."""
    catalog = keyed()

    def make(state: State, **changes: Any) -> Job:
        request = to_request(GenerateVideo(prompt="a pond", provider="fal"))
        new = NewJob("local", "", canonical_form(request, ()), select_offers(request, (), catalog), ())
        placed = store.place(new, clock()).job
        return replace(placed, state=state, film=FILM if state is State.SUCCEEDED else None, **changes)

    return make


def keyed() -> Catalog:
    """What ships, with fal's key set."""
    return make_catalog(read_providers(), (), lambda name: "key" if name == "FAL_KEY" else "")


def notes(job: Job, clock: Clock, hindrance: str = "") -> dict[str, Any]:
    return dict(player_meta(job, keyed(), hindrance, clock())[KEY])


async def page_of(home: Path, base_url: str = "", **environment: str) -> TextResourceContents:
    facts = read_providers()
    settings = read_settings({"LTX_MCP_HOME": str(home)})
    settings = replace(settings, environment=environment)
    server, _ = make_server(settings, make_catalog(facts, (), lambda name: ""), base_url=base_url)
    async with Client(server) as client:
        found = (await client.read_resource(PAGE)).contents[0]
    assert isinstance(found, TextResourceContents)
    return found


def domains(page: TextResourceContents) -> list[str]:
    return list((page.meta or {})["ui"]["csp"]["resourceDomains"])


@pytest.mark.parametrize("era", ERAS)
async def test_check_job_names_the_page_and_the_page_can_be_read(connect: Connect, era: Era) -> None:
    async with connect(era) as client:
        tool = next(each for each in (await client.list_tools()).tools if each.name == "check_job")
        assert (tool.meta or {})["ui"] == {"resourceUri": PAGE}
        assert (tool.meta or {})["ui/resourceUri"] == PAGE
        listed = next(each for each in (await client.list_resources()).resources if str(each.uri) == PAGE)
        assert listed.mime_type == "text/html;profile=mcp-app"
        read = (await client.read_resource(PAGE)).contents[0]
    assert isinstance(read, TextResourceContents)
    assert len(read.text.encode()) < 46_000


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(("declared", "told"), [(APPS, True), (OTHER, False), (None, False)])
async def test_only_a_host_that_shows_apps_is_sent_the_notes(
    connect: Connect, era: Era, declared: Any, told: bool
) -> None:
    async with connect(era, extensions=[declared] if declared else None) as client:
        placed = await client.call_tool("generate_video", {"prompt": "a pond", "provider": "local"})
        assert placed.structured_content
        asked = {"job_id": placed.structured_content["job_id"], "wait_seconds": 0}
        looked = await client.call_tool("check_job", asked)
        await client.call_tool("cancel_job", {"job_id": asked["job_id"]})
    assert (KEY in (looked.meta or {})) is told
    assert KEY not in (placed.meta or {})


async def test_the_page_needs_nothing_from_anywhere(home: Path) -> None:
    text = (await page_of(home)).text.replace("https?:", "")
    for word in ("http://", "src=", "href=", "@import", "url(", "innerHTML", "eval(", "fetch("):
        assert word not in text, word


async def test_films_are_loaded_from_where_they_lie_and_from_nowhere_else(home: Path) -> None:
    public = ["https://*.fal.media", "https://storage.googleapis.com"]
    assert domains(await page_of(home)) == public
    served = await page_of(home, "https://films.example.com/ltx/")
    assert domains(served) == [*public, "https://films.example.com"]
    elsewhere = {"LTX_MCP_FAL_QUEUE_URL": "http://127.0.0.1:8100", "LTX_MCP_LTX_URL": "https://api.example.com"}
    assert domains(await page_of(home, **elsewhere)) == [*public, "http://127.0.0.1:8100"]


def test_a_film_can_be_taken_again_and_extended_at_todays_price(job: Callable[..., Job], clock: Clock) -> None:
    made = job(State.SUCCEEDED)
    told, job_id = notes(made, clock), made.id
    assert told["prompt"] == "a pond"
    assert (told["again"]["tool"], told["again"]["cost_usd"], told["again"]["most_usd"]) == (
        "generate_video",
        0.24,
        0.36,
    )
    assert told["again"]["arguments"] == {"provider": "fal", "model": "ltx-2.3-fast", "max_cost_usd": 0.36}
    assert (told["extend"]["tool"], told["extend"]["cost_usd"]) == ("extend_video", 0.7)
    assert told["extend"]["arguments"] == {"video": job_id, "context": 2, "provider": "fal", "max_cost_usd": 0.7}
    what = "extend_video: 5 s more with 2 s of context, 1080p, 16:9, with sound at fal (ltx-2.3-pro), 0.70 USD."
    assert told["extend"]["what"] == what
    assert told["extend"]["also"] == "With all of the film as context: 1.10 USD."


def test_where_nobody_extends_films_the_next_shot_begins_with_the_last_frame(
    job: Callable[..., Job], clock: Clock
) -> None:
    catalog = make_catalog(read_providers(), ("netwrck",), lambda name: "key" if name == "NETWRCK_API_KEY" else "")
    offers = select_offers(to_request(GenerateVideo(prompt="a pond", provider="netwrck")), (), catalog)
    told = player_meta(job(State.SUCCEEDED, offers=offers), catalog, "", clock())[KEY]
    assert (told["extend"]["tool"], told["extend"]["arguments"]["image"][-5:]) == ("animate_image", "#last")


def test_whole_credits_make_the_cap(clock: Clock, job: Callable[..., Job]) -> None:
    catalog = make_catalog(read_providers(), (), lambda name: "key" if name == "NETWRCK_API_KEY" else "")
    offers = select_offers(to_request(GenerateVideo(prompt="a pond", provider="netwrck")), (), catalog)
    again = player_meta(job(State.SUCCEEDED, offers=offers), catalog, "", clock())[KEY]["again"]
    assert (again["cost_usd"], again["most_usd"], again["arguments"]["max_cost_usd"]) == (0.288, 0.29, 0.29)


@pytest.mark.parametrize("state", sorted(State))
def test_a_second_order_is_offered_only_where_the_first_surely_ended(
    job: Callable[..., Job], clock: Clock, state: State
) -> None:
    told = notes(job(state), clock)
    assert ("again" in told) is (state in (State.SUCCEEDED, State.FAILED, State.CANCELLED))
    assert ("extend" in told) is (state is State.SUCCEEDED)


def test_pictures_of_other_jobs_keep_their_names_and_others_become_frames_of_the_film(
    job: Callable[..., Job], clock: Clock
) -> None:
    given = (
        Input("image", job_id="job_a", frame_position="3.5", width=1920, height=1080),
        Input("end_image", sha256="f" * 64),
    )
    made = job(State.SUCCEEDED, operation="image_to_video", inputs=given)
    arguments = notes(made, clock)["again"]["arguments"]
    assert arguments["image"] == "job_a#3.5"
    assert arguments["end_image"] == f"{made.id}#last"
    outside = (Input("image", sha256="f" * 64),)
    assert notes(replace(made, inputs=outside), clock)["again"]["arguments"]["image"] == f"{made.id}#first"
    assert "again" not in notes(replace(made, inputs=outside, state=State.FAILED, film=None), clock)
    assert "again" in notes(replace(made, inputs=given[:1], state=State.FAILED, film=None), clock)


def test_what_nobody_sells_any_more_is_not_offered(job: Callable[..., Job], clock: Clock) -> None:
    made = job(State.SUCCEEDED)
    without = make_catalog(read_providers(), (), lambda name: "")
    assert set(player_meta(made, without, "", clock())[KEY]) == {"prompt"}
    assert "again" not in notes(replace(made, operation="retake"), clock)


def test_what_a_live_job_waits_for_is_told_and_how_long_it_has(job: Callable[..., Job], clock: Clock) -> None:
    made = job(State.QUEUED, blocked_by="job_a")
    clock.turn(seconds=42)
    assert notes(made, clock, "FAL_KEY is not set.") == {
        "prompt": "a pond",
        "elapsed_s": 42,
        "waits_for": "job_a",
        "hindrance": "FAL_KEY is not set.",
    }
    ended = replace(made, state=State.UNKNOWN, finished_at=made.created_at + timedelta(seconds=5))
    assert notes(ended, clock) == {"prompt": "a pond", "elapsed_s": 5}


def test_of_a_set_is_told_what_its_takes_have_in_common(job: Callable[..., Job], clock: Clock) -> None:
    made = job(State.SUCCEEDED)
    waits = replace(job(State.QUEUED, blocked_by="job_a"), set_id="set_a", take=2)
    takes = JobSet("set_a", "local", "", {}, made.created_at, (made, waits))
    clock.turn(seconds=42)
    assert set_meta(takes, "FAL_KEY is not set.", clock())[KEY] == {
        "prompt": "a pond",
        "elapsed_s": 42,
        "waits_for": "job_a",
        "hindrance": "FAL_KEY is not set.",
        "sizes": {made.id: 1},
    }


def test_a_take_is_ordered_again_and_extended_by_itself(job: Callable[..., Job], clock: Clock) -> None:
    told = notes(replace(job(State.SUCCEEDED), set_id="set_a", take=2), clock)
    for action in ("again", "extend"):
        assert "takes" not in told[action]["arguments"]
