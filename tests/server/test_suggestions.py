"""What an agent is told of a film: how it goes on, in arguments that can be given, at the price they have."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from ltx_mcp.domain.arguments import AnimateImage, ExtendVideo
from ltx_mcp.domain.job import Job, State, input_of
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import to_request
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.presentation.next_steps import JobContext, next_step
from ltx_mcp.presentation.suggestions import continuation_text
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.conftest import Clock

FILM = VideoInfo(duration=6, width=1920, height=1080, fps=25, frames=150, has_audio=True, size_bytes=1)


@pytest.fixture
def database_url() -> str:
    """One database is enough here."""
    return ""


@pytest.fixture
def made(store: Store, new_job: Callable[..., NewJob], clock: Clock) -> Job:
    return replace(store.place(new_job(), clock()).job, state=State.SUCCEEDED, film=FILM)


@pytest.mark.parametrize("seconds", [3, 6, 20])
@pytest.mark.parametrize("key", ["FAL_KEY", "LTX_API_KEY", ""])
def test_an_agent_is_told_calls_with_the_prices_they_have(made: Job, key: str, seconds: int) -> None:
    catalog = make_catalog(read_providers(), (), lambda name: "key" if key and name == key else "")
    made = replace(made, film=replace(FILM, duration=seconds, frames=seconds * 25))
    step = next_step(made, JobContext(continuation=continuation_text(made, catalog)))
    video, context, price = re.findall(
        r"extend_video\(video=(\w+), duration=5(?:, context=(\d))?\) \w+ it for (.*?)[;(]", step
    )[0]
    longer = ExtendVideo(video=video, duration=5, context=float(context or 0))
    assert price.strip() == select_offers(to_request(longer), (input_of(made, "video"),), catalog)[0].price
    image, price = re.findall(r"animate_image\(image=(\S+)\) .*? for (.*)\.", step)[0]
    assert image == f"{made.id}#last"
    shot = AnimateImage(prompt="x", image=image)
    assert price == select_offers(to_request(shot), (input_of(made, "image", "last"),), catalog)[0].price


def test_both_prices_of_an_extension_are_told(made: Job) -> None:
    catalog = make_catalog(read_providers(), (), lambda name: "key" if name == "FAL_KEY" else "")
    assert "context=2) lengthens it for 0.70 USD (1.10 USD with 6 s of context" in continuation_text(made, catalog)


def test_what_nobody_offers_is_not_suggested(made: Job) -> None:
    catalog = make_catalog(read_providers(), ("netwrck",), lambda name: "key" if name == "NETWRCK_API_KEY" else "")
    told = continuation_text(made, catalog)
    assert "extend_video" not in told
    assert "animate_image" in told
