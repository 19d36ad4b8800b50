"""PostgreSQL is stopped under load and started again: what callers are told, and that nothing is lost or ordered twice.

Several servers on one database; every caller gives a request_key and repeats what was refused.
"""

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio

from bench.chaos_books import connect, count_live, read_books
from bench.chaos_judge import Evidence, Told, Verdict, judge, print_verdict
from bench.chaos_plan import SHAPES
from bench.fleet import Answer, Died, Fleet, emulated, server_environment, strange_lines
from bench.postgres import Postgres, postgres
from bench.table import Row, count, seconds

SEED = 20_270_102
WAIT_S, WORK_S = 1.0, 2.0
LEAD_S, AFTER_S = 15.0, 30.0
PATIENCE_S, GIVE_UP_S = 60.0, 240.0
EXPECTED = "storage_failed"
FREEZE = "freeze"
MODES = ("immediate", "fast", FREEZE)
"""Stopped as by a crash, or with every session ended; or not stopped at all, but silent."""


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line; `rate` is requests a second."""

    processes: int
    rate: float
    down_s: float
    mode: str
    calm_s: float
    seed: int


@dataclass
class Callers:
    """People who want a film each and do not give up because a server says no."""

    fleet: Fleet
    rng: random.Random
    told: list[Told] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    meanwhile: list[Answer] = field(default_factory=list)
    down: bool = False

    async def ask(self, number: int) -> None:
        """One request, repeated with the same key until there is a job."""
        provider = self.rng.choice(list(SHAPES))
        key = f"shot-{number}"
        told = Told(f"Shot {number}: a harbour in the fog", key)
        self.told.append(told)
        wish = {"prompt": told.prompt, "provider": provider, "request_key": key, **SHAPES[provider][0]}
        with anyio.move_on_after(GIVE_UP_S):
            while not told.job_ids:
                await self._try(wish, told)
                await anyio.sleep(self.rng.uniform(0.5, 2))
        told.unanswered = not told.job_ids

    async def _try(self, wish: dict[str, object], told: Told) -> None:
        down = self.down
        with anyio.move_on_after(PATIENCE_S) as patience:
            try:
                answer = await self.fleet.call("generate_video", wish)
            except Died:
                told.deaths += 1
                return
            if down or self.down:
                self.meanwhile.append(answer)
            if job_id := answer.content.get("job_id"):
                told.job_ids.add(str(job_id))
        if patience.cancelled_caught:
            self.hung.append(told.request_key)


async def run(options: Options, folder: Path, server: Postgres) -> Verdict:
    """Load, outage, load, calm, judgement."""
    rng = random.Random(options.seed)
    url, home, log = server.fresh(), folder / "home", folder / "servers.log"
    emulator_log = folder / "emulator.log"
    async with (
        emulated(folder / "films", emulator_log, WAIT_S, WORK_S) as emulator,
        anyio.create_task_group() as group,
    ):
        environment = server_environment(home, emulator, {"LTX_MCP_DATABASE_URL": url})
        fleet = Fleet(environment, log, group, rng)
        callers = Callers(fleet, rng)
        try:
            await fleet.start(options.processes)
            async with anyio.create_task_group() as asking:
                asking.start_soon(_place, callers, options)
                down_s = await _outage(callers, server, options)
            calm_s = await drain(url, home, options.calm_s)
        finally:
            await fleet.end()
        orders, books = await emulator.orders(), read_books(connect(url, home))
        group.cancel_scope.cancel()
    seen = Evidence(orders, (), books, callers.told, (), home / "videos", None)
    return judge(_title(options), seen, _rows(callers, down_s, calm_s), _notes(callers, [log, emulator_log]))


async def _place(callers: Callers, options: Options) -> None:
    """New requests at a steady rate, before, during and after the outage."""
    began = anyio.current_time()
    total = int((LEAD_S + options.down_s + AFTER_S) * options.rate)
    async with anyio.create_task_group() as group:
        for number in range(total):
            await anyio.sleep_until(began + number / options.rate)
            group.start_soon(callers.ask, number)


async def _outage(callers: Callers, server: Postgres, options: Options) -> float:
    """Stop the database, and start it again after a while; how long it was away, in seconds."""
    await anyio.sleep(LEAD_S)
    callers.down, began = True, datetime.now(UTC)
    frozen = options.mode == FREEZE
    await anyio.to_thread.run_sync(server.freeze if frozen else partial(server.stop, options.mode))
    await anyio.sleep(options.down_s)
    await anyio.to_thread.run_sync(server.thaw if frozen else server.start)
    callers.down = False
    return (datetime.now(UTC) - began).total_seconds()


async def drain(url: str, home: Path, most_s: float) -> float:
    """Wait for the last live job; how long that took, at most `most_s`."""
    engine, began = connect(url, home), anyio.current_time()
    with anyio.move_on_after(most_s):
        while await anyio.to_thread.run_sync(count_live, engine):
            await anyio.sleep(1)
    return anyio.current_time() - began


def _title(options: Options) -> str:
    return (
        f"outage: PostgreSQL stopped ({options.mode}) for {options.down_s:g} s under {options.processes} servers, "
        f"{options.rate:g} requests a second, seed {options.seed}"
    )


def _rows(callers: Callers, down_s: float, calm_s: float) -> list[Row]:
    fleet = callers.fleet
    refused = [answer for answer in callers.meanwhile if answer.code]
    strange = [answer for answer in refused if answer.code != EXPECTED]
    return [
        Row("the database was away", [down_s], seconds),
        Row("requests made", [len(callers.told)], count),
        Row("calls", [fleet.tally.calls], count),
        Row("  answered while it was away", [len(callers.meanwhile)], count),
        Row(f"  of them, isError with {EXPECTED}", [len(refused) - len(strange)], count),
        Row("  isError with another code", [len(strange)], count, 0),
        Row("call to answer, all calls", [answer.took_s for _, answer in fleet.tally.answers], seconds),
        Row("call to answer, while it was away", [each.took_s for each in callers.meanwhile] or [0.0], seconds),
        Row(f"calls without an answer within {PATIENCE_S:g} s", [len(callers.hung)], count, 0),
        Row("servers that died by themselves", [fleet.tally.deaths], count, 0),
        Row("requests that never got a job", [sum(each.unanswered for each in callers.told)], count, 0),
        Row("seconds until nothing was live, afterwards", [calm_s], seconds),
    ]


def _notes(callers: Callers, logs: Sequence[Path]) -> list[str]:
    texts = Counter(answer.text for answer in callers.meanwhile if answer.code)
    strange = Counter(strange_lines(logs))
    return [
        *(f"Callers were told, {number} times: {text}" for text, number in texts.most_common(5)),
        *(f"In the logs, {number} times: {line}" for line, number in strange.most_common(12)),
    ]


def read_options(words: Sequence[str]) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.outage", description=__doc__)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--rate", type=float, default=2, help="requests a second")
    parser.add_argument("--down", dest="down_s", type=float, default=30, help="seconds without a database")
    parser.add_argument("--mode", choices=MODES, default="immediate", help="how it is stopped")
    parser.add_argument("--calm", dest="calm_s", type=float, default=300, help="most seconds to wait for the last end")
    parser.add_argument("--seed", type=int, default=SEED)
    return Options(**vars(parser.parse_args(words)))


def main(words: Sequence[str]) -> None:
    """Run, print, and end with 1 when a promise was broken."""
    options = read_options(words)
    with tempfile.TemporaryDirectory(prefix="ltx-bench-", ignore_cleanup_errors=True) as name, postgres() as server:
        verdict = anyio.run(run, options, Path(name), server)
    raise SystemExit(print_verdict(verdict))


if __name__ == "__main__":
    main(sys.argv[1:])
