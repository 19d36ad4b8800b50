"""What calls bring into the home, and what is swept after those that were killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ltx_mcp.jobs.files import FileStore

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
BRINGS = """
import sys
from pathlib import Path
from ltx_mcp.jobs.files import FileStore
files = FileStore(Path(sys.argv[1]))
folder = Path(files.new_folder())
(folder / "picture.part").write_bytes(b"picture")
print(folder, flush=True)
sys.stdin.read()
"""


@contextmanager
def bringing(home: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process in the middle of a call, and the folder that the call brings its input into."""
    command = [sys.executable, "-c", BRINGS, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_what_a_killed_process_brought_is_swept_at_once_and_what_others_bring_is_not(home: Path) -> None:
    with bringing(home) as (killed, left), bringing(home) as (_, in_use):
        mine = FileStore(home)
        own = Path(mine.new_folder())
        for folder in (left, in_use, own):
            os.utime(folder, (0, 0))
        FileStore(home).sweep(NOW)
        assert [each.exists() for each in (left, in_use, own)] == [True, True, True]
        killed.kill()
        killed.wait()
        FileStore(home).sweep(LONG_AGO)
        assert [each.exists() for each in (left, in_use, own)] == [False, True, True]
        assert (in_use / "picture.part").read_bytes() == b"picture"
        mine.remove_folder(str(own))
    FileStore(home).sweep(LONG_AGO)
    assert list((home / "incoming").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_suspended_process_keeps_what_it_brought(home: Path) -> None:
    with bringing(home) as (process, folder):
        process.send_signal(signal.SIGSTOP)
        FileStore(home).sweep(NOW)
        assert (folder / "picture.part").exists()
        process.send_signal(signal.SIGCONT)


def test_what_an_older_version_brought_is_removed_after_a_while(home: Path) -> None:
    left, in_use = home / "incoming" / "tmpleft", home / "incoming" / "tmpused"
    for folder, age in ((left, timedelta(hours=2)), (in_use, timedelta(minutes=5))):
        folder.mkdir(parents=True)
        os.utime(folder, ((NOW - age).timestamp(),) * 2)
    FileStore(home).sweep(NOW - timedelta(hours=1))
    assert (left.exists(), in_use.exists()) == (False, True)


def test_a_home_without_calls_has_nothing_to_sweep(home: Path) -> None:
    FileStore(home).sweep(NOW)
    assert not home.exists()
