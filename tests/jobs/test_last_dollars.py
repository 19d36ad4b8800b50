"""64 callers in four processes at once, for the last dollar of a caller, of a team and of the day."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from ltx_mcp.domain.job import Job
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.store import Store
from tests.jobs.counting import counters, recount
from tests.jobs.test_races import said_by_processes

PRICE, DAYS = 240_000, {"own": "2026-11-21", "team": "2026-11-22", "total": "2026-11-23"}
# each round has a day of its own, and only the limit that it is about can be reached
ROUNDS = """
LIMITS = {
    **{f"own {n}": CallerLimits("own team", Decimal("0.50")) for n in range(4)},
    **{f"team {n}": CallerLimits(f"team of {n % 2}", None, Decimal("1.00")) for n in range(4)},
    **{f"total {n}": CallerLimits("total team", Decimal(9), Decimal(9)) for n in range(4)},
}
DAYS = {"own": 21, "team": 22, "total": 23}
"""
CALLERS = (
    """
import json, sys, anyio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
"""
    + ROUNDS
    + """
catalog = make_catalog(read_providers(), (), lambda name: "")

def wish(caller, prompt):
    request = to_request(GenerateVideo(prompt=prompt))
    offer = replace(select_offers(request, (), catalog)[0], provider="fal", cost_usd=Decimal("0.24"))
    return NewJob(caller, "", canonical_form(request, ()), (offer,), (), team=LIMITS[caller].team)

async def main(mine, home, url):
    async def call(n, of):
        new, now = wish(f"{of} {n % 4}", f"pond {mine}-{n}"), datetime(2026, 11, DAYS[of], 12, tzinfo=UTC)
        try:
            said.append({"round": of, "job": (await store.run_in_thread(store.place, new, now)).job.id})
        except CallerError as error:
            said.append({"round": of, "error": error.code, "text": error.message})

    said, database = [], Database.open(Path(home), url)
    store = Store(database, budget_usd=Decimal("2.20"), limits_of=LIMITS.__getitem__)
    print("ready", flush=True)
    sys.stdin.read()
    async with anyio.create_task_group() as group:
        for n in range(16):
            for of in DAYS:
                group.start_soon(call, n, of)
    database.close()
    print(json.dumps(said), flush=True)

anyio.run(main, *sys.argv[1:])
"""
)


def said_by_four_processes(home: Path, url: str) -> list[dict[str, Any]]:
    return said_by_processes([[sys.executable, "-c", CALLERS, str(n), str(home), url] for n in range(4)])


def test_64_callers_spend_each_budget_to_the_last_order_that_fits(home: Path, database_url: str) -> None:
    said = said_by_four_processes(home, database_url)
    database = Database.open(home, database_url)
    store = Store(database)
    placed = {each["job"]: each["round"] for each in said if "job" in each}
    held = Counter[str]()
    for job_id in placed:
        job = store.get(job_id)
        assert isinstance(job, Job)
        (event,) = store.history(job_id)
        held.update({scope: event.detail["held_micro"] for scope in (placed[job_id], job.caller, job.team)})
    with database.read() as connection:
        assert counters(connection) == recount(connection)
        booked = {day: micro for (day, scope, _), micro in counters(connection).items() if not scope}
    database.close()
    assert len(placed) == sum("job" in each for each in said)
    assert [held[f"own {n}"] for n in range(4)] == [2 * PRICE] * 4
    assert [held[f"team of {n}"] for n in range(2)] == [4 * PRICE] * 2
    assert held["total"] == 9 * PRICE
    assert booked == {day: held[of] for of, day in DAYS.items()}


def test_64_callers_are_told_whose_budget_is_spent(home: Path) -> None:
    said = said_by_four_processes(home, "")
    words = {
        "own": "of your budget of 0.50 USD",
        "team": "1.00 USD of team team of ",
        "total": "today's budget of this service does not reach",
    }
    refused = [each for each in said if "error" in each]
    assert Counter(each["round"] for each in refused) == {"own": 64 - 8, "team": 64 - 8, "total": 64 - 9}
    assert {each["error"] for each in refused} == {"over_budget"}
    for each in refused:
        assert words[each["round"]] in each["text"]
