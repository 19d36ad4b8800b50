"""What an operator sees, and no caller does: the jobs of all callers. Looks only; acts are done as the job's owner."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, literal_column, select, true

from ltx_mcp.domain.job import Job
from ltx_mcp.jobs.callers import EVERYBODY, is_pattern, matches
from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import to_job
from ltx_mcp.jobs.store.schema import IS_LIVE, jobs
from ltx_mcp.jobs.store.sets import find_named
from ltx_mcp.jobs.store.transitions import is_job_id, no_such_job


@dataclass(frozen=True)
class LiveJob:
    """A job that is under way, and whose it is."""

    caller: str
    state: str


@dataclass(frozen=True)
class OperatorView:
    """The jobs of one database. `whose` is the name of a caller or a pattern of names, as in jobs/callers.py."""

    database: Database

    async def page(self, whose: str, state: str, limit: int) -> Sequence[Job]:
        """The newest jobs, newest first; with `state` only those in it."""
        return await self.database.run_in_thread(self._page, whose, state, limit)

    async def owner(self, name: str, whose: str) -> str:
        """The caller of the job or set with this full name. Raises CallerError(job_not_found), also where it is that of
        none of `whose`."""
        caller = await self.database.run_in_thread(self._owner, name) if is_job_id(name) else None
        if caller is None or not matches(whose, caller):
            raise no_such_job(name)
        return caller

    async def live(self, whose: str, states: Sequence[str]) -> Mapping[str, LiveJob]:
        """The jobs in one of these states that are under way, by id, newest first."""
        return await self.database.run_in_thread(self._live, whose, states)

    # -- blocking -----------------------------------------------------------------------------------------------

    def _page(self, whose: str, state: str, limit: int) -> Sequence[Job]:
        query = select(jobs).where(_are_of(whose))
        if state:
            query = query.where(jobs.c.state == state)
        query = query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        with self.database.read() as connection:
            return [to_job(row._mapping) for row in connection.execute(query)]

    def _owner(self, name: str) -> str | None:
        with self.database.read() as connection:
            found = find_named(connection, None, name)
            return found.caller if found is not None else None

    def _live(self, whose: str, states: Sequence[str]) -> Mapping[str, LiveJob]:
        query = select(jobs.c.id, jobs.c.caller, jobs.c.state).where(literal_column(IS_LIVE), _are_of(whose))
        query = query.where(jobs.c.state.in_(states)).order_by(jobs.c.created_at.desc(), jobs.c.id.desc())
        with self.database.read() as connection:
            return {row.id: LiveJob(row.caller, row.state) for row in connection.execute(query)}


def _are_of(whose: str) -> ColumnElement[bool]:
    if not is_pattern(whose):
        return jobs.c.caller == whose
    # not LIKE, to which A and a are the same in SQLite
    return true() if whose == EVERYBODY else func.substr(jobs.c.caller, 1, len(whose)) == whose
