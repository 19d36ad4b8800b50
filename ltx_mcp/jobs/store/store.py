"""The jobs in the database: each method is one transaction, and every transition of a job writes its event in the same.

Blocking; async code uses `run_in_thread`. Only a job's lease owner, under its fencing token, moves it along
TRANSITIONS."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Unpack

from sqlalchemy import Connection, Text, and_, cast, func, literal_column, or_, select

from ltx_mcp import telemetry
from ltx_mcp.domain.errors import JobError
from ltx_mcp.domain.job import ChargeState, Event, Job, JobChanges, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.offer import Offer
from ltx_mcp.domain.price import to_micro
from ltx_mcp.jobs.callers import CallerLimits, LimitsOf
from ltx_mcp.jobs.cancellation import request_cancel
from ltx_mcp.jobs.confirmation import name_of, use_up
from ltx_mcp.jobs.store.admission import Admission
from ltx_mcp.jobs.store.budget import Budget, Budgets, next_that_fits
from ltx_mcp.jobs.store.claims import claim, count_ahead, is_due, of_accounts
from ltx_mcp.jobs.store.database import Database, once_committed
from ltx_mcp.jobs.store.releases import release_some
from ltx_mcp.jobs.store.rounds import Round, claims_of, read_round
from ltx_mcp.jobs.store.rows import (
    Account,
    ActiveJob,
    NewJob,
    PlacedJob,
    PlacedSet,
    change,
    find,
    first_live,
    insert_job,
    load,
    record,
    record_transition,
    terminal_changes,
    to_job,
)
from ltx_mcp.jobs.store.same import Repeat, RequestIdentity, find_same
from ltx_mcp.jobs.store.schema import IS_LIVE, TO_ASK, events, jobs
from ltx_mcp.jobs.store.sets import find_named, find_set, insert_set
from ltx_mcp.jobs.store.transitions import Found, check_transition, price_drift

ASKED_FOR = timedelta(hours=24)
ASKED_AT_A_TIME = 50
NO_LIMITS = CallerLimits()


class Store:
    """The jobs of one database."""

    def __init__(
        self, database: Database, *, budget_usd: Decimal | None = None, limits_of: LimitsOf = lambda caller: NO_LIMITS
    ) -> None:
        self._database = database
        self._admission = Admission(database, None if budget_usd is None else to_micro(budget_usd), limits_of)
        self.run_in_thread = database.run_in_thread

    # -- placing ------------------------------------------------------------------------------------------------

    def place(self, new: NewJob, now: datetime, repeat: Repeat = Repeat.RETRY, lease_owner: str = "") -> PlacedJob:
        """The request's job: the one it already has, or a new row with its price held, already claimed for
        `lease_owner`.

        Raises CallerError when the key belongs to another request, the caller has too many live jobs, or a budget is
        too small."""
        found = self._admission.refuse_early(new, now, repeat)
        if found is None:
            with self._database.write() as connection:
                found = self._admission.admit(connection, new, now, repeat)
                if found is None:
                    use_up(connection, new.caller, name_of(new.normal, new.request_key))
                    return PlacedJob(insert_job(connection, new, now, "placed", lease_owner), fresh=True)
        assert isinstance(found, Job)
        return PlacedJob(found, fresh=False)

    def place_set(self, new: NewJob, now: datetime, repeat: Repeat = Repeat.RETRY, lease_owner: str = "") -> PlacedSet:
        """As `place`, for several takes: all of them are placed, or none. Limits are compared with their sum."""
        found = self._admission.refuse_early(new, now, repeat)
        if found is None:
            with self._database.write() as connection:
                found = self._admission.admit(connection, new, now, repeat)
                if found is None:
                    use_up(connection, new.caller, name_of(new.normal, new.request_key))
                    return PlacedSet(insert_set(connection, new, now, lease_owner), fresh=True)
        assert isinstance(found, JobSet)
        return PlacedSet(found, fresh=False)

    def check(self, new: NewJob, now: datetime, repeat: Repeat = Repeat.RETRY) -> Job | JobSet | None:
        """What this request already has, or None. Raises what `place` would raise now."""
        return self._admission.check(new, now, repeat)

    def find_same(self, wanted: RequestIdentity, now: datetime) -> Job | JobSet | None:
        """What this request already has, if anything."""
        with self._database.read() as connection:
            return find_same(connection, wanted, now)

    # -- holding and moving -------------------------------------------------------------------------------------

    def claim(
        self,
        worker: str,
        slots: Mapping[str, int],
        now: datetime,
        able: AbstractSet[Account] | None = None,
        on_machine: AbstractSet[str] = frozenset(),
    ) -> Job | None:
        """Claim the oldest job that is due, has no lease owner and can be served from here; see `claims`."""
        return claim(self._database, worker, slots, now, able, on_machine)

    def transition(self, job: Job, to: State, now: datetime, what: str = "", **changes: Unpack[JobChanges]) -> Job:
        """The lease owner's transition with its event. Raises LostClaimError when the claim is lost."""
        check_transition(job, to)
        with self._database.write() as connection:
            change(connection, _as_held(job), terminal_changes(to, now) | {"state": to} | changes)
            _record_drift(connection, job, now, changes)
            return record_transition(connection, job.id, to, now, what or str(to), changes)

    def record_submission(self, job: Job, to: State, now: datetime, what: str, **changes: Unpack[JobChanges]) -> Job:
        """The answer to the order; it may come after others gave the job up, while `submitted_by` is ours."""
        is_open = jobs.c.state.in_([State.SUBMITTING, State.UNKNOWN])
        sent = (
            jobs.c.id == job.id,
            jobs.c.submitted_by == job.lease_owner,
            jobs.c.fencing_token == job.fencing_token,
            is_open,
        )
        healed = {"state": to, "lease_owner": job.lease_owner, "finished_at": None, "error": None, "run_after": now}
        with self._database.write() as connection:
            change(connection, sent, healed | terminal_changes(to, now) | changes)
            _record_drift(connection, job, now, changes)
            if to is State.RUNNING and job.state is State.SUBMITTING:
                after_s = (now - job.created_at).total_seconds()
                once_committed(connection, partial(telemetry.job_accepted, job.offer.provider, after_s))
            return record_transition(connection, job.id, to, now, what, changes)

    def fail_over(self, job: Job, problem: JobError, now: datetime, offers: tuple[Offer, ...] = ()) -> Job:
        """After a definite rejection: release the price, hold that of the next offer that fits, and queue again; fail
        if none is left. `offers` are the job's own at their newest prices."""
        check_transition(job, State.QUEUED, State.QUEUED, State.SUBMITTING)
        offers = offers or job.offers
        refused: dict[str, Any] = {"provider": job.offer.provider, "error": problem.code, "message": problem.message}
        with self._database.write() as connection:
            check_budgets = self._admission.later_offers(connection, job)  # locks before any row, as `place` does
            change(connection, _as_held(job), {"bill": ChargeState.RELEASED})
            index, left_out = next_that_fits(job, offers, problem.code, check_budgets)
            if index is None:
                last_error = replace(problem, message=" ".join([problem.message, *(each.message for each in left_out)]))
                end = terminal_changes(State.FAILED, now) | {"state": State.FAILED, "error": last_error}
                change(connection, (jobs.c.id == job.id,), end)
                return record_transition(
                    connection, job.id, State.FAILED, now, "failed", refused | {"bill": ChargeState.RELEASED}
                )
            offer = offers[index]
            next_try: JobChanges = {
                **{"state": State.QUEUED, "bill": ChargeState.HELD, "offer_index": index, "provider": offer.provider},
                **{"cost_micro": to_micro(offer.cost_usd), "held_micro": to_micro(offer.at_most_usd), "tries": 0},
                **{"submitted_by": "", "lease_owner": "", "run_after": now, "status_message": ""},
                "offers": (*job.offers[:index], offer, *job.offers[index + 1 :]),
                "account": self._admission.account_of(job, offer.provider),
            }
            change(connection, (jobs.c.id == job.id,), next_try)
            refused |= {"held_micro": to_micro(offer.at_most_usd), "offer_index": index}
            queued = record_transition(connection, job.id, State.QUEUED, now, "next_offer", refused)
            for each in left_out:
                detail = {"provider": each.offer.provider, "model": each.offer.model, "message": each.message}
                record(connection, job.id, now, "offer_left_out", detail)
            return queued

    def requeue(self, job: Job, problem: JobError, now: datetime, wait: timedelta) -> Job:
        """After a definite rejection that asks to retry: queue the same offer again, due `wait` from now."""
        check_transition(job, State.QUEUED, State.SUBMITTING)
        later = {
            "state": State.QUEUED,
            "submitted_by": "",
            "lease_owner": "",
            "run_after": now + wait,
            "status_message": problem.message,
            "tries": job.tries + 1,
        }
        detail = {"provider": job.offer.provider, "error": problem.code, "wait_s": round(wait.total_seconds(), 1)}
        with self._database.write() as connection:
            change(connection, _as_held(job), later)
            return record_transition(connection, job.id, State.QUEUED, now, "turned_away", detail)

    def wait_for_sources(self, job: Job, now: datetime) -> Job:
        """Release a job until its first live source has ended; it is due at once if there is none."""
        with self._database.write() as connection:
            blocked_by = first_live(connection, job.inputs)
            change(connection, _as_held(job), {"blocked_by": blocked_by, "lease_owner": "", "run_after": now})
            return record_transition(connection, job.id, State.QUEUED, now, "waiting", {"blocked_by": blocked_by})

    def recheck(self, caller: str, job_id: str, now: datetime) -> Job | None:
        """Have the provider polled once more about an unknown order, if it can be."""
        with self._database.write() as connection:
            job = find(connection, caller, job_id, lock=True)
            if job is None or job.state is not State.UNKNOWN or job.provider_ref is None:
                return job
            return self._recheck(connection, job_id, now)

    def recheck_due(self, now: datetime) -> int:
        """The same for those that are due, until a day after their order; returns how many. After an outage of a
        provider they may be thousands: it takes some, and the next round those that are left."""
        may_be_asked: tuple[Any, ...] = (literal_column(TO_ASK), is_due(now), jobs.c.ordered_at > now - ASKED_FOR)
        query = select(jobs.c.id).where(*may_be_asked).order_by(jobs.c.run_after).limit(ASKED_AT_A_TIME)
        with self._database.write() as connection:
            due = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
            for job_id in due:
                self._recheck(connection, job_id, now)
            return len(due)

    def _recheck(self, connection: Connection, job_id: str, now: datetime) -> Job:
        again = {"state": State.RUNNING, "lease_owner": "", "run_after": now, "finished_at": None}
        change(connection, (jobs.c.id == job_id,), again)
        return record_transition(connection, job_id, State.RUNNING, now, "asked_again", {})

    def update(self, job: Job, **changes: Unpack[JobChanges]) -> Job:
        """Change fields such as the progress: no transition, no event and no fsync. Raises LostClaimError."""
        with self._database.write(durable=False) as connection:
            change(connection, _as_held(job), changes)
            return load(connection, job.id)

    def request_cancel(self, caller: str, job_id: str, now: datetime) -> Job | None:
        """Cancel what was never sent, else record the request for the lease owner. None for an unknown job."""
        with self._database.write() as connection:
            job = find(connection, caller, job_id, lock=True)
            return None if job is None else request_cancel(connection, job, now)

    def release_claims(
        self, worker: str, repeatable: AbstractSet[str], now: datetime, *, died: bool, but: Sequence[State] = ()
    ) -> int:
        """Release the jobs of `worker`, except in the states `but`, by what is certain about each; returns how many.

        `repeatable` are the providers that charge nothing, so that interrupted work can be done again.
        """
        released = 0
        while True:
            with self._database.write() as connection:
                some = release_some(connection, worker, repeatable, now, died, but)
            released += some
            if not some:
                return released

    # -- looking ------------------------------------------------------------------------------------------------

    def get(self, job_id: str, caller: str | None = None) -> Job | None:
        """One job; with `caller`, only that caller's."""
        with self._database.read() as connection:
            return find(connection, caller, job_id)

    def find(self, name: str, caller: str | None = None) -> Job | JobSet | None:
        """What `job_…`, `set_…` or `set_…/2` names. Raises CallerError(job_not_found) for a take that the set lacks."""
        with self._database.read() as connection:
            return find_named(connection, caller, name)

    def reload(self, followed: Found) -> Found:
        """A job or a set as it is now; as it was if it is no longer there."""
        with self._database.read() as connection:
            if isinstance(followed, JobSet):
                return find_set(connection, None, followed.id) or followed
            return find(connection, None, followed.id) or followed

    def named(self, prefix: str, caller: str, limit: int) -> list[Job]:
        """A caller's jobs whose id, or name within a set, starts with `prefix`; an exact match comes first."""
        take_name = jobs.c.set_id + "/" + cast(jobs.c.take, Text)
        begins = [func.substr(name, 1, len(prefix)) == prefix for name in (jobs.c.id, take_name)]
        query = select(jobs).where(jobs.c.caller == caller, or_(*begins)).order_by(func.length(jobs.c.id), jobs.c.id)
        with self._database.read() as connection:
            return [to_job(row._mapping) for row in connection.execute(query.limit(limit))]

    def page(self, caller: str, state: str, limit: int, before: tuple[datetime, str] | None) -> list[Job]:
        """Newest first, only those older than the job with the time and id `before`."""
        query = select(jobs).where(jobs.c.caller == caller)
        if state:
            query = query.where(jobs.c.state == state)
        if before:
            at, job_id = before
            query = query.where(or_(jobs.c.created_at < at, and_(jobs.c.created_at == at, jobs.c.id < job_id)))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)).all()
            return [to_job(row._mapping) for row in rows]

    async def revisions(self, job_ids: Sequence[str]) -> dict[str, int]:
        """The revision of each of these jobs; called many times a second, so not through SQLAlchemy."""
        marks = ", ".join("?" * len(job_ids))
        found = await self._database.quick_read(f"SELECT id, revision FROM jobs WHERE id IN ({marks})", job_ids)
        return {job_id: revision for job_id, revision in found}

    async def should_stop(self, job: Job) -> bool:
        """Whether the job was cancelled or taken away, so that its lease owner should reload it. Cheap."""
        found = await self._database.quick_read("SELECT cancel_wanted, fence FROM jobs WHERE id = ?", (job.id,))
        return any(wanted or fence != job.fencing_token for wanted, fence in found)

    def live(self) -> list[ActiveJob]:
        """Every live job that is not blocked by another one."""
        columns = (jobs.c.id, jobs.c.lease_owner, jobs.c.fencing_token, jobs.c.provider, jobs.c.run_after)
        is_cancel_pending = and_(jobs.c.cancel_requested, jobs.c.cancel.is_(None))
        query = select(*columns, is_cancel_pending, func.coalesce(jobs.c.account, "")).where(
            literal_column(IS_LIVE), jobs.c.blocked_by == ""
        )
        with self._database.read() as connection:
            return [ActiveJob(*row) for row in connection.execute(query)]

    def read_round(self, worker: str, able: AbstractSet[Account]) -> Round:
        """What a round of `worker` needs to know about the live jobs; `able` are the accounts that it can serve."""
        with self._database.read() as connection:
            return read_round(connection, worker, of_accounts(able))

    def claims_of(self, worker: str) -> AbstractSet[tuple[str, int]]:
        """The ids and fencing tokens of what `worker` has claimed."""
        with self._database.read() as connection:
            return claims_of(connection, worker)

    def count_ahead(self, job: Job) -> int:
        """How many jobs of the same account come before a queued one."""
        with self._database.read() as connection:
            return count_ahead(connection, job)

    def history(self, job_id: str) -> list[Event]:
        """The events of a job, oldest first."""
        query = select(events.c.at, events.c.what, events.c.detail).where(events.c.job_id == job_id)
        with self._database.read() as connection:
            return [Event(*row) for row in connection.execute(query.order_by(events.c.id))]

    def budgets(self, now: datetime, caller: str | None = None) -> Budgets:
        """Today's budgets that `caller` may spend from; without one, only that of all callers together."""
        with self._database.read() as connection:
            return self._admission.budgets(connection, caller, now)

    def budget(self, now: datetime) -> Budget:
        """Today's budget of all callers together."""
        return self.budgets(now).total


def _as_held(job: Job) -> tuple[Any, ...]:
    """The conditions that the row is still claimed as `job` says."""
    return (
        jobs.c.id == job.id,
        jobs.c.fencing_token == job.fencing_token,
        jobs.c.lease_owner == job.lease_owner,
        jobs.c.state == job.state,
    )


def _record_drift(connection: Connection, job: Job, now: datetime, changes: Mapping[str, Any]) -> None:
    """Record in the history, once, that the charge differs from the quote."""
    if drift := price_drift(job, changes):
        record(connection, job.id, now, "price_drift", drift)
