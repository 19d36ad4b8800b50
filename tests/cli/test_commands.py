"""The commands at a terminal: what they print, what they refuse, how they end."""

import json
import re
import subprocess
import sys
from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from ltx_mcp import __version__
from ltx_mcp.cli.main import cli
from ltx_mcp.cli.output.text import spoken
from ltx_mcp.domain.job import State
from ltx_mcp.presentation.result_models import Estimate, JobView
from ltx_mcp.providers.catalog_loader import read_providers
from tests.cli.conftest import (
    COMMANDS,
    CONTROL,
    TOOL,
    Command,
    Film,
    Place,
    environment,
    first_line,
)
from tests.jobs.test_processes import Look
from tests.patience import HANG_S

# -- what there is ------------------------------------------------------------------------------------------------


def test_version(ltx: Command) -> None:
    assert ltx("--version").stdout == f"ltx-mcp {__version__}\n"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_every_command_and_the_exit_codes(ltx: Command, flag: str) -> None:
    shown = ltx(flag)
    assert shown.returncode == 0
    assert re.findall(r"^  ([a-z][\w-]+)  +[A-Z]", shown.stdout, re.MULTILINE) == COMMANDS
    assert "4 still running" in shown.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_explained_in_words_for_a_terminal(command: str) -> None:
    shown = CliRunner().invoke(cli, [command, "--help"], terminal_width=80).stdout
    _, _, options = shown.partition("Options:\n")
    explained = re.findall(r"^  -[^\n]*?(?:\n {20,}|\S {2,})(\S.*)$", options, re.MULTILINE)
    assert len(explained) == len(re.findall(r"^  -", options, re.MULTILINE)) > 0
    assert not TOOL.search(shown)


def test_the_help_of_generate_shows_what_may_be_chosen_and_the_defaults(ltx: Command) -> None:
    shown = " ".join(ltx("generate", "--help").stdout.split())
    assert "--fps [24|25|48|50] Frames per second. [default: 25]" in shown
    assert "--resolution [720p|1080p|1440p|2160p]" in shown
    assert '[default: ""]' not in shown


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["generate"], "PROMPT"),
        (["generate", "x", "--steps", "1"], "--steps"),
        (["animate", "picture.png"], "PROMPT"),
        (["jobs", "--limit", "0"], "--limit"),
        (["jobs", "nothere"], "nothere"),
        (["serve", "--port", "8000"], "--http"),
        (["serve", "--http", "--port", "99999"], "--port"),
    ],
)
def test_a_usage_error_is_one_line_on_stderr_and_exit_code_2(ltx: Command, arguments: list[str], words: str) -> None:
    ended = ltx(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("ltx-mcp: ")
    assert words in ended.stderr
    assert "--help" in ended.stderr


def test_a_service_whose_callers_file_cannot_be_used_does_not_start(ltx: Command, tmp_path: Path) -> None:
    callers = tmp_path / "callers.toml"
    callers.write_text("[default]\nbudget_usd_per_day = -1\n", encoding="utf-8")
    ended = ltx("serve", "--http", "--port", "0", LTX_MCP_CALLERS_FILE=str(callers))
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "budget_usd_per_day" in ended.stderr


# -- making a film ------------------------------------------------------------------------------------------------


def test_generate_makes_a_film_and_prints_its_path_alone_on_stdout(film: Film) -> None:
    assert film.ended.returncode == 0
    assert film.ended.stdout == f"{film.path}\n"
    with av.open(str(film.path)) as opened:
        stream = opened.streams.video[0]
        assert (stream.width, stream.height, str(stream.average_rate)) == (1280, 720, "24")
        assert not opened.streams.audio


def test_generate_says_on_stderr_what_it_ordered_and_that_it_is_a_preview(film: Film) -> None:
    told = film.ended.stderr.splitlines()
    assert told.pop(1).startswith("No key found (FAL_KEY, ")
    assert told[0] == f"{film.job_id} drawing: 6 s, 720p, 16:9, silent at local (preview), 0.00 USD."
    assert "6 s, 1280x720, 24 fps, silent" in told
    assert "A preview drawn on this machine, not LTX." in told


def test_without_a_terminal_nothing_moves(film: Film) -> None:
    assert not CONTROL.search(film.ended.stdout + film.ended.stderr)


def test_json_is_one_object_with_the_fields_of_a_job_view(film: Film) -> None:
    ended = film.ltx(*film.order, "--json")
    view = json.loads(ended.stdout)
    assert ended.stdout.count("\n") == 1
    assert JobView.model_validate(view).to_wire() == view
    assert (view["job_id"], view["state"], view["is_preview"]) == (film.job_id, "succeeded", True)
    assert (view["duration"], view["width"], view["height"], view["fps"]) == (6, 1280, 720, 24)
    assert view["file"] == str(film.path)


def test_the_same_order_again_is_the_same_film_and_says_how_to_get_another(film: Film) -> None:
    again = film.ltx(*film.order)
    assert (again.returncode, again.stdout) == (0, film.ended.stdout)
    assert f"already had {film.job_id}" in again.stderr
    assert "--request-key" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["generate", ""], "invalid_request", "prompt"),
        (["generate", "x", "--provider", "sora"], "invalid_request", "auto, fal"),
        (["generate", "x", "--fps", "30"], "invalid_request", "24, 25, 48 or 50 (got 30)"),
        (["generate", "x", "--duration", "7"], "not_supported", "Nearest: --duration 6"),
        (["animate", "missing.png", "x"], "input_failed", "image: missing.png does not exist"),
        (["animate", f"job_{'a' * 20}#last", "x"], "job_not_found", "ltx-mcp jobs shows"),
        (["estimate", "--operation", "dance"], "invalid_request", "text_to_video"),
        (["jobs", "show", "nothere"], "job_not_found", "ltx-mcp jobs shows"),
        (["jobs", "show", "\udcff\x1b[2J"], "invalid_request", "job_id"),
    ],
)
def test_bad_input_is_a_sentence_for_a_person_and_exit_code_2(
    ltx: Command, arguments: list[str], code: str, words: str
) -> None:
    ended = ltx(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"ltx-mcp: {code}: ")
    assert ended.stderr.count("\n") == 1
    assert words in ended.stderr
    assert not CONTROL.search(ended.stderr)
    assert not TOOL.search(ended.stderr)


def test_what_the_settings_forbid_is_exit_code_3(ltx: Command) -> None:
    ended = ltx("generate", "x", LTX_MCP_BUDGET_USD_PER_DAY="lots")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("ltx-mcp: invalid_request: LTX_MCP_BUDGET_USD_PER_DAY='lots' cannot be used")


DEAR = """
name = "local"
[[offer]]
model = "preview"
operation = "text_to_video"
endpoint = "preview"
limits = [{ duration = [6], fps = [25], resolution = ["1080p"] }]
aspect_ratio = ["16:9"]
price = { as_of = "2026-11-21", source = "a test", usd_per_second = { 1080p = "0.5" } }
"""


def test_a_price_above_the_callers_cap_is_exit_code_3(ltx: Command, tmp_path: Path) -> None:
    (tmp_path / "models.toml").write_text(DEAR, encoding="utf-8")
    ended = ltx("generate", "x", "--max-cost-usd", "2.99", LTX_MCP_MODELS="models.toml")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("ltx-mcp: over_budget: The price is 3.00 USD at local, above --max-cost-usd 2.99.")


def test_a_job_that_fails_is_exit_code_5_with_the_reason_on_stderr(
    ltx: Command, home: Path, tmp_path: Path, queued: Place
) -> None:
    shot = queued("a pond", duration=20, resolution="2160p")
    command = [sys.executable, "-m", "ltx_mcp", "animate", f"{shot}#last", "the pond freezes"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(home), stdout=pipe, stderr=pipe, encoding="utf-8"
    ) as waiting:
        first_line(waiting.stderr)
        ltx("jobs", "cancel", shot)
        out, told = waiting.communicate(timeout=HANG_S)
    assert (waiting.returncode, out) == (5, "")
    assert f"input_failed: image: {shot} is cancelled" in told


@pytest.mark.parametrize(
    ("agent", "person"),
    [
        ("list_jobs shows the jobs there are.", "ltx-mcp jobs shows the jobs there are."),
        ("estimate_cost and ltx://models show it.", "ltx-mcp estimate and ltx-mcp models show it."),
        (
            "Nearest: duration=6, fps=25; or pass adjust=nearest.",
            "Nearest: --duration 6, --fps 25; or pass --adjust nearest.",
        ),
        ("duration 7 with fps 30 is not offered", "duration 7 with fps 30 is not offered"),
        ("above max_cost_usd=0.02. Raise max_cost_usd.", "above --max-cost-usd 0.02. Raise --max-cost-usd."),
        ("image: /pictures/request_key/aspect_ratio.png", "image: /pictures/request_key/aspect_ratio.png"),
        ("the key 'request_key' of relist_jobs", "the key 'request_key' of relist_jobs"),
        ("line\x1b[2J one\nline two", "line one line two"),
    ],
)
def test_words_for_an_agent_become_words_for_a_person(agent: str, person: str) -> None:
    assert spoken(agent) == person


# -- looking ------------------------------------------------------------------------------------------------------


def test_jobs_lists_a_job_a_line_whatever_its_prompt_holds(film: Film) -> None:
    listed = film.ltx("jobs")
    head, row = listed.stdout.splitlines()
    assert head.split() == ["JOB", "STATE", "PROVIDER", "USD", "CREATED", "PROMPT"]
    assert row.split()[:4] == [film.job_id, "succeeded", "local", "0.00"]
    assert row.endswith("a red kite over the dunes")
    assert not CONTROL.search(listed.stdout)


def test_jobs_json_is_a_list_of_rows(film: Film) -> None:
    rows = json.loads(film.ltx("jobs", "--json").stdout)
    assert [(row["job_id"], row["state"]) for row in rows] == [(film.job_id, "succeeded")]
    assert rows[0]["prompt"] == "a red kite\nover the dunes"


def test_jobs_without_any_says_so(ltx: Command) -> None:
    assert ltx("jobs").stdout == "No jobs.\n"


def test_jobs_show_prints_the_film_and_the_whole_timeline(film: Film) -> None:
    shown = film.ltx("jobs", "show", film.job_id).stdout
    about, _, timeline = shown.partition("\n\n")
    assert about.splitlines()[0] == f"{film.job_id} succeeded"
    assert str(film.path) in about.splitlines()
    happened = [line.split()[1] for line in timeline.splitlines()]
    assert happened[0] == "placed"
    assert happened[-1] == "succeeded"
    assert "started" in happened
    assert not CONTROL.search(shown)


def test_jobs_show_says_what_was_asked_for_in_words_and_the_ledgers_columns_with_debug(film: Film) -> None:
    shown = film.ltx("jobs", "show", film.job_id).stdout
    assert "Prompt: a red kite over the dunes\n" in shown
    assert "Asked for: 6 s, 720p, 16:9, 24 fps, silent." in shown
    assert "held_micro" not in shown
    assert "held_micro 0" in film.ltx("jobs", "show", film.job_id, "--debug").stdout


def test_jobs_show_json_has_the_timeline_too(film: Film) -> None:
    shown = json.loads(film.ltx("jobs", "show", film.job_id, "--json").stdout)
    assert shown["job_id"] == film.job_id
    assert shown["events"][0]["what"] == "placed"
    assert shown["events"][-1]["what"] == "succeeded"


def test_letters_the_terminal_lacks_are_no_failure(ltx: Command, queued: Place) -> None:
    queued("Möwe über 海")
    listed = ltx("jobs", PYTHONIOENCODING="ascii")
    assert listed.returncode == 0
    assert "M\\xf6we" in listed.stdout


def test_json_holds_every_letter_whatever_the_terminal_lacks(ltx: Command, queued: Place) -> None:
    queued("Möwe über 海")
    rows = json.loads(ltx("jobs", "--json", PYTHONIOENCODING="ascii").stdout)
    assert rows[0]["prompt"] == "Möwe über 海"


def test_jobs_cancel_ends_a_job_that_was_never_sent(ltx: Command, look: Look, queued: Place) -> None:
    job_id = queued("a pond")
    assert ltx("jobs", "cancel", job_id).stdout.startswith(f"{job_id} cancelled\n")
    assert look.job(job_id).state is State.CANCELLED


def test_estimate_json_is_what_the_tool_answers(ltx: Command) -> None:
    found = json.loads(ltx("estimate", "--count", "3", "--json").stdout)
    assert Estimate.model_validate(found).to_wire() == found
    quote = found["quotes"][0]
    assert (quote["provider"], quote["cost_usd"], quote["total_usd"], quote["usable"]) == ("local", 0, 0, True)


def test_estimate_says_what_is_allowed_where_nothing_fits(ltx: Command) -> None:
    shown = ltx("estimate", "--duration", "7")
    assert shown.returncode == 0
    assert "6 to 20 in steps of 2" in shown.stdout


def test_estimate_shows_the_price_and_what_is_left_of_the_budget(ltx: Command) -> None:
    head, quote, *others, budget = ltx("estimate", LTX_MCP_BUDGET_USD_PER_DAY="2.50").stdout.splitlines()
    assert head.split() == ["PROVIDER", "MODEL", "USD", "TOTAL", "NOTE"]
    assert quote.split()[:4] == ["local", "preview", "0.00", "0.00"]
    fal = next(line for line in others if line.split()[:2] == ["fal", "ltx-2.3-fast"])
    assert fal.split()[2:4] == ["0.24", "0.24"]
    assert fal.endswith("fal needs FAL_KEY.")
    assert budget == "Left of today's budget (UTC): 2.50 of 2.50 USD."


def test_models_shows_every_limit_on_a_line_that_is_never_cut(ltx: Command) -> None:
    shown = ltx("models", COLUMNS="40").stdout.splitlines()
    assert shown[0].split() == ["PROVIDER", "MODEL", "OPERATION", "SECONDS", "FPS", "RESOLUTION", "USABLE"]
    assert len(shown) == 1 + sum(len(row.limits) for facts in read_providers() for row in facts.offer)
    preview = next(line for line in shown if line.startswith("local"))
    assert "6 to 20 in steps of 2" in preview
    assert "720p, 1080p, 1440p, 2160p" in preview


def test_models_json_gives_the_facts_and_whether_each_provider_can_be_used(ltx: Command) -> None:
    facts = {each["name"]: each for each in json.loads(ltx("models", "--json").stdout)}
    assert facts["local"]["usable"] is True
    assert facts["local"]["is_preview"] is True
    made = {"text_to_video", "image_to_video", "audio_to_video", "extend", "retake", "reframe", "join"}
    assert {row["operation"] for row in facts["local"]["offer"]} == made
