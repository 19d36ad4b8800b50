"""`jobs cancel` for many: what is asked on a terminal, what is printed of each outcome, and the exit codes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ltx_mcp.domain.job import State
from tests.cli.conftest import Command, Place, posix
from tests.cli.screens import Screen
from tests.jobs.test_processes import Look


def test_all_that_are_queued_are_cancelled_and_told_in_one_line(ltx: Command, look: Look, queued: Place) -> None:
    placed = [queued(f"pond {n}") for n in range(3)]
    ended = ltx("jobs", "cancel", "--state", "queued")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "3 never_sent: not sent yet; it costs nothing\n"
    assert {look.job(job_id).state for job_id in placed} == {State.CANCELLED}
    again = ltx("jobs", "cancel", "--all")
    assert (again.returncode, again.stdout) == (0, "No jobs to cancel.\n")


def test_some_are_cancelled_by_name_or_none_where_one_is_not_there(ltx: Command, look: Look, queued: Place) -> None:
    first, second = queued("one"), queued("two")
    refused = ltx("jobs", "cancel", first, "job_00000000000000000000", second)
    assert refused.returncode == 2
    assert "job_not_found: There is no job job_00000000000000000000" in refused.stderr
    assert look.job(first).state is State.QUEUED
    told = json.loads(ltx("jobs", "cancel", first, second, first, "--json").stdout)
    assert told == {
        **{"never_sent": 2, "stopped": 0, "asked": 0, "not_possible": 0, "ended": 0},
        "still_running": [],
    }


@pytest.mark.parametrize("options", [[], ["job_x", "--all"], ["--state", "succeeded"], ["job_x", "--state", "queued"]])
def test_it_must_be_said_which(options: list[str], ltx: Command, home: Path) -> None:
    assert ltx("jobs", "cancel", *options).returncode == 2
    assert not home.exists()


@pytest.fixture
def terminal(home: Path) -> Iterator[list[Screen]]:
    opened: list[Screen] = []
    yield opened
    for each in opened:
        each.close()


@posix
def test_a_person_is_asked_once_with_how_many(terminal: list[Screen], home: Path, look: Look, queued: Place) -> None:
    job_id = queued("a pond")
    queued("a lake")
    for answer, code, state in ((b"n\n", 3, State.QUEUED), (b"y\n", 0, State.CANCELLED)):
        shown = Screen(home, "jobs", "cancel", "--all", columns=120)
        terminal.append(shown)
        assert "Cancel 2 jobs (2 queued)? [y/N]" in shown.until(lambda written: "[y/N]" in written)
        os.write(shown._ours, answer)
        assert shown.end() == code
        assert look.job(job_id).state is state
    unasked = Screen(home, "jobs", "cancel", "--all", "--yes", columns=120)
    terminal.append(unasked)
    assert unasked.end() == 0
    assert "[y/N]" not in unasked.written


def test_one_job_too_many_is_refused_in_the_terminals_words(ltx: Command, look: Look, queued: Place) -> None:
    first = queued("a pond")
    refused = ltx("generate", "a lake", LTX_MCP_MAX_LIVE_JOBS="1")
    assert refused.returncode == 3
    said = refused.stderr.replace("(1 running)", "(1 queued)")  # the command takes up what is there
    assert said.startswith("ltx-mcp: rate_limited: 1 job is under way (1 queued), and 1 of one caller ")
    assert "ltx-mcp jobs cancel" in refused.stderr
    assert "LTX_MCP_MAX_LIVE_JOBS" in refused.stderr
    assert look.job(first).live or look.job(first).state is State.SUCCEEDED
