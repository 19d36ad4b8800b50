"""A thousand jobs in flight in one server process: what it takes in memory, event loop, requests and time.

The server is the real one on stdio, with a clock beside it on its event loop.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import anyio
from sqlalchemy import Engine, func, select

from bench.chaos_books import connect, count_live, read_books
from bench.chaos_plan import SHAPES
from bench.fleet import Emulator, Server, emulated, server_environment, strange_lines
from bench.process import cpu_s, memory
from bench.table import Row, Table, count, mib, ms, seconds
from bench.wire import ROOT
from ltx_mcp.domain.job import ACTIVE_STATES, State
from ltx_mcp.jobs.store.schema import jobs

MEMORY_BUDGET, LAG_BUDGET_S = 250 * 10**6, 0.05
TICK_S, LOOK_S = 0.01, 1.0
FOR_EVER_S, ALL_S = 86400.0, 5.0
AT_ONCE = 24
MAX_S = 900
PROVIDERS = ("fal", "ltx", "netwrck", "bytecompute")


@dataclass
class Run:
    """What was seen from outside; moments are on the monotonic clock, which all processes share."""

    began: float = 0.0
    placed: float = 0.0
    ended: float = 0.0
    work_s: float = 0.0
    most_live: int = 0
    resident: list[int] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    cpu: dict[str, float] = field(default_factory=dict)


async def serve(figures: Path) -> None:
    """The stdio server as `ltx-mcp serve` runs it, and a ticker; writes `figures` when its stdin closes."""
    from ltx_mcp.presentation.config import read_edge
    from ltx_mcp.server.app import make_server

    server, _ = make_server(*read_edge())
    lags: list[tuple[float, float]] = []

    async def tick() -> None:
        while True:
            due = time.monotonic() + TICK_S
            await anyio.sleep(TICK_S)
            lags.append((due, time.monotonic() - due))

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        await server.run_stdio_async()
        group.cancel_scope.cancel()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    figures.write_text(json.dumps({"peak": peak, "lags": lags}), encoding="utf-8")


async def measure(number: int, wait_s: float, work_s: float, folder: Path) -> tuple[Table, list[str]]:
    """The whole run; the second part names what the servers wrote that nothing explains."""
    home, figures, log = folder / "home", folder / "figures.json", folder / "server.log"
    async with (
        emulated(folder / "films", folder / "emulator.log", wait_s, work_s) as emulator,
        anyio.create_task_group() as group,
    ):
        command = [sys.executable, "-m", "bench.thousand", "--serve", str(figures)]
        account = folder / "ltx.toml"
        account.write_text(f'name = "ltx"\nslots = {number}\n', encoding="utf-8")
        environment = server_environment(home, emulator, {"LTX_MCP_MODELS": str(account)})
        with log.open("ab") as told:
            process = await anyio.open_process(command, env=environment, cwd=ROOT, stderr=told)
        server = Server(process)
        group.start_soon(server.listen)
        run = Run()
        try:
            await server.hello()
            await _drive(server, emulator, run, number, work_s, home)
            run.cpu = {"server": cpu_s(server.pid)}
            assert process.stdin is not None
            await process.stdin.aclose()
            with anyio.move_on_after(20):
                await process.wait()
        finally:
            await server.kill()
        rows = await _rows(run, emulator, home, json.loads(figures.read_text(encoding="utf-8")), number)
        group.cancel_scope.cancel()
    notes = [
        f"{number} jobs, a quarter at each emulated provider. Orders wait {wait_s:g} s and take {run.work_s:.0f} s, so "
        "that the first ends",
        f"after the last was placed; {AT_ONCE} callers place them one after the other. LTX admits all of its orders at",
        "once, by an overlay of its facts: by default two run there and the rest wait here. The server is the one of",
        f"stdio with a ticker of {TICK_S * 1000:g} ms beside it; the emulator and the callers share its machine.",
        *(f"Refused: {text}" for text in dict.fromkeys(run.refused)),
    ]
    return Table("thousand: jobs in flight in one server process", rows, notes), strange_lines([log])


async def _drive(server: Server, emulator: Emulator, run: Run, number: int, work_s: float, home: Path) -> None:
    """Place them all while none can end, then wait for the last one."""
    await emulator.set_work(FOR_EVER_S)
    await server.call("estimate_cost", {})
    engine = connect("", home)
    run.began = time.monotonic()
    async with anyio.create_task_group() as watching:
        watching.start_soon(_look, server, run, engine)
        numbers = iter(range(number))

        async def place() -> None:
            for each in numbers:
                provider = PROVIDERS[each % len(PROVIDERS)]
                wish = {"prompt": f"Shot {each}", "provider": provider, **SHAPES[provider][0]}
                answer = await server.call("generate_video", wish)
                run.answers.append(answer.took_s)
                if answer.code:
                    run.refused.append(answer.text)

        async with anyio.create_task_group() as placing:
            for _ in range(AT_ONCE):
                placing.start_soon(place)
        run.placed = time.monotonic()
        run.work_s = max(work_s, run.placed - run.began + ALL_S)
        await emulator.set_work(run.work_s)
        with anyio.fail_after(MAX_S):
            while await anyio.to_thread.run_sync(count_live, engine):
                await anyio.sleep(LOOK_S)
        run.ended = time.monotonic()
        watching.cancel_scope.cancel()


async def _look(server: Server, run: Run, engine: Engine) -> None:
    """How many are in flight, and what the process holds, each second."""
    query = select(func.count()).select_from(jobs).where(jobs.c.state.in_(ACTIVE_STATES))

    def ask() -> int:
        with engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    while True:
        run.most_live = max(run.most_live, await anyio.to_thread.run_sync(ask))
        with suppress(OSError):
            run.resident.append(memory(server.pid).rss)
        await anyio.sleep(LOOK_S)


async def _rows(run: Run, emulator: Emulator, home: Path, told: dict[str, Any], number: int) -> list[Row]:
    books, orders = read_books(connect("", home)), await emulator.orders()
    states = Counter(job.state for job in books.jobs.values())
    asked = Counter(call["provider"] for call in await emulator.calls())
    placing = [lag for at, lag in told["lags"] if run.began <= at < run.placed]
    after = [lag for at, lag in told["lags"] if run.placed <= at < run.ended]
    return [
        Row("jobs succeeded", [states[State.SUCCEEDED]], count, number, least=True),
        Row("most in flight at once", [run.most_live], count, number, least=True),
        Row("orders the emulator took", [len(orders)], count, number),
        Row("peak memory of the server process", [told["peak"]], mib, MEMORY_BUDGET),
        Row("  each second", run.resident, mib),
        *_lag_rows("whole run", placing + after, LAG_BUDGET_S),
        *_lag_rows("while placing", placing, None),
        *_lag_rows("afterwards", after, None),
        Row("call to answer of generate_video", run.answers, ms),
        Row("to place them all", [run.placed - run.began], seconds),
        Row("from the last placed to the last ended", [run.ended - run.placed], seconds),
        Row("CPU of the server process", [run.cpu["server"]], seconds),
        Row("requests a job, films included", [sum(asked.values()) / number], lambda value: f"{value:.1f}"),
        *(Row(f"  requests to {name}", [asked[name]], count) for name in sorted(asked)),
    ]


def _lag_rows(when: str, lags: Sequence[float], budget: float | None) -> list[Row]:
    cut = quantiles(lags, n=100)
    return [
        Row(f"event loop lag, {when}, p50", [median(lags)], ms),
        Row(f"event loop lag, {when}, p99", [cut[98]], ms, budget),
        Row(f"event loop lag, {when}, most", [max(lags)], ms),
    ]


def main(words: Sequence[str]) -> None:
    """Run, print, and end with 1 when a budget is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.thousand", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--wait", type=float, default=5, help="seconds an order waits at the provider")
    parser.add_argument("--work", type=float, default=25, help="least seconds it is worked on there")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.serve:
        anyio.run(serve, given.serve)
        return
    with tempfile.TemporaryDirectory(prefix="ltx-bench-", ignore_cleanup_errors=True) as name:
        table, strange = anyio.run(measure, given.jobs, given.wait, given.work, Path(name))
    print(table.text(), flush=True)
    for line, times in Counter(strange).most_common(12):
        print(f"In the log, {times} times: {line}")
    if any(row.cells()[4] == "over" for row in table.rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
