"""What each caller is told about budgets: the own one and the team's, and never what others spend."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from ltx_mcp.domain.errors import CallerError
from ltx_mcp.domain.plan import Plan
from ltx_mcp.jobs.callers import LOCAL, CallerLimits
from ltx_mcp.jobs.spend import read_spend
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.presentation.result_models import to_estimate
from ltx_mcp.presentation.result_text import estimate_text
from ltx_mcp.presentation.spending import to_spend_view
from tests.conftest import Clock

TEAM, POOR = "films", "poor"
LIMITS = {
    "token|own": CallerLimits(budget_usd=Decimal(1)),
    "token|both": CallerLimits(TEAM, Decimal(2), Decimal(9)),
    "token|scarce": CallerLimits(POOR, Decimal(2), Decimal("0.50")),
    "token|member": CallerLimits(TEAM, team_budget_usd=Decimal(9)),
}
Place = Callable[..., None]


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database, budget_usd=Decimal(5), limits_of=lambda caller: LIMITS.get(caller, CallerLimits()))


@pytest.fixture
def place(store: Store, new_job: Callable[..., NewJob], clock: Clock) -> Place:
    """Orders something for a price."""

    def order(caller: str, usd: str) -> None:
        new = new_job(caller, f"{caller} {usd}")
        offers = (replace(new.offers[0], cost_usd=Decimal(usd)),)
        store.place(replace(new, offers=offers, team=LIMITS.get(caller, CallerLimits()).team), clock())

    return order


def estimated(store: Store, clock: Clock, caller: str) -> str:
    """What the estimate says below its offers."""
    return estimate_text(to_estimate(Plan((), (), ()), 1, store.budgets(clock(), caller))).partition("\n")[2]


@pytest.mark.parametrize(
    ("caller", "words"),
    [
        (LOCAL, "Today's budget: 2.80 of 5.00 USD left. Spent 0.00, reserved 2.20."),
        ("token|other", ""),
        ("token|own", "Today's budget: 0.90 of 1.00 USD left. Spent 0.00, reserved 0.10."),
        (
            "token|both",
            "Today's budget: 1.80 of 2.00 USD left. Spent 0.00, reserved 0.20. "
            "The budget is your own; 8.50 of 9.00 USD are left today of team films.",
        ),
        (
            "token|scarce",
            "Today's budget: 0.10 of 0.50 USD left. Spent 0.00, reserved 0.40. "
            "The budget is that of team poor; 1.60 of 2.00 USD are left today of your own.",
        ),
        (
            "token|member",
            "Today's budget: 8.50 of 9.00 USD left. Spent 0.00, reserved 0.50. The budget is that of team films.",
        ),
    ],
)
def test_an_estimate_shows_the_tightest_budget_of_the_caller_and_names_the_other(
    store: Store, place: Place, clock: Clock, caller: str, words: str
) -> None:
    prices = {"own": "0.1", "both": "0.2", "member": "0.3", "scarce": "0.4", "other": "1.2"}
    for name, usd in prices.items():
        place(f"token|{name}", usd)
    assert estimated(store, clock, caller) == words


def test_a_caller_without_a_limit_sees_only_what_the_caller_spent(
    store: Store, database: Database, place: Place, clock: Clock
) -> None:
    place("token|own", "0.1")
    place("token|other", "0.6")
    budgets = store.budgets(clock(), "token|other")
    found = replace(
        read_spend(database, "token|other", clock().date(), 1, budgets.shown),
        budgets=budgets,
    )
    view = to_spend_view(found).to_wire()
    assert view["budget"] == {"spent_usd": 0, "reserved_usd": 0.6}
    assert "next" not in view


def test_the_budget_of_all_refuses_a_caller_without_telling_what_others_spent(
    store: Store, place: Place, new_job: Callable[..., NewJob], clock: Clock
) -> None:
    place("token|other", "4.5")
    with pytest.raises(CallerError) as refused:
        place("token|both", "0.7")
    assert str(refused.value).startswith("This costs 0.70 USD; today's budget of this service does not reach. Ask for")
    with pytest.raises(CallerError, match=r"0\.50 USD are left of today's budget of 5\.00 USD"):
        place(LOCAL, "0.7")
    offer = replace(new_job().offers[0], cost_usd=Decimal("0.7"))
    (quote,) = to_estimate(Plan((offer,), (), ()), 1, store.budgets(clock(), "token|both")).quotes
    assert (quote.usable, quote.why_not) == (False, "The day's budget does not reach.")
