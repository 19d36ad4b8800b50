"""What a waiting person or agent reads of a job under way."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ltx_mcp.domain.job import NOT_ASKED, NOT_FETCHED, NOT_SENT, Job, State
from ltx_mcp.domain.quoting import cite, clock, ordinal
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.presentation.next_steps import JobContext, next_step
from ltx_mcp.presentation.result_models import BudgetView, Estimate, Quote
from ltx_mcp.presentation.result_text import estimate_text, status_text
from tests.conftest import Clock

AFTER = timedelta(seconds=42)


@pytest.fixture
def placed(store: Store, new_job: Callable[..., NewJob], clock: Clock) -> Job:
    job = store.place(new_job(), clock()).job
    return replace(job, offers=(replace(job.offer, provider="fal"),))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("row", "job_context", "words"),
    [
        ({}, JobContext(), "preparing the order for fal, 0:42"),
        ({"blocked_by": "job_a"}, JobContext(queue_ahead=2), "waiting for job_a, 0:42"),
        ({}, JobContext(queue_ahead=2), "3rd in line here for fal, 0:42"),
        ({"state": State.SUBMITTING}, JobContext(), "sending the order to fal, 0:42"),
        ({"state": State.RUNNING}, JobContext(), "at fal: taken, 0:42"),
        ({"state": State.RUNNING, "status_message": "3rd in line"}, JobContext(), "at fal: 3rd in line, 0:42"),
        (
            {"state": State.RUNNING, "status_message": "rendering", "progress": 61.6},
            JobContext(),
            "at fal: rendering, 62 %, 0:42",
        ),
        (
            {"state": State.RUNNING, "progress": 12.0},
            JobContext(is_preview=True),
            "drawing on this machine, 12 %, 0:42",
        ),
        ({"state": State.SAVING}, JobContext(), "saving the film, 0:42"),
    ],
)
def test_the_stage_of_a_live_job_is_said(placed: Job, row: dict[str, Any], job_context: JobContext, words: str) -> None:
    assert status_text(replace(placed, **row), job_context, placed.created_at + AFTER) == words


RETRY_NOTES = {
    State.QUEUED: f"{NOT_SENT}image: fal answered HTTP 503 to an upload.",
    State.RUNNING: f"{NOT_ASKED}fal could not be asked: no answer in time.",
    State.SAVING: f"{NOT_FETCHED}fal put the film on a host that refuses connections.",
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("state", RETRY_NOTES)
def test_a_job_that_waits_says_why_and_until_when(placed: Job, state: State) -> None:
    now = placed.created_at + AFTER
    job = replace(placed, state=state, status_message=RETRY_NOTES[state], run_after=now + timedelta(seconds=18))
    told = f"{RETRY_NOTES[state].rstrip('.')}; tried again at 12:01:00 UTC"
    assert told in status_text(job, JobContext(), now)
    assert told in next_step(job, JobContext(), now=now)
    assert "tried again soon" in status_text(job, JobContext(), now + timedelta(minutes=1))
    said = replace(job, status_message=cite("could not be asked: it is a lie"))
    assert "tried again" not in status_text(said, JobContext(), now), "a provider's words are not ours"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_who_did_not_take_an_order_is_told_with_the_reason(placed: Job) -> None:
    step = next_step(replace(placed, state=State.RUNNING), JobContext(refusals=("ltx has no credit left.",)))
    assert step.startswith("ltx has no credit left. So it went on to fal. Call check_job")


@pytest.mark.parametrize("left", [None, 0.1])
def test_an_estimate_says_what_is_left_of_a_budget(left: float | None) -> None:
    quote = Quote(
        provider="fal", model="m", cost_usd=0.2, total_usd=0.4, usable=True, as_of="2026-11-21", source="fal.ai"
    )
    limit = None if left is None else 1.0
    money = BudgetView(limit_usd=limit, spent_usd=0, reserved_usd=0, left_usd=left)
    text = estimate_text(Estimate(quotes=[quote] * 5, refused=[], budget=money))
    assert len(text.splitlines()) == (3 if left is None else 4)
    assert ("Today's budget: 0.10 of 1.00 USD left." in text) == (left is not None)


def test_numbers_are_said_as_people_say_them() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 111, 122)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "111th", "122nd",
    ]  # fmt: skip
    assert [clock(seconds) for seconds in (0, 9.9, 61, 3909)] == ["0:00", "0:09", "1:01", "1:05:09"]
