"""Live jobs that nobody works on: their process was killed, and no other has taken them over since."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, select

from ltx_mcp.jobs.store.database import Database
from ltx_mcp.jobs.store.rows import Account, ActiveJob
from ltx_mcp.jobs.store.schema import workers
from ltx_mcp.jobs.workers.heartbeat import CLOCK, LEASE_S
from ltx_mcp.jobs.workers.liveness import FileLockLiveness

TAKEN_WITHIN = timedelta(seconds=90)
"""Every working process polls once a minute; none of them will take up a job that has been due for longer."""


@dataclass(frozen=True)
class Ownerless:
    """Those that a worker started from here can run, and the accounts of the others, which need a key first."""

    able: tuple[str, ...] = ()
    lacking: Mapping[str, Account] = field(default_factory=dict)


def find_ownerless(
    live: Sequence[ActiveJob],
    alive: Collection[str],
    can_serve: Callable[[str, str], bool],
    slots: Collection[str],
    now: datetime,
) -> Ownerless:
    """The live jobs that no `alive` worker has or will soon have. `can_serve` says whether an account can be served
    from here. `slots` are the providers with a limit of concurrent jobs: a job that waits for one of their slots is not
    ownerless."""
    busy = {each.where for each in live if each.lease_owner in alive and each.provider in slots}
    found = [
        each
        for each in live
        if each.lease_owner not in alive
        and (each.lease_owner or not alive or (each.run_after < now - TAKEN_WITHIN and each.where not in busy))
    ]
    return Ownerless(
        tuple(each.id for each in found if can_serve(*each.where)),
        {each.id: each.where for each in found if not can_serve(*each.where)},
    )


def alive_workers(database: Database, home: Path) -> frozenset[str]:
    """The names of all processes that work on the jobs of this database. Blocking."""
    if not database.kind.shared:
        return locked(home)
    with database.read() as connection:
        return beating(connection)


def beating(connection: Connection) -> frozenset[str]:
    """The workers whose row is renewed."""
    since = connection.execute(CLOCK).scalar_one() - timedelta(seconds=LEASE_S)
    return frozenset(connection.execute(select(workers.c.name).where(workers.c.beat_at >= since)).scalars())


def locked(home: Path) -> frozenset[str]:
    """The workers that hold the lock on their file."""
    locks = FileLockLiveness(home)
    return frozenset(path.stem for path in (home / "workers").glob("w_*.lock") if not locks.is_dead(path.stem))
