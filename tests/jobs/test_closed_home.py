"""What is kept belongs to one user: files 0600 and folders 0700, whatever the umask and whatever was there before."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from ltx_mcp.cli.checks.state import check_home
from ltx_mcp.cli.common import open_jobs
from ltx_mcp.cli.hosts.config import read_config, replace_config
from ltx_mcp.domain.arguments import AnimateImage
from ltx_mcp.domain.errors import ErrorCode, SetupError
from ltx_mcp.domain.job import State
from ltx_mcp.jobs.handover import start_worker
from ltx_mcp.jobs.home import FILES
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.settings import environment as own_environment
from tests.jobs.test_processes import Look, processes_of, wait_for

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no modes"),
]
as_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give files away")

UMASKS = [0o000, 0o022, 0o077]


@contextmanager
def masked(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(home: Path) -> list[str]:
    """Everything of a home that is not its user's alone, the home itself among it."""
    return [f"{path} {mode(path):o}" for path in (home, *home.rglob("*")) if mode(path) & 0o077]


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
def test_everything_that_a_worker_and_a_command_keep_is_their_users_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: int
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (1280, 720)).save("start.png")
    small: dict[str, Any] = {"resolution": "720p", "duration": 6, "fps": 24, "generate_audio": False}
    seen: list[str] = []

    async def order() -> str:
        async with open_jobs(home=str(home)) as jobs:
            job = (await jobs.order(AnimateImage(image="start.png", prompt="a pond", **small), "local")).job
            (home / "incoming" / "one").mkdir(mode=0o700)
            await jobs.work(until_idle=True)  # here, for the lock files
            seen.extend(open_to_others(home))
            return job.id

    with masked(mask):
        job_id = anyio.run(order)
        start_worker(home, own_environment())
        wait_for(lambda: not processes_of(home), 60)
    assert seen == []
    assert open_to_others(home) == []
    found = {path.name for path in home.rglob("*")}
    assert {"worker.log", "jobs.sqlite", f"{job_id}.mp4", f"{job_id}.jpg", f"{job_id}.json"} <= found
    look = Look(home)
    assert look.job(job_id).state is State.SUCCEEDED
    assert (home / "jobs.sqlite-wal").exists()
    assert open_to_others(home) == []
    look.database.close()


@pytest.fixture
def old_home(home: Path) -> Path:
    """As an older version left it under an open umask, with a database in use."""
    with masked(0):
        for name in ("videos", "inputs", "workers"):
            (home / name).mkdir(parents=True)
        for name in (*FILES, "videos/job_1.mp4", "videos/job_1.json", "videos/job_2.mp4", "inputs/ab.png"):
            (home / name).touch()
    home.chmod(0o755)
    return home


def test_a_home_that_stands_open_is_closed_with_all_that_is_ours_in_it(old_home: Path, database_url: str) -> None:
    notes = old_home / "notes"
    notes.mkdir(mode=0o755)
    (notes / "run.sh").touch(mode=0o755)
    Database.open(old_home, database_url).close()
    assert mode(old_home) == 0o700
    assert {line.split()[0] for line in open_to_others(old_home)} <= {str(notes), str(notes / "run.sh")}
    assert mode(notes / "run.sh") == 0o755


def test_open_files_in_a_closed_home_are_closed_too_even_if_the_last_start_was_cut_short(old_home: Path) -> None:
    old_home.chmod(0o700)
    for each in list(os.scandir(old_home / "videos"))[1:]:
        os.chmod(each, 0o600)
    Database.open(old_home).close()
    assert open_to_others(old_home) == []


def test_a_log_that_stands_open_is_closed_when_it_is_written(home: Path) -> None:
    Database.open(home).close()
    (home / "worker.log").touch()
    (home / "worker.log").chmod(0o666)
    start_worker(home, own_environment())
    assert mode(home / "worker.log") == 0o600
    wait_for(lambda: not processes_of(home), 60)


def refused(home: Path) -> str:
    with pytest.raises(SetupError) as raised:
        Database.open(home)
    assert raised.value.code is ErrorCode.STORAGE_FAILED
    assert "LTX_MCP_HOME" in str(raised.value)
    (line, *_) = check_home(home)
    assert (line.status, "LTX_MCP_HOME" in line.mend) == ("failure", True)
    return raised.value.message


@as_root
@pytest.mark.parametrize("given", [0o700, 0o755, 0o770, 0o777])
def test_another_users_folder_is_refused_by_name_and_stays_as_it_is(home: Path, given: int) -> None:
    home.mkdir()
    os.chown(home, 65534, 65534)
    home.chmod(given)
    assert "belongs to nobody" in refused(home)
    assert (mode(home), list(home.iterdir())) == (given, [])


@as_root
def test_a_link_that_somebody_else_made_is_refused(home: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    home.symlink_to(tmp_path / "real")
    os.chown(home, 65534, 65534, follow_symlinks=False)
    assert "link of nobody" in refused(home)


def test_a_link_of_ones_own_leads_to_a_home_that_is_closed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o755)
    home.symlink_to(tmp_path / "real")
    Database.open(home).close()
    assert mode(tmp_path / "real") == 0o700


def test_a_folder_for_other_things_is_refused_and_not_closed(home: Path) -> None:
    home.mkdir()
    (home / "thesis.odt").touch()
    home.chmod(0o755)
    assert "thesis.odt" in refused(home)
    assert mode(home) == 0o755
    home.chmod(0o700)
    Database.open(home).close()


def test_the_folder_for_everybodys_temporary_files_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    home.chmod(0o1777)
    monkeypatch.setattr("tempfile.tempdir", str(home))
    assert "everybody" in refused(home)
    assert mode(home) == 0o1777


def test_doctor_tells_of_a_home_that_stands_open_and_leaves_it(old_home: Path) -> None:
    line, _ = check_home(old_home)
    assert (line.status, line.mend) == ("warning", f"chmod 700 {old_home}")
    assert mode(old_home) == 0o755
    Database.open(old_home).close()
    assert check_home(old_home)[0].status == "OK"


# -- configurations of hosts --------------------------------------------------------------------------------------

Write = Callable[[Path], None]


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
def test_a_backup_is_no_more_open_than_what_it_is_a_copy_of(tmp_path: Path, mask: int) -> None:
    path = tmp_path / "mcp.json"
    for given in (0o600, 0o640, 0o644):
        path.write_text("{}", encoding="utf-8")
        path.chmod(given)
        config = read_config(path)
        with masked(mask):
            replace_config(config, b'{"a": 1}', backup=config.backup)
        assert (mode(path), mode(config.backup)) == (given, given)
        config.backup.unlink()


@pytest.mark.parametrize("mask", UMASKS, ids=oct)
def test_a_configuration_with_keys_is_its_users_alone_and_none_can_be_written_by_others(
    tmp_path: Path, mask: int
) -> None:
    with masked(mask):
        replace_config(read_config(tmp_path / "keys.json"), b"{}", private=True)
        replace_config(read_config(tmp_path / "plain.json"), b"{}")
    assert mode(tmp_path / "keys.json") == 0o600
    assert mode(tmp_path / "plain.json") == 0o644 & ~mask


@as_root
def test_a_backup_of_another_groups_file_is_not_open_to_ones_own_group(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text("{}", encoding="utf-8")
    path.chmod(0o640)
    os.chown(path, 65534, 4)
    code = (
        "import os, sys; from pathlib import Path\n"
        "from ltx_mcp.cli.hosts.config import read_config, replace_config\n"
        "os.setgroups([]); os.setgid(100); os.setuid(65534)\n"
        "config = read_config(Path(sys.argv[1])); replace_config(config, b'{}\\n', backup=config.backup)"
    )
    folder = Path("/tmp", f"ltx-mcp-{os.getpid()}")  # nobody may not look into pytest's own
    folder.mkdir()
    try:
        os.chown(folder, 65534, 4)
        moved = path.rename(folder / "mcp.json")
        subprocess.run([sys.executable, "-c", code, str(moved)], check=True)
        backup = moved.with_name("mcp.json.ltx-mcp-backup")
        assert (backup.stat().st_gid, mode(backup)) == (100, 0o600)
    finally:
        subprocess.run(["rm", "-r", str(folder)], check=True)
