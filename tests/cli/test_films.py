"""What is done with a film that was made: copied where it is wanted, opened, removed, fetched again."""

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from ltx_mcp.emulator.app import settings
from ltx_mcp.emulator.emulator_state import EmulatorState
from tests.cli.conftest import Command, Ended, Film, Place, command_in, environment
from tests.cli.test_terminal import opener
from tests.conftest import Emulated
from tests.patience import HANG_S


@pytest.fixture
def shop(emulator: Emulated, tmp_path: Path) -> Command:
    """Runs `ltx-mcp` where it orders at the emulator, which is in a hurry."""
    world: EmulatorState = emulator[1]
    world.wait_s, world.work_s = 0.0, 0.05
    run, env = command_in(tmp_path), settings(emulator[0])

    def shopping(*arguments: str, **more: str) -> Ended:
        return run(*arguments, **env | more)

    return shopping


def test_the_film_is_copied_to_a_name_or_into_a_folder_and_nothing_is_replaced_unasked(
    film: Film, tmp_path: Path
) -> None:
    wanted = tmp_path / "kite.mp4"
    made = film.ltx(*film.order, "-o", str(wanted))
    assert (made.returncode, made.stdout) == (0, f"{wanted}\n")
    assert wanted.read_bytes() == film.path.read_bytes()
    wanted.write_bytes(b"mine")
    for command in (film.order, ["jobs", "fetch", film.job_id]):
        refused = film.ltx(*command, "-o", str(wanted))
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "--force replaces it" in refused.stderr
    assert wanted.read_bytes() == b"mine"
    assert film.ltx("jobs", "fetch", "@last", "--output", str(wanted), "--force").returncode == 0
    assert film.ltx("jobs", "fetch", "@last", "--output", str(tmp_path)).returncode == 0
    assert wanted.read_bytes() == (tmp_path / film.path.name).read_bytes() == film.path.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted([wanted.name, film.path.name])


def test_the_film_itself_comes_on_stdout(film: Film) -> None:
    command = [sys.executable, "-m", "ltx_mcp", *film.order, "-o", "-"]
    poured = subprocess.run(command, env=environment(film.home), capture_output=True, timeout=HANG_S)
    assert (poured.returncode, poured.stdout) == (0, film.path.read_bytes())


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_ordered(ltx: Command, tmp_path: Path) -> None:
    refused = ltx("generate", "a pond", "-o", str(tmp_path / "nowhere" / "a.mp4"))
    assert refused.returncode == 2
    assert f"there is no folder {tmp_path / 'nowhere'}" in refused.stderr
    assert ltx("generate", "a pond", "-o", "-", "--json").returncode == 2
    assert ltx("jobs").stdout == "No jobs.\n"


def test_the_film_is_opened_or_it_is_said_why_not(film: Film, tmp_path: Path) -> None:
    assert film.ltx("open", "@last", **opener(tmp_path / "bin")).returncode == 0
    assert (tmp_path / "bin" / "opened").read_text("utf-8") == f"{film.path}\n"


def test_what_is_under_way_or_cannot_be_asked_about_is_not_removed(
    ltx: Command, film: Film, home: Path, queued: Place
) -> None:
    job_id = queued("a pond")
    live = ltx("rm", job_id, "--yes")
    assert live.returncode == 2
    assert f"ltx-mcp jobs cancel {job_id} ends it first" in live.stderr
    ltx("cancel", job_id)
    unasked = film.ltx("rm", film.job_id)
    assert (unasked.returncode, film.path.exists()) == (3, True)
    assert "--yes" in unasked.stderr


def test_a_removed_film_is_fetched_again_while_its_address_lives_and_its_price_stays(shop: Command, home: Path) -> None:
    made = shop("generate", "a pond", "-p", "fal", "--json")
    view = json.loads(made.stdout)
    job_id, path = view["job_id"], Path(view["file"])
    before = path.read_bytes()
    assert shop("rm", job_id, "--yes").stdout == f"Removed the film of {job_id}; what it cost stays in the books.\n"
    assert [each for each in path.parent.iterdir() if each.name.startswith(job_id)] == []
    assert '"spent_usd": 0.24' in shop("jobs", "--spend", "--json").stdout
    longer = shop("extend", job_id, "-d", "5")
    assert longer.returncode == 2
    assert f"input_failed: video: the film of {job_id} is not on this machine any more" in longer.stderr
    assert f"ltx-mcp jobs fetch {job_id}" in longer.stderr
    fetched = shop("jobs", "fetch", job_id)
    assert (fetched.returncode, fetched.stdout) == (0, f"{path}\n"), fetched.stderr
    assert path.read_bytes() == before
    assert path.with_suffix(".jpg").exists()
    assert path.with_suffix(".json").exists()
    shop("rm", job_id, "--yes")
    with closing(sqlite3.connect(home / "jobs.sqlite")) as database, database:
        database.execute("UPDATE jobs SET result_url_expires_at = 1000000")
    ended = shop("jobs", "fetch", job_id)
    assert ended.returncode == 3
    assert re.search(r"expired: The address of the film of job_\w+ ended on 1970-01-01", ended.stderr)


def test_a_removed_film_without_an_address_is_fetched_again_by_its_provider_s_own_call(shop: Command) -> None:
    made = shop("generate", "a pond", "-p", "bytecompute", "--json")
    view = json.loads(made.stdout)
    path = Path(view["file"])
    before = path.read_bytes()
    shop("rm", view["job_id"], "--yes")
    refused = shop("extend", view["job_id"], "-d", "5")
    assert f"ltx-mcp jobs fetch {view['job_id']}" in refused.stderr
    fetched = shop("jobs", "fetch", view["job_id"])
    assert (fetched.returncode, fetched.stdout) == (0, f"{path}\n"), fetched.stderr
    assert path.read_bytes() == before


def test_a_removed_preview_can_only_be_drawn_again(ltx: Command, home: Path, queued: Place) -> None:
    job_id = queued("a pond")
    with closing(sqlite3.connect(home / "jobs.sqlite")) as database, database:
        database.execute("UPDATE jobs SET state = 'succeeded'")
    refused = ltx("jobs", "fetch", job_id)
    assert refused.returncode == 3
    assert f"The film of {job_id} was made on this machine, and is gone. Order it again." in refused.stderr
    assert "has no film on this machine" in ltx("open", job_id).stderr
