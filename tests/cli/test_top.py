"""`top`: what an operator sees of a service, once or again and again, on any terminal and in a pipe."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ltx_mcp.cli.output.overview import MINUTES
from ltx_mcp.jobs.callers import token_caller, user_caller
from ltx_mcp.jobs.workers.liveness import FileLockLiveness
from tests.cli.conftest import COLOUR, Command, Place, environment, first_line, posix
from tests.cli.screens import Screen
from tests.patience import HANG_S

ANNA, LONG = token_caller("anna"), user_caller(token_caller("shop"), "somebody.with.a.long.name@example.com")
PROMPT = "a secret pond"


@pytest.fixture
def placed(queued: Place, idle: FileLockLiveness) -> dict[str, str]:
    """A job of each of two callers, whom nobody works for."""
    job_ids = {caller: queued(PROMPT, caller, provider="local") for caller in (ANNA, LONG)}
    idle.end()
    return job_ids


@pytest.fixture
def limits(tmp_path: Path) -> str:
    path = tmp_path / "callers.toml"
    path.write_text(f'[caller."{ANNA}"]\nbudget_usd_per_day = 2\n', encoding="utf-8")
    return str(path)


def test_json_has_the_documented_keys_and_no_prompt(ltx: Command, placed: dict[str, str]) -> None:
    ended = ltx("top", "--once", "--json", LTX_MCP_BUDGET_USD_PER_DAY="5")
    assert (ended.returncode, PROMPT in ended.stdout) == (0, False), ended.stderr
    seen: dict[str, Any] = json.loads(ended.stdout)
    assert list(seen) == ["at", "replicas", "live", "money", "slowest", "unknown", "last_hour", "webhooks"]
    assert (seen["replicas"], seen["live"]) == (0, [{"provider": "local", "state": "queued", "jobs": 2}])
    assert seen["money"] == {"held_usd": 0.0, "booked_usd": 0.0, "limit_usd": 5.0, "nearest": []}
    assert [(job["job_id"], job["caller"], job["state"]) for job in seen["slowest"]] == [
        (job_id, caller, "queued") for caller, job_id in placed.items()
    ]
    assert {"job_id", "caller", "provider", "state", "created_at", "age_s"} == set(seen["slowest"][0])
    hour = seen["last_hour"]
    assert list(hour) == ["succeeded", "failed", "cancelled", "failures", "per_minute"]
    assert len(hour["per_minute"]) == MINUTES
    assert (seen["unknown"], seen["webhooks"]) == ([], [])


def test_in_a_pipe_it_is_printed_once_without_colour_or_prompt(ltx: Command, placed: dict[str, str]) -> None:
    ended = ltx("top", FORCE_COLOR="1")
    assert ended.returncode == 0
    assert COLOUR.search(ended.stdout) is None
    assert "Nobody works on 2 live jobs." in ended.stdout
    assert LONG in ended.stdout
    assert PROMPT not in ended.stdout


@posix
def test_with_an_interval_a_pipe_gets_a_line_each_time_until_nobody_reads_it(
    home: Path, placed: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "ltx_mcp", "top", "--json", "--interval", "0.2"]
    env = environment(home)
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    try:
        assert process.stdout is not None
        first, second = json.loads(first_line(process.stdout)), json.loads(process.stdout.readline())
        assert first["at"] < second["at"]
        process.stdout.close()
        assert process.wait(HANG_S) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


@posix
@pytest.mark.parametrize("columns", [120, 80, 40])
def test_it_fits_the_terminal_and_is_drawn_anew_until_ctrl_c_which_leaves_nothing(
    home: Path, placed: dict[str, str], limits: str, columns: int
) -> None:
    shown = Screen(home, "top", "--interval", "0.2", columns=columns, LTX_MCP_CALLERS_FILE=limits)
    shown.until(lambda written: written.count(" UTC.") >= 3)
    shown.process.send_signal(signal.SIGINT)
    assert (shown.end(), [line for line in shown.left if line]) == (0, [])
    lines = shown.text.splitlines()
    shown.close()
    assert max(map(len, lines)) <= columns
    assert any(placed[LONG] in line for line in lines)
    assert PROMPT not in shown.text


@posix
def test_no_color_draws_without_colour(home: Path, placed: dict[str, str]) -> None:
    shown = Screen(home, "top", "--once", NO_COLOR="1")
    assert shown.end() == 0
    assert COLOUR.search(shown.written) is None
    shown.close()
    assert "SLOWEST" in shown.written


@posix
def test_a_terminal_that_is_gone_ends_it(home: Path, placed: dict[str, str]) -> None:
    shown = Screen(home, "top", "--interval", "0.2")
    shown.until(lambda written: " UTC." in written)
    shown.hang_up()
    assert shown.process.wait(HANG_S) == 0
    shown.close()


@pytest.mark.parametrize("interval", ["0", "nan"])
def test_an_interval_that_is_none_is_a_usage_error(ltx: Command, interval: str) -> None:
    refused = ltx("top", "--interval", interval)
    assert (refused.returncode, "0.2" in refused.stderr) == (2, True)
