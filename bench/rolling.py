"""Replicas that come and go behind HAProxy, one after the other, while callers of both eras call: what fails meanwhile.

Restarted by SIGTERM, no call may fail. Killed, only calls may fail that were on their way; the caller repeats an order
with its key. Neither may order a video twice, or lose one. `--pool` puts PgBouncer before the database.
"""

import argparse
import secrets
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
from mcp import Client, MCPError
from mcp.types import TextContent

from bench.fleet import Emulator, emulated, server_environment
from bench.postgres import postgres
from bench.table import Row, Table, count, seconds
from ltx_mcp.domain.job import State
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from tests.service.pgbouncer import pooled
from tests.service.replicas import Balancer, Replica

WORK_S, READY_WITHIN_S, CALM_S = 3.0, 60.0, 300.0
PROBED = "check inter 250ms fall 3 rise 1"
PROBE = """option httpchk GET /readyz
    http-check expect status 200
    timeout check 2s
    retries 3
    option redispatch 1"""
ORDER = {"provider": "fal", "model": "ltx-2.3-fast"}
MAX_JOBS = 10_000


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line."""

    replicas: int
    callers: int
    rounds: int
    kill: bool
    pool: bool


@dataclass
class Run:
    """What happened. `ends` are when each replica was told to end and when it had, by the monotonic clock."""

    calls: int = 0
    ends: list[tuple[float, float]] = field(default_factory=list)
    failed: list[tuple[float, float, str]] = field(default_factory=list)
    job_ids: set[str] = field(default_factory=set)
    is_over: bool = False

    def on_their_way(self) -> int:
        """How many failed calls were under way while a replica ended."""
        return sum(
            any(began <= dead and told <= failed for told, dead in self.ends) for began, failed, _ in self.failed
        )

    @property
    def drains(self) -> list[float]:
        """Seconds from the signal to the end of each."""
        return [dead - told for told, dead in self.ends]


class Caller:
    """Orders videos one after the other and looks at them, at one address, in one era."""

    def __init__(self, run: Run, number: int) -> None:
        self._run, self._number = run, number
        self._shot, self._began = 1, 0.0

    async def live(self, url: str) -> None:
        """Call until the run is over. A client whose connection breaks is done for, so another one goes on."""
        while not self._run.is_over:
            try:
                async with Client(url, mode="auto" if self._number % 2 else "legacy") as client:
                    while not self._run.is_over:
                        await self._make_video(client)
            except BaseExceptionGroup as broken:
                lost, rest = broken.split(httpx2.HTTPError)
                if rest is not None:
                    raise
                self._fail(str(lost))
            except MCPError as error:
                self._fail(str(error))

    async def _make_video(self, client: Client) -> None:
        key = f"{self._number}-{self._shot}"
        placed = await self._call(client, "generate_video", prompt=key, request_key=key, **ORDER)
        if placed is None:
            return
        self._shot += 1
        self._run.job_ids.add(placed["job_id"])
        await self._call(client, "list_jobs", limit=3)
        await self._call(client, "check_job", job_id=placed["job_id"], wait_seconds=8, frames=False)

    async def _call(self, client: Client, tool: str, **arguments: Any) -> dict[str, Any] | None:
        self._began = time.monotonic()
        self._run.calls += 1
        try:
            result = await client.call_tool(tool, arguments)
        except MCPError as error:
            self._fail(str(error))
            return None
        if result.is_error:
            block = result.content[0]
            self._fail(block.text if isinstance(block, TextContent) else "")
            return None
        return dict(result.structured_content or {})

    def _fail(self, why: str) -> None:
        self._run.failed.append((self._began, time.monotonic(), why))


async def roll(options: Options, run: Run, replicas: list[Replica], env: dict[str, str], folder: Path) -> None:
    """End each replica in turn, and start it again at its place, so often."""
    for _ in range(options.rounds):
        for place, old in enumerate(replicas):
            await anyio.sleep(1)
            told = time.monotonic()
            (old.process.kill if options.kill else old.end)()
            await anyio.to_thread.run_sync(old.process.wait)
            run.ends.append((told, time.monotonic()))
            old.close()
            replicas[place] = await anyio.to_thread.run_sync(Replica, env, folder / f"log{place}", old.port)
            await ready(old.port)
    run.is_over = True


async def ready(port: int) -> None:
    """Wait until the server at this port takes calls."""
    with anyio.fail_after(READY_WITHIN_S):
        while not await anyio.to_thread.run_sync(_is_ready, port):
            await anyio.sleep(0.1)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def measure(options: Options, folder: Path, database_url: str) -> tuple[Table, bool]:
    """The figures, and whether the promises were kept."""
    run, balancer = Run(), Balancer(folder)
    async with emulated(folder / "films", folder / "emulator.log", 0.2, WORK_S) as emulator:
        more = {
            "LTX_MCP_DATABASE_URL": database_url,
            "LTX_MCP_DATABASE_CONNECTIONS": "4",
            "LTX_MCP_PUBLIC_URL": balancer.address,
            "LTX_MCP_SIGNING_KEY": secrets.token_urlsafe(32),
        }
        env = server_environment(folder / "home", emulator, more)
        replicas = [Replica(env, folder / f"log{number}") for number in range(options.replicas)]
        try:
            for replica in replicas:
                await ready(replica.port)
            balancer.start([replica.port for replica in replicas], PROBED, PROBE)
            async with anyio.create_task_group() as group:
                for number in range(options.callers):
                    group.start_soon(Caller(run, number).live, f"{balancer.address}/mcp")
                await roll(options, run, replicas, env, folder)
            return await _judged(options, run, emulator, folder / "home", database_url)
        finally:
            for replica in replicas:
                replica.close()
            balancer.close()


async def _judged(options: Options, run: Run, emulator: Emulator, home: Path, database_url: str) -> tuple[Table, bool]:
    database = Database.open(home, database_url)
    store = Store(database)
    with anyio.move_on_after(CALM_S):
        while await anyio.to_thread.run_sync(store.live):
            await anyio.sleep(0.5)
    jobs = store.page(LOCAL, "", MAX_JOBS, None)
    database.close()
    orders = Counter(order["fields"]["prompt"] for order in await emulator.orders())
    doubled = sum(number > 1 for number in orders.values())
    lost = len(run.job_ids - {job.id for job in jobs if job.state in (State.SUCCEEDED, State.UNKNOWN)})
    excused = run.on_their_way() if options.kill else 0
    rows = [
        Row("restarts", [len(run.ends)], count),
        Row("from the signal to the end of a process", run.drains, seconds, None if options.kill else 12),
        Row("calls", [run.calls], count),
        Row("calls that failed", [len(run.failed)], count, None if options.kill else 0),
        Row("  of them, not on their way to a replica that was killed", [len(run.failed) - excused], count, 0),
        Row("videos ordered", [len(jobs)], count),
        Row("  of them, twice", [doubled], count, 0),
        Row("  of them, of unknown outcome", [sum(job.state is State.UNKNOWN for job in jobs)], count),
        Row("jobs that were answered and are lost", [lost], count, 0),
    ]
    how = "killed" if options.kill else "restarted"
    title = f"rolling: {options.replicas} replicas behind HAProxy, each {how} {options.rounds} times"
    notes = [f"Failed, {number} times: {why}" for why, number in Counter(each[2] for each in run.failed).most_common(5)]
    title += ", through PgBouncer" if options.pool else ""
    return Table(title, rows, notes), not (len(run.failed) - excused or doubled or lost)


def main(words: Sequence[str]) -> None:
    """Run, print, and end with 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m bench.rolling", description=__doc__)
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is restarted")
    parser.add_argument("--kill", action="store_true", help="by kill -9 instead of SIGTERM")
    parser.add_argument("--pool", action="store_true", help="through PgBouncer in transaction mode")
    options = Options(**vars(parser.parse_args(words)))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ltx-bench-", ignore_cleanup_errors=True)))
        url = stack.enter_context(postgres()).fresh()
        if options.pool:
            url = stack.enter_context(pooled(url, pool_size=8))
        table, is_kept = anyio.run(measure, options, folder, url)
    print(table.text())
    raise SystemExit(0 if is_kept else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
