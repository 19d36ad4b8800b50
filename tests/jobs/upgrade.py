"""A large database of version 0.1.0 is migrated while two servers of that version take orders on it; then a server of
this version joins them. Told as it happened, for tests and measurements to judge. Not a test."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ltx_mcp.domain.job import Job
from ltx_mcp.emulator.app import make_state, running, settings
from ltx_mcp.emulator.emulator_state import EmulatorState, Fault
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.postgres import Postgres
from ltx_mcp.jobs.store.store import Store
from tests.cli.conftest import environment
from tests.facts import facts_on_wire
from tests.jobs.counting import Counted, counters, recount
from tests.jobs.older import ROOT, fill
from tests.jobs.test_processes import INITIALIZE, wait_for
from tests.patience import HANG_S

MORE_ORDERS = 3
FILM = {"provider": "fal", "duration": 6, "resolution": "1080p"}
LOOK_S = 5
LATER = ("LTX_MCP_FAL_API_URL",)
"""Settings that version 0.1.0 does not know."""

BEFORE = """
SELECT count(DISTINCT jobs.id), count(*) FROM jobs JOIN events ON jobs.id = events.job_id
WHERE jobs.id ~ '^job_[0-9]+$' AND events.id IS NOT NULL
"""


@dataclass(frozen=True)
class Call:
    """What a call was answered; `refusal` is empty where it was no error. Times are seconds of the monotonic clock."""

    tool: str
    began_at: float
    took_s: float
    facts: Mapping[str, Any]
    refusal: str


@dataclass
class Upgrade:
    """What happened. `orders` are the prompts that the provider was sent, and how often each."""

    jobs: int
    waiting: str = ""
    """What the new server said before the database was migrated."""
    migrated: str = ""
    began_at: float = 0.0
    ended_at: float = 0.0
    old: list[Call] = field(default_factory=list)
    new: list[Call] = field(default_factory=list)
    restarted: str = ""
    """What a server of the older version said that was started afterwards."""
    placed: dict[str, Job | None] = field(default_factory=dict)
    orders: Counter[str] = field(default_factory=Counter)
    rows: tuple[int, int] = (0, 0)
    """Jobs, and events, of before, that are still there."""
    counted: Counted = field(default_factory=Counter)
    recounted: Counted = field(default_factory=Counter)

    def during(self) -> list[Call]:
        """The calls of older servers that touched the time of the migration."""
        return [
            call for call in self.old if call.began_at < self.ended_at and call.began_at + call.took_s > self.began_at
        ]


class Program:
    """A server process of one version, asked one thing after the other. What it logs goes to a file."""

    def __init__(self, folder: Path, env: Mapping[str, str], cwd: Path) -> None:
        command = [sys.executable, "-m", "ltx_mcp"]
        pipe = subprocess.PIPE
        with (cwd / "servers.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, env={**env, "PYTHONPATH": str(folder)}, cwd=cwd
            )
        self._asked = 0
        self._ask("initialize", INITIALIZE)
        self._send({"method": "notifications/initialized"})

    def call(self, tool: str, **arguments: Any) -> Call:
        """A tool's answer."""
        began_at = time.monotonic()
        result = self._ask("tools/call", {"name": tool, "arguments": arguments})
        took_s = time.monotonic() - began_at
        refusal = result["content"][0]["text"] if result.get("isError") else ""
        return Call(tool, began_at, took_s, facts_on_wire(result), refusal)

    def close(self) -> None:
        """End it as a host does; once is enough."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(HANG_S)
        self._process.stdout.close()

    def _ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self._asked += 1
        self._send({"id": self._asked, "method": method, "params": params})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            if message.get("id") == self._asked:
                result: dict[str, Any] = message["result"]
                return result
        raise AssertionError("the server ended")

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self._process.stdin.flush()


class Customer:
    """Orders one film after the other, and waits for each. What is refused he asks for once more, as he is told to."""

    def __init__(self, server: Program, name: str) -> None:
        self.server, self._name = server, name
        self.calls: list[Call] = []
        self.job_ids: list[str] = []

    def run(self, stop: threading.Event) -> None:
        """Until it is told to stop."""
        while not stop.is_set():
            job_id = self.order()
            while job_id and not (self._has_ended(job_id) or stop.is_set()):
                pass

    def order(self) -> str:
        """Another film; the id of its job, or nothing where it was refused."""
        number = len(self.job_ids)
        key = {"request_key": f"{self._name} {number}"} if number % 2 else {}
        placed = self._call("generate_video", prompt=f"{self._name} {number}", wait_seconds=0, **key, **FILM)
        if placed.refusal:
            return ""
        self.job_ids.append(placed.facts["job_id"])
        return self.job_ids[-1]

    def _has_ended(self, job_id: str) -> bool:
        seen = self._call("check_job", job_id=job_id, wait_seconds=LOOK_S)
        return seen.facts.get("state") in ("succeeded", "failed", "cancelled", "unknown")

    def _call(self, tool: str, **arguments: Any) -> Call:
        self.calls.append(self.server.call(tool, **arguments))
        return self.calls[-1]


def upgrade(url: str, jobs: int, older: Path, folder: Path, films: Path) -> Upgrade:
    """All of it, on the empty database at `url`."""
    fill(url, jobs)
    done = Upgrade(jobs)
    with running(films, state=make_state(wait_s=0.1, work_s=0.3)) as (address, world), ExitStack() as stack:
        env = environment(folder / "home", **settings(address), LTX_MCP_DATABASE_URL=url)
        env["LTX_MCP_BUDGET_USD_PER_DAY"] = "100000"
        old_env = {name: value for name, value in env.items() if name not in LATER}
        old = [Customer(stack.enter_context(closing(Program(older, old_env, folder))), f"old {n}") for n in range(2)]
        newer = stack.enter_context(closing(Program(ROOT, env, folder)))
        new = Customer(newer, "new")
        _order_long_ones(old, world)
        with at_work(old):
            wait_for(lambda: _have_ordered(old, [1, 1]), HANG_S)
            done.waiting = newer.call("estimate_cost").refusal
            _migrate(done, env)
            with at_work([new]):
                counts = [len(each.job_ids) for each in (*old, new)]
                wait_for(lambda: _have_ordered([*old, new], counts), HANG_S)
        for customer in old:
            customer.server.close()
        done.restarted = _restart(older, old_env, folder)
        for order in world.orders:
            order.fault = None
        done.old, done.new = [call for each in old for call in each.calls], new.calls
        _look(done, url, [job_id for each in (*old, new) for job_id in each.job_ids], world)
    return done


@contextmanager
def at_work(customers: Sequence[Customer]) -> Iterator[None]:
    """Meanwhile these order."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(customers)) as pool:
        work = [pool.submit(customer.run, stop) for customer in customers]
        try:
            yield
        finally:
            stop.set()
        for each in work:
            each.result()


def _order_long_ones(customers: Sequence[Customer], world: EmulatorState) -> None:
    """Films that are not done before all else is."""
    world.faults.append(Fault("fal", "order", "never_finishes", times=len(customers)))
    for customer in customers:
        customer.order()
    wait_for(lambda: len(world.orders) == len(customers), HANG_S)


def _have_ordered(customers: Sequence[Customer], before: Sequence[int]) -> bool:
    """Whether each has ordered more films; a refusal is waited for no longer, it is judged."""
    is_refused = any(call.refusal for each in customers for call in each.calls)
    return is_refused or all(
        len(each.job_ids) > count + MORE_ORDERS for each, count in zip(customers, before, strict=True)
    )


def _migrate(done: Upgrade, env: Mapping[str, str]) -> None:
    command = [sys.executable, "-m", "ltx_mcp", "migrate"]
    done.began_at = time.monotonic()
    ended = subprocess.run(command, env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, encoding="utf-8")
    done.ended_at = time.monotonic()
    assert ended.returncode == 0, ended.stderr
    done.migrated = ended.stdout + ended.stderr


def _restart(older: Path, env: Mapping[str, str], folder: Path) -> str:
    with closing(Program(older, env, folder)) as server:
        return server.call("estimate_cost").refusal


def _look(done: Upgrade, url: str, job_ids: Sequence[str], world: EmulatorState) -> None:
    with closing(Database(Postgres(url))) as database:
        store = Store(database)
        wait_for(lambda: not store.live(), HANG_S)
        done.placed = {job_id: store.get(job_id) for job_id in job_ids}
        done.orders = Counter(order.fields["prompt"] for order in world.orders)
        with database.read() as connection:
            done.counted, done.recounted = counters(connection), recount(connection)
            jobs, events = connection.exec_driver_sql(BEFORE).one()
            done.rows = jobs, events
