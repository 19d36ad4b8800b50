"""The store against a small model of it: requests, deaths, late answers, wishes and a jumping clock, in any order.

The model knows what each row must say, what the provider really took, and what each day's money must come to.
MODEL_EXAMPLES=2000 looks longer, and at other examples each time.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ltx_mcp.domain.arguments import GenerateVideo
from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError
from ltx_mcp.domain.job import TERMINAL_STATES, TRANSITIONS, CancelOutcome, Job, State
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.plan import select_offers
from ltx_mcp.domain.request import Input, to_request
from ltx_mcp.jobs.recovery import RecoveryStore, Resolution
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob
from ltx_mcp.jobs.store.transitions import IllegalTransitionError
from ltx_mcp.providers.catalog_loader import make_catalog, read_providers
from tests.databases import PostgresServer
from tests.jobs.model import BOOKED, HELD, RELEASED, REPEATABLE, TEAM_OF, Model, Shot

LONGER = "MODEL_EXAMPLES" in os.environ
EXAMPLES = settings(
    max_examples=int(os.environ.get("MODEL_EXAMPLES", "80")),
    stateful_step_count=40,
    deadline=None,
    derandomize=not LONGER,
    database=None,
    phases=[Phase.generate, Phase.shrink] if LONGER else [Phase.generate],  # to shrink a long run takes minutes
    suppress_health_check=list(HealthCheck),
)
WORKERS, CALLERS = ("m1_a", "m1_b", "m2_a"), tuple(TEAM_OF)
ACCOUNT = (ErrorCode.OUT_OF_CREDIT, ErrorCode.KEY_REJECTED)
NOES = (ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED, *ACCOUNT)

workers = st.sampled_from(WORKERS)
callers = st.sampled_from(CALLERS)
offers = st.lists(
    st.tuples(st.sampled_from(["fal", "ltx", "local"]), st.sampled_from([100_000, 250_001, 400_000])),
    min_size=1,
    max_size=3,
)


@cache
def any_offer() -> Offer:
    """An offer to make others of."""
    catalog = make_catalog(read_providers(), (), lambda name: "")
    return select_offers(to_request(GenerateVideo(prompt="a pond")), (), catalog)[0]


@dataclass(frozen=True)
class Flight:
    """An order that went out: the sender's record of its job, and whether the provider took it."""

    job: Job
    taken: bool


@contextmanager
def sqlite_database() -> Iterator[Database]:
    """A new file of its own."""
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # nothing here cuts the power
    with TemporaryDirectory(prefix="ltx-mcp-", dir=memory) as folder:
        database = Database.open(Path(folder))
        try:
            yield database
        finally:
            database.close()


class StoreMachine(Model):
    """Three workers and three callers, two of them in one team, over one store."""

    def __init__(self) -> None:
        super().__init__()
        self.flights: list[Flight] = []

    # -- callers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: sum(each.live for each in self.shots.values()) < 3)
    @rule(
        data=st.data(),
        caller=callers,
        key=st.sampled_from(["", "", "k", "l"]),
        prompt=st.sampled_from("abcd"),
        choices=offers,
    )
    def place(self, data: st.DataObject, caller: str, key: str, prompt: str, choices: list[tuple[str, int]]) -> None:
        self.now += timedelta(milliseconds=1)  # no two are equally old, so that the oldest is one
        others = ["", "", *(each.id for each in self.shots.values() if each.caller == caller)]
        source = others[data.draw(st.integers(0, len(others) - 1))]
        normal = {"prompt": prompt, "source": source}
        made = tuple(replace(any_offer(), provider=name, cost_usd=Decimal(usd) / 1_000_000) for name, usd in choices)
        inputs = (Input(role="image", job_id=source, frame_position="last"),) if source else ()
        new = NewJob(caller, key, normal, made, inputs, team=TEAM_OF[caller])
        is_preview = choices[0][0] == "local"
        same = self.same(caller, key, normal, is_preview=is_preview)
        is_other = same and (same[0].normal != normal or (same[0].provider == "local" and not is_preview))
        if key and is_other:
            return self.refused(new, ErrorCode.INVALID_REQUEST)
        if not same and not self.fits(choices[0][1], self.now.date().isoformat(), caller):
            return self.refused(new, ErrorCode.OVER_BUDGET)
        placed = self.store.place(new, self.now)
        assert placed.fresh is not bool(same)
        if same:
            assert placed.job.id in {each.id for each in same}
            return None
        blocked_by = source if source and self.shots[source].live else ""
        shot = Shot(placed.job.id, caller, key, normal, choices, self.now, self.now, blocked_by)
        self.shots[shot.id] = shot
        return None

    def refused(self, new: NewJob, code: ErrorCode) -> None:
        with pytest.raises(CallerError) as caught:
            self.store.place(new, self.now)
        assert caught.value.code is code

    @precondition(lambda self: self.shots)
    @rule(data=st.data(), what=st.sampled_from(["clock", "ask", "ask all", "cancel", "cancel"]))
    def meanwhile(self, data: st.DataObject, what: str) -> None:
        """One rule, because each of these can always happen, and most of a run should be work."""
        shots = [each for each in self.shots.values() if TRANSITIONS[each.state]] or list(self.shots.values())
        shot = shots[data.draw(st.integers(0, len(shots) - 1))]
        caller = shot.caller if data.draw(st.integers(0, 3)) else data.draw(callers)
        if what == "clock":
            self.now += timedelta(hours=data.draw(st.sampled_from([-13, -0.001, 0.001, 0.03, 0.04, 3, 13, 30])))
        elif what == "ask":
            self.ask_again(shot, caller)
        elif what == "ask all":
            self.ask_due()
        elif shot.state is not State.QUEUED or not data.draw(st.integers(0, 2)):
            self.wish_cancel(shot, caller)

    def wish_cancel(self, shot: Shot, caller: str) -> None:
        told = self.store.request_cancel(caller, shot.id, self.now)
        assert (told is None) is (caller != shot.caller)
        if told is None or not shot.live or shot.wished:
            return
        shot.wished = True
        if shot.state is State.QUEUED:
            self.moved(shot, State.CANCELLED, "cancelled", bill=RELEASED, cancel=CancelOutcome.NEVER_SENT)
        else:
            shot.cancel = CancelOutcome.NOT_POSSIBLE if shot.state is State.SAVING else shot.cancel
            shot.story.append("cancel_wanted")

    def ask_again(self, shot: Shot, caller: str) -> None:
        told = self.store.recheck(caller, shot.id, self.now)
        assert (told is None) is (caller != shot.caller)
        if told is not None and shot.state is State.UNKNOWN and shot.provider_ref:
            self.moved(shot, State.RUNNING, "asked_again", due=self.now)

    def ask_due(self) -> None:
        lost = [each for each in self.shots.values() if each.state is State.UNKNOWN and each.provider_ref]
        lately = self.now - timedelta(hours=24)
        due = [each for each in lost if each.due <= self.now and each.ordered and each.ordered > lately]
        assert self.store.recheck_due(self.now) == len(due)
        for shot in due:
            self.moved(shot, State.RUNNING, "asked_again", due=self.now)

    @precondition(lambda self: any(each.state is State.UNKNOWN for each in self.shots.values()))
    @rule(data=st.data(), resolution=st.sampled_from(Resolution))
    def settle(self, data: st.DataObject, resolution: Resolution) -> None:
        """A person says what became of an order; only after their `retry` may there be a second one."""
        lost = [each for each in self.shots.values() if each.state is State.UNKNOWN]
        shot = lost[data.draw(st.integers(0, len(lost) - 1))]
        RecoveryStore(self.database).resolve(shot.id, resolution, self.now)
        what = f"resolved_{resolution}"
        if resolution is Resolution.RETRY:
            forgotten = {"provider_ref": False, "charged": None, "cancel": None, "ordered": None, "submitted_by": ""}
            shot.retries, shot.wished = shot.retries + 1, False
            self.moved(shot, State.QUEUED, what, due=self.now, **forgotten)
        else:
            bill = BOOKED if resolution is Resolution.CHARGED else RELEASED
            self.moved(shot, State.FAILED, what, due=self.now, bill=bill)

    # -- workers ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.shots)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        """The workers go on for a while: most of a run, so that it gets far."""
        for _ in range(data.draw(st.integers(1, 5))):
            follow = (State.SUBMITTING, State.RUNNING, State.SAVING)
            ready = (self.due(), self.holding(State.QUEUED), self.flights, self.holding(*follow))
            could = [
                do
                for do, there in zip((self.claim, self.prepare, self.answer, self.go_on), ready, strict=True)
                if there
            ]
            if could:
                could[data.draw(st.integers(0, len(could) - 1))](data)
                self.rows_say_what_the_model_says()

    def claim(self, data: st.DataObject) -> None:
        worker, slots = data.draw(workers), data.draw(st.sampled_from([{}, {}, {"local": 1}, {"fal": 1, "local": 0}]))
        able = data.draw(st.sampled_from([None, None, frozenset({("fal", ""), ("ltx", "")})]))
        on_machine = data.draw(st.sampled_from([REPEATABLE, frozenset[str]()]))
        full = {name for name, most in slots.items() if self.under_way(name, worker, name in on_machine) >= most}
        fit = [each for each in self.due() if able is None or (each.provider, "") in able]
        fit = [each for each in fit if each.state is not State.QUEUED or each.provider not in full]
        job = self.store.claim(worker, slots, self.now, able, on_machine)
        if not fit:
            assert job is None
            return
        assert job is not None
        shot = self.shots[job.id]
        assert shot.id == min(fit, key=lambda each: each.born).id
        shot.lease_owner, shot.fencing_token = worker, shot.fencing_token + 1
        self.tried(True, lambda: job)

    def prepare(self, data: st.DataObject) -> None:
        """Mostly the order goes out; else it waits for an earlier job, cannot be sent, or is refused an upload."""
        job = self.draw_hand(data, self.holding(State.QUEUED))
        if data.draw(st.integers(0, 3)):
            self.submit(job, taken=data.draw(st.booleans()))
        elif data.draw(st.booleans()) and job.sources:
            self.wait_for_source(job)
        elif data.draw(st.booleans()):
            self.move_on(job, data.draw(st.sampled_from(NOES)))
        else:
            self.step(job, data)

    def submit(self, job: Job, *, taken: bool) -> None:
        """The intent is written; only then does the order go out."""
        shot = self.shots[job.id]
        at: dict[str, Any] = {"submitted_by": job.lease_owner, "ordered_at": self.now}
        if sent := self.tried(self.holds(job), lambda: self.store.transition(job, State.SUBMITTING, self.now, **at)):
            self.moved(shot, State.SUBMITTING, "submitting", submitted_by=job.lease_owner, ordered=self.now)
            taken = taken and shot.provider not in REPEATABLE
            shot.taken += taken
            self.flights.append(Flight(sent, taken))

    def answer(self, data: st.DataObject) -> None:
        """What was said to an order arrives, however late."""
        flight = self.flights.pop(data.draw(st.integers(0, len(self.flights) - 1)))
        self.hear(flight.job, flight.taken, data)

    def hear(self, job: Job, taken: bool, data: st.DataObject) -> None:
        shot = self.shots[job.id]
        sent = (shot.submitted_by, shot.fencing_token) == (job.lease_owner, job.fencing_token)
        may = sent and shot.state in (State.SUBMITTING, State.UNKNOWN)
        words = self.words(job, taken)
        to, what, changes = words[data.draw(st.integers(0, len(words) - 1))]
        if what == "move_on":
            return self.move_on(job, data.draw(st.sampled_from(NOES)))
        if what == "turned_away":
            return self.turn_away(job, data.draw(st.sampled_from([0, 5, 600])))
        written = {name: value for name, value in changes.items() if name != "charged"}
        if "charged" in changes:
            written["charged_micro"] = changes["charged"]
        if self.tried(may, lambda: self.store.record_submission(job, to, self.now, what, **written)):
            known = {name: value is not None if name == "provider_ref" else value for name, value in changes.items()}
            lease_owner = "" if to in TERMINAL_STATES else job.lease_owner
            known |= {} if to is State.UNKNOWN else {"due": self.now}
            self.moved(shot, to, what, **known | {"lease_owner": lease_owner})
        return None

    def move_on(self, job: Job, code: ErrorCode) -> None:
        """The store offers the next choice whose price the day it is counted on still has."""
        shot = self.shots[job.id]
        if not self.tried(self.holds(job), lambda: self.store.fail_over(job, JobError(code, "no"), self.now)):
            return
        later = range(shot.index + 1, len(shot.offers))
        fit = [n for n in later if code not in ACCOUNT or shot.offers[n][0] != shot.provider]
        shot.bill = RELEASED
        fit = [n for n in fit if self.fits(shot.offers[n][1], shot.row()[4], shot.caller)]
        if fit:
            self.moved(
                shot, State.QUEUED, "next_offer", index=fit[0], bill=HELD, lease_owner="", submitted_by="", due=self.now
            )
        else:
            self.moved(shot, State.FAILED, "failed")

    def turn_away(self, job: Job, seconds: int) -> None:
        shot, wait = self.shots[job.id], timedelta(seconds=seconds)
        problem = JobError(ErrorCode.RATE_LIMITED, "later")
        if self.tried(self.holds(job), lambda: self.store.requeue(job, problem, self.now, wait)):
            self.moved(shot, State.QUEUED, "turned_away", lease_owner="", submitted_by="", due=self.now + wait)

    def go_on(self, data: st.DataObject) -> None:
        self.step(self.draw_hand(data, self.holding(State.SUBMITTING, State.RUNNING, State.SAVING)), data)

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), what=st.sampled_from(["old", "old", "let_go", "off"]))
    def trouble(self, data: st.DataObject, what: str) -> None:
        """One rule as well: a record that was outlived, a death or a hand-over, a move that no table has."""
        old = [name for name, each in self.hands.items() if not self.holds(each)]
        if what == "let_go":
            busy = [each for each in WORKERS if any(shot.lease_owner == each for shot in self.shots.values())]
            self.let_go(data.draw(st.sampled_from(busy or WORKERS)), data)
        elif what == "old" and old:
            again = [name for name in old if self.hands[name].state == self.shots[self.hands[name].id].state]
            self.act_on_an_old_record(self.hands[data.draw(st.sampled_from(again or old))], data)
        else:
            job = self.hands[data.draw(st.sampled_from(list(self.hands)))]
            for to in set(State) - TRANSITIONS[job.state]:
                with pytest.raises(IllegalTransitionError):
                    self.store.transition(job, to, self.now)

    def act_on_an_old_record(self, job: Job, data: st.DataObject) -> None:
        """Somebody slept through what happened, and does what was next for them."""
        what = data.draw(st.sampled_from(["hear", "hear", "submit", "step", "move_on", "turn_away"]))
        if job.state is State.QUEUED and what == "submit":
            self.submit(job, taken=True)
        elif job.state is State.QUEUED and job.sources and what == "hear":
            self.wait_for_source(job)
        elif job.state in (State.QUEUED, State.SUBMITTING) and what == "move_on":
            self.move_on(job, ErrorCode.UNAVAILABLE)
        elif job.state is State.SUBMITTING and what == "turn_away":
            self.turn_away(job, 0)
        elif job.state is State.SUBMITTING and what == "hear" and all(each.job != job for each in self.flights):
            self.hear(job, data.draw(st.booleans()), data)
        else:
            self.step(job, data)

    def step(self, job: Job, data: st.DataObject) -> None:
        """The holder's next move, or a word about progress where there is none."""
        shot, steps = self.shots[job.id], self.steps(job)
        if not steps:
            self.tried(self.holds(job), lambda: self.store.update(job, progress=50.0))
            return
        to, changes = steps[data.draw(st.integers(0, len(steps) - 1))]
        written = {"charged_micro" if name == "charged" else name: value for name, value in changes.items()}
        if self.tried(self.holds(job), lambda: self.store.transition(job, to, self.now, **written)):
            self.moved(shot, to, str(to), **changes)

    def wait_for_source(self, job: Job) -> None:
        """The source was under way when it was looked at; it may have ended since."""
        shot, source = self.shots[job.id], job.sources[0]
        if self.tried(self.holds(job), lambda: self.store.wait_for_sources(job, self.now)):
            blocked_by = source if self.shots[source].live else ""
            self.moved(shot, State.QUEUED, "waiting", blocked_by=blocked_by, lease_owner="", due=self.now)

    def let_go(self, worker: str, data: st.DataObject) -> None:
        """It died, or is only said to have: its orders may still be answered, and it may go on."""
        died: bool = data.draw(st.booleans())
        but = (State.SUBMITTING,) if data.draw(st.booleans()) else ()
        mine = [
            each for each in self.shots.values() if each.lease_owner == worker and each.live and each.state not in but
        ]
        assert self.store.release_claims(worker, REPEATABLE, self.now, died=died, but=but) == len(mine)
        for shot in mine:
            what = "holder_died" if died else "handed_over"
            if shot.state is State.QUEUED or shot.provider_ref:
                self.moved(shot, shot.state, what, lease_owner="", due=self.now)
            elif shot.provider in REPEATABLE:
                self.moved(shot, State.QUEUED, what, lease_owner="", submitted_by="", due=self.now)
            else:
                self.moved(shot, State.UNKNOWN, what)


class OverAFile(StoreMachine):
    """Over SQLite."""

    open_database = staticmethod(sqlite_database)


TestSqlite = OverAFile.TestCase
TestSqlite.settings = EXAMPLES


class OverAServer(StoreMachine):
    """Over PostgreSQL, a new database for each history."""

    server: ClassVar[PostgresServer]

    @staticmethod
    @contextmanager
    def open_database() -> Iterator[Database]:
        """An empty database."""
        with TemporaryDirectory() as folder:
            database = Database.open(Path(folder), OverAServer.server.new_database())
            try:
                yield database
            finally:
                database.close()


class TestPostgres(OverAServer.TestCase):  # type: ignore[misc, valid-type]
    """The same histories, fewer of them: each is ten times as slow."""

    settings = settings(EXAMPLES, max_examples=EXAMPLES.max_examples // 8)

    @pytest.fixture(autouse=True)
    def on_server(self, postgres: PostgresServer) -> None:
        """The run's own server."""
        OverAServer.server = postgres
