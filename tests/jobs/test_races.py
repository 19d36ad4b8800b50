"""Many processes and threads that want the same thing at once, on both databases: the last dollar, the one job of a
request, a provider's places, a shot that ends while the next one is placed.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import State
from ltx_mcp.domain.job_set import jobs_of
from ltx_mcp.domain.request import Input
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock
from tests.jobs.test_store import New, ordered, priced
from tests.patience import HANG_S

T = TypeVar("T")
AT_ONCE = 8

CALLERS = """
import json, sys, anyio
from ltx_mcp.cli.common import open_jobs
from ltx_mcp.domain.errors import LtxError
from ltx_mcp.domain.arguments import GenerateVideo

async def main(mine, takes):
    async def call(jobs, n):
        try:
            wanted = GenerateVideo(prompt=f"pond {mine}-{n}", provider="fal", takes=takes[n % len(takes)])
            ordered = await jobs.order_or_ask(wanted, "local", None, can_ask=False)
            said.append({"job": ordered.followed.id})
        except LtxError as error:
            said.append({"error": error.code, "text": str(error)})

    said = []
    async with open_jobs() as jobs:
        print("ready", flush=True)
        sys.stdin.read()
        async with anyio.create_task_group() as group:
            for n in range(16):
                group.start_soon(call, jobs, n)
    print(json.dumps(said), flush=True)

anyio.run(main, sys.argv[1], [int(each) for each in sys.argv[2]])
"""


def at_once(work: Callable[[int], T], many: int = AT_ONCE) -> list[T]:
    """What each of these threads came to, all started at the same moment."""
    start = threading.Barrier(many)

    def begin(n: int) -> T:
        start.wait()
        return work(n)

    with ThreadPoolExecutor(many) as pool:
        return list(pool.map(begin, range(many)))


def said_by_processes(commands: Sequence[Sequence[str]], env: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """What all of them came to, who begin at the same moment: each prints ready, waits for the end of its input, and
    prints a list."""
    pipe = subprocess.PIPE
    started = [subprocess.Popen(each, stdin=pipe, stdout=pipe, env=env) for each in commands]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
    said: list[dict[str, Any]] = []
    for process in started:
        assert process.stdout is not None
        with process.stdout:
            said += json.loads(process.stdout.read())
        assert process.wait(HANG_S) == 0
    return said


def said_by_64_callers(home: Path, database_url: str, takes: str = "1", **settings: str) -> list[dict[str, Any]]:
    """What 64 callers in 4 processes came to, who all order another film at the same moment; `takes` are how many of it
    each of them wants, in turn."""
    env = {**os.environ, "LTX_MCP_HOME": str(home), "FAL_KEY": "k:1", **settings}
    env |= {"LTX_MCP_DATABASE_URL": database_url} if database_url else {}
    said = said_by_processes([[sys.executable, "-c", CALLERS, str(n), takes] for n in range(4)], env)
    assert len(said) == 64
    return said


def test_64_callers_in_4_processes_never_pass_the_budget_by_a_cent(home: Path, database_url: str) -> None:
    said = said_by_64_callers(home, database_url, LTX_MCP_BUDGET_USD_PER_DAY="1.5")
    placed = [each["job"] for each in said if "job" in each]
    refused = [each for each in said if "error" in each]
    database = Database.open(home, database_url)
    events = [event for job_id in placed for event in Store(database).history(job_id)]
    database.close()
    assert sum(event.detail["held_micro"] for event in events if event.what == "placed") == 1_440_000
    assert len(set(placed)) == 4
    assert {each["error"] for each in refused} == {"over_budget"}
    assert all("0.06 USD are left of today's budget of 1.50 USD" in each["text"] for each in refused)


def test_64_callers_who_want_one_video_or_sets_spend_the_budget_and_no_cent_more(home: Path, database_url: str) -> None:
    said = said_by_64_callers(home, database_url, "1236", LTX_MCP_BUDGET_USD_PER_DAY="9.1")
    placed = [each["job"] for each in said if "job" in each]
    database = Database.open(home, database_url)
    store = Store(database)
    found = [named for name in placed if (named := store.find(name)) is not None]
    jobs = store.page("local", "", 100, None)
    database.close()
    assert len(found) == len(set(placed)) == len(placed)
    assert sorted(job.id for each in found for job in jobs_of(each)) == sorted(job.id for job in jobs)
    for job_set in found:
        assert len(jobs_of(job_set)) == int(job_set.canonical_request.get("takes", "1"))
    assert sum(job.held_micro for job in jobs) == 25 * 360_000  # until not even one more fits
    assert {each["error"] for each in said if "error" in each} == {"over_budget"}


def test_of_64_callers_in_4_processes_exactly_one_gets_the_last_free_place(
    home: Path, database_url: str, new_job: New, clock: Clock
) -> None:
    database = Database.open(home, database_url)
    for n in range(6):
        Store(database).place(new_job(prompt=f"p{n}"), clock())
    said = said_by_64_callers(home, database_url, LTX_MCP_MAX_LIVE_JOBS="7")
    live = Store(database).live()
    database.close()
    placed = {each["job"] for each in said if "job" in each}
    refused = [each for each in said if "error" in each]
    assert (len(placed), len(refused), len(live)) == (1, 63, 7)
    assert {each["error"] for each in refused} == {"rate_limited"}
    assert all(each["text"].startswith("7 jobs are under way (7 queued), and 7 ") for each in refused)


def test_many_threads_placing_one_request_get_one_job(
    home: Path, database_url: str, new_job: New, clock: Clock
) -> None:
    opened = [Database.open(home, database_url) for _ in range(AT_ONCE)]
    ids = at_once(lambda n: Store(opened[n]).place(new_job(), clock()).job.id)
    for database in opened:
        database.close()
    assert len(set(ids)) == 1


def test_many_threads_placing_one_key_with_different_requests_get_one_job_and_refusals(
    database: Database, new_job: New, clock: Clock
) -> None:
    def place(n: int) -> str:
        try:
            return Store(database).place(new_job(request_key="k", prompt=f"pond {n}"), clock()).job.id
        except CallerError as error:
            return error.code

    said = at_once(place)
    assert sorted(each for each in said if not each.startswith("job_")) == ["invalid_request"] * (AT_ONCE - 1)


def test_many_threads_placing_jobs_and_sets_under_one_key_get_one_of_them(
    database: Database, new_job: New, clock: Clock
) -> None:
    def place(n: int) -> str:
        store, new = Store(database), new_job(request_key="k", takes=1 + n % 3)
        try:
            return store.place(new, clock()).job.id if new.takes == 1 else store.place_set(new, clock()).job_set.id
        except CallerError as error:
            return error.code

    said = at_once(place)
    assert len({each for each in said if each != "invalid_request"}) == 1
    assert said.count("invalid_request") >= AT_ONCE - 3
    takes = [job.take for job in Store(database).page("local", "", 100, None)]
    assert takes in ([0], [2, 1], [3, 2, 1])


def test_next_offers_at_once_do_not_pass_the_budget(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database, budget_usd=Decimal("2.00"))
    jobs = [ordered(store, priced(new_job(prompt=f"p{n}"), "0.20", "0.40"), clock) for n in range(AT_ONCE)]
    problem = JobError(ErrorCode.OUT_OF_CREDIT, "no credit")
    at_once(lambda n: store.fail_over(jobs[n], problem, clock()))
    budget = store.budget(clock())
    assert budget.held + budget.booked <= 2_000_000
    states = [found.state for job in jobs if (found := store.get(job.id))]
    assert states.count(State.QUEUED) == budget.held // 400_000
    assert State.FAILED in states


def test_a_providers_places_are_never_overfilled(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database)
    for n in range(AT_ONCE):
        store.place(priced(new_job(prompt=f"p{n}"), "0.30"), clock())
    claimed = at_once(lambda n: store.claim(f"w_{n}_x", {"fal": 3}, clock()))
    assert sum(job is not None for job in claimed) == 3


def test_places_on_a_machine_are_counted_for_that_machine(database: Database, new_job: New, clock: Clock) -> None:
    store, here = Store(database), frozenset({"local"})
    for n in range(AT_ONCE):
        store.place(new_job(prompt=f"p{n}"), clock())
    claimed = at_once(lambda n: store.claim(f"w_m{n % 2}_{n}", {"local": 2}, clock(), None, here))
    workers = sorted(job.lease_owner[:4] for job in claimed if job is not None)
    assert workers == ["w_m0", "w_m0", "w_m1", "w_m1"]


def test_no_job_is_claimed_by_two(database: Database, new_job: New, clock: Clock) -> None:
    store = Store(database)
    for n in range(20):
        store.place(new_job(prompt=f"p{n}"), clock())

    def claim(n: int) -> list[str]:
        found = []
        while job := store.claim(f"w_{n}", {}, clock()):
            found.append(job.id)
        return found

    claimed = [job_id for each in at_once(claim) for job_id in each]
    assert (len(claimed), len(set(claimed))) == (20, 20)


@pytest.mark.parametrize("n", range(10))
def test_a_shot_that_ends_while_the_next_is_placed_does_not_leave_it_waiting(
    database: Database, new_job: New, clock: Clock, n: int
) -> None:
    store = Store(database)
    shot = ordered(store, new_job(), clock)
    chained = replace(new_job(prompt="next"), inputs=(Input(role="image", job_id=shot.id, frame_position="last"),))

    def work(which: int) -> Any:
        return store.place(chained, clock()) if which else store.transition(shot, State.FAILED, clock())

    at_once(work, 2)
    claimed = store.claim("w_b", {}, clock())
    assert claimed is not None
    assert claimed.sources == (shot.id,)


def test_a_job_that_would_wait_for_one_that_has_ended_is_due_at_once(store: Store, new_job: New, clock: Clock) -> None:
    shot = ordered(store, new_job(), clock)
    chained = replace(new_job(prompt="next"), inputs=(Input(role="image", job_id=shot.id, frame_position="last"),))
    placed = store.place(chained, clock()).job
    assert placed.blocked_by == shot.id
    store.transition(shot, State.FAILED, clock())
    claimed = store.claim("w_b", {}, clock())
    assert claimed is not None
    assert store.wait_for_sources(claimed, clock()).blocked_by == ""
    assert store.claim("w_b", {}, clock()) is not None


def test_a_clock_that_was_set_back_does_not_put_a_job_off_for_long(store: Store, new_job: New, clock: Clock) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.requeue(job, JobError(ErrorCode.RATE_LIMITED, "later"), clock(), timedelta(minutes=10))
    assert store.claim("w_b", {}, clock()) is None
    clock.turn(hours=-3)
    assert store.claim("w_b", {}, clock()) is not None
