"""`python -m tests.hosts`: every host with its manifest; exit code 1 when one does not come to a working server."""

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.conformance.__main__ import gone
from tests.hosts.checks import ROWS, Row
from tests.hosts.programs import install
from tests.hosts.room import Room, Wrong, make_room
from tests.jobs.test_processes import wait_for


def main(only: Sequence[str]) -> int:
    """Run everything, or what has one of these words in its name."""
    programs = install()
    began = time.monotonic()
    wanted = [{name: row[name] for name in row if not only or any(word in name for word in only)} for row in ROWS]
    with tempfile.TemporaryDirectory(prefix="ltx-mcp-hosts-") as name:
        room = make_room(programs, Path(name))
        try:
            with ThreadPoolExecutor(len(wanted)) as pool:
                failed = [name for names in pool.map(partial(run_row, room=room), wanted) for name in names]
        finally:
            wait_for(partial(gone, Path(name) / "ltx"), 60)
    print(f"\n{'FAILED: ' + ', '.join(failed) if failed else 'all as expected'}; {time.monotonic() - began:.0f} s")
    return 1 if failed or not any(wanted) else 0


def run_row(row: Row, room: Room) -> list[str]:
    """Run one check after the other and tell of each; returns those that are not as expected."""
    failed = []
    for name, check in row.items():
        began = time.monotonic()
        try:
            word, found = "ok", check(room)
        except Wrong as wrong:
            word, found = "FAILED", str(wrong)
            failed.append(name)
        print(f"{word:6} {name}: {found}; {time.monotonic() - began:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
