"""Takes at a terminal: one command, one price, several films; named by their set wherever a job is named."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import anyio
import pytest

from ltx_mcp.cli.common import open_jobs
from ltx_mcp.cli.takes import SeenSet, exit_code
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.job import State
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.jobs.store.rows import PlacedSet
from ltx_mcp.presentation.set_results import SetView
from tests.cli.conftest import LONG, SMALL, Command, Ended, command_in, posix
from tests.cli.screens import ESCAPE, Screen
from tests.cli.test_completion import offered
from tests.cli.test_leaving import Going
from tests.conftest import Emulated
from tests.jobs.test_processes import Look, processes_of, wait_for
from tests.patience import HANG_S

SET = r"set_\w{20}"
TAKES = ["generate", "a pond", "--takes", "3", *SMALL]
QueuedSet = Callable[..., str]


@pytest.fixture
def world(emulator: Emulated) -> EmulatorState:
    """The emulated providers, in a hurry."""
    emulator[1].wait_s, emulator[1].work_s = 0.0, 0.05
    return emulator[1]


@pytest.fixture
def shop(emulator: Emulated, world: EmulatorState, tmp_path: Path) -> Command:
    run, env = command_in(tmp_path), settings(emulator[0])

    def shopping(*arguments: str, **more: str) -> Ended:
        return run(*arguments, **env | more)

    return shopping


class Drawn:
    """Three previews made by one command, for the tests that only look."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.ltx = command_in(folder)
        self.ended = self.ltx(*TAKES, "--request-key", "pond", "-o", "pond.mp4")
        self.set_id = self.ended.stderr.split()[0]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("takes"))


@pytest.fixture
def queued_set(home: Path) -> QueuedSet:
    """Places takes that nobody works on yet."""

    def place(prompt: str, takes: int) -> str:
        async def order() -> str:
            async with open_jobs(home=str(home)) as jobs:
                asked = GenerateVideo(prompt=prompt, takes=takes, resolution="720p", fps=24, generate_audio=False)
                placed = await jobs.order_or_ask(asked, "local", None, can_ask=False)
                assert isinstance(placed, PlacedSet)
                return placed.job_set.id

        return anyio.run(order)

    return place


def test_takes_are_ordered_for_one_price_and_each_says_how_it_ends(shop: Command, world: EmulatorState) -> None:
    world.faults.append(Fault("fal", "order", "content"))
    ended = shop("generate", "a pond", "--takes", "3", "--provider", "fal")
    told = ended.stderr.splitlines()
    set_id = told[0].split()[0]
    assert re.fullmatch(SET, set_id)
    assert " ordering: 6 s, 1080p, 16:9, with sound at fal (ltx-2.3-fast), 3 takes at 0.24 USD" in told[0]
    assert "in all 0.72 USD" in told[0] or "0.72 USD in all" in told[0]
    (refused,) = [line for line in told if re.match(r"take \d failed: ", line)]
    for take in ("1", "2", "3"):
        failed = refused.startswith(f"take {take} ")
        assert f"{set_id}/{take} {'failed' if failed else 'succeeded'}." in told
        assert failed or f"{set_id}/{take} ordered: fal took it." in told
    assert "content_refused: " in refused
    assert "fal says: " in refused
    paths = ended.stdout.splitlines()
    assert len(set(paths)) == 2
    assert all(Path(path).is_file() for path in paths)
    assert ended.returncode == 5
    assert len(world.orders) == 3


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["succeeded", "succeeded"], 0),
        (["succeeded", "failed"], 5),
        (["cancelled", "succeeded"], 5),
        (["succeeded", "failed", "unknown"], 6),
        (["unknown", "running"], 4),
    ],
)
def test_the_exit_code_is_that_of_the_take_that_needs_a_person_most(states: list[str], code: int) -> None:
    view = SetView.model_construct(takes=[SimpleNamespace(state=state) for state in states])
    assert exit_code(SeenSet(view, ())) == code


def test_each_take_is_a_file_with_its_number_and_none_is_replaced_unasked(drawn: Drawn) -> None:
    wanted = [drawn.folder / f"pond-{take}.mp4" for take in (1, 2, 3)]
    assert (drawn.ended.returncode, drawn.ended.stdout.splitlines()) == (0, [str(path) for path in wanted])
    assert len({path.read_bytes() for path in wanted}) == 3
    again = drawn.ltx(*TAKES, "--request-key", "another", "-o", "pond.mp4")
    assert (again.returncode, again.stdout) == (2, "")
    assert "pond-2.mp4" in again.stderr
    assert "--force replaces it" in again.stderr
    poured = drawn.ltx(*TAKES, "-o", "-")
    assert (poured.returncode, poured.stdout) == (2, "")
    assert len(json.loads(drawn.ltx("jobs", "--json").stdout)) == 3


def test_json_is_the_view_of_the_set(drawn: Drawn) -> None:
    ended = drawn.ltx(*TAKES, "--request-key", "pond", "--json")
    view = json.loads(ended.stdout)
    assert SetView.model_validate(view).to_wire() == view
    assert [take["name"] for take in view["takes"]] == [f"{drawn.set_id}/{take}" for take in (1, 2, 3)]
    for name in (drawn.set_id, drawn.set_id[:10], "@last"):
        assert json.loads(drawn.ltx("jobs", "show", name, "--json").stdout) == view


def test_a_take_is_named_by_its_set_wherever_a_job_is(drawn: Drawn) -> None:
    view = json.loads(drawn.ltx("jobs", "show", drawn.set_id, "--json").stdout)
    second = view["takes"][1]
    for name in (f"{drawn.set_id}/2", f"{drawn.set_id[:8]}/2", "@last/2", second["job_id"]):
        assert drawn.ltx("jobs", "fetch", name).stdout == f"{second['file']}\n"
    shown = drawn.ltx("jobs", "show", "@last/2").stdout
    assert shown.startswith(f"{second['job_id']} succeeded\n")
    assert f"Take 2 of {drawn.set_id}.\n" in shown
    priced = drawn.ltx("estimate", "--operation", "retake", "--video", "@last/2")
    assert (priced.returncode, "local" in priced.stdout) == (0, True)
    missing = drawn.ltx("open", f"{drawn.set_id}/7")
    assert (missing.returncode, "has 3 takes, and 7 is none of them" in missing.stderr) == (2, True)


def test_where_one_film_is_meant_a_set_is_refused_with_the_names_of_its_takes(drawn: Drawn) -> None:
    for command in (["jobs", "fetch"], ["open"], ["rm", "--yes"], ["extend"]):
        refused = drawn.ltx(*command, drawn.set_id)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"{drawn.set_id}/1, {drawn.set_id}/2, {drawn.set_id}/3" in refused.stderr


def test_a_list_names_takes_by_their_set(drawn: Drawn) -> None:
    lines = drawn.ltx("jobs").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [f"{drawn.set_id}/{take}" for take in (3, 2, 1)]
    assert {row["take"] for row in json.loads(drawn.ltx("jobs", "--json").stdout)} == {
        f"{drawn.set_id}/{take}" for take in (1, 2, 3)
    }
    assert offered(drawn.ltx, "retake", "set") == [f"{drawn.set_id}/{take}" for take in (3, 2, 1)]


def test_a_set_and_a_take_of_it_are_cancelled_by_name(ltx: Command, queued_set: QueuedSet, look: Look) -> None:
    set_id = queued_set("a pond", 3)
    one = ltx("cancel", f"{set_id}/2")
    assert (one.returncode, one.stdout.splitlines()[0].split()[1]) == (0, "cancelled")
    shown = json.loads(ltx("jobs", "show", set_id, "--json").stdout)
    assert [take["state"] == "cancelled" for take in shown["takes"]] == [False, True, False]
    whole = ltx("cancel", set_id)
    assert whole.stdout.startswith(f"{set_id} cancelled\n")
    assert whole.stdout.count("it costs nothing") == 3
    assert {look.job(take["job_id"]).state for take in shown["takes"]} == {State.CANCELLED}


def test_a_set_among_other_jobs_is_cancelled_with_all_its_takes(ltx: Command, queued_set: QueuedSet) -> None:
    set_id, other = queued_set("a pond", 2), queued_set("a lake", 2)
    assert ltx("cancel", set_id, f"{other}/1").stdout.startswith("3 never_sent: ")


def test_a_beginning_that_two_sets_share_is_refused_with_both(ltx: Command, queued_set: QueuedSet) -> None:
    first, second = queued_set("a pond", 6), queued_set("a lake", 6)
    refused = ltx("jobs", "show", "set_")
    assert refused.returncode == 2
    assert first in refused.stderr
    assert second in refused.stderr
    ltx("cancel", first, second)


def test_the_same_takes_again_are_the_same_set(drawn: Drawn) -> None:
    again = drawn.ltx(*TAKES, "--request-key", "pond")
    assert f"This request already had {drawn.set_id}; for another one give --new" in again.stderr
    assert len(again.stdout.splitlines()) == 3


@pytest.fixture
def going(home: Path) -> Iterator[Callable[..., Going]]:
    """Starts long orders; at the end no process works on the home any more."""
    started: list[Going] = []

    def start(*arguments: str) -> Going:
        started.append(Going(home, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()
    wait_for(lambda: not processes_of(home), HANG_S)


@posix
def test_ctrl_c_leaves_all_takes_running_and_says_how_to_find_them(going: Callable[..., Going], ltx: Command) -> None:
    order = going(*LONG, "--takes", "2")
    order.interrupt(signal.SIGINT)
    code, out, told = order.end()
    assert (code, out) == (4, "")
    assert f"Left running: {order.job_id}. ltx-mcp jobs show {order.job_id} finds it" in told
    shown = json.loads(ltx("jobs", "show", order.job_id, "--json").stdout)
    assert len(shown["takes"]) == 2
    ltx("cancel", order.job_id)


@posix
def test_a_terminal_sees_a_bar_a_take_and_at_the_end_a_block_a_take(home: Path, tmp_path: Path) -> None:
    screen = Screen(home, *TAKES, cwd=tmp_path)
    try:
        assert screen.end() == 0
        moving = [ESCAPE.sub("", part) for part in re.split(r"\r|\n", screen.written) if "━" in part]
        for take in (1, 2, 3):
            assert any(re.match(rf"take {take}: drawing on this machine, .*━", line.strip()) for line in moving)
        assert not [line for line in screen.left if "━" in line]
        blocks = [line for line in screen.left if re.match(rf"✓ succeeded {SET}/\d$", line)]
        assert [line[-1] for line in blocks] == ["1", "2", "3"]
        assert any(re.match(rf"    ltx-mcp open {SET}/1$", line) for line in screen.left)
    finally:
        screen.close()
