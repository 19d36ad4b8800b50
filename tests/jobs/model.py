"""The model that test_model.py holds the store to: what each row must say, and what each day's money must come to.

Not a test. It knows nothing of the store's code: only its rows, its refusals and its history are compared.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant
from sqlalchemy import select

from ltx_mcp.domain.job import ACTIVE_STATES, TERMINAL_STATES, TRANSITIONS, CancelOutcome, ChargeState, Job, State
from ltx_mcp.jobs.callers import CallerLimits
from ltx_mcp.jobs.store import schema
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import LostClaimError
from ltx_mcp.jobs.store.store import Store
from tests.jobs.counting import counters, recount

START = datetime(2026, 11, 21, 23, 58, tzinfo=UTC)
"""Near midnight, because a day's money ends there."""
HELD, BOOKED, RELEASED = ChargeState.HELD, ChargeState.BOOKED, ChargeState.RELEASED
REPEATABLE = frozenset({"local"})
TEAM_OF = {"local": "", "other": "red", "third": "red"}


def usd(micro: int | None) -> Decimal | None:
    return None if micro is None else Decimal(micro) / 1_000_000


def scopes_of(caller: str) -> tuple[str, ...]:
    """Where the money of a caller counts: the day's, his own, that of his team."""
    team = TEAM_OF[caller]
    return ("", f"caller:{caller}", *([f"team:{team}"] if team else []))


@dataclass
class Shot:
    """What the model knows of one job; `taken` counts the orders a provider accepted for it, `retries` how often a
    person asked for another."""

    id: str
    caller: str
    key: str
    normal: dict[str, str]
    offers: list[tuple[str, int]]
    born: datetime
    due: datetime
    blocked_by: str
    state: State = State.QUEUED
    bill: ChargeState = HELD
    index: int = 0
    charged: int | None = None
    lease_owner: str = ""
    submitted_by: str = ""
    fencing_token: int = 0
    ordered: datetime | None = None
    ended: datetime | None = None
    provider_ref: bool = False
    wished: bool = False
    cancel: CancelOutcome | None = None
    taken: int = 0
    retries: int = 0
    story: list[str] = field(default_factory=lambda: ["placed"])

    @property
    def provider(self) -> str:
        return self.offers[self.index][0]

    @property
    def held(self) -> int:
        return self.offers[self.index][1]

    @property
    def amount(self) -> int:
        return self.held if self.charged is None else self.charged

    @property
    def live(self) -> bool:
        return self.state in ACTIVE_STATES

    def row(self) -> tuple[Any, ...]:
        """What its row must say, in the order of COLUMNS."""
        state, bill, cancel = str(self.state), str(self.bill), self.cancel and str(self.cancel)
        money = (bill, self.held, self.charged, self.born.date().isoformat())
        hold = (self.lease_owner, self.submitted_by, self.fencing_token, self.blocked_by)
        return state, *money, self.index, self.provider, *hold, self.due, self.ended, self.wished, cancel


COLUMNS = (
    *("state", "bill", "held_micro", "charged_micro", "day", "offer_index", "provider", "lease_owner", "submitted_by"),
    *("fencing_token", "blocked_by", "run_after", "finished_at", "cancel_requested", "cancel"),
)


class Model(RuleBasedStateMachine):
    """A store over an empty database of `open_database`, everything the model knows of it, and what always holds."""

    open_database: ClassVar[Callable[[], AbstractContextManager[Database]]]

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.database = self.open.enter_context(type(self).open_database())
        self.store = Store(self.database)
        self.limit: int | None = None
        self.own: int | None = None
        self.of_team: int | None = None
        self.now = START
        self.shots: dict[str, Shot] = {}
        self.hands: dict[str, Job] = {}
        self.rows: dict[str, tuple[Any, ...]] = {}

    def teardown(self) -> None:
        self.open.close()

    @initialize(
        limit=st.sampled_from([None, 600_000, 1_000_000]),
        own=st.sampled_from([None, None, 500_000]),
        of_team=st.sampled_from([None, None, 700_000]),
    )
    def set_budget(self, limit: int | None, own: int | None, of_team: int | None) -> None:
        self.limit, self.own, self.of_team = limit, own, of_team
        self.store = Store(self.database, budget_usd=usd(limit), limits_of=self.limits_of)

    def limits_of(self, caller: str) -> CallerLimits:
        return CallerLimits(TEAM_OF[caller], usd(self.own), usd(self.of_team) if TEAM_OF[caller] else None)

    # -- what the model says ------------------------------------------------------------------------------------

    def holds(self, job: Job) -> bool:
        """Whether this record is still a hold on its job."""
        shot = self.shots[job.id]
        return job.lease_owner != "" and (shot.lease_owner, shot.fencing_token, shot.state) == (
            job.lease_owner,
            job.fencing_token,
            job.state,
        )

    def counted(self, day: str, bill: ChargeState, scope: str = "") -> int:
        of_day = (each for each in self.shots.values() if each.bill is bill and each.row()[4] == day)
        return sum(each.amount for each in of_day if scope in scopes_of(each.caller))

    def fits(self, amount: int, day: str, caller: str) -> bool:
        for scope, limit in zip(scopes_of(caller), (self.limit, self.own, self.of_team), strict=False):
            spent = self.counted(day, HELD, scope) + self.counted(day, BOOKED, scope)
            if limit is not None and spent + amount > limit:
                return False
        return True

    def same(self, caller: str, key: str, normal: Mapping[str, str], *, is_preview: bool) -> list[Shot]:
        """The jobs this request may be answered with; a preview is none where another provider would take it now."""
        mine = [each for each in self.shots.values() if (each.caller, each.key) == (caller, key)]
        if key:
            return mine
        mine = [each for each in mine if is_preview or each.provider != "local"]
        since = self.now - timedelta(minutes=2)
        lately = (State.SUCCEEDED, State.UNKNOWN)
        fit = [
            each
            for each in mine
            if each.normal == normal and (each.live or (each.state in lately and each.ended and each.ended >= since))
        ]
        newest = max((each.born for each in fit), default=None)
        return [each for each in fit if each.born == newest]

    def moved(self, shot: Shot, to: State, what: str, **changes: Any) -> None:
        """`shot` came to `to`; at an end its holder lets go and the jobs that waited for it are due."""
        shot.state, shot.ended = to, self.now if to in TERMINAL_STATES else None
        shot.story.append(what)
        ends: dict[str, Any] = {"lease_owner": ""} if to in TERMINAL_STATES else {}
        ends |= {"due": self.now + timedelta(minutes=30)} if to is State.UNKNOWN else {}
        for name, value in (ends | changes).items():
            setattr(shot, name, value)
        for other in self.shots.values():
            if to in TERMINAL_STATES and other.blocked_by == shot.id:
                other.blocked_by, other.due = "", self.now

    def tried(self, may: bool, call: Callable[[], Job]) -> Job | None:
        """Do what a record allows, and keep the new one; a record that holds nothing any more must be refused."""
        if may:
            job = call()
            if job.lease_owner:
                self.hands[
                    f"{len(self.hands)}: {job.lease_owner}/{job.fencing_token} {job.state} at {job.offer.provider}"
                ] = job
            return job
        with pytest.raises(LostClaimError):
            call()
        return None

    def due(self) -> list[Shot]:
        """The jobs anybody may take now."""
        free = [each for each in self.shots.values() if each.live and not each.lease_owner and not each.blocked_by]
        return [each for each in free if each.due <= self.now or each.due > self.now + timedelta(hours=1)]

    def holding(self, *states: State) -> list[str]:
        """The names of the records, in these states, that hold their jobs."""
        return [name for name, job in self.hands.items() if job.state in states and self.holds(job)]

    def draw_hand(self, data: st.DataObject, names: list[str]) -> Job:
        return self.hands[data.draw(st.sampled_from(names))]

    def under_way(self, provider: str, worker: str, here: bool) -> int:
        """How many orders the provider has under way, or how many of its films this machine makes."""
        machine = worker.split("_")[0]
        mine = [each for each in self.shots.values() if each.provider == provider and each.live]
        if here:
            return sum(each.lease_owner.split("_")[0] == machine for each in mine)
        ordered = (State.SUBMITTING, State.RUNNING)
        return sum(each.state in ordered or (each.state is State.QUEUED and each.lease_owner != "") for each in mine)

    # -- what may come next -------------------------------------------------------------------------------------

    def words(self, job: Job, taken: bool) -> list[tuple[State, str, dict[str, Any]]]:
        """All that can be said to an order: whoever took it never says no."""
        if job.offer.provider in REPEATABLE:
            return [(State.RUNNING, "started", {})]
        unknown: tuple[State, str, dict[str, Any]] = (State.UNKNOWN, "unknown", {})
        if taken:
            accepted = {"provider_ref": {"id": job.id}}
            announced = accepted | {"charged": self.shots[job.id].held - 40_000}
            return [unknown, (State.RUNNING, "accepted", accepted), (State.RUNNING, "accepted", announced)]
        no = State.QUEUED
        return [unknown, (State.FAILED, "failed", {"bill": RELEASED}), (no, "move_on", {}), (no, "turned_away", {})]

    def steps(self, job: Job) -> list[tuple[State, dict[str, Any]]]:
        """The moves the steps of a job make, besides those an answer makes."""
        free, paid = {"bill": RELEASED}, {"bill": BOOKED}
        mine = job.offer.provider in REPEATABLE
        match job.state:
            case State.QUEUED:
                return [(State.FAILED, free), (State.CANCELLED, free | {"cancel": CancelOutcome.STOPPED})]
            case State.SUBMITTING if mine:
                return [(State.FAILED, free)]
            case State.RUNNING if mine:
                return [(State.SAVING, {}), (State.FAILED, free), (State.QUEUED, {"lease_owner": ""})]
            case State.RUNNING:
                told = {"charged": job.cost_micro - 40_000} if job.charged_micro is None else {}
                ends = [(State.FAILED, free), (State.FAILED, paid), (State.CANCELLED, free), (State.UNKNOWN, {})]
                return [(State.SAVING, told), (State.SAVING, {}), *ends]
            case State.SAVING:
                return [(State.SUCCEEDED, paid), (State.FAILED, paid)]
        return []

    # -- what always holds --------------------------------------------------------------------------------------

    @invariant()
    def rows_say_what_the_model_says(self) -> None:
        columns = [schema.jobs.c[name] for name in ("id", "revision", *COLUMNS)]
        with self.database.read() as connection:
            found = {row[0]: tuple(row[1:]) for row in connection.execute(select(*columns))}
        assert found.keys() == self.shots.keys()
        for job_id, row in found.items():
            must = zip(COLUMNS, row[1:], self.shots[job_id].row(), strict=True)
            assert [each for each in must if each[1] != each[2]] == [], "name, what the row says, what it must say"
            before = self.rows.get(job_id, row)
            was, now = State(before[1]), State(row[1])
            assert was is now or now in TRANSITIONS[was], f"{was} -> {now}"
            assert row == before or row[0] > before[0], "changed, and nobody who watches is told"
            if len(self.shots[job_id].story) != before[0] or row != before:
                told = [
                    each.what
                    for each in self.store.history(job_id)
                    if each.what not in ("price_drift", "offer_left_out")
                ]
                assert told == self.shots[job_id].story
        self.rows = found

    @invariant()
    def nobody_pays_twice(self) -> None:
        assert all(shot.taken <= 1 + shot.retries for shot in self.shots.values())

    @invariant()
    def money_is_conserved(self) -> None:
        by_bill = {bill: sum(each.amount for each in self.shots.values() if each.bill is bill) for bill in ChargeState}
        assert sum(by_bill.values()) == sum(each.amount for each in self.shots.values())
        for day in {shot.row()[4] for shot in self.shots.values()} | {self.now.date().isoformat()}:
            budget = self.store.budget(datetime.fromisoformat(day).replace(hour=23, tzinfo=UTC))
            assert (budget.held, budget.booked) == (self.counted(day, HELD), self.counted(day, BOOKED))
            assert self.limit is None or budget.held + budget.booked <= self.limit
            assert self.limit is None or budget.left == self.limit - budget.held - budget.booked

    @invariant()
    def counters_equal_a_recount(self) -> None:
        counted: Counter[tuple[str, str, str]] = Counter()
        for shot in self.shots.values():
            for scope in scopes_of(shot.caller) if shot.bill is not RELEASED else ():
                counted[shot.row()[4], scope, str(shot.bill)] += shot.amount
        with self.database.read() as connection:
            assert counters(connection) == recount(connection) == counted

    @invariant()
    def live_jobs_are_listed_and_nothing_waits_for_an_end(self) -> None:
        live = {(each.id, each.lease_owner, each.provider) for each in self.store.live()}
        due = [each for each in self.shots.values() if each.live and not each.blocked_by]
        assert live == {(each.id, each.lease_owner, each.provider) for each in due}
        assert all(self.shots[each.blocked_by].live for each in self.shots.values() if each.blocked_by)
        assert all((each.ended is None) is each.live for each in self.shots.values())
