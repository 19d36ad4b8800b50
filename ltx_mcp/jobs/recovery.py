"""What only a person may settle: an order whose outcome is unknown, and an order that was found at its provider; and
that a database was restored from a backup, so that orders may have been sent of which it knows nothing."""

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Text, cast, literal, literal_column, select, tuple_

from ltx_mcp.domain.arguments import PaidArguments
from ltx_mcp.domain.errors import CallerError, ErrorCode, JobError, SetupError
from ltx_mcp.domain.job import ChargeState, Job, State
from ltx_mcp.domain.plan import Catalog, select_offers
from ltx_mcp.domain.quoting import MAX_SHOWN_NAMES, cite, quote, shorten
from ltx_mcp.domain.request import canonical_form, to_request
from ltx_mcp.jobs.accounts import unset_text
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import NewJob, change, find, insert_job, record_transition, terminal_changes, to_job
from ltx_mcp.jobs.store.schema import IS_LIVE, jobs
from ltx_mcp.jobs.store.transitions import DO_NOT_REPEAT
from ltx_mcp.providers.base import Provider, SupportsLookup

NAME = re.compile(r"[\w.:-]{1,200}", re.ASCII)
NOT_SENT = (State.QUEUED, State.SUBMITTING)
DOUBTED_AT_A_TIME = 100
READ_AT_A_TIME = 10_000
NEWEST_FIRST = (jobs.c.created_at.desc(), jobs.c.id.desc())
at = tuple_(jobs.c.created_at, jobs.c.id)


class Resolution(StrEnum):
    """What a person found out about an order that was never answered."""

    CHARGED = "charged"
    NOT_CHARGED = "not-charged"
    RETRY = "retry"


class RecoveryStore:
    """Resolves jobs in one database. Blocking."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.run_in_thread = database.run_in_thread

    def resolve(self, job_id: str, resolution: Resolution, now: datetime) -> Job:
        """Book or release the price of an unknown job, or order it again. Raises CallerError for any other job."""
        with self._database.write() as connection:
            job = self._unknown(find(connection, None, job_id, lock=True), job_id)
            changes = _settled(job, resolution)
            to = changes["state"]
            change(connection, (jobs.c.id == job_id,), terminal_changes(to, now) | {"run_after": now} | changes)
            return record_transition(
                connection, job_id, to, now, f"resolved_{resolution.value}", {"bill": changes["bill"]}
            )

    def adopt(self, job_id: str, remote: Mapping[str, Any], now: datetime) -> Job:
        """Track this order of the provider as the one that an unknown job had sent. Raises CallerError."""
        with self._database.write() as connection:
            job = self._unknown(find(connection, None, job_id, lock=True), job_id)
            follow = {
                "state": State.RUNNING,
                "provider_ref": dict(remote),
                "error": None,
                "finished_at": None,
                "run_after": now,
            }
            change(connection, (jobs.c.id == job.id,), follow)
            return record_transition(connection, job.id, State.RUNNING, now, "adopted", {})

    def adopt_new(self, new: NewJob, remote: Mapping[str, Any], now: datetime) -> Job:
        """A new job that tracks this order. It is already paid, so the budget is not checked, but counts it."""
        with self._database.write() as connection:
            follow: dict[str, Any] = {"state": State.RUNNING, "provider_ref": dict(remote), "ordered_at": now}
            return insert_job(connection, new, now, "adopted", **follow)

    def doubt_unsent(self, repeatable: AbstractSet[str], now: datetime) -> int:
        """After the database was restored from a backup: what had not been ordered then may have been since, so its
        outcome is unknown; returns how many. Jobs of `repeatable` providers, which cost nothing, are made again."""
        found = 0
        while some := self._doubt_some(repeatable, now):
            found += some
        return found

    def _doubt_some(self, repeatable: AbstractSet[str], now: datetime) -> int:
        is_unsent: tuple[Any, ...] = (
            literal_column(IS_LIVE),
            jobs.c.state.in_(NOT_SENT),
            jobs.c.provider.not_in(repeatable),
        )
        query = select(jobs.c.id).where(*is_unsent).order_by(jobs.c.id).limit(DOUBTED_AT_A_TIME).with_for_update()
        problem = JobError(
            ErrorCode.OUTCOME_UNKNOWN,
            "The database was restored from a backup; this order may have been sent after that backup was made.",
            DO_NOT_REPEAT,
        )
        unknown = terminal_changes(State.UNKNOWN, now) | {
            "state": State.UNKNOWN,
            "blocked_by": "",
            "lease_owner": "",
            "error": problem,
        }
        with self._database.write() as connection:
            job_ids = connection.execute(query).scalars().all()
            for job_id in job_ids:
                change(connection, (jobs.c.id == job_id,), unknown)
                record_transition(connection, job_id, State.UNKNOWN, now, "restored", {"error": problem})
            return len(job_ids)

    def tracking_job(self, provider: str, remote_id: str) -> Job | None:
        """The newest job that tracks, or tracked, the order with this id. No index knows it: all are read, in parts."""
        named = cast(jobs.c.provider_ref, Text).contains(f'"{remote_id}"', autoescape=True)
        wanted = select(jobs).where(jobs.c.provider == provider, named).order_by(*NEWEST_FIRST).limit(1)
        older: Sequence[Any] = ()
        with self._database.read() as connection:
            while True:
                part = select(jobs.c.created_at, jobs.c.id).where(*older).order_by(*NEWEST_FIRST)
                last = connection.execute(part.offset(READ_AT_A_TIME - 1).limit(1)).first()
                until = () if last is None else (at >= _place(last),)
                row = connection.execute(wanted.where(*older, *until)).first()
                if row is not None or last is None:
                    return None if row is None else to_job(row._mapping)
                older = (at < _place(last),)

    def unknown(self, provider: str) -> Sequence[Job]:
        """The jobs of a provider that may have sent an order which was never answered."""
        where = (jobs.c.provider == provider, jobs.c.state == State.UNKNOWN, jobs.c.provider_ref.is_(None))
        with self._database.read() as connection:
            rows = connection.execute(select(jobs).where(*where).order_by(jobs.c.created_at.desc())).all()
            return [to_job(row._mapping) for row in rows]

    def _unknown(self, job: Job | None, job_id: str) -> Job:
        if job is None:
            raise CallerError(
                ErrorCode.JOB_NOT_FOUND, f"There is no job {shorten(job_id)}.", "ltx-mcp jobs lists them."
            )
        if job.state is not State.UNKNOWN:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"{job.id} is {job.state}; only a job whose outcome is unknown can be settled by a person.",
                "ltx-mcp jobs cancel ends a live one." if job.live else "",
            )
        return job


@dataclass(frozen=True)
class Recovery:
    """What the terminal calls for a person: resolutions, and orders found by their id at a provider."""

    store: RecoveryStore
    catalog: Catalog
    find_adapter: Callable[[str, str], Provider | None]
    now: Callable[[], datetime]

    async def resolve(self, job_id: str, resolution: Resolution) -> Job:
        """Settle a job whose outcome is unknown. Raises CallerError for any other."""
        return await self.store.run_in_thread(self.store.resolve, job_id, resolution, self.now())

    async def adopt(self, provider: str, remote_id: str, job_id: str) -> Job:
        """Track an order as the one that this unknown job had sent. Raises CallerError."""
        job = next((each for each in await self._unknown(provider) if each.id == job_id), None)
        lookup = self._lookup_of(provider, job.account if job else "")
        tracking = await self._tracking_job(provider, remote_id)
        if tracking is not None:
            return tracking
        if job is None:
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"{shorten(job_id)} is not a job of {provider} whose outcome is unknown.",
                await self._choices(provider),
            )
        remote = lookup.remote_of(job.offer, remote_id)
        return await self.store.run_in_thread(self.store.adopt, job.id, remote, self.now())

    async def adopt_new(self, provider: str, remote_id: str, arguments: PaidArguments, caller: str) -> Job:
        """Track an order of the operator's account that no job of this database had sent, as a new job of this request.
        Raises CallerError."""
        lookup = self._lookup_of(provider)
        tracking = await self._tracking_job(provider, remote_id)
        if tracking is not None:
            return tracking
        request = to_request(arguments)
        offer = select_offers(request, (), self.catalog)[0]
        remote = lookup.remote_of(offer, remote_id)
        normal = canonical_form(replace(request, takes=1), ()) | {"adopted": f"{provider} {remote_id}"}
        new = NewJob(caller, "", normal, (offer,), ())
        return await self.store.run_in_thread(self.store.adopt_new, new, remote, self.now())

    async def check_new(self, provider: str) -> None:
        """Raises CallerError while there are unknown jobs that the order may belong to."""
        if await self._unknown(provider):
            raise CallerError(
                ErrorCode.INVALID_REQUEST,
                f"There are jobs of {provider} whose outcome is unknown, and this may be one of their orders.",
                f"{await self._choices(provider)} Say --new when it is none of them.",
            )

    async def _tracking_job(self, provider: str, remote_id: str) -> Job | None:
        if not NAME.fullmatch(remote_id):
            raise CallerError(ErrorCode.INVALID_REQUEST, "REMOTE_ID is 1 to 200 letters, digits and any of - _ . :")
        return await self.store.run_in_thread(self.store.tracking_job, provider, remote_id)

    async def _unknown(self, provider: str) -> Sequence[Job]:
        return await self.store.run_in_thread(self.store.unknown, provider)

    async def _choices(self, provider: str) -> str:
        unknown = await self._unknown(provider)
        listed = ", ".join(
            f"{job.id} ({cite(job.prompt, 40)}, {job.created_at:%d %b %H:%M})" for job in unknown[:MAX_SHOWN_NAMES]
        )
        if len(unknown) > MAX_SHOWN_NAMES:
            listed += f" and {len(unknown) - MAX_SHOWN_NAMES:,} more"
        return f"Give --job with one of these: {listed}." if listed else f"There is no such job of {provider}."

    def _lookup_of(self, provider: str, account: str = "") -> SupportsLookup:
        adapter: object = self.find_adapter(provider, account)
        if isinstance(adapter, SupportsLookup):
            return adapter
        if account and adapter is None:
            raise SetupError(ErrorCode.MISSING_KEY, unset_text(provider, account))
        standing = self.catalog.availability.get(provider)
        if standing is None:
            known = ", ".join(spec.name for spec in self.catalog.providers)
            raise CallerError(ErrorCode.INVALID_REQUEST, f"{quote(provider)} is no provider; there are {known}.")
        why = standing.unavailable_reason or f"Orders of {provider} have no name that they could be asked after by."
        raise SetupError(ErrorCode.MISSING_KEY if standing.unavailable_reason else ErrorCode.NOT_SUPPORTED, why)


def _place(row: Any) -> Any:
    return tuple_(literal(row.created_at, jobs.c.created_at.type), literal(row.id, jobs.c.id.type))


def _settled(job: Job, resolution: Resolution) -> dict[str, Any]:
    """What a resolution changes in the row."""
    if resolution is Resolution.RETRY:
        gone = ("provider_ref", "charged_micro", "error", "ordered_at", "finished_at", "progress", "cancel")
        fresh = dict.fromkeys(gone) | {
            "submitted_by": "",
            "status_message": "",
            "attempts": 0,
            "tries": 0,
            "cancel_requested": False,
        }
        return fresh | {"state": State.QUEUED, "bill": ChargeState.HELD}
    charged = resolution is Resolution.CHARGED
    found = "charged, without a film" if charged else "not charged"
    problem = JobError(
        ErrorCode.OUTCOME_UNKNOWN,
        f"The answer of {job.offer.provider} never came; a person found that it was {found}.",
        "Ask the user before ordering it again." if charged else "It can be ordered again.",
    )
    return {"state": State.FAILED, "bill": ChargeState.BOOKED if charged else ChargeState.RELEASED, "error": problem}
