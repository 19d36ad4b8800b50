"""What `doctor` says of the home, the disk, the database and the jobs in it; and that it changes none of them."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic

import pytest
from sqlalchemy import insert, text, update

from ltx_mcp.cli.checks.finding import Finding
from ltx_mcp.cli.checks.machine import small_png
from ltx_mcp.cli.checks.state import check_home, check_state
from ltx_mcp.cli.checks.timeouts import patient_loop
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.migrations import STEPS
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.schema import jobs, workers
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.workers.liveness import FileLockLiveness
from ltx_mcp.media.image import probe_image
from ltx_mcp.settings import Settings, read_settings
from tests.cli.conftest import posix
from tests.databases import PostgresServer
from tests.jobs.test_full_disk import fill, make_read_only, small_disk
from tests.patience import HANG_S

pytestmark = pytest.mark.anyio

New = Callable[..., NewJob]
NOW = datetime.now(UTC)
FILE = "jobs.sqlite"


def settings(home: Path, url: str = "", **more: str) -> Settings:
    return read_settings({"LTX_MCP_HOME": str(home), "LTX_MCP_DATABASE_URL": url, **more})


async def findings_of(given: Settings) -> list[Finding]:
    patient_loop()
    return await check_state(given)


async def lines_of(what: str, given: Settings) -> list[Finding]:
    return [line for line in await findings_of(given) if line.what == what]


async def line_of(what: str, given: Settings) -> Finding:
    (line,) = await lines_of(what, given)
    return line


def placed(database: Database, new: NewJob, **changes: object) -> Job:
    """A job in the database, changed by hand into what it is to be."""
    job = Store(database).place(new, NOW).job
    if changes:
        with database.write() as connection:
            connection.execute(update(jobs).where(jobs.c.id == job.id).values(**changes))
    return job


# -- the home and the disk ----------------------------------------------------------------------------------------


def test_a_home_that_is_not_there_yet_is_fine_and_is_not_made(home: Path) -> None:
    there, disk = check_home(home / "below")
    assert (there.status, disk.status) == ("OK", "OK")
    assert "made at the first start" in there.found
    assert not home.exists()


def test_a_file_where_the_home_should_be_is_a_failure(home: Path) -> None:
    home.write_text("not a folder", encoding="utf-8")
    (line,) = check_home(home / "below")
    assert (line.status, line.what) == ("failure", "home")
    assert "LTX_MCP_HOME" in line.mend


def test_a_home_that_cannot_be_written_is_a_failure(home: Path) -> None:
    with small_disk(home, 100 << 20):
        make_read_only(home)
        line, _ = check_home(home)
    assert (line.status, "cannot be written" in line.found) == ("failure", True)


@posix
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_mode_bits_that_forbid_writing_are_a_failure(mode: int) -> None:
    # root may write anywhere, so it becomes somebody else, who could not look into pytest's own folder
    code = (
        "import os, sys; from pathlib import Path; from ltx_mcp.cli.checks.state import check_home\n"
        "os.geteuid() or os.setuid(65534)\n"
        "for home in (Path(sys.argv[1]), Path(sys.argv[1], 'below')):\n"
        "    print(check_home(home)[0].status)"
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder, "home")
        home.mkdir()
        home.chmod(mode)
        ended = subprocess.run([sys.executable, "-c", code, str(home)], capture_output=True, text=True)
        home.chmod(0o700)
    assert (ended.stdout, ended.stderr) == ("failure\nfailure\n", "")


@pytest.mark.parametrize(
    ("size_mib", "status"), [(20, "failure"), (200, "warning")], ids=["too little for a film", "little"]
)
def test_little_room_is_told(home: Path, size_mib: int, status: str) -> None:
    with small_disk(home, size_mib << 20):
        _, disk = check_home(home)
    assert (disk.status, "MiB free" in disk.found) == (status, True)
    assert disk.mend


def test_a_full_disk_is_a_failure(home: Path) -> None:
    with small_disk(home, 12 << 20):
        fill(home)
        line, disk = check_home(home)
    assert (line.status, disk.status) == ("failure", "failure")


# -- the database -------------------------------------------------------------------------------------------------


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    return postgres.new_database()


async def test_nothing_yet_is_fine_and_nothing_is_made(home: Path) -> None:
    home.mkdir()
    line = await line_of("database", settings(home))
    assert (line.status, "made at the first start" in line.found) == ("OK", True)
    assert list(home.iterdir()) == []


async def test_a_database_of_today_is_fine_and_stays_as_it_is(home: Path, new_job: New) -> None:
    database = Database.open(home)
    placed(database, new_job())
    database.close()
    before = dump(home / FILE)
    line = await line_of("database", settings(home))
    assert (line.status, "up to date" in line.found, str(home) in line.found) == ("OK", True, True)
    assert dump(home / FILE) == before


def dump(file: Path) -> list[str]:
    connection = sqlite3.connect(file)
    rows = list(connection.iterdump())
    connection.close()
    return rows


def set_form(home: Path, version: int) -> None:
    Database.open(home).close()
    connection = sqlite3.connect(home / FILE)
    with connection:
        connection.execute("UPDATE form SET version = ?", (version,))
    connection.close()


async def test_an_older_form_is_fine_and_not_brought_up_to_date_here(home: Path) -> None:
    set_form(home, 1)
    line = await line_of("database", settings(home))
    assert (line.status, "at the next start" in line.found) == ("OK", True)
    assert any('INSERT INTO "form" VALUES(1)' in row for row in dump(home / FILE))


async def test_a_newer_form_is_a_failure_that_asks_for_an_upgrade(home: Path) -> None:
    set_form(home, len(STEPS) + 1)
    line = await line_of("database", settings(home))
    assert (line.status, "newer ltx-mcp" in line.found, line.mend) == ("failure", True, "Upgrade ltx-mcp.")


async def test_a_file_that_is_no_database_is_a_failure(home: Path) -> None:
    home.mkdir()
    (home / FILE).write_bytes(b"this was once a database " * 100)
    line = await line_of("database", settings(home))
    assert (line.status, "not a database" in line.found) == ("failure", True)


async def test_a_torn_page_is_a_failure(home: Path, new_job: New) -> None:
    database = Database.open(home)
    for number in range(30):
        placed(database, new_job(request_key=f"k{number}"))
    database.close()
    with (home / FILE).open("r+b") as file:
        file.seek(jobs_page(home) * 4096)
        file.write(bytes(range(256)) * 8)
    line = await line_of("database", settings(home))
    assert (line.status, "broken" in line.found or "malformed" in line.found) == ("failure", True)


def jobs_page(home: Path) -> int:
    """The number, from 0, of the page where the index of the jobs' days begins."""
    connection = sqlite3.connect(home / FILE)
    page = int(connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_day'").fetchone()[0])
    connection.close()
    return page - 1


async def test_a_database_that_somebody_does_not_let_go_of_is_a_failure(home: Path) -> None:
    Database.open(home).close()
    holder = sqlite3.connect(home / FILE, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        line = await line_of("database", settings(home))
    finally:
        holder.close()
    assert (line.status, "locked" in line.found) == ("failure", True)
    assert "Another process" in line.mend


async def test_postgresql_is_told_with_its_version_and_place_but_no_password(home: Path, postgres_url: str) -> None:
    fresh = await line_of("database", settings(home, postgres_url))
    assert (fresh.status, "at the next start" in fresh.found) == ("OK", True)
    Database.open(home, postgres_url).close()
    line = await line_of("database", settings(home, postgres_url))
    assert (line.status, line.found.startswith("PostgreSQL "), "up to date" in line.found) == ("OK", True, True)
    assert postgres_url.rpartition("/")[2].partition("?")[0] in line.found


async def test_a_postgresql_that_is_not_there_is_a_failure_without_its_password(home: Path) -> None:
    line = await line_of("database", settings(home, "postgresql://u:s3cret@127.0.0.1:9/films"))
    assert (line.status, "films at 127.0.0.1:9" in line.found) == ("failure", True)
    assert "s3cret" not in line.found + line.mend
    assert "LTX_MCP_DATABASE_URL" in line.mend


async def test_a_postgresql_that_says_nothing_is_a_failure_in_time(home: Path, postgres: PostgresServer) -> None:
    url, began = postgres.new_database(), monotonic()
    with postgres.frozen():
        line = await line_of("database", settings(home, url))
    assert line.status == "failure"
    assert monotonic() - began < HANG_S


# -- jobs ---------------------------------------------------------------------------------------------------------


async def test_live_jobs_without_anybody_at_work_are_a_warning_with_the_command(
    home: Path, database: Database, database_url: str, new_job: New
) -> None:
    placed(database, new_job())
    line = await line_of("jobs", settings(home, database_url))
    assert (line.status, "1 under way" in line.found, line.mend) == ("warning", True, "ltx-mcp work --until-idle")


@pytest.fixture
def at_work(home: Path, database: Database, database_url: str) -> Iterator[None]:
    """Another process that is alive."""
    if database_url:
        with database.write() as connection:
            beat_at = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            connection.execute(insert(workers).values(name="w_a_b", host="h", beat_at=beat_at))
        yield
        return
    code = (
        "import sys; from pathlib import Path; from ltx_mcp.jobs.workers.liveness import FileLockLiveness\n"
        "life = FileLockLiveness(Path(sys.argv[1])); life.begin(); print('alive', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code, str(home)], stdin=pipe, stdout=pipe) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"alive\n"
        yield
        worker.kill()


@pytest.mark.usefixtures("at_work")
async def test_live_jobs_with_somebody_at_work_are_fine(
    home: Path, database: Database, database_url: str, new_job: New
) -> None:
    placed(database, new_job())
    line = await line_of("jobs", settings(home, database_url))
    assert (line.status, line.found) == ("OK", "1 under way; 1 at work")


async def test_a_worker_that_died_is_not_at_work(
    home: Path, database: Database, database_url: str, new_job: New
) -> None:
    placed(database, new_job())
    if database_url:
        with database.write() as connection:
            long_ago = datetime.now(UTC) - timedelta(minutes=5)
            connection.execute(insert(workers).values(name="w_a_b", host="h", beat_at=long_ago))
    else:
        dead = FileLockLiveness(home)
        dead.begin()
        name = dead.worker
        dead.end()
        (home / "workers" / f"{name}.lock").touch()
    line = await line_of("jobs", settings(home, database_url))
    assert line.status == "warning"


async def test_unknown_outcomes_that_wait_for_a_person_are_named_with_the_commands(
    home: Path, database: Database, database_url: str, new_job: New
) -> None:
    unknown = {"state": State.UNKNOWN, "bill": ChargeState.HELD}
    waiting = [placed(database, new_job(request_key=f"k{n}"), **unknown) for n in range(5)]
    placed(database, new_job(request_key="settled"), state=State.UNKNOWN, bill=ChargeState.BOOKED)
    idle, line = await lines_of("jobs", settings(home, database_url))
    assert (idle.status, idle.found) == ("OK", "none under way")
    assert (line.status, line.found.startswith("5 with an unknown outcome")) == ("warning", True)
    named = [job.id for job in waiting if job.id in line.found]
    assert len(named) == 3
    assert f"ltx-mcp jobs show {named[0]}" in line.mend or f"jobs show {named[1]}" in line.mend
    assert "ltx-mcp jobs resolve" in line.mend


# -- folders ------------------------------------------------------------------------------------------------------


async def test_a_folder_for_pictures_that_is_not_there_is_a_warning(home: Path, tmp_path: Path) -> None:
    missing = tmp_path / "pictures"
    line = await line_of("paths", settings(home, LTX_MCP_INPUT_DIRS=f"{tmp_path}{os.pathsep}{missing}"))
    assert (line.status, str(missing) in line.found) == ("warning", True)
    missing.mkdir()
    line = await line_of("paths", settings(home, LTX_MCP_INPUT_DIRS=f"{tmp_path}{os.pathsep}{missing}"))
    assert (line.status, str(missing) in line.found) == ("OK", True)


def test_the_picture_that_is_tried_is_one_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(small_png())
    assert probe_image(tmp_path / "a.png").format == "png"
