"""What a long life brings: clocks that jump, providers that are down for hours, a thousand jobs, a process that was
taken for dead. The film comes, and never by a second order.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from ltx_mcp.domain.errors import ErrorCode, ProviderError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs import runner
from ltx_mcp.jobs.steps.save import TRIES_WHEN_LATE
from ltx_mcp.jobs.steps.steps import Steps
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.net.flow import Bounds
from ltx_mcp.providers.base import DeferredVideo, SubmittedOrder
from tests.conftest import Clock, Connect, Emulated
from tests.jobs.moments import ltx
from tests.jobs.test_steps import DONE, WORKER, Scripted, bench, film, no
from tests.jobs.test_steps import Bench as Stepped
from tests.jobs.test_store import New, priced
from tests.patience import HANG_S
from tests.providers.bench import CALLER, REMOTE, Bench, opened, text

__all__ = ["bench", "film"]

pytestmark = pytest.mark.anyio

NIGHT_S = 8 * 3600.0
WEEKEND_S = 62 * 3600.0
HOUR_FACTOR = 20_000.0
OFTEN = 100_000


def sleep_through(bench: Bench, seconds: float) -> None:
    """The machine sleeps while everybody else's time goes on."""
    bench.world.advance(seconds)
    bench.time.turn(seconds)


def check_saved(bench: Bench, job: Job) -> None:
    """The film is here, booked, and was ordered once."""
    assert (job.state, job.bill, len(bench.orders())) == (State.SUCCEEDED, ChargeState.BOOKED, 1), job.error
    assert bench.jobs.film(job) is not None


# -- a machine that sleeps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", REMOTE)
async def test_a_film_that_was_made_while_the_machine_slept_is_saved(
    provider: str, home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.work_s = NIGHT_S - 600
        job = await bench.until(await bench.place(text(provider=provider)), State.RUNNING)
        sleep_through(bench, NIGHT_S)
        check_saved(bench, await bench.end(job))
        assert [event.what for event in await bench.history(job)][-2:] == ["saving", "succeeded"]


async def test_an_order_is_not_given_up_because_of_two_failed_looks_after_a_long_sleep(
    home: Path, emulator: Emulated
) -> None:
    """The network of a machine that wakes may need a moment."""
    async with opened(home, emulator) as bench:
        bench.world.work_s = NIGHT_S - 600
        job = await bench.until(await bench.place(text(provider="ltx")), State.RUNNING)
        bench.world.faults.append(Fault("ltx", "poll", "drop_before", 2))
        sleep_through(bench, NIGHT_S)
        check_saved(bench, await bench.end(job))
        assert bench.world.faults[0].times == 0
        assert "unknown" not in [event.what for event in await bench.history(job)]


async def test_a_film_whose_address_expired_while_the_machine_slept_is_asked_for_again(
    home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.faults.append(Fault("media", "download", "status", OFTEN, {"status": 503}))
        job = await bench.until(await bench.place(text(provider="ltx")), State.SAVING)
        asked = bench.count("ltx", "poll")
        sleep_through(bench, NIGHT_S)
        bench.world.faults[:] = [Fault("media", "download", "status", 1, {"status": 403})]
        check_saved(bench, await bench.end(job))
        assert bench.count("ltx", "poll") == asked + 1


@pytest.mark.parametrize("status", [503, 403])
async def test_a_film_is_not_given_up_because_of_one_failure_after_a_long_sleep(
    status: int, home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.faults.append(Fault("media", "download", "status", OFTEN, {"status": 503}))
        job = await bench.until(await bench.place(text(provider="fal")), State.SAVING)
        bench.time.turn(WEEKEND_S)
        bench.world.faults[:] = [Fault("media", "download", "status", 2, {"status": status})]
        check_saved(bench, await bench.end(job))


async def test_a_film_that_cannot_be_fetched_days_after_its_order_is_given_up_in_the_end(
    bench: Stepped, new_job: New
) -> None:
    tried: list[str] = []

    async def fetch(url: str, out: Path, *, provider: str, is_loopback: bool, bounds: Bounds) -> None:
        tried.append(url)
        raise no(ErrorCode.UNAVAILABLE, "yes")

    bench.steps = Steps(replace(bench.steps._context, fetch=fetch))
    bench.provider.answers, bench.provider.looks = [SubmittedOrder({"id": "r1"})], [DONE]
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.SAVING)
    bench.clock.turn(seconds=WEEKEND_S)
    with pytest.raises(ProviderError):
        await bench.take(job)
    assert len(tried) == TRIES_WHEN_LATE


# -- a clock that is set back -----------------------------------------------------------------------------------------

LIVE = {
    State.QUEUED: [Fault("ltx", "submit", "status", 1, {"status": 429, "retry_after": 300})],
    State.SUBMITTING: [Fault("ltx", "submit", "delay", 1, {"seconds": 2})],
    State.RUNNING: [Fault("ltx", "poll", "delay", 1, {"seconds": 2})],
    State.SAVING: [Fault("media", "download", "status", 3, {"status": 503})],
}


@pytest.mark.parametrize("state", LIVE)
async def test_a_clock_set_back_by_hours_keeps_no_job_from_its_end(
    state: State, home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        bench.world.faults += [replace(fault) for fault in LIVE[state]]
        job = await bench.place(text(provider="ltx"))
        with anyio.fail_after(HANG_S):
            while bench.world.faults[0].times or job.state is not state:
                job = await bench.jobs.get(job.id, CALLER)
                await anyio.sleep(0.002)
        bench.time.turn(-3 * 3600)
        check_saved(bench, await bench.end(job, within_s=HANG_S))


# -- a provider that is down for hours --------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", REMOTE)
async def test_an_order_of_a_provider_that_was_down_for_hours_ends_well_without_anybody_asking(
    provider: str, home: Path, emulator: Emulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "IDLE_POLL_S", 0.1)
    async with opened(home, emulator, factor=HOUR_FACTOR) as bench:
        down = [Fault(provider, step, "status", OFTEN, {"status": 503}) for step in ("poll", "stream")]
        bench.world.faults += down
        job = await bench.order(text(provider=provider))
        assert (job.state, job.bill, job.provider_ref is not None) == (State.UNKNOWN, ChargeState.HELD, True)
        bench.world.faults.clear()
        with anyio.fail_after(HANG_S):
            while job.state is not State.SUCCEEDED:
                job = await bench.jobs.get(job.id, CALLER)
                await anyio.sleep(0.01)
        check_saved(bench, job)
        history = await bench.history(job)
        asked, gave_up = (next(each for each in history if each.what == what) for what in ("asked_again", "unknown"))
        assert asked.at - gave_up.at >= timedelta(minutes=30)


# -- many jobs --------------------------------------------------------------------------------------------------------

MANY = 1000
MAX_LIST_S, MAX_COMMAND_S = 60.0, 60.0


def place_many(store: Store, clock: Clock, new_job: New) -> list[str]:
    """Jobs of a provider that cannot be served from here, a second apart; their ids, oldest first."""
    new = priced(new_job(), "0.30")
    ids = []
    for n in range(MANY):
        clock.turn(seconds=1)
        normal = {**new.normal, "prompt": f"pond {n}"}
        ids.append(store.place(replace(new, normal=normal), clock()).job.id)
    return ids


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_thousand_jobs_are_listed_each_once_in_bounded_time(
    store: Store, clock: Clock, new_job: New, connect: Connect, home: Path
) -> None:
    ids = place_many(store, clock, new_job)
    seen: list[str] = []
    async with connect() as client:
        began, cursor = time.monotonic(), ""
        while True:
            answer = await client.call_tool("list_jobs", {"limit": 100, "cursor": cursor})
            assert answer.structured_content is not None
            seen += [row["job_id"] for row in answer.structured_content["jobs"]]
            cursor = answer.structured_content.get("next_cursor", "")
            if not cursor:
                break
        assert time.monotonic() - began < MAX_LIST_S
    assert seen == ids[::-1]
    began = time.monotonic()
    listed = ltx(home, "jobs", "--limit", "100")
    assert time.monotonic() - began < MAX_COMMAND_S
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == ids[:-101:-1]


def test_of_a_thousand_jobs_the_oldest_are_taken_first(store: Store, clock: Clock, new_job: New) -> None:
    ids = place_many(store, clock, new_job)
    taken = [store.claim(WORKER, {}, clock()) for _ in range(20)]
    assert [job and job.id for job in taken] == ids[:20]


# -- taken for dead ---------------------------------------------------------------------------------------------------


async def test_a_film_that_was_coming_in_when_its_holder_was_taken_for_dead_is_kept(
    bench: Stepped, new_job: New, film: Path
) -> None:
    """LTX v1 answers with the film, so nobody else can have it; the first holder was only silent."""
    orders: list[Any] = []

    async def write(path: Path, tell: Any) -> tuple[()]:
        bench.store.release_claims(WORKER, frozenset(), bench.clock(), died=True)
        await anyio.sleep(0.05)
        path.write_bytes(film.read_bytes())
        return ()

    class Held(Scripted):
        async def submit(self, offer: Any, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            orders.append(offer)
            return DeferredVideo(write)

    async def soon(seconds: float) -> None:
        await anyio.sleep(0.001)

    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": Held()}, sleep=soon))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    job = await bench.until(job, State.SUCCEEDED)
    assert (job.bill, job.error, len(orders)) == (ChargeState.BOOKED, None, 1)
    history = [event.what for event in bench.store.history(job.id)]
    assert history.index("holder_died") < history.index("saving")


async def test_a_preview_taken_for_dead_leaves_the_file_of_who_draws_it_now(bench: Stepped, new_job: New) -> None:
    theirs: list[Path] = []

    async def write(path: Path, tell: Any) -> tuple[()]:
        path.write_bytes(b"half")
        bench.store.release_claims(WORKER, frozenset({"fal"}), bench.clock(), died=True)
        again = bench.store.claim("w_other", {}, bench.clock())
        assert again is not None
        theirs.append(bench.files.part(again))
        theirs[0].write_bytes(b"half")
        await anyio.sleep(1)
        return ()

    class Held(Scripted):
        async def submit(self, offer: Any, uris: Mapping[str, str]) -> SubmittedOrder | DeferredVideo:
            return DeferredVideo(write)

    async def soon(seconds: float) -> None:
        await anyio.sleep(0.001)

    specs = {"fal": bench.steps._context.specs["fal"].model_copy(update={"repeatable": True})}
    bench.steps = Steps(replace(bench.steps._context, adapters={"fal": Held()}, specs=specs, sleep=soon))
    job = await bench.until(bench.begin(priced(new_job(), "0.30")), State.RUNNING)
    with pytest.raises(LostClaimError):
        await bench.take(job)
    assert list(theirs[0].parent.iterdir()) == theirs
