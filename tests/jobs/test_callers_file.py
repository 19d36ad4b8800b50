"""The callers file: what it says about each caller, what is refused by its place, and what becomes of a change."""

import logging
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import SetupError
from ltx_mcp.jobs.callers import LOCAL, CallerLimits, oidc_caller, user_caller
from ltx_mcp.jobs.operator_files import callers_file
from ltx_mcp.jobs.operator_files.callers_file import CallersFile
from ltx_mcp.providers.catalog_loader import read_providers

USUAL = CallerLimits(max_live_jobs=100, confirm_above_usd=Decimal(2))
PROVIDERS = read_providers()
Write = Callable[[str], CallersFile]
KEY = "0123abcd-4567-89ef:a-secret-that-is-nobodys"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "callers.toml"


@pytest.fixture
def written(path: Path) -> Write:
    def write(text: str) -> CallersFile:
        path.write_text(text, encoding="utf-8")
        return CallersFile(path, PROVIDERS, USUAL, lambda name: "set")

    return write


def test_the_example_of_its_own_page_says_what_the_page_says(written: Write) -> None:
    page = callers_file.__doc__ or ""
    file = written("\n".join(line[4:] for line in page.splitlines() if line.startswith("    ")))
    anna, bob = file.limits_of("token|anna"), file.limits_of("token|bob")
    assert (bob.team, bob.budget_usd, bob.max_live_jobs, bob.orders_per_minute) == ("", Decimal(5), 4, 10)
    assert (bob.confirm_above_usd, bob.providers, bob.accounts) == (Decimal(1), ("fal", "ltx"), {})
    assert (anna.team, anna.team_budget_usd, anna.budget_usd) == ("films", Decimal(50), Decimal(10))
    assert (anna.confirm_above_usd, anna.providers, anna.accounts) == (None, ("fal",), {"fal": "FILMS_FAL_KEY"})
    for member in (oidc_caller("https://id.example", "sub"), user_caller("token|shop", "u/1")):
        assert file.limits_of(member).team == "films"
    assert file.limits_of("token|shop").team == ""


@pytest.mark.parametrize(
    ("caller", "budget"),
    [
        ("token|shop/anna", 1),
        ("token|shop/bob", 2),
        ("token|shop", 3),
        ("token|desk/bob", 4),
        ("token|lone", 5),
        ("token|member", 6),
        ("id|somebody", 7),
    ],
)
def test_the_nearest_name_counts_then_the_team_then_the_default(written: Write, caller: str, budget: int) -> None:
    file = written(
        """
        [default]
        budget_usd_per_day = 7
        [caller."token|shop/anna"]
        budget_usd_per_day = 1
        [caller."token|shop/*"]
        budget_usd_per_day = 2
        [caller."token|shop"]
        budget_usd_per_day = 3
        [caller."token|desk"]
        budget_usd_per_day = 4
        [caller."token|*"]
        max_live_jobs = 9
        [caller."token|lone"]
        budget_usd_per_day = 5
        [team.all]
        members = ["token|*"]
        [team.all.each]
        budget_usd_per_day = 6
        """
    )
    assert file.limits_of(caller).budget_usd == budget


def test_the_operator_is_not_meant_by_the_default_but_can_be_named(written: Write) -> None:
    text = "[default]\nbudget_usd_per_day = 1\nconfirm_above_usd = 0\n"
    assert written(text).limits_of(LOCAL) == USUAL
    assert written(f"{text}[caller.local]\nmax_live_jobs = 3").limits_of(LOCAL).max_live_jobs == 3


def test_a_name_is_the_same_however_much_of_it_is_encoded(written: Write) -> None:
    file = written('[caller."https%3a%2f%2Fid%2Eexample|a%2Db"]\nmax_live_jobs = 3')
    assert file.limits_of(oidc_caller("https://id.example", "a-b")).max_live_jobs == 3


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("budget = 5", "the file", "'budget' is none of default, team, caller"),
        ("[default]\nbudget_usd = 5", "[default]", "'budget_usd' is none of budget_usd_per_day"),
        ("default = 5", "[default]", "should be a table"),
        ("[default]\nbudget_usd_per_day = true", "[default] budget_usd_per_day", "should be a number"),
        ('[default]\nbudget_usd_per_day = "5"', "[default] budget_usd_per_day", "should be a number"),
        ("[default]\nbudget_usd_per_day = -1", "[default] budget_usd_per_day", "should be an amount"),
        ("[default]\nbudget_usd_per_day = nan", "[default] budget_usd_per_day", "should be an amount"),
        ("[default]\nconfirm_above_usd = 1e999999", "[default] confirm_above_usd", "should be an amount"),
        ("[default]\nmax_live_jobs = 0", "[default] max_live_jobs", "at least 1"),
        ("[default]\norders_per_minute = 1.5", "[default] orders_per_minute", "whole number"),
        ('[default]\nproviders = ["fal", "kling"]', "[default] providers", "'kling' is none of fal, ltx"),
        ("[default]\nproviders = []", "[default] providers", "at least one"),
        ('[default]\nproviders = "fal"', "[default] providers", "a list of texts"),
        ('[team."a b"]', "[team.'a b']", "1 to 64 letters"),
        ("[team.a]\nmax_live_jobs = 5", "[team.a] max_live_jobs", "write it below [team.a.each]"),
        ("[team.a.each]\nproviders = ['fal']", "[team.a.each] providers", "write it below [team.a]"),
        ('[team.a]\nmembers = ["anna"]', "[team.a] members", "'anna' is no caller"),
        ('[team.a]\nmembers = ["https://i.example|x"]', "[team.a] members", "'https%3A%2F%2Fi.example|x' is meant"),
        (
            '[team.a]\nmembers = ["token|x"]\n[team.b]\nmembers = ["token|x"]',
            "[team.b] members",
            "'token|x' is also in [team.a]",
        ),
        ('[team.a]\nmembers = ["token|x", "token|%78"]', "[team.a] members", "is twice"),
        ('[caller."token|x"]\n[caller."token|%78"]', '[caller."token|%78"]', "stands there twice"),
        ("[caller.anna]\nmax_live_jobs = 3", '[caller."anna"]', "'anna' is no caller"),
        ("[team.a]\nlocal_key_env = 'A'", "'local_key_env'", "a team has fal_key_env, ltx_key_env"),
        ("[team.a]\nfal_key_env = 'LTX_MCP_SIGNING_KEY'", "[team.a] fal_key_env", "does not begin with LTX_MCP_"),
        ("[default\n", "callers.toml", "line 1"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_place(written: Write, text: str, place: str, reason: str) -> None:
    with pytest.raises(SetupError) as refused:
        written(text)
    assert place in refused.value.message
    assert reason in refused.value.message
    assert "LTX_MCP_CALLERS_FILE" in refused.value.hint


@pytest.mark.parametrize(
    "line",
    [
        f'fal_key = "{KEY}"',
        f'fal_key_env = "{KEY}"',
        'fal_key_env = "0123456789abcdef0123456789abcdef"',
        'fal_key_env = "AKIA0123456789EXAMPLE"',
        f'FAL_KEY = "{KEY}"',
        f'token = "{KEY}"',
        f"fal_key_env = {KEY}",
        f"fal_key_env = ['{KEY}']",
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(written: Write, line: str) -> None:
    with pytest.raises(SetupError) as refused:
        written(f"[team.a]\n{line}\n")
    assert not any(part in str(refused.value) for part in (KEY, "0123", "secret-"))


def test_a_file_that_is_not_there_is_refused_by_its_path(path: Path) -> None:
    with pytest.raises(SetupError, match=r"callers\.toml: No such file"):
        CallersFile(path, PROVIDERS, USUAL, lambda name: "")


def test_a_change_counts_from_the_next_call_on(written: Write, path: Path) -> None:
    file = written("[default]\nmax_live_jobs = 1")
    assert file.limits_of("token|a").max_live_jobs == 1
    path.write_text("[default]\nmax_live_jobs = 22", encoding="utf-8")
    assert file.limits_of("token|a").max_live_jobs == 22


def test_a_change_that_cannot_be_used_is_logged_once_and_what_was_read_stays(
    written: Write, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = written("[default]\nmax_live_jobs = 1")
    path.write_text("[default]\nmax_live_jobs = nought", encoding="utf-8")
    assert [file.limits_of("token|a").max_live_jobs for _ in range(3)] == [1, 1, 1]
    path.unlink()
    assert [file.limits_of("token|a").max_live_jobs for _ in range(3)] == [1, 1, 1]
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert all("What was read before stays." in text for text in errors)
    path.write_text("[default]\nmax_live_jobs = 333", encoding="utf-8")
    assert file.limits_of("token|a").max_live_jobs == 333


def test_a_variable_that_is_not_set_is_logged_with_its_team(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text('[team.a]\nfal_key_env = "A_FAL"\nltx_key_env = "A_LTX"', encoding="utf-8")
    CallersFile(path, PROVIDERS, USUAL, lambda name: {"A_LTX": KEY}.get(name, ""))
    assert [record.getMessage() for record in caplog.records] == ["team a cannot order from fal: A_FAL is not set."]
