"""Kills servers and breaks wires at random while jobs are placed, then judges: nothing ordered twice, nothing lost.

Real processes, callers in teams, emulated providers, made-up prices of real size. With `--service` the servers are
replicas behind HAProxy, and what stands around them fails too. `python -m bench.chaos --help` says what can be set.
"""

import argparse
import logging
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from bench.chaos_books import connect, count_live, read_books
from bench.chaos_callers import PART, PRICE, OtherCallers
from bench.chaos_judge import Evidence, Told, Verdict, judge, print_verdict
from bench.chaos_plan import HEADROOM, Wish, budget_of, draw_pictures, make_wishes, to_data
from bench.fleet import Answer, Died, Emulator, Fleet, Tally, emulated, server_environment, strange_lines
from bench.table import Row, count, seconds
from ltx_mcp.domain.price import to_micro

if TYPE_CHECKING:
    from bench.chaos_service import Service

SEED = 20_270_101
WAIT_S, WORK_S = 2.0, 2.0
HANG_S, CALM_S, LAST_WORD_S = 65.0, 300.0, 60.0
TRIES = 40
BREAKS = ("storage_failed", "internal_error", "json_rpc")
LIVE = ("queued", "submitting", "running", "saving")

Excuse = Callable[[Answer], bool]
"""Whether something around the servers was away, so that an answer may say that something broke."""


@dataclass(frozen=True)
class Options:
    """What was asked for on the command line; `every_s` is the mean time between two killings."""

    database: str
    jobs: int
    minutes: float
    processes: int
    seed: int
    every_s: float
    keep: Path | None
    service: bool


class Servers(Protocol):
    """Those that are killed, each replaced. `kills` are the moments of the killings."""

    tally: Tally
    kills: list[datetime]
    started: int

    @property
    def logs(self) -> Sequence[Path]:
        """What they said."""

    async def start(self, processes: int, /) -> None:
        """Put so many servers in place of those there are."""

    async def strike(self) -> None:
        """End a random one, and have a fresh one in its place."""

    async def end(self) -> None:
        """Kill all there are."""

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> Answer:
        """One call at any of them. Raises Died."""


@dataclass
class Callers:
    """Everybody who wants a film. A call whose server dies is repeated at another."""

    fleet: Servers
    emulator: Emulator
    rng: random.Random
    told: list[Told] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)

    async def ask(self, wish: Wish) -> None:
        """One request to its end: placed, then cancelled, followed or left alone."""
        for each in wish.breaks:
            await self.emulator.break_at(each.provider, each.step, each.kind, each.options)
        told = Told(wish.arguments["prompt"], wish.arguments.get("request_key", ""))
        self.told.append(told)
        async with anyio.create_task_group() as group:
            if wish.twice:
                group.start_soon(self._persist, wish.tool, wish.arguments, told)
            answer = await self._persist(wish.tool, wish.arguments, told)
        if answer is None:
            told.unanswered = True
        elif job_id := answer.content.get("job_id"):
            await self._live_with(str(job_id), wish, told)
        elif answer.code == "over_budget":
            told.refusals.append(answer.text)

    async def _live_with(self, job_id: str, wish: Wish, told: Told) -> None:
        if wish.cancel_after_s is not None:
            await anyio.sleep(wish.cancel_after_s)
            await self._persist("cancel_job", {"job_id": job_id}, told)
        state = "queued" if wish.follows else ""
        while state in LIVE:
            check = {"job_id": job_id, "wait_seconds": 10, "frames": False}
            answer = await self._persist("check_job", check, told)
            state = str(answer.content.get("state", "")) if answer else ""

    async def _persist(self, tool: str, arguments: Mapping[str, Any], told: Told) -> Answer | None:
        """The answer, from whichever server lives long enough to give one."""
        for _ in range(TRIES):
            try:
                with anyio.move_on_after(HANG_S):
                    answer = await self.fleet.call(tool, arguments)
                    if job_id := answer.content.get("job_id"):
                        told.job_ids.add(str(job_id))
                    if answer.code not in BREAKS:
                        return answer
                    await anyio.sleep(self.rng.uniform(0.5, 1.5))
                    continue
                self.hung.append(f"{tool} {arguments}")
            except Died:
                told.deaths += 1
                await anyio.sleep(self.rng.uniform(0.05, 0.5))
        return None


async def run(options: Options, folder: Path, url: str, service: "Service | None") -> Verdict:
    """The whole run: the storm, the calm, the judgement."""
    rng = random.Random(options.seed)
    pictures = [(to_data if service else str)(picture) for picture in draw_pictures(folder / "pictures")]
    wishes = make_wishes(rng, options.jobs, options.minutes * 60, pictures)
    home, log = folder / "home", folder / "servers.log"
    emulator_log = folder / "emulator.log"
    part = options.jobs // PART
    budget = budget_of(wishes) + round(part * PRICE * HEADROOM, 2)
    more = {"LTX_MCP_BUDGET_USD_PER_DAY": str(budget)} | ({"LTX_MCP_DATABASE_URL": url} if url else {})
    engine = connect(service.parts.url if service else url, home)
    async with (
        emulated(folder / "films", emulator_log, WAIT_S, WORK_S) as emulator,
        anyio.create_task_group() as group,
    ):
        environment = server_environment(home, emulator, more)
        fleet = service.replicas(environment, group, rng) if service else Fleet(environment, log, group, rng)
        callers = Callers(fleet, emulator, rng)
        others = OtherCallers(home, url, emulator.settings, budget, part, random.Random(options.seed))
        try:
            await fleet.start(options.processes)
            await storm(callers, others, wishes, options, service)
            struck = len(fleet.kills)
            await fleet.end()
            faults = await emulator.faults()
            await emulator.mend()
            await fleet.start(2)
            calm_s = await drain(engine)
            told_s = await service.tell() if service else 0.0
        finally:
            await fleet.end()
        orders, books = await emulator.orders(), read_books(engine)
        group.cancel_scope.cancel()
    excuse = service.parts.excuse if service else is_no_excuse
    rows = [
        *_rows(callers, struck, calm_s, excuse),
        Row("refused to callers of teams", [others.refused.total()], count),
    ]
    notes = _notes(callers, [*fleet.logs, emulator_log], excuse)
    seen = Evidence(orders, faults, books, callers.told, fleet.kills, home / "videos", to_micro(budget), others.limits)
    if service:
        rows.append(Row("seconds until webhooks were told all that was left", [told_s], seconds))
        return service.judge(f"chaos: {_title(options)}", seen, rows, notes)
    return judge(f"chaos: {_title(options)}", seen, rows, notes)


def is_no_excuse(answer: Answer) -> bool:
    """Where nothing around the servers goes away, nothing may break."""
    return False


def _title(options: Options) -> str:
    if options.service:
        where = "PostgreSQL through PgBouncer, films in a bucket, webhooks, behind HAProxy"
    else:
        where = "PostgreSQL" if options.database == "postgres" else "SQLite"
    return (
        f"{options.processes} servers on {where}, {options.jobs} requests in {options.minutes:g} min, "
        f"a kill each {options.every_s:g} s, seed {options.seed}"
    )


async def storm(
    callers: Callers, others: OtherCallers, wishes: Sequence[Wish], options: Options, service: "Service | None"
) -> None:
    """Requests at their times, and killings as long; callers who still wait then get a little longer."""
    end = anyio.current_time() + options.minutes * 60
    async with anyio.create_task_group() as asking:
        asking.start_soon(_strike_until, callers.fleet, options.every_s, end)
        asking.start_soon(others.run, options.minutes * 60)
        if service:
            asking.start_soon(service.parts.trouble, options.seed, options.minutes * 60)
        began = anyio.current_time()
        for wish in wishes:
            await anyio.sleep_until(began + wish.at_s)
            asking.start_soon(callers.ask, wish)
        await anyio.sleep_until(end)
        asking.cancel_scope.deadline = end + LAST_WORD_S


async def _strike_until(fleet: Servers, every_s: float, end: float) -> None:
    at = anyio.current_time()
    chance = random.Random(f"{every_s} {end}")
    while (at := at + chance.expovariate(1 / every_s)) < end:
        await anyio.sleep_until(at)
        await fleet.strike()


async def drain(engine: Any) -> float:
    """Wait for the last live job; how long that took, at most CALM_S."""
    began = anyio.current_time()
    with anyio.move_on_after(CALM_S):
        while await anyio.to_thread.run_sync(count_live, engine):
            await anyio.sleep(1)
    return anyio.current_time() - began


def _rows(callers: Callers, struck: int, calm_s: float, excuse: Excuse) -> list[Row]:
    fleet, told = callers.fleet, callers.told
    paid = [answer.took_s for tool, answer in fleet.tally.answers if tool in ("generate_video", "animate_image")]
    numbers = {
        "servers killed with -9": struck,
        "servers started": fleet.started,
        "tool calls": fleet.tally.calls,
        "  of them, the server died before the answer": fleet.tally.deaths,
        "requests made": len(told),
        "  placed": sum(bool(each.job_ids) for each in told),
        "  refused by the budget": sum(bool(each.refusals) for each in told),
        "  never answered": sum(each.unanswered for each in told),
    }
    return [
        *(Row(what, [number], count) for what, number in numbers.items()),
        Row("seconds to the answer of a paid tool", paid, seconds),
        Row(f"calls without an answer within {HANG_S:g} s", [len(callers.hung)], count, 0),
        Row("answers that say something broke here", [len(_broken(fleet, excuse))], count, 0),
        Row("seconds until nothing was live, in the calm", [calm_s], seconds),
    ]


def _broken(fleet: Servers, excuse: Excuse) -> list[str]:
    """Those answers that say so and have no excuse."""
    return [
        f"{tool}: {answer.text}" for tool, answer in fleet.tally.answers if answer.code in BREAKS and not excuse(answer)
    ]


def _notes(callers: Callers, logs: Sequence[Path], excuse: Excuse) -> list[str]:
    left = [
        re.findall(r"costs ([\d.]+) USD; ([\d.]+) USD are left", text)
        for each in callers.told
        for text in each.refusals
    ]
    pairs = ", ".join(f"{price} of {rest}" for found in left for price, rest in found)
    refused = [answer for _, answer in callers.fleet.tally.answers if answer.code]
    codes = Counter(answer.code for answer in refused)
    strange = Counter(strange_lines(logs))
    return [
        "Films are one second of 192x108, so that the load is not their decoding.",
        f"Refused by the budget (price of what was left, USD): {pairs or 'none'}.",
        f"Refusals told to callers: {', '.join(f'{n} {code}' for code, n in codes.most_common()) or 'none'}.",
        *(f"Something broke: {text[:300]}" for text in dict.fromkeys(_broken(callers.fleet, excuse))),
        *(f"In the logs, {number} times: {line}" for line, number in strange.most_common(12)),
        *(f"Hung: {call[:200]}" for call in callers.hung),
    ]


def read_options(words: Sequence[str]) -> Options:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--service", action="store_true", help="HAProxy, replicas, PgBouncer, a bucket, webhooks")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--processes", type=int, default=0, help="3; 4 with postgres or as a service")
    parser.add_argument("--seed", type=int, default=SEED)
    every = "mean seconds between two killings; 0.5, and 2 as a service"
    parser.add_argument("--every", dest="every_s", type=float, default=0, help=every)
    parser.add_argument("--keep", type=Path, help="a new folder to keep home, logs and films in")
    given = parser.parse_args(words)
    given.processes = given.processes or (4 if given.service or given.database == "postgres" else 3)
    given.every_s = given.every_s or (2 if given.service else 0.5)
    return Options(**vars(given))


@contextmanager
def room(options: Options) -> Iterator[Path]:
    """Where a run keeps everything."""
    if options.keep is not None:
        options.keep.mkdir(parents=True)
        yield options.keep.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="ltx-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def surroundings(options: Options, folder: Path) -> Iterator[tuple[str, "Service | None"]]:
    """The address of the run's database, empty for SQLite, and what else stands around the servers."""
    if options.service:
        from bench.chaos_service import service

        with service(folder) as around:
            yield around.parts.pooled_url, around
    elif options.database == "postgres":
        from bench.postgres import postgres

        with postgres() as server:
            yield server.fresh(), None
    else:
        yield "", None


def main(words: Sequence[str]) -> None:
    """Run, print, and end with 1 when a promise was broken."""
    options = read_options(words)
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # it tells of every pipe whose reader was killed
    with room(options) as folder, surroundings(options, folder) as (url, service):
        verdict = anyio.run(run, options, folder, url, service)
    raise SystemExit(print_verdict(verdict))


if __name__ == "__main__":
    main(sys.argv[1:])
