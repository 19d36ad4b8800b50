"""What calls bring into the home, and what is swept after those that were killed."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ltx_mcp.jobs.files import Files

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_what_a_killed_call_brought_is_removed_after_a_while_and_what_is_in_use_is_not(home: Path) -> None:
    files = Files(home)
    left, in_use = (Path(files.new_folder()) for _ in range(2))
    for folder, age in ((left, timedelta(hours=2)), (in_use, timedelta(minutes=5))):
        (folder / "picture.part").write_bytes(b"picture")
        os.utime(folder, ((NOW - age).timestamp(),) * 2)
    files.sweep(NOW - timedelta(hours=1))
    assert (left.exists(), in_use.exists()) == (False, True)


def test_a_home_without_calls_has_nothing_to_sweep(home: Path) -> None:
    Files(home).sweep(NOW)
    assert not home.exists()
