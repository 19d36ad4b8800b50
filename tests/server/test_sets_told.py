"""What is said of a set, in the text and in the structure alike: each take, the money, and what to do next."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ltx_mcp.domain.errors import ErrorCode, JobError
from ltx_mcp.domain.job import CancelOutcome, ChargeState, Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.media_info import VideoInfo
from ltx_mcp.domain.offer import Adjustment
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.presentation.links import Links
from ltx_mcp.presentation.next_steps import JobContext
from ltx_mcp.presentation.result_text import cancel_text, ended_text, ref_text, set_text
from ltx_mcp.presentation.set_results import to_set_ref, to_set_view
from ltx_mcp.server.results import make_result
from tests.conftest import Clock
from tests.conversations.reading import read

LINKS = Links(path_of=lambda job: None)
NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
REFUSED = JobError(ErrorCode.CONTENT_REFUSED, "fal refused what the prompt shows.", "Change the prompt.", "not allowed")
LOST = JobError(ErrorCode.OUTCOME_UNKNOWN, "The answer of fal was lost.")
FILM = VideoInfo(duration=6.0, width=1920, height=1080, fps=25, frames=150, has_audio=True, size_bytes=324_192)
RUNNING = {"state": State.RUNNING}
MADE = {"state": State.SUCCEEDED, "bill": ChargeState.BOOKED, "film": FILM, "result_url": "https://cdn.example/{}.mp4"}
FAILED = {"state": State.FAILED, "bill": ChargeState.RELEASED, "error": REFUSED}
UNKNOWN = {"state": State.UNKNOWN, "error": LOST}
NEVER_SENT = {"state": State.CANCELLED, "bill": ChargeState.RELEASED, "cancel": CancelOutcome.NEVER_SENT}
ASKED = {"state": State.RUNNING, "cancel": CancelOutcome.ASKED, "cancel_requested": True}

Take = dict[str, Any]
SetOf = Callable[..., JobSet]


@pytest.fixture
def database_url() -> str:
    """One database is enough here."""
    return ""


@pytest.fixture
def set_of(store: Store, new_job: Callable[..., NewJob], clock: Clock) -> SetOf:
    """A set whose takes are in these states, at 0.24 USD each, at most 0.36."""
    job = store.place(new_job(), clock()).job
    offer = replace(job.offer, provider="fal", model="ltx-2.3-fast", cost_usd=Decimal("0.24"))
    placed = replace(job, offers=(offer,), cost_micro=240_000, held_micro=360_000)

    def take(number: int, values: Take) -> Job:
        url = str(values.get("result_url", "")).format(number)
        ids = {"id": f"job_{number}", "set_id": "set_1", "take": number, "result_url": url}
        return replace(placed, **values | ids)

    def made(*takes: Take, request_key: str = "") -> JobSet:
        numbered = tuple(take(number, values) for number, values in enumerate(takes, start=1))
        return JobSet("set_1", "local", request_key, {}, placed.created_at, numbered)

    return made


def told(job_set: JobSet, **context: Any) -> dict[str, tuple[str, str]]:
    """The text and the structure of the paid tools' answer and of check_job's."""
    contexts = [JobContext(**context)] * len(job_set.takes)
    ref, view = to_set_ref(job_set, LINKS, contexts, NOW), to_set_view(job_set, LINKS, contexts, NOW)
    return {
        "generate_video": (ref_text(ref), json.dumps(ref.to_wire(), ensure_ascii=False)),
        "check_job": (set_text(view, [""] * len(job_set.takes)), json.dumps(view.to_wire(), ensure_ascii=False)),
    }


def assert_both_halves_say(job_set: JobSet, *words: str, **context: Any) -> None:
    for tool, halves in told(job_set, **context).items():
        for half in halves:
            for word in words:
                assert word in half, f"{tool}: {word!r} is not in {half}"


def test_each_take_stands_in_both_halves(set_of: SetOf) -> None:
    mixed = set_of(FAILED, MADE, RUNNING, RUNNING)
    assert mixed.state is State.RUNNING
    assert_both_halves_say(mixed, "content_refused", "https://cdn.example/2.mp4")
    contexts = [JobContext()] * 4
    ref, view = to_set_ref(mixed, LINKS, contexts, NOW), to_set_view(mixed, LINKS, contexts, NOW)
    for tool, text, structure in (
        ("generate_video", ref_text(ref), ref),
        ("check_job", set_text(view, [""] * 4), view),
    ):
        facts = read(tool, make_result(text, structure), "text").facts
        wire = structure.to_wire()
        names = ("job_id", "state", "provider", "model", "cost_usd", "at_most_usd")
        assert [facts.get(name) for name in names] == [wire.get(name) for name in names]
        for found, take in zip(facts["takes"], wire["takes"], strict=True):
            assert (found["take"], found["state"]) == (take["take"], take["state"])
            assert found.get("video_url") == take.get("video_url")
        assert "content_refused" in facts["takes"][0]["error"]


def test_while_any_take_is_on_its_way_the_set_is_followed_and_never_ordered_again(set_of: SetOf) -> None:
    assert_both_halves_say(set_of(MADE, RUNNING), "check_job", "do not order them again")


def test_a_take_is_chosen_by_its_name_and_the_others_need_nothing(set_of: SetOf) -> None:
    words = (
        "To choose take 2: video=set_1/2 or image=set_1/2#last",
        "set_1/3 likewise",
        "Those not chosen need nothing",
    )
    assert_both_halves_say(set_of(FAILED, MADE, MADE), *words, "Take 1: it failed and costs nothing.")


def test_an_unknown_take_is_never_ordered_again_whatever_the_others_came_to(set_of: SetOf) -> None:
    for job_set in (set_of(UNKNOWN, MADE), set_of(UNKNOWN, RUNNING), set_of(UNKNOWN, FAILED), set_of(UNKNOWN)):
        assert_both_halves_say(job_set, "Do not order it again: it may have been taken and charged", "job_1")
        assert_both_halves_say(job_set, "outcome_unknown")


def test_where_all_failed_the_error_the_money_and_the_way_on_are_said_once(set_of: SetOf) -> None:
    failed = set_of(FAILED, FAILED, FAILED, request_key="pond")
    step = "It costs nothing. Change the prompt. A retry needs a new request_key."
    assert_both_halves_say(failed, step)
    for halves in told(failed).values():
        assert all(half.count("Change the prompt.") <= 4 for half in halves)
    ref = to_set_ref(failed, LINKS, [JobContext()] * 3, NOW)
    assert ref.error is not None
    assert (ref.error.code, ref.next) == ("content_refused", step)
    asked_again = UNKNOWN | {"state": State.RUNNING}
    for others in ((FAILED, MADE), (asked_again, RUNNING)):
        assert to_set_ref(set_of(*others), LINKS, [JobContext()] * 2, NOW).error is None


def test_what_was_changed_is_told_of_the_set_once(set_of: SetOf) -> None:
    change = {"adjustments": (Adjustment("fps", "24", "25", "film"),)}
    job_set = set_of(MADE | change, MADE | change)
    for tool, (text, _) in told(job_set).items():
        assert text.count("Changed: fps 24 -> 25.") == 1, tool
    assert_both_halves_say(job_set, "fps", "24", "25")


def test_what_is_charged_is_told_for_all_takes_together(set_of: SetOf) -> None:
    charged = MADE | {"charged_micro": 250_000}
    job_set = set_of(charged, MADE, UNKNOWN, FAILED)
    assert_both_halves_say(job_set, "In all, 0.61 USD is charged, 0.36 USD may still be.")
    assert_both_halves_say(set_of(FAILED, MADE | {"bill": ChargeState.RELEASED}), "In all, nothing is charged.")


def test_a_wish_to_cancel_says_of_each_take_what_it_came_to(set_of: SetOf) -> None:
    job_set = set_of(ASKED, NEVER_SENT, ASKED, MADE)
    ref = to_set_ref(job_set, LINKS, [JobContext()] * 4, NOW)
    assert ref.cancel == "asked"
    for half in (cancel_text(ref), ref.next):
        assert "Takes 1 and 3: fal was asked to stop; it may still be charged (0.24 USD, at most 0.36)" in half
    all_off = to_set_ref(set_of(NEVER_SENT, NEVER_SENT), LINKS, [JobContext()] * 2, NOW)
    assert all_off.cancel == "never_sent"
    assert all_off.next.startswith("It was not sent yet and costs nothing.")


def test_previews_are_called_previews(set_of: SetOf) -> None:
    assert_both_halves_say(set_of(MADE, MADE), "previews drawn on this machine, not LTX", is_preview=True)


def test_a_set_that_was_there_already_says_so(set_of: SetOf) -> None:
    ref = to_set_ref(set_of(RUNNING, RUNNING), LINKS, [JobContext()] * 2, NOW, fresh=False)
    assert ref.next.startswith("This request already had this set; for other takes give a new request_key.")


def test_progress_names_each_take_as_it_ends(set_of: SetOf) -> None:
    before, after = set_of(FAILED, RUNNING, RUNNING), set_of(FAILED, MADE, RUNNING)
    assert ended_text(before, after) == "take 2 of 3 succeeded"
    assert ended_text(None, after) == "take 1 of 3 failed, take 2 of 3 succeeded"
    assert ended_text(after, after) == ""


def test_a_take_under_way_shows_its_stage_in_its_line(set_of: SetOf) -> None:
    view = to_set_view(set_of(MADE, RUNNING), LINKS, [JobContext()] * 2, NOW + timedelta(seconds=1))
    text = set_text(view, ["", "at fal: taken, 0:31"])
    assert "take 2 running (at fal: taken, 0:31)." in text.splitlines()
    assert text.startswith("set_1 running: 1 of 2 takes ended.")
