"""A command that the fast tests fork is as one that a person starts: its end, streams, folder and environment."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import warm
from tests.cli.conftest import environment, posix
from tests.patience import HANG_S

pytestmark = posix


@pytest.mark.parametrize(
    "arguments", [["--version"], ["nonsense"], ["jobs"], ["estimate", "--duration", "7"], ["install", "print"]]
)
def test_a_forked_command_says_and_ends_as_a_started_one(tmp_path: Path, arguments: list[str]) -> None:
    env = environment(tmp_path / "home", LTX_MCP_BUDGET_USD_PER_DAY="3")
    forked = warm.run(arguments, tmp_path, env, HANG_S)
    command = [sys.executable, "-m", "ltx_mcp", *arguments]
    started = subprocess.run(
        command, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8"
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (started.returncode, started.stdout, started.stderr)


def test_what_python_itself_reads_of_the_environment_needs_a_new_process(tmp_path: Path) -> None:
    assert warm.can_run(environment(tmp_path))
    assert not warm.can_run(environment(tmp_path, PYTHONIOENCODING="ascii"))


def test_a_command_that_runs_too_long_is_ended_and_the_next_one_runs(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    assert warm.run(["serve", "--http", "--port", "0"], tmp_path, env, 0.1).returncode != 0
    assert warm.run(["--version"], tmp_path, env, HANG_S).returncode == 0
