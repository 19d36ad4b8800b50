"""Half of the hosts show their model only the text of an answer, half only its structure: each says it all."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.types import CallToolResult

from ltx_mcp.domain.arguments import EstimateCost
from ltx_mcp.domain.errors import ErrorCode, JobError
from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.offer import Adjustment
from ltx_mcp.domain.plan import assumed_inputs, make_offers
from ltx_mcp.domain.price import to_micro
from ltx_mcp.domain.request import to_request
from ltx_mcp.emulator.app import settings
from ltx_mcp.jobs.store.budget import Budget, Budgets
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.presentation.links import Links
from ltx_mcp.presentation.next_steps import JobContext
from ltx_mcp.presentation.result_models import JobList, to_estimate, to_ref, to_summary, to_view
from ltx_mcp.presentation.result_text import assumed_text, cancel_text, estimate_text, job_text, list_text, ref_text
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from ltx_mcp.server.app import make_server
from ltx_mcp.server.arguments import with_sentence
from ltx_mcp.server.results import make_result
from ltx_mcp.settings import read_settings
from tests.conftest import PROVIDER_SETTINGS, Clock, Emulated
from tests.conversations.reading import HALVES, read, text_of
from tests.facts import facts_of
from tests.patience import HANG_S
from tests.providers.bench import catalog_of

LATER = datetime(2026, 12, 5, 12, tzinfo=UTC)
LINKS = Links(path_of=lambda job: None)
ESTIMATES: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, ""),
    ({"resolution": "720p", "count": 3}, ""),
    ({"fps": 50, "resolution": "2160p", "duration": 20}, ""),
    ({"operation": "extend", "duration": 5, "context": 2}, "7 s: 5 new, 2 of context"),
    ({"operation": "extend", "duration": 5, "context": 2}, "As for a video of 5 s; give video"),
    ({"operation": "retake", "duration": 7}, "7 s: the whole video, not only the section"),
    ({"operation": "audio_to_video"}, "As for a sound of 6 s; give audio"),
    ({"duration": "auto", "provider": "ltx"}, "10 s at most: booked by the length that comes"),
)
SETTINGS = {
    "FAL_KEY": "a:b",
    "NETWRCK_API_KEY": "key",
    "BYTECOMPUTE_API_KEY": "key",
    "LTX_MCP_BYTECOMPUTE_URL": "https://bytecompute.example",
}
"""Of LTX's own, only the key is missing."""
HALF_A_DAY = Budget(to_micro(Decimal("0.5")), 0, to_micro(Decimal("0.1")))


@pytest.fixture
def database_url() -> str:
    """One database is enough here."""
    return ""


@pytest.fixture
def placed(store: Store, new_job: Callable[..., NewJob], clock: Clock) -> Job:
    job = store.place(new_job(), clock()).job
    offer = replace(job.offer, provider="fal", model="ltx-2.3-fast", cost_usd=Decimal("0.24"))
    return replace(job, offers=(offer,), cost_micro=240_000, held_micro=360_000)


@pytest.mark.parametrize(("asked", "words"), ESTIMATES)
def test_an_estimate_says_the_same_in_both_halves(asked: dict[str, Any], words: str) -> None:
    arguments = EstimateCost(**asked)
    catalog = make_catalog(read_providers(), (), lambda name: SETTINGS.get(name, ""))
    plan = make_offers(to_request(arguments), assumed_inputs(arguments), catalog)
    estimate = to_estimate(plan, arguments.count, Budgets(HALF_A_DAY), assumed_text(arguments))
    both = make_result(estimate_text(estimate, arguments.count), estimate)
    from_text, structure = read("estimate_cost", both, "text"), both.structured_content or {}
    assert len(from_text.facts["quotes"]) == len(structure["quotes"]) > 0
    for read_quote, quote in zip(from_text.facts["quotes"], structure["quotes"], strict=True):
        assert read_quote.items() <= ({"total_usd": None} | quote).items()
        assert {"billed", "credits"} & quote.keys() <= read_quote.keys()
        assert ("at_most_usd" in read_quote) == (quote.get("at_most_usd", 0) > quote["cost_usd"])
        assert from_text.tells(quote.get("why_not", ""))
    assert from_text.tells(words)
    assert read("estimate_cost", both, "structure").tells(words)
    assert from_text.tells(*(each["reason"] for each in structure["refused"]), structure.get("next", ""))
    assert from_text.facts["budget"].items() <= structure["budget"].items()


def test_a_page_says_in_both_halves_how_the_next_is_reached_and_what_was_paid(placed: Job) -> None:
    page = JobList(jobs=[to_summary(placed), to_summary(replace(placed, operation="extend"))], next_cursor="am9iXzE=")
    both = make_result(list_text(page), page)
    from_text = read("list_jobs", both, "text").facts
    assert from_text == both.structured_content


WISHES = (
    (CancelOutcome.NEVER_SENT, State.CANCELLED, ChargeState.RELEASED, "It was not sent yet and costs nothing."),
    (CancelOutcome.STOPPED, State.CANCELLED, ChargeState.RELEASED, "fal stopped it; it costs nothing."),
    (
        None,
        State.RUNNING,
        ChargeState.HELD,
        "fal was asked to stop; it may still be charged (0.24 USD, at most 0.36), and",
    ),
    (
        CancelOutcome.NOT_POSSIBLE,
        State.SAVING,
        ChargeState.HELD,
        "fal cannot stop it; it may still be charged (0.24 USD, at most",
    ),
    (CancelOutcome.ASKED, State.SUCCEEDED, ChargeState.BOOKED, "fal was asked to stop; it is charged (0.24 USD)."),
    (
        CancelOutcome.ASKED,
        State.FAILED,
        ChargeState.BOOKED,
        "fal was asked to stop; it may have been charged (0.24 USD",
    ),
    (
        CancelOutcome.ASKED,
        State.UNKNOWN,
        ChargeState.HELD,
        "fal was asked to stop; it may still be charged (0.24 USD, at most 0.36).",
    ),
)


@pytest.mark.parametrize(("cancel", "state", "bill", "words"), WISHES)
def test_what_a_wish_to_cancel_came_to_and_its_money_stand_in_both_halves(
    placed: Job, cancel: CancelOutcome | None, state: State, bill: ChargeState, words: str
) -> None:
    charged = 240_000 if state is State.SUCCEEDED else None
    job = replace(placed, cancel=cancel, cancel_requested=True, state=state, bill=bill, charged_micro=charged)
    now = placed.created_at
    ref, view = to_ref(job, LINKS, JobContext(), now), to_view(job, LINKS, JobContext(), now)
    assert ref.cancel == view.cancel == (cancel or "asked")
    for text in (cancel_text(ref), ref.next, job_text(view, ""), view.next):
        assert words in text


@pytest.mark.parametrize(
    ("position", "words"), [(2, "2 before it in line at fal. Call"), (0, "It is next in line at fal.")]
)
def test_the_place_in_line_stands_in_both_halves(placed: Job, position: int, words: str) -> None:
    job = replace(placed, state=State.RUNNING, queue_position=position)
    ref = to_ref(job, LINKS, JobContext(), placed.created_at)
    assert words in ref.next
    assert words in ref_text(ref)
    assert words in to_view(job, LINKS, JobContext(), placed.created_at).next


def test_all_that_is_known_of_a_film_stands_in_the_text(placed: Job) -> None:
    film = VideoInfo(duration=6.04, width=1920, height=1080, fps=25, frames=151, has_audio=True, size_bytes=324_192)
    job = replace(
        placed,
        state=State.SUCCEEDED,
        bill=ChargeState.BOOKED,
        film=film,
        charged_micro=250_000,
        result_url="https://cdn.example/film.mp4",
        result_url_expires_at=LATER,
        adjustments=(Adjustment("fps", "24", "25", "film"),),
        finished_at=LATER - timedelta(days=7),
    )
    links = Links(path_of=lambda job: "/home/you/ltx-mcp/videos/a film.mp4")
    view = to_view(job, links, JobContext(), placed.created_at)
    text = job_text(view, "")
    said = {"has_audio": "with sound", "cost_usd": "quoted 0.24", "charged_usd": "charged 0.25 USD", "is_preview": ""}
    said |= {"adjustments": "Changed: fps 24 -> 25.", "sources": ""}
    for name, value in view.to_wire().items():
        number = f"{value:g}" if isinstance(value, float) else str(value)
        assert said.get(name, number) in text, name


def test_a_failure_says_its_code_and_its_price_in_both_halves(placed: Job) -> None:
    error = JobError(ErrorCode.UNAVAILABLE, "fal could not make it.", "Order it again later.", "out of luck")
    job = replace(placed, state=State.FAILED, bill=ChargeState.RELEASED, error=error)
    now = placed.created_at
    ref, view = to_ref(job, LINKS, JobContext(), now), to_view(job, LINKS, JobContext(), now)
    for structure, text in ((ref.to_wire(), ref_text(ref)), (view.to_wire(), job_text(view, ""))):
        for words in (
            "unavailable",
            "fal could not make it.",
            "out of luck",
            "It costs nothing. Order it again later.",
        ):
            assert words in text
            assert words in json.dumps(structure)


def test_a_wait_that_was_cut_is_told_in_both_halves(placed: Job) -> None:
    page = JobList(jobs=[])
    for whole in (make_result("", page), make_result("", to_ref(placed, LINKS, JobContext(), placed.created_at))):
        cut = with_sentence(whole, "It was cut.")
        assert isinstance(cut, CallToolResult)
        assert text_of(cut).endswith("It was cut.")
        assert (cut.structured_content or {})["next"].endswith("It was cut.")


@pytest.mark.anyio
async def test_cancelling_what_has_ended_says_so_and_what_it_cost(home: Path, emulator: Emulated) -> None:
    base_url, world = emulator
    world.wait_s = world.work_s = 0
    env = settings(base_url) | {"LTX_MCP_HOME": str(home)}
    server, _ = make_server(read_settings(env, PROVIDER_SETTINGS), catalog_of(env))
    async with Client(server, read_timeout_seconds=HANG_S) as client:
        order = {"prompt": "A pond", "provider": "fal", "wait_seconds": 45}
        while facts_of(placed := await client.call_tool("generate_video", order))["state"] != "succeeded":
            pass
        late = await client.call_tool("cancel_job", {"job_id": facts_of(placed)["job_id"]})
    for half in HALVES:
        assert read("cancel_job", late, half).tells("It had ended before; it is charged (0.24 USD")
