"""What a caller may order: the budgets of caller, team and day, and orders within a minute. Whose limit it is, is said,
and a refusal waits for nobody."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial

import pytest

from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import ChargeState, State
from ltx_mcp.jobs.callers import LOCAL, CallerLimits
from ltx_mcp.jobs.store.budget import Budget, Budgets
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.same import Repeat
from ltx_mcp.jobs.store.store import Store
from tests.conftest import Clock, on_postgres
from tests.jobs.test_counters import in_time, waiting
from tests.jobs.test_processes import wait_for
from tests.jobs.test_store import New, ordered, priced
from tests.patience import HANG_S

Film = Callable[..., NewJob]
LIMITS = {
    "ann": CallerLimits("red", Decimal("0.50"), Decimal("0.80")),
    "bob": CallerLimits("red", None, Decimal("0.80")),
    "eve": CallerLimits(orders_per_minute=3),
    "max": CallerLimits(max_live_jobs=1),
}


def limits_of(caller: str) -> CallerLimits:
    return LIMITS.get(caller, CallerLimits())


@pytest.fixture
def limited(database: Database) -> Store:
    """A dollar a day for all, and limits of their own for some."""
    return Store(database, budget_usd=Decimal(1), limits_of=limits_of)


@pytest.fixture
def film(new_job: New) -> Film:
    """Makes requests, each for another film, at 0.30 USD."""
    made = iter(range(100))

    def make(caller: str, usd: str = "0.30", **more: str) -> NewJob:
        new = priced(new_job(caller, **{"prompt": f"film {next(made)}"} | more), usd)
        return replace(new, team=limits_of(caller).team)

    return make


def refused(store: Store, new: NewJob, clock: Clock) -> CallerError:
    with pytest.raises(CallerError) as caught:
        store.place(new, clock())
    return caught.value


def test_a_caller_of_a_service_is_told_of_the_limit_that_is_its_own(limited: Store, film: Film, clock: Clock) -> None:
    limited.place(film("max", "0.10"), clock())
    error = refused(limited, film("max", "0.10"), clock)
    assert error.hint.endswith("the operator may raise LTX_MCP_MAX_LIVE_JOBS, or max_live_jobs of this caller.")


# -- whose budget -------------------------------------------------------------------------------------------------


def test_a_budget_of_ones_own_is_refused_by_name_with_what_is_left(limited: Store, film: Film, clock: Clock) -> None:
    limited.place(film("ann"), clock())
    error = refused(limited, film("ann"), clock)
    assert error.code is ErrorCode.OVER_BUDGET
    assert error.message == "This costs 0.30 USD; 0.20 USD are left of your budget of 0.50 USD for today."
    assert error.hint == "Ask for less, wait until 00:00 UTC, or let the operator raise your budget."
    assert limited.place(film("ann", "0.20"), clock()).fresh


def test_the_budget_of_a_team_is_shared_and_refused_by_its_name(limited: Store, film: Film, clock: Clock) -> None:
    limited.place(film("ann"), clock())
    limited.place(film("bob"), clock())
    error = refused(limited, film("bob"), clock)
    assert error.message == "This costs 0.30 USD; 0.20 USD are left of today's 0.80 USD of team red."
    assert error.hint == "Ask for less, wait until 00:00 UTC, or let the operator raise the budget of the team."


def test_the_days_budget_is_that_of_all_with_the_words_it_always_had(limited: Store, film: Film, clock: Clock) -> None:
    for caller in ("ann", "bob", "anybody"):
        limited.place(film(caller), clock())
    error = refused(limited, film(LOCAL), clock)
    assert error.message == "This costs 0.30 USD; 0.10 USD are left of today's budget of 1.00 USD."
    assert "LTX_MCP_BUDGET_USD_PER_DAY" in error.hint


def test_what_all_others_spent_is_told_to_nobody_but_the_operator(limited: Store, film: Film, clock: Clock) -> None:
    for caller in ("ann", "bob", "anybody"):
        limited.place(film(caller), clock())
    error = refused(limited, film("another"), clock)
    assert error.message == "This costs 0.30 USD; today's budget of this service does not reach."


def test_of_a_set_the_sum_is_compared_with_each_budget(limited: Store, film: Film, clock: Clock) -> None:
    with pytest.raises(CallerError, match=r"0\.50 USD are left of your budget") as caught:
        limited.place_set(replace(film("ann"), takes=2), clock())
    assert caught.value.code is ErrorCode.OVER_BUDGET
    assert limited.place_set(replace(film("ann", "0.25"), takes=2), clock()).fresh


def test_a_repeat_is_answered_by_whoever_has_nothing_left(limited: Store, film: Film, clock: Clock) -> None:
    job = limited.place(film("ann", prompt="a pond"), clock()).job
    refused(limited, film("ann"), clock)
    again = limited.place(film("ann", prompt="a pond"), clock())
    assert (again.job.id, again.fresh) == (job.id, False)


def test_the_budgets_of_a_caller_are_told_with_what_was_held_and_booked(
    limited: Store, film: Film, clock: Clock
) -> None:
    job = ordered(limited, film("ann"), clock)
    limited.place(film("bob", "0.10"), clock())
    job = limited.record_submission(job, State.RUNNING, clock(), "accepted", provider_ref={"id": "r"})
    limited.transition(job, State.FAILED, clock(), bill=ChargeState.BOOKED)
    total, red = Budget(1_000_000, 300_000, 100_000), Budget(800_000, 300_000, 100_000, "team:red")
    assert limited.budgets(clock(), "ann") == Budgets(total, Budget(500_000, 300_000, 0, "caller:ann"), red)
    assert limited.budgets(clock(), "bob") == Budgets(total, Budget(None, 0, 100_000, "caller:bob"), red)
    assert limited.budgets(clock(), LOCAL) == Budgets(total)
    clock.turn(days=1)
    assert limited.budgets(clock(), LOCAL) == Budgets(Budget(1_000_000, 0, 0))


def test_the_next_offer_must_fit_the_budgets_of_the_jobs_own_caller_and_team(
    limited: Store, film: Film, clock: Clock
) -> None:
    problem = JobError(ErrorCode.OUT_OF_CREDIT, "empty")
    job = ordered(limited, priced(film("ann"), "0.30", "0.51", "0.50"), clock)
    job = limited.fail_over(job, problem, clock())
    assert (job.offer.provider, job.held_micro) == ("fal2", 500_000)
    left_out = [event.detail["message"] for event in limited.history(job.id) if event.what == "offer_left_out"]
    assert "0.50 USD are left of your budget of 0.50 USD for today." in left_out[0]
    limited.request_cancel("ann", job.id, clock())
    limited.place(film("bob", "0.60"), clock())
    clock.turn(seconds=1)
    job = limited.place(priced(film("ann"), "0.20", "0.21"), clock(), lease_owner="w").job
    job = limited.transition(job, State.SUBMITTING, clock(), submitted_by="w")
    job = limited.fail_over(job, problem, clock())
    assert (job.state, job.bill) == (State.FAILED, ChargeState.RELEASED)
    assert job.error is not None
    assert "0.20 USD are left of today's 0.80 USD of team red." in job.error.message


# -- team and account -------------------------------------------------------------------------------------------


def test_the_account_is_that_of_the_current_offers_provider(database: Database, film: Film, clock: Clock) -> None:
    accounts = {"fal": "RED_FAL", "fal2": "RED_TWO"}
    store = Store(database, limits_of=lambda caller: CallerLimits("red", accounts=accounts))
    new = replace(priced(film("ann"), "0.1", "0.2", "0.3"), team="red", accounts=accounts)
    job = ordered(store, new, clock)
    assert (job.team, job.account) == ("red", "RED_FAL")
    told = []
    for _ in range(2):
        job = store.fail_over(job, JobError(ErrorCode.OUT_OF_CREDIT, "empty"), clock())
        told.append((job.offer.provider, job.account, job.team))
        claimed = store.claim("w_a", {}, clock())
        assert claimed is not None
        job = store.transition(claimed, State.SUBMITTING, clock(), submitted_by="w_a")
    assert told == [("fal1", "", "red"), ("fal2", "RED_TWO", "red")]


def test_a_job_of_nobody_has_neither_team_nor_account(store: Store, film: Film, clock: Clock) -> None:
    job = store.place(film("anybody"), clock()).job
    assert (job.team, job.account) == ("", "")


# -- orders within a minute -------------------------------------------------------------------------------------


def test_too_many_orders_within_a_minute_are_refused_with_how_long_to_wait(
    limited: Store, film: Film, clock: Clock
) -> None:
    for _ in range(3):
        limited.request_cancel("eve", limited.place(film("eve", "0.10"), clock()).job.id, clock())
        clock.turn(seconds=7)
    error = refused(limited, film("eve", "0.10"), clock)
    assert error.code is ErrorCode.RATE_LIMITED
    assert error.message == (
        "3 jobs were ordered within the last minute, and 3 of one caller may be; nothing was ordered."
    )
    assert error.hint == "Order it again in 39 s."
    assert limited.place(film("anybody", "0.10"), clock()).fresh
    clock.turn(seconds=39)
    assert limited.place(film("eve", "0.10"), clock()).fresh


def test_takes_are_orders_and_wait_for_as_many_to_be_a_minute_old(limited: Store, film: Film, clock: Clock) -> None:
    for _ in range(2):
        limited.place(film("eve", "0.10"), clock())
        clock.turn(seconds=10)
    with pytest.raises(CallerError, match="these would be 3 more") as caught:
        limited.place_set(replace(film("eve", "0.10"), takes=3), clock())
    assert caught.value.hint == "Order it again in 50 s."
    with pytest.raises(CallerError, match="these would be 4 more") as caught:
        limited.place_set(replace(film("eve", "0.10"), takes=4), clock())
    assert caught.value.hint == "Order at most 3 at a time."
    assert limited.place(film("eve", "0.10"), clock()).fresh


# -- locks --------------------------------------------------------------------------------------------------------


def test_a_caller_at_a_limit_is_refused_while_others_hold_every_lock(
    database: Database, limited: Store, film: Film, clock: Clock
) -> None:
    limited.place(film("max", "0.10"), clock())
    limited.place(film("ann", "0.40"), clock())
    for _ in range(3):
        limited.place(film("eve", "0.10"), clock())
    names = ("budget 2026-11-21", "budget 2026-11-21 caller:ann", "budget 2026-11-21 team:red", "live max", "live eve")
    with database.write() as connection:
        for name in names:
            database.lock(connection, name)
        for caller in ("max", "ann", "eve"):
            in_time(partial(refused, limited, film(caller), clock))
    assert limited.check(film("anybody", "0.10"), clock(), Repeat.RETRY) is None


@on_postgres
def test_a_caller_without_limits_waits_for_no_budget(database: Database, film: Film, clock: Clock) -> None:
    store = Store(database, limits_of=limits_of)
    with database.write() as connection:
        for name in ("budget 2026-11-21", "budget 2026-11-21 caller:anybody", "live anybody"):
            database.lock(connection, name)
        assert in_time(lambda: store.place(film("anybody"), clock())).fresh


@on_postgres
def test_the_days_budget_is_locked_as_version_0_1_0_does(
    database: Database, limited: Store, film: Film, clock: Clock
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with database.write() as connection:
            database.lock(connection, "budget 2026-11-21")
            placed = pool.submit(limited.place, film("anybody"), clock())
            wait_for(lambda: waiting(database) == 1, HANG_S)
        assert placed.result(HANG_S).fresh
