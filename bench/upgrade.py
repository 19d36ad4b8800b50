"""How long `ltx-mcp migrate` takes on a database of version 0.1.0 with 100,000 jobs, and how long callers of two
servers of that version wait for an order meanwhile. `python -m bench.upgrade 20000` takes fewer jobs."""

import sys
import tempfile
from pathlib import Path

from bench.postgres import postgres
from bench.table import Row, Table, count, ms, seconds
from tests.jobs.older import VERSION_0_1_0, program_of
from tests.jobs.upgrade import upgrade
from tests.kept import kept_films

JOBS = 100_000


def measure(jobs: int = JOBS) -> Table:
    """Do it once."""
    with tempfile.TemporaryDirectory(prefix="ltx-bench-", ignore_cleanup_errors=True) as name, postgres() as server:
        folder = Path(name)
        older = program_of(VERSION_0_1_0, folder / "older")
        done = upgrade(server.fresh(), jobs, older, folder, kept_films() / "emulated")
    during = done.during()
    orders = [call.took_s for call in during if call.tool == "generate_video"]
    return Table(
        f"upgrade: PostgreSQL, {jobs:,} jobs of version 0.1.0, two servers of that version at work",
        [
            Row("ltx-mcp migrate", [done.ended_at - done.began_at], seconds),
            Row("an order at a server of version 0.1.0 meanwhile", orders, ms),
            Row("calls that these servers refused", [sum(bool(call.refusal) for call in during)], count, 0),
            Row("orders that were sent twice", [sum(number > 1 for number in done.orders.values())], count, 0),
            Row("jobs that were answered and are lost", [sum(job is None for job in done.placed.values())], count, 0),
        ],
    )


if __name__ == "__main__":
    print(measure(*map(int, sys.argv[1:])).text(), flush=True)
