"""What a person sees on a real terminal: words that move, a block at the end, tables that fit, no broken sign."""

import os
import re
import shlex
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
from rich.cells import cell_len

from ltx_mcp.cli.main import cli
from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.providers.catalog_loader import read_providers
from tests.cli.conftest import COLOUR, LONG, Command, Film, Place, posix
from tests.cli.screens import ESCAPE, LINK, Screen
from tests.conftest import Emulated
from tests.jobs.test_processes import Look, processes_of, wait_for
from tests.patience import HANG_S

pytestmark = posix

OpenScreen = Callable[..., Screen]
JOB = r"job_\w{20}"
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def screen(home: Path, tmp_path: Path) -> Iterator[OpenScreen]:
    """Opens terminals; at the end nobody works on the home any more."""
    opened: list[Screen] = []

    def start(*arguments: str, at: Path = home, **options: Any) -> Screen:
        opened.append(Screen(at, *arguments, **{"cwd": tmp_path} | options))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
    wait_for(lambda: not processes_of(home), HANG_S)


@pytest.fixture
def shop(emulator: Emulated) -> dict[str, str]:
    """The settings of emulated providers, fal in no hurry."""
    world: EmulatorState = emulator[1]
    world.wait_s, world.work_s = 0.8, 1.2
    return settings(emulator[0])


# -- while it is made ---------------------------------------------------------------------------------------------


def drawn(screen: Screen) -> list[str]:
    """Every state of the line that moves."""
    return [text for part in re.split(r"\r|\n", screen.written) if (text := ESCAPE.sub("", part).rstrip())]


def test_the_line_says_what_happens_and_its_bar_only_moves_where_nobody_tells_a_percentage(
    screen: OpenScreen, shop: dict[str, str]
) -> None:
    shown = screen("generate", "a pond", "--provider", "fal", **shop)
    assert shown.end() == 0
    lines = [line for line in drawn(shown) if "at fal: " in line and "━" in line]
    assert any(re.match(r"at fal: \d\w\w in line, 0:0\d ━+$", line) for line in lines)
    assert any(re.match(r"at fal: rendering, 0:0\d ━+$", line) for line in lines)
    assert not any("%" in line for line in lines)
    frames = [part for part in shown.written.split("\r") if "━" in part]
    assert len(set(frames)) == len(frames) > 3  # it moves


def test_where_a_percentage_is_told_it_is_shown(screen: OpenScreen) -> None:
    shown = screen("generate", "a pond", *LONG, "--resolution", "720p")
    assert shown.end() == 0
    assert [line for line in drawn(shown) if re.match(r"drawing on this machine, \d+ %, 0:\d\d ━+", line)]


@pytest.mark.parametrize("columns", [24, 45, 80, 160])
def test_the_line_never_reaches_the_edge(screen: OpenScreen, shop: dict[str, str], columns: int) -> None:
    shown = screen("generate", "a pond", "--provider", "fal", columns=columns, **shop)
    assert shown.end() == 0
    lines = [line for line in drawn(shown) if line.startswith("at fal: ")]
    assert lines
    assert max(map(cell_len, lines)) < columns
    assert any("━" in line for line in lines) == (columns > 24)


def test_nothing_of_the_line_is_left_at_the_end_and_the_cursor_is_back(
    screen: OpenScreen, shop: dict[str, str]
) -> None:
    shown = screen("generate", "a pond", "--provider", "fal", **shop)
    assert shown.end() == 0
    assert not [line for line in shown.left if "━" in line or line.startswith("at fal")]
    assert shown.written.rindex(SHOW) > shown.written.rindex(HIDE)


def test_ctrl_c_clears_the_line_and_says_how_to_find_the_job(screen: OpenScreen, ltx: Command) -> None:
    shown = screen("generate", "a pond", *LONG)
    shown.until(lambda written: "drawing on this machine" in written)
    os.kill(shown.process.pid, signal.SIGINT)
    assert shown.end() == 4
    job_id = next(line for line in shown.left if line.startswith("job_")).split()[0]
    rest = shown.left[shown.left.index(f"Left running: {job_id}.") :]
    assert rest[1].startswith(f"ltx-mcp jobs show {job_id} finds it; ")
    assert shown.written.rindex(SHOW) > shown.written.rindex(HIDE)
    ltx("jobs", "cancel", job_id)


def test_the_job_of_a_closed_terminal_is_worked_on_by_another_process(
    screen: OpenScreen, look: Look, ltx: Command
) -> None:
    shown = screen("generate", "a pond", *LONG)
    written = shown.until(lambda written: "drawing on this machine" in written)
    job_id = re.search(JOB, written)
    assert job_id
    shown.hang_up()
    os.kill(shown.process.pid, signal.SIGHUP)
    shown.process.wait(HANG_S)
    wait_for(lambda: look.history(job_id[0]).count("started") == 2, HANG_S)
    ltx("jobs", "cancel", job_id[0])


def test_a_terminal_that_can_only_write_lines_is_not_drawn_on(screen: OpenScreen) -> None:
    shown = screen("generate", "a pond", "--resolution", "720p", TERM="dumb")
    assert shown.end() == 0
    assert "\x1b" not in shown.written
    assert "━" not in shown.written
    assert "succeeded" in shown.written


def test_a_place_in_line_is_told_anew_when_those_before_end(screen: OpenScreen, queued: Place) -> None:
    for n, duration in enumerate((6, 20, 20)):  # two are drawn at a time: one ends well before the others
        queued(f"pond {n}", duration=duration)
    shown = screen("generate", "a pond", "--resolution", "720p")
    assert shown.end() == 0
    places = [found[0] for line in drawn(shown) if (found := re.match(r"\d\w\w in line here for this machine", line))]
    assert len(set(places)) > 1


def test_what_is_logged_meanwhile_comes_above_the_line(screen: OpenScreen, shop: dict[str, str]) -> None:
    shown = screen("generate", "a pond", "--provider", "fal", columns=200, LTX_MCP_LOG_LEVEL="DEBUG", **shop)
    assert shown.end() == 0
    assert any(line.startswith("DEBUG ") for line in shown.left)
    assert not [line for line in shown.left if "━" in line]


def test_a_change_of_provider_is_told_above_the_line_and_stays(screen: OpenScreen, emulator: Emulated) -> None:
    emulator[1].faults.append(Fault("bytecompute", "submit", "locked", times=9))
    shown = screen("generate", "a pond", "--max-cost-usd", "1", columns=200, **settings(emulator[0]))
    assert shown.end() == 0
    told = [line for line in shown.left if "ordering: " in line or "ordered: " in line]
    assert told[1].startswith("The account at bytecompute has no credit left")
    assert told[2].endswith(" ordered: netwrck took it.")
    assert not [line for line in shown.left if "━" in line]


# -- when it is made ----------------------------------------------------------------------------------------------


def test_a_film_is_shown_with_a_link_its_figures_and_what_can_be_done_next(screen: OpenScreen, film: Film) -> None:
    shown = screen(*film.order, at=film.home, HOME=str(film.home.parent))
    assert shown.end() == 0
    lines = [line.strip() for line in shown.left]
    assert f"✓ succeeded {film.job_id}" in lines
    assert f"~/{film.path.relative_to(film.home.parent)}" in lines
    assert LINK.findall(shown.written) == [film.path.as_uri()]
    assert "6 s, 1280x720, 24 fps, silent" in lines
    assert "A preview drawn on this machine, not LTX." in lines
    assert f"ltx-mcp extend {film.job_id} --duration 5" in shown.text


def test_the_commands_that_are_offered_next_can_be_given(screen: OpenScreen, film: Film) -> None:
    shown = screen(*film.order, at=film.home)
    assert shown.end() == 0
    offered = [shlex.split(line[line.index("ltx-mcp ") :]) for line in shown.left if "  ltx-mcp " in line]
    assert [words[1] for words in offered] == ["extend", "retake", "animate"]
    for _, name, *arguments in offered:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        command.make_context(name, arguments)


def test_a_path_longer_than_the_terminal_stays_one_line(screen: OpenScreen, film: Film) -> None:
    shown = screen("jobs", "show", film.job_id, at=film.home, columns=40)
    assert shown.end() == 0
    assert f"  {film.path}" in shown.left


def test_a_refusal_is_a_line_with_what_to_do_below_it(screen: OpenScreen) -> None:
    shown = screen("jobs", "show", "nothere")
    assert shown.end() == 2
    first, second, *_ = shown.left
    assert first == "ltx-mcp: job_not_found: There is no job nothere."
    assert second == "ltx-mcp jobs shows the jobs there are."


# -- opening it ---------------------------------------------------------------------------------------------------


def opener(folder: Path, code: int = 0) -> dict[str, str]:
    """A machine on which `xdg-open` and `open` note what they are given, chatter and end with `code`."""
    folder.mkdir()
    for name in ("xdg-open", "open"):
        script = f'#!/bin/sh\necho chatter; echo chatter >&2\nprintf "%s\\n" "$@" > {folder}/opened\nexit {code}\n'
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


@pytest.mark.parametrize("command", ["generate", "jobs show"])
def test_open_gives_the_film_to_the_systems_player_and_disturbs_nothing(
    film: Film, tmp_path: Path, command: str
) -> None:
    order = film.order if command == "generate" else ["jobs", "show", film.job_id]
    without, ended = film.ltx(*order, "--json"), film.ltx(*order, "--json", "--open", **opener(tmp_path / "bin"))
    assert (ended.returncode, ended.stdout) == (0, without.stdout)
    assert "chatter" not in ended.stderr
    assert (tmp_path / "bin" / "opened").read_text("utf-8") == f"{film.path}\n"


def test_without_a_player_open_says_so_and_the_film_is_made_all_the_same(film: Film, tmp_path: Path) -> None:
    ended = film.ltx(*film.order, "--open", PATH=str(tmp_path))
    assert (ended.returncode, ended.stdout) == (0, f"{film.path}\n")
    assert re.search(r"^ltx-mcp: --open: .+ (installed|not there)\.$", ended.stderr, re.MULTILINE)


def test_a_player_that_fails_is_told(film: Film, tmp_path: Path) -> None:
    ended = film.ltx(*film.order, "--open", **opener(tmp_path / "bin", code=3))
    assert ended.returncode == 0
    assert "open found no program for it (exit code 3)." in ended.stderr


def test_open_without_a_film_says_so(ltx: Command, queued: Place) -> None:
    ended = ltx("jobs", "show", queued("a pond"), "--open")
    assert ended.returncode == 0
    assert ended.stderr == "ltx-mcp: --open: there is no film on this machine.\n"


# -- tables -------------------------------------------------------------------------------------------------------

PROMPT = "a lighthouse keeper counts the ships that do not come back, 海が静かです, while the lamp turns"


@pytest.mark.parametrize("columns", [50, 80, 160])
def test_the_jobs_fit_the_terminal_a_line_each(screen: OpenScreen, queued: Place, columns: int) -> None:
    job_id = queued(PROMPT)
    shown = screen("jobs", columns=columns)
    assert shown.end() == 0
    head, row, *rest = shown.left
    assert (rest, cell_len(head) <= columns, cell_len(row) <= columns) == ([""], True, True)
    assert row.startswith(f"{job_id}  queued ")
    assert row.endswith("…") == (columns < 160)
    assert ("AGE" in head, "PROVIDER" in head) == (columns > 50, columns > 50)


def test_jobs_can_be_asked_for_by_their_state(ltx: Command, queued: Place) -> None:
    waiting, gone = queued("a pond"), queued("a lake")
    ltx("jobs", "cancel", gone)
    assert re.findall(JOB, ltx("jobs", "--state", "queued").stdout) == [waiting]
    assert ltx("jobs", "--state", "failed").stdout == "No jobs.\n"
    assert ltx("jobs", "--state", "lost").returncode == 2


def test_jobs_are_followed_until_none_is_under_way(screen: OpenScreen, queued: Place, ltx: Command) -> None:
    job_id = queued("a pond")
    shown = screen("jobs", "--watch")
    shown.until(lambda written: f"{job_id}  " in ESCAPE.sub("", written))
    ltx("work", "--until-idle")
    assert shown.end() == 0
    assert shown.text.rstrip().splitlines()[-1].startswith(f"{job_id}  succeeded")


def test_leaving_the_followed_jobs_is_exit_code_4(screen: OpenScreen, queued: Place, ltx: Command) -> None:
    job_id = queued("a pond")
    shown = screen("jobs", "--watch")
    shown.until(lambda written: f"{job_id}  " in ESCAPE.sub("", written))
    os.kill(shown.process.pid, signal.SIGINT)
    assert shown.end() == 4
    ltx("jobs", "cancel", job_id)


@pytest.mark.parametrize("columns", [80, 160])
def test_the_models_fit_the_terminal_and_none_is_missing(screen: OpenScreen, columns: int) -> None:
    shown = screen("models", columns=columns)
    assert shown.end() == 0
    assert max(map(cell_len, shown.left)) <= columns
    for facts in read_providers():
        block = f"\n{shown.text}".partition(f"\n{facts.name}  ")[2].partition("\n\n")[0]
        assert {row.model for row in facts.offer} <= set(re.findall(r"^(\S+)", block, re.MULTILINE))
    assert re.search(r"^local  ready$", shown.text, re.MULTILINE)
    assert re.search(r"^fal  fal needs FAL_KEY\.$", shown.text, re.MULTILINE)


def test_an_estimate_marks_the_cheapest_that_can_be_ordered(screen: OpenScreen, shop: dict[str, str]) -> None:
    shown = screen("estimate", **{**shop, "FAL_KEY": "", "BYTECOMPUTE_API_KEY": ""})
    assert shown.end() == 0
    marked = [line.split()[:3] for line in shown.left if "cheapest" in line]
    assert marked == [["netwrck", "ltx-2.3", "0.288"]]
    dimmed = [line for line in shown.written.splitlines() if "needs FAL_KEY" in line]
    assert dimmed
    assert all("\x1b[2m" in line for line in dimmed)


@pytest.mark.parametrize("on_terminal", [True, False])
def test_an_estimate_says_which_seconds_a_price_is_for(
    screen: OpenScreen, film: Film, tmp_path: Path, on_terminal: bool
) -> None:
    asked = ["estimate", "--operation", "retake", "--video", film.job_id]
    if on_terminal:
        shown = screen(*asked, at=film.home, columns=160)
        assert shown.end() == 0
        text = shown.text
    else:
        text = film.ltx(*asked).stdout
    assert "for 6 s: the whole video, not only the section" in text


@pytest.mark.parametrize("columns", [36, 80, 160])
def test_no_figure_is_ever_cut(screen: OpenScreen, shop: dict[str, str], columns: int) -> None:
    shown = screen("estimate", columns=columns, PYTHONIOENCODING="ascii", **shop)
    assert shown.end() == 0
    for price in ("0.24", "0.288", "0.36", "0.48", "0.78", "1.02"):
        assert re.search(rf"(?<!\d){re.escape(price)}\b", shown.text), price


def test_what_was_spent_fits_the_terminal(screen: OpenScreen, film: Film) -> None:
    for columns, names in ((80, {"PROVIDER", "VIDEOS"}), (160, {"PROVIDER", "VIDEOS", "RESERVED", "DRIFT"})):
        shown = screen("jobs", "--spend", at=film.home, columns=columns)
        assert shown.end() == 0
        assert max(map(cell_len, shown.left)) <= columns
        assert names <= set(shown.left[0].split())


def test_what_was_spent_keeps_its_lines_where_every_column_has_a_figure(
    screen: OpenScreen, home: Path, queued: Place
) -> None:
    queued("a pond")
    with closing(sqlite3.connect(home / "jobs.sqlite")) as database, database:
        paid = "provider = 'bytecompute', cost_micro = 11240000, held_micro = 11360000, charged_micro = 11550000"
        database.execute(f"UPDATE jobs SET state = 'succeeded', bill = 'booked', {paid}")
    shown = screen("jobs", "--spend")
    assert shown.end() == 0
    head, row, *_ = shown.left
    assert max(cell_len(head), cell_len(row)) <= 80
    assert {"DAY", "PROVIDER", "SPENT"} <= set(head.split())
    assert row.split()[1] == "bytecompute"
    assert "11.55" in row


# -- colours and letters ------------------------------------------------------------------------------------------

LISTS = (["jobs"], ["models"], ["estimate"], ["jobs", "--spend"])


def test_no_colour_where_none_is_wanted(screen: OpenScreen, queued: Place) -> None:
    queued("a pond")
    for arguments in LISTS:
        assert not COLOUR.search(screen(*arguments, NO_COLOR="1").until(lambda written: written.count("\n") > 1))
    assert COLOUR.search(screen("jobs").until(lambda written: written.count("\n") > 1))


def test_a_pipe_gets_plain_text_whatever_colours_are_forced(ltx: Command, queued: Place) -> None:
    ltx("cancel", queued("a pond"))  # else it goes on meanwhile
    for arguments in LISTS:
        assert ltx(*arguments, FORCE_COLOR="1", COLUMNS="20").stdout == ltx(*arguments).stdout
        assert "\x1b" not in ltx(*arguments, FORCE_COLOR="1").stdout


@pytest.mark.parametrize("habit", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}])
def test_a_terminal_without_our_signs_is_shown_others(screen: OpenScreen, film: Film, habit: dict[str, str]) -> None:
    for arguments in ([*film.order], ["models"], ["jobs"], ["jobs", "show", film.job_id], ["animate", "--help"]):
        shown = screen(*arguments, at=film.home, **habit)
        assert shown.end() == 0
        assert shown.raw.isascii()
        assert "\\u" not in shown.written
        lines = shown.text.replace(str(film.path), "").splitlines()
        # a command that can be given is one line, however long
        assert max(len(line) for line in lines if not line.startswith("    ltx-mcp ")) <= 80


def test_letters_a_terminal_lacks_do_not_move_the_columns(screen: OpenScreen, queued: Place) -> None:
    queued("Möwe über dem Meer " * 4)
    shown = screen("jobs", PYTHONIOENCODING="latin-1", columns=80)
    assert shown.end() == 0
    assert "Möwe".encode("latin-1") in shown.raw
    queued("海" * 60)
    shown = screen("jobs", PYTHONIOENCODING="latin-1", columns=80)
    assert shown.end() == 0
    lines = shown.raw.decode("latin-1").replace("\r", "").splitlines()
    assert len(lines) == 3
    assert max(len(ESCAPE.sub("", line)) for line in lines) <= 80
