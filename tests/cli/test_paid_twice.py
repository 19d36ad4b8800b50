"""The same command once more, against emulated providers that count: never a second price without a word."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.cli.conftest import Command, Ended, Place, command_in, environment, posix
from tests.cli.test_again import end, grow_old
from tests.cli.test_money import read_terminal
from tests.conftest import Emulated
from tests.patience import HANG_S

ORDER = ["generate", "a pond at dawn"]


@pytest.fixture
def world(emulator: Emulated) -> EmulatorState:
    """The emulated providers, in a hurry."""
    world = emulator[1]
    world.wait_s, world.work_s = 0.0, 0.05
    return world


@pytest.fixture
def shop(emulator: Emulated, world: EmulatorState, tmp_path: Path) -> Command:
    """Runs `ltx-mcp` where it orders at the emulator."""
    run, env = command_in(tmp_path), settings(emulator[0])

    def shopping(*arguments: str, **more: str) -> Ended:
        return run(*arguments, **env | more)

    return shopping


def test_the_same_command_is_handed_back_then_refused_for_a_day_and_new_orders_another(
    shop: Command, world: EmulatorState, home: Path
) -> None:
    first = shop(*ORDER)
    assert first.returncode == 0, first.stderr
    again = shop(*ORDER)
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert "already had" in again.stderr
    assert "--new" in again.stderr
    grow_old(home, 10)
    for more in ([], ["--yes"], ["--json"]):
        refused = shop(*ORDER, *more)
        assert (refused.returncode, refused.stdout) == (3, "")
        assert refused.stderr.startswith("ltx-mcp: needs_confirmation: The same request was made 10 min ago: job_")
        assert "Nothing was ordered." in refused.stderr
        assert "--new" in refused.stderr
        assert "--request-key" in refused.stderr
    assert len(world.orders) == 1
    assert shop(*ORDER, "--new").returncode == 0
    assert shop(*ORDER, "--request-key", "another").returncode == 0
    assert len(world.orders) == 3
    grow_old(home, 24 * 60)
    assert shop(*ORDER).returncode == 0
    assert len(world.orders) == 4


def test_a_preview_does_not_stand_in_the_way_of_the_film(
    shop: Command, world: EmulatorState, home: Path, queued: Place
) -> None:
    preview = queued("a pond at dawn", resolution="1080p", fps=25, generate_audio=True)
    end(home, "succeeded")
    made = shop(*ORDER)
    assert (made.returncode, len(world.orders)) == (0, 1), made.stderr
    assert preview not in made.stdout + made.stderr


@posix
@pytest.mark.parametrize(("typed", "more", "orders"), [("n", [], 1), ("", ["--yes"], 1), ("y", [], 2)])
def test_at_a_terminal_a_person_is_asked(
    shop: Command, emulator: Emulated, world: EmulatorState, home: Path, typed: str, more: list[str], orders: int
) -> None:
    import pty

    first = shop(*ORDER)
    ours, theirs = pty.openpty()
    env = environment(home, TERM="dumb", **settings(emulator[0]))
    command = [sys.executable, "-m", "ltx_mcp", *ORDER, *more]
    process = subprocess.Popen(command, env=env, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    shown = b""
    try:
        while not shown.rstrip().endswith(b"[y/N]:"):
            part = read_terminal(ours)
            assert part, shown
            shown += part
        assert len(world.orders) == 1
        os.write(ours, f"{typed}\n".encode())
        while read_terminal(ours):
            pass
        out, _ = process.communicate(timeout=HANG_S)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
    assert b"The same request was made" in shown
    assert (process.returncode, len(world.orders)) == (0, orders)
    assert (out.decode() == first.stdout) is (orders == 1)
