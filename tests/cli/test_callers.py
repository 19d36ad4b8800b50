"""An operator at a terminal: what `--caller` shows of other callers' jobs, and what it ends."""

import json
from pathlib import Path

import pytest

from ltx_mcp.domain.job import State
from ltx_mcp.emulator.app import settings
from ltx_mcp.jobs.callers import LOCAL, oidc_caller, token_caller, user_caller
from tests.cli.conftest import Command, Place, posix
from tests.cli.screens import Screen
from tests.conftest import Emulated
from tests.jobs.test_processes import Look

SHOP = token_caller("shop")
ANNA, BEN = user_caller(SHOP, "anna"), user_caller(SHOP, "ben@example.com")
EVE = oidc_caller("https://login.example.com/realms/films", "4711" * 20)
CALLERS = (LOCAL, SHOP, ANNA, BEN, EVE)


@pytest.fixture
def placed(queued: Place) -> dict[str, str]:
    """A job of each caller, oldest first."""
    return {caller: queued("a pond", caller) for caller in CALLERS}


def callers_in(ltx: Command, *arguments: str) -> list[str]:
    return [row["caller"] for row in json.loads(ltx("jobs", *arguments, "--json").stdout)]


def test_without_caller_a_terminal_shows_its_own_jobs_and_no_caller(ltx: Command, placed: dict[str, str]) -> None:
    (row,) = json.loads(ltx("jobs", "--json").stdout)
    assert (row["job_id"], "caller" in row) == (placed[LOCAL], False)
    assert ltx("jobs").stdout.split()[:6] == ["JOB", "STATE", "PROVIDER", "USD", "CREATED", "PROMPT"]
    refused = ltx("jobs", "show", placed[ANNA])
    assert (refused.returncode, "job_not_found" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("whose", "seen"),
    [
        ("all", [EVE, BEN, ANNA, SHOP, LOCAL]),
        (SHOP, [SHOP]),
        (f"{SHOP}/", [BEN, ANNA]),
        (f"{SHOP}/*", [BEN, ANNA]),
        ("token|", [BEN, ANNA, SHOP]),
        (f"{SHOP.upper()}/", []),
        ("token", []),
        (EVE, [EVE]),
    ],
)
def test_an_operator_sees_one_caller_all_or_those_whose_names_begin_so(
    ltx: Command, placed: dict[str, str], whose: str, seen: list[str]
) -> None:
    assert callers_in(ltx, "--caller", whose) == seen
    assert callers_in(ltx, "--caller", whose, "--state", "succeeded") == []
    assert callers_in(ltx, "--caller", whose, "--limit", "1") == seen[:1]


def test_the_table_has_a_column_of_callers_in_which_a_long_name_is_cut(ltx: Command, placed: dict[str, str]) -> None:
    lines = ltx("jobs", "--caller", "all").stdout.splitlines()
    assert lines[0].split()[:3] == ["JOB", "CALLER", "STATE"]
    job_id, shown, state, *_ = lines[1].split()
    assert (job_id, state) == (placed[EVE], "queued")
    assert (len(shown), shown[:20], shown[-20:]) == (80, EVE[:20], EVE[-20:])
    assert "…" in shown
    assert [line.split()[1] for line in lines[2:]] == [BEN, ANNA, SHOP, LOCAL]


def test_a_job_of_another_is_shown_by_its_id_with_whose_it_is(ltx: Command, placed: dict[str, str]) -> None:
    job_id = placed[BEN]
    for whose in ("all", f"{SHOP}/", BEN):
        shown = ltx("jobs", "show", job_id, "--caller", whose)
        assert f"Caller: {BEN}" in shown.stdout.splitlines(), shown.stderr
    assert json.loads(ltx("jobs", "--caller", "all", "show", job_id, "--json").stdout)["caller"] == BEN
    assert ltx("jobs", "show", "@last", "--caller", BEN).stdout.startswith(f"{job_id} queued")


@pytest.mark.parametrize("whose", [ANNA, f"{SHOP}/anna/"])
def test_the_job_of_a_caller_who_was_not_named_is_not_found(
    ltx: Command, placed: dict[str, str], whose: str, look: Look
) -> None:
    for command in (["jobs", "show"], ["cancel"], ["rm", "--yes"], ["jobs", "fetch"]):
        refused = ltx(*command, placed[BEN], "--caller", whose)
        assert (refused.returncode, "job_not_found" in refused.stderr) == (2, True)
    assert look.job(placed[BEN]).state is State.QUEUED


def test_jobs_of_others_are_cancelled_by_id_and_nobody_elses(ltx: Command, placed: dict[str, str], look: Look) -> None:
    ended = ltx("jobs", "cancel", placed[ANNA], placed[EVE], "--caller", "all", "--json")
    assert json.loads(ended.stdout)["never_sent"] == 2
    assert ltx("cancel", placed[SHOP], "--caller", SHOP).returncode == 0
    left = {caller for caller, job_id in placed.items() if look.job(job_id).state is State.QUEUED}
    assert left == {LOCAL, BEN}


def test_many_jobs_of_others_are_cancelled_only_where_somebody_says_yes(
    ltx: Command, placed: dict[str, str], look: Look
) -> None:
    refused = ltx("jobs", "cancel", "--all", "--caller", f"{SHOP}/")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "--yes" in refused.stderr
    assert ltx("jobs", "cancel", "--all", "--caller", f"{SHOP}/", "--yes").stdout.startswith("2 never_sent")
    ended = {caller for caller, job_id in placed.items() if look.job(job_id).state is State.CANCELLED}
    assert ended == {ANNA, BEN}


# -- what was spent -----------------------------------------------------------------------------------------------


@pytest.fixture
def spent(queued: Place, emulator: Emulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order of 0.24 USD of each caller, held, as nobody works on it."""
    for name, value in settings(emulator[0]).items():
        monkeypatch.setenv(name, value)
    for caller in CALLERS:
        queued("a pond", caller, provider="fal", max_cost_usd=1, resolution="1080p")


def spenders_in(ltx: Command, *arguments: str) -> list[tuple[str, float]]:
    rows = json.loads(ltx("jobs", "--spend", "--json", *arguments).stdout)["rows"]
    return [(row.get("caller", row.get("team", "nobody")), row["reserved_usd"]) for row in rows]


def test_an_operator_sees_what_each_caller_and_each_team_spent(ltx: Command, spent: None) -> None:
    each = {caller: 0.36 for caller in CALLERS}
    assert dict(spenders_in(ltx, "--by", "caller")) == each
    assert spenders_in(ltx, "--by", "team") == [("", 1.8)]
    assert dict(spenders_in(ltx, "--caller", f"{SHOP}/")) == {ANNA: 0.36, BEN: 0.36}
    assert spenders_in(ltx, "--caller", ANNA) == spenders_in(ltx) == [("nobody", 0.36)]
    shown = ltx("jobs", "--spend", "--by", "caller").stdout.splitlines()
    assert shown[0].split()[:3] == ["DAY", "CALLER", "PROVIDER"]
    assert {ANNA, BEN, SHOP, LOCAL} < {line.split()[1] for line in shown[1:-1]}
    assert shown[-1] == "Today (UTC): 0.00 USD spent, 1.80 reserved."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--by", "caller"], "--by needs --spend"), (["--spend", "--by", "team", "--caller", "token|"], "one --caller")],
)
def test_by_without_spend_or_of_teams_of_some_callers_is_a_usage_error(
    ltx: Command, arguments: list[str], words: str
) -> None:
    refused = ltx("jobs", *arguments)
    assert (refused.returncode, words in refused.stderr) == (2, True)


@posix
def test_a_person_is_asked_whose_jobs_are_to_end(home: Path, placed: dict[str, str]) -> None:
    shown = Screen(home, "cancel", "--all", "--caller", f"{SHOP}/", columns=120)
    shown.until(lambda written: "[y/N]" in written)
    shown.close()
    assert "Cancel 2 jobs (2 queued) of 2 callers?" in shown.written
