"""A server of an older version and one of this version on one small database, of either kind: the older one was there
before the database was migrated, and goes on to order, finish and cancel. Both count, and no budget is passed by the
two together. A large database, and version 0.1.0: test_old_servers.py.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ltx_mcp.emulator.emulator_state import EmulatorState
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.migrations import STEPS
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Emulated
from tests.jobs.counting import counters, recount
from tests.jobs.moments import emulator
from tests.jobs.older import ROOT, program_of
from tests.jobs.test_processes import Server, on_database, wait_for
from tests.patience import HANG_S

__all__ = ["emulator", "on_database"]

BEFORE = "aeca2a177db978227319e877c58b41adca3295d3"
"""The first commit whose databases have form 6."""
FORM_BEFORE = 6
BUDGET, HELD, ORDERS = "4.00", 360_000, 12
FILM = {"provider": "fal", "wait_seconds": 0}


@pytest.fixture(scope="session")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The older program, where PYTHONPATH finds it."""
    return program_of(BEFORE, tmp_path_factory.mktemp("older"))


Start = Callable[[Path], Server]


@pytest.fixture
def start(home: Path, emulator: Emulated, tmp_path: Path) -> Iterator[Start]:
    """Starts servers of a program on the test's home, with a budget."""
    started: list[Server] = []

    def started_with(program: Path) -> Server:
        more = {"PYTHONPATH": str(program), "LTX_MCP_BUDGET_USD_PER_DAY": BUDGET, "LTX_MCP_MAX_LIVE_JOBS": "100"}
        started.append(Server(home, more=more, folder=tmp_path))
        return started[-1]

    yield started_with
    for server in started:
        server.close()
        assert server.process.stdout is not None
        server.process.stdout.close()


def send_orders(server: Server, whose: str) -> None:
    """Asks for many films without waiting for an answer."""
    assert server.process.stdin is not None
    for n in range(ORDERS):
        params = {"name": "generate_video", "arguments": {"prompt": f"{whose} {n}", **FILM}}
        message = {"jsonrpc": "2.0", "id": f"o{n}", "method": "tools/call", "params": params}
        server.process.stdin.write(json.dumps(message).encode() + b"\n")
    server.process.stdin.flush()


def read_answers(server: Server) -> list[str]:
    """The ids of the jobs, or the refusals."""
    assert server.process.stdout is not None
    said: list[str] = []
    while len(said) < ORDERS:
        message: dict[str, Any] = json.loads(server.process.stdout.readline())
        if str(message.get("id", "")).startswith("o"):
            result = message["result"]
            is_error = result.get("isError")
            said.append(result["content"][0]["text"] if is_error else result["structuredContent"]["job_id"])
    return said


def check_counters(database: Database) -> None:
    with database.read() as connection:
        assert counters(connection) == recount(connection)


def test_both_count_and_pass_no_budget_together(
    home: Path, database_url: str, older: Path, start: Start, emulator: Emulated
) -> None:
    world: EmulatorState = emulator[1]
    world.wait_s = 600  # an order that is not begun can be cancelled
    old = start(older)
    first = old.call("generate_video", prompt="before", **FILM)["job_id"]
    database = Database.open(home, database_url)
    with closing(database):
        store = Store(database)
        with database.read() as connection:
            assert connection.execute(text("SELECT max(version) FROM form")).scalar() == len(STEPS) > FORM_BEFORE
        check_counters(database)
        new = start(ROOT)
        new.call("estimate_cost")
        for server, whose in ((old, "old"), (new, "new")):
            send_orders(server, whose)
        said = [answer for server in (old, new) for answer in read_answers(server)]
        placed = [first, *(answer for answer in said if answer.startswith("job_"))]
        refused = [answer for answer in said if answer not in placed]
        held = [
            event.detail["held_micro"] for name in placed for event in store.history(name) if event.what == "placed"
        ]
        assert held == [HELD] * 11  # 3.96 of 4 USD
        assert all("0.04 USD are left of today's budget of 4.00 USD" in answer for answer in refused)
        check_counters(database)
        job = next(job for job in store.page("local", "", 100, None) if job.prompt.startswith("old"))
        old.call("cancel_job", job_id=job.id)
        wait_for(lambda: len(store.live()) == 10, HANG_S)
        world.wait_s = world.work_s = 0.1
        wait_for(lambda: not store.live(), HANG_S)
        check_counters(database)
        now = store.budget(job.created_at)
        assert (now.held, now.booked) == (0, 10 * 240_000)
        for server in (old, new):
            budget = server.call("estimate_cost")["budget"]
            assert (budget["spent_usd"], budget["reserved_usd"]) == (2.4, 0)
