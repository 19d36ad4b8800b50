"""What a person settles: an order nobody has an answer to, and an order found at its provider by its name."""

from decimal import Decimal
from pathlib import Path

import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import ChargeState, Job, JobChanges, State
from ltx_mcp.emulator.emulator_state import Fault
from ltx_mcp.jobs import recovery
from ltx_mcp.jobs.recovery import RecoveryStore, Resolution
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock, Emulated
from tests.jobs.test_store import LOCAL, New, ordered, priced
from tests.providers.bench import REMOTE, Bench, opened, text


@pytest.fixture
def recovery_store(database: Database) -> RecoveryStore:
    """A person at the terminal."""
    return RecoveryStore(database)


def unknown(store: Store, new_job: New, clock: Clock) -> Job:
    """A job whose holder died while it waited for the answer to its order."""
    job = ordered(store, priced(new_job(), "0.30"), clock)
    store.release_claims(job.lease_owner, LOCAL, clock(), died=True)
    found = store.get(job.id)
    assert found is not None
    assert (found.state, found.bill) == (State.UNKNOWN, ChargeState.HELD)
    return found


@pytest.mark.parametrize(
    ("resolution", "state", "bill", "counted"),
    [
        (Resolution.CHARGED, State.FAILED, ChargeState.BOOKED, 300_000),
        (Resolution.NOT_CHARGED, State.FAILED, ChargeState.RELEASED, 0),
        (Resolution.RETRY, State.QUEUED, ChargeState.HELD, 300_000),
    ],
)
def test_a_verdict_settles_state_and_money(
    store: Store,
    recovery_store: RecoveryStore,
    new_job: New,
    clock: Clock,
    resolution: Resolution,
    state: State,
    bill: ChargeState,
    counted: int,
) -> None:
    job = recovery_store.resolve(unknown(store, new_job, clock).id, resolution, clock())
    budget = store.budget(clock())
    assert (job.state, job.bill, budget.booked + budget.held) == (state, bill, counted)
    assert store.history(job.id)[-1].what == f"resolved_{resolution.value}"


@pytest.mark.parametrize("resolution", list(Resolution))
def test_only_an_unknown_job_can_be_settled(
    store: Store, recovery_store: RecoveryStore, new_job: New, clock: Clock, resolution: Resolution
) -> None:
    job = store.place(priced(new_job(), "0.30"), clock()).job
    with pytest.raises(CallerError, match="is queued; only a job whose outcome is unknown") as caught:
        recovery_store.resolve(job.id, resolution, clock())
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    with pytest.raises(CallerError, match="There is no job"):
        recovery_store.resolve("job_" + "A" * 20, resolution, clock())


def test_a_retried_job_can_be_claimed_and_ordered_again(
    store: Store, recovery_store: RecoveryStore, new_job: New, clock: Clock
) -> None:
    recovery_store.resolve(unknown(store, new_job, clock).id, Resolution.RETRY, clock())
    again = store.claim("w_b", {}, clock())
    assert again is not None
    assert (again.state, again.provider_ref, again.error, again.submitted_by) == (State.QUEUED, None, None, "")


def test_a_retry_forgets_the_first_orders_charge_and_the_wish_to_cancel_it(
    store: Store, recovery_store: RecoveryStore, new_job: New, clock: Clock
) -> None:
    job = ordered(store, priced(new_job(), "0.30"), clock)
    accepted: JobChanges = {"provider_ref": {"id": "r"}, "charged_micro": 10_000}
    job = store.record_submission(job, State.RUNNING, clock(), "accepted", **accepted)
    store.request_cancel("local", job.id, clock())
    store.transition(job, State.UNKNOWN, clock())
    again = recovery_store.resolve(job.id, Resolution.RETRY, clock())
    assert (again.charged_micro, again.cancel_requested, store.budget(clock()).held) == (None, False, 300_000)


def test_an_answer_to_the_first_order_does_not_count_for_the_second(
    store: Store, recovery_store: RecoveryStore, new_job: New, clock: Clock
) -> None:
    """Even of the very process that sends the second one."""
    first = ordered(store, priced(new_job(), "0.30"), clock, worker="w_a")
    store.release_claims("w_a", LOCAL, clock(), died=True)
    recovery_store.resolve(first.id, Resolution.RETRY, clock())
    again = store.claim("w_a", {}, clock())
    assert again is not None
    store.transition(again, State.SUBMITTING, clock(), submitted_by="w_a")
    with pytest.raises(LostClaimError):
        store.record_submission(first, State.RUNNING, clock(), "accepted", provider_ref={"id": "first"})


def test_what_was_found_not_charged_can_be_ordered_again_by_the_same_request(
    store: Store, recovery_store: RecoveryStore, new_job: New, clock: Clock
) -> None:
    job = unknown(store, new_job, clock)
    assert not store.place(priced(new_job(), "0.30"), clock()).fresh
    recovery_store.resolve(job.id, Resolution.NOT_CHARGED, clock())
    assert store.place(priced(new_job(), "0.30"), clock()).fresh


def test_a_tracked_order_is_found_however_many_jobs_are_newer(
    recovery_store: RecoveryStore, new_job: New, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "READ_AT_A_TIME", 2)
    followed = []
    for number, name in enumerate(("twice", "twice", "once", "a", "b", "c")):
        clock.turn(seconds=number % 2)  # some are placed at the same time
        new = priced(new_job(prompt=str(number)), "0.30")
        followed.append(recovery_store.adopt_new(new, {"id": name}, clock()))
    provider = followed[0].offer.provider
    for name, job in (("once", followed[2]), ("twice", followed[1]), ("thrice", None)):
        assert recovery_store.tracking_job(provider, name) == job
    assert recovery_store.tracking_job("other", "once") is None


def test_an_adopted_order_is_counted_by_the_budget_and_never_refused(
    database: Database, recovery_store: RecoveryStore, new_job: New, clock: Clock
) -> None:
    store = Store(database, budget_usd=Decimal("0.30"))
    store.place(priced(new_job(prompt="one"), "0.30"), clock())
    job = recovery_store.adopt_new(priced(new_job(), "0.30"), {"id": "r"}, clock())
    assert (job.state, job.provider_ref, job.bill) == (State.RUNNING, {"id": "r"}, ChargeState.HELD)
    assert store.budget(clock()).held == 600_000


# -- at the emulated providers ----------------------------------------------------------------------------------


async def lost_order(bench: Bench, provider: str, request_key: str = "") -> tuple[Job, str]:
    """An order that was taken while its answer was cut off, and its name at the provider."""
    bench.world.faults.append(Fault(provider, "submit", "drop_after"))
    job = await bench.order(text(provider=provider, request_key=request_key))
    assert (job.state, job.provider_ref) == (State.UNKNOWN, None)
    return job, bench.orders(provider)[0].id


@pytest.mark.anyio
@pytest.mark.parametrize("provider", REMOTE)
async def test_an_order_found_on_the_dashboard_brings_the_film_of_its_unknown_job(
    provider: str, home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        job, remote_id = await lost_order(bench, provider)
        followed = await bench.jobs.person.adopt(provider, remote_id, job.id)
        ended = await bench.end(followed)
        assert (ended.id, ended.state, ended.bill) == (job.id, State.SUCCEEDED, ChargeState.BOOKED)
        assert len(bench.orders()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("provider", REMOTE)
async def test_an_order_of_nobody_becomes_a_job_once(provider: str, home: Path, emulator: Emulated) -> None:
    async with opened(home / "a", emulator) as other:
        _, remote_id = await lost_order(other, provider)
    async with opened(home / "b", emulator) as bench:
        job = await bench.jobs.person.adopt_new(provider, remote_id, text(provider=provider, takes=2), "local")
        assert "takes" not in job.canonical_request
        again = await bench.jobs.person.adopt_new(provider, remote_id, text(provider=provider), "local")
        ended = await bench.end(job)
        assert (again.id, ended.state, len(bench.orders())) == (job.id, State.SUCCEEDED, 1)


@pytest.mark.anyio
async def test_a_found_order_is_not_a_new_job_while_it_may_belong_to_an_unknown_one(
    home: Path, emulator: Emulated
) -> None:
    async with opened(home, emulator) as bench:
        job, _ = await lost_order(bench, "fal")
        with pytest.raises(CallerError, match=job.id):
            await bench.jobs.person.check_new("fal")
        await bench.jobs.person.check_new("ltx")
        with pytest.raises(CallerError, match=r"not a job of ltx"):
            await bench.jobs.person.adopt("ltx", "r1", job.id)
        with pytest.raises(CallerError, match="REMOTE_ID"):
            await bench.jobs.person.adopt("fal", "r 1/..", job.id)


@pytest.mark.anyio
async def test_a_retry_sends_a_second_order_and_only_then(home: Path, emulator: Emulated) -> None:
    async with opened(home, emulator) as bench:
        job, _ = await lost_order(bench, "netwrck", request_key="kite")
        again = await bench.jobs.order(text(provider="netwrck", request_key="kite"), "local")
        assert (again.job.id, len(bench.orders())) == (job.id, 1)
        retried = await bench.jobs.person.resolve(job.id, Resolution.RETRY)
        ended = await bench.end(retried)
        assert (ended.state, len(bench.orders())) == (State.SUCCEEDED, 2)
