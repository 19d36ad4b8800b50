"""Money at a terminal: who agrees to a price above the limit, and what was spent. Paid offers are the emulator's."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatedPrice, EmulatorState
from ltx_mcp.presentation.spending import SpendView
from tests.cli.conftest import CONTROL, SMALL, TOOL, Command, Ended, command_in, environment, posix
from tests.conftest import Emulated
from tests.patience import HANG_S

CTRL_C, CTRL_D = "\x03", "\x04"
ORDER = ["generate", "a pond at dawn"]
COLUMNS = ["DAY", "PROVIDER", "MODEL", "VIDEOS", "HELD", "BOOKED", "RELEASED"]
COLUMNS += ["QUOTED", "SPENT", "RESERVED", "CHARGED", "DRIFT"]
AT_A_CENT = """
name = "netwrck"
[[offer]]
model = "ltx-2.3"
operation = "text_to_video"
endpoint = "ltx-text-to-video"
limits = [{ duration = [6], fps = [25], resolution = ["1080p"] }]
aspect_ratio = ["16:9"]
price = { as_of = "2026-01-01", source = "a test", usd_per_second = { 1080p = "0.01" } }
"""


@pytest.fixture
def world(emulator: Emulated) -> EmulatorState:
    """The emulated providers, in a hurry."""
    world = emulator[1]
    world.wait_s, world.work_s = 0.0, 0.05
    return world


@pytest.fixture
def shop(emulator: Emulated, world: EmulatorState, tmp_path: Path) -> Command:
    """Runs `ltx-mcp` where it orders at the emulator, and must ask above 0.20 USD."""
    run, env = command_in(tmp_path), settings(emulator[0]) | {"LTX_MCP_CONFIRM_ABOVE_USD": "0.20"}

    def shopping(*arguments: str, **more: str) -> Ended:
        return run(*arguments, **env | more)

    return shopping


# -- agreeing to a price ------------------------------------------------------------------------------------------


def test_without_a_terminal_a_price_above_the_limit_is_refused_with_the_way_to_agree(
    shop: Command, world: EmulatorState
) -> None:
    ended = shop(*ORDER)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith("ltx-mcp: needs_confirmation: The price is 0.24 USD at bytecompute (ltx-2.3)")
    assert ended.stderr.count("\n") == 1
    assert "once within ten minutes --max-cost-usd 0.24" in ended.stderr
    assert not TOOL.search(ended.stderr.replace("LTX_MCP_CONFIRM_ABOVE_USD", ""))
    assert world.orders == []


def test_the_command_the_refusal_names_then_makes_the_film(shop: Command, world: EmulatorState) -> None:
    told = [shop(*ORDER, "--max-cost-usd", "0.24") for _ in range(2)]
    assert {each.returncode for each in told} == {3}
    amount = told[1].stderr.partition("--max-cost-usd ")[2].rstrip(".\n")
    ended = shop(*ORDER, "--max-cost-usd", amount)
    assert (ended.returncode, len(world.orders)) == (0, 1)
    assert Path(ended.stdout.strip()).exists()


def test_yes_agrees_at_once(shop: Command, world: EmulatorState) -> None:
    ended = shop(*ORDER, "--yes", "--json")
    assert (ended.returncode, len(world.orders)) == (0, 1)
    assert json.loads(ended.stdout)["cost_usd"] == 0.24


def test_yes_does_not_pass_the_cap_or_the_budget(shop: Command, world: EmulatorState) -> None:
    for ended in (
        shop(*ORDER, "--yes", "--max-cost-usd", "0.2"),
        shop(*ORDER, "--yes", LTX_MCP_BUDGET_USD_PER_DAY="0.2"),
    ):
        assert ended.returncode == 3
        assert ended.stderr.startswith("ltx-mcp: over_budget: ")
    assert world.orders == []


def test_a_preview_needs_no_yes(shop: Command) -> None:
    assert shop(*ORDER, *SMALL, "--provider", "local", LTX_MCP_CONFIRM_ABOVE_USD="0").returncode == 0


Dialogue = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def dialogue(home: Path, emulator: Emulated, world: EmulatorState) -> Dialogue:
    """What comes of typing something at a terminal that asks: exit code, what it showed, and stdout."""

    def hold(typed: str) -> tuple[int, str, str]:
        import pty

        ours, theirs = pty.openpty()
        env = environment(home, TERM="dumb", **settings(emulator[0]), LTX_MCP_CONFIRM_ABOVE_USD="0.20")
        command = [sys.executable, "-m", "ltx_mcp", *ORDER]
        process = subprocess.Popen(command, env=env, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE)
        os.close(theirs)
        shown = b""
        try:
            while not shown.rstrip().endswith(b"[y/N]:"):
                part = read_terminal(ours)
                assert part, shown
                shown += part
            assert world.orders == []
            if typed == CTRL_C:
                _interrupt(process, ours)
            else:
                os.write(ours, typed.encode())
            while part := read_terminal(ours):
                shown += part
            out, _ = process.communicate(timeout=HANG_S)
        finally:
            process.kill()
            process.communicate()
            os.close(ours)
        return process.returncode, shown.decode(), out.decode()

    return hold


def _interrupt(process: "subprocess.Popen[bytes]", terminal: int) -> None:
    """Only a terminal that controls the process would make a signal of the key. One that comes right before the answer
    is read is only heard with the next: a person presses the key again."""
    for _ in range(10):
        process.send_signal(signal.SIGINT)
        if select.select([terminal], [], [], 10)[0]:
            return


def read_terminal(terminal: int) -> bytes:
    """What it shows next; nothing at its end."""
    assert select.select([terminal], [], [], HANG_S)[0], "it says nothing"
    try:
        return os.read(terminal, 4096)
    except OSError:  # Linux says so when the last writer is gone
        return b""


@posix
def test_a_person_who_says_yes_at_a_terminal_gets_the_film(dialogue: Dialogue, world: EmulatorState) -> None:
    code, shown, out = dialogue("y\n")
    assert "0.24 USD at bytecompute (ltx-2.3)" in shown
    assert shown.count("[y/N]") == 1
    assert (code, len(world.orders)) == (0, 1)
    assert Path(out.strip()).exists()


@posix
@pytest.mark.parametrize("typed", ["n\n", "\n"])
def test_a_person_who_does_not_say_yes_orders_nothing(dialogue: Dialogue, world: EmulatorState, typed: str) -> None:
    code, shown, out = dialogue(typed)
    assert (code, out) == (3, "")
    assert "Not ordered" in shown
    assert world.orders == []


@posix
@pytest.mark.parametrize("typed", [CTRL_C, CTRL_D])
def test_a_person_who_leaves_the_question_orders_nothing(dialogue: Dialogue, world: EmulatorState, typed: str) -> None:
    code, shown, out = dialogue(typed)
    assert (code, out) == (130, "")
    assert "Traceback" not in shown
    assert world.orders == []


# -- what was spent -----------------------------------------------------------------------------------------------


def test_spend_shows_a_line_for_each_day_provider_and_model_and_todays_budget(
    shop: Command, world: EmulatorState
) -> None:
    world.prices["fal-ai/ltx-2.3/text-to-video/fast"] = EmulatedPrice(0.04, "video")  # no charge can be claimed by that
    for provider in ("fal", "netwrck"):
        assert shop(*ORDER, "--yes", "--provider", provider).returncode == 0
    shown = shop("jobs", "--spend", LTX_MCP_BUDGET_USD_PER_DAY="5").stdout
    head, fal, netwrck, budget = shown.splitlines()
    assert head.split() == COLUMNS
    assert fal.split()[1:9] == ["fal", "ltx-2.3-fast", "1", "0", "1", "0", "0.24", "0.36"]
    assert netwrck.split()[1:] == ["netwrck", "ltx-2.3", "1", "0", "1", "0", "0.288", "0.288", "0.00", "0.288", "0.00"]
    assert re.fullmatch(r"Today \(UTC\): 0\.648 USD spent, 0\.00 reserved, 4\.352 left of 5\.00\.", budget)
    assert not CONTROL.search(shown)


def test_a_provider_that_charges_more_than_quoted_is_told_once_under_the_table(shop: Command, tmp_path: Path) -> None:
    (tmp_path / "cheap.toml").write_text(AT_A_CENT, encoding="utf-8")
    overlay = {"LTX_MCP_MODELS": str(tmp_path / "cheap.toml")}
    told = ""
    for n in range(2):
        ended = shop("generate", f"pond {n}", "--provider", "netwrck", **overlay)
        assert ended.returncode == 0, ended.stderr
        told += ended.stderr
    assert told.count("netwrck (ltx-2.3) charged 0.288 USD, quoted 0.06") == 2  # once in each process
    lines = [line for line in shop("jobs", "--spend").stdout.splitlines() if "outdated" in line]
    (line,) = lines
    assert line.startswith("netwrck ltx-2.3 charged 0.576 USD, quoted 0.12, for 2 videos since 20")
    assert "as of 2026-01-01" in line


def test_spend_as_json_is_what_the_resource_gives(shop: Command) -> None:
    assert shop(*ORDER, "--yes").returncode == 0
    found = json.loads(shop("jobs", "--spend", "--days", "1", "--json").stdout)
    assert SpendView.model_validate(found).to_wire() == found
    assert (found["rows"][0]["quoted_usd"], found["drifts"]) == (0.24, [])


def test_nothing_spent_is_said(ltx: Command) -> None:
    assert ltx("jobs", "--spend").stdout == "Nothing was ordered.\nToday (UTC): 0.00 USD spent, 0.00 reserved.\n"


def test_days_without_spend_is_a_usage_error(ltx: Command) -> None:
    ended = ltx("jobs", "--days", "3")
    assert ended.returncode == 2
    assert "--days needs --spend" in ended.stderr
