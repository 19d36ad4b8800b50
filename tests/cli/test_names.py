"""Jobs named in short, prompts from a pipe, and the options that are typed most often."""

import json
import subprocess
import sys
from pathlib import Path

from ltx_mcp.domain.job import State
from tests.cli.conftest import Command, Place, environment
from tests.jobs.test_processes import Look
from tests.patience import HANG_S


def test_a_job_is_named_by_its_beginning_or_as_the_last_one(ltx: Command, look: Look, queued: Place) -> None:
    first, last = queued("a pond"), queued("a lake")
    alike = next(n for n, (one, other) in enumerate(zip(first, last, strict=True)) if one != other)
    ambiguous = ltx("jobs", "cancel", "job_")
    assert ambiguous.returncode == 2
    assert first in ambiguous.stderr
    assert last in ambiguous.stderr
    assert ltx("jobs", "cancel", first[: alike + 1]).stdout.startswith(f"{first} cancelled\n")
    assert look.job(last).state is not State.CANCELLED
    without_job = first[4 : max(alike + 1, 12)]  # a single letter may be the beginning of every "job_"
    for name, job_id in ((without_job, first), (first, first), ("@last", last)):
        assert json.loads(ltx("jobs", "show", name, "--json").stdout)["job_id"] == job_id


def test_a_medium_can_be_the_last_job_or_the_beginning_of_an_id(ltx: Command, queued: Place) -> None:
    job_id = queued("a pond", duration=8)
    for name in ("@last", job_id[:12]):
        priced = ltx("estimate", "--operation", "retake", "--video", name, "--json")
        assert priced.returncode == 0, priced.stderr
        assert max(quote["cost_usd"] for quote in json.loads(priced.stdout)["quotes"]) == 0.8
    frame = ltx("animate", "@last#last", "it goes on", "-d", "7")
    assert "Nearest: --duration 6" in frame.stderr
    ltx("jobs", "cancel", job_id)


def test_last_where_there_is_none_says_so(ltx: Command) -> None:
    for arguments in (["jobs", "show", "@last"], ["extend", "@last"]):
        ended = ltx(*arguments)
        assert (ended.returncode, ended.stderr) == (2, "ltx-mcp: job_not_found: @last: there is no job yet.\n")


def test_a_prompt_comes_from_a_pipe_and_short_options_mean_the_long_ones(home: Path, look: Look) -> None:
    short = ["-d", "6", "-r", "720p", "-a", "1:1", "-p", "local", "-m", "preview", "--no-generate-audio", "--fps", "24"]
    command = [sys.executable, "-m", "ltx_mcp", "generate", "-", *short, "--json"]
    made = subprocess.run(
        command, input="a kite\nover the dunes\n", env=environment(home), capture_output=True, text=True, timeout=HANG_S
    )
    assert made.returncode == 0, made.stderr
    view = json.loads(made.stdout)
    assert (view["width"], view["height"]) == (720, 720)
    assert look.job(view["job_id"]).prompt == "a kite\nover the dunes"
