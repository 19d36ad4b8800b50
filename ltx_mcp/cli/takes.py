"""What a command looks at: a job, or a set with its takes; and the exit code that says how it stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ltx_mcp.cli.common import EXIT, FAILED, STILL_RUNNING, UNKNOWN
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.presentation.result_models import JobView, view_of
from ltx_mcp.presentation.set_results import SetView, TakeView, set_view_of

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs


@dataclass(frozen=True)
class SeenSet:
    """A set as it was looked at, and the jobs that its takes are."""

    view: SetView
    takes: tuple[Job, ...]


Seen = JobView | SeenSet


async def look_at(jobs: "Jobs", found: Job | JobSet) -> Seen:
    """All that is known of it now."""
    if isinstance(found, JobSet):
        return SeenSet(await set_view_of(jobs, found), found.takes)
    return await view_of(jobs, found)


async def look_again(jobs: "Jobs", name: str) -> Seen:
    """All that is known of what has this name. Raises CallerError."""
    return await look_at(jobs, await jobs.find(name, LOCAL))


def id_of(seen: Seen) -> str:
    """The id of the job or the set."""
    return seen.view.job_id if isinstance(seen, SeenSet) else seen.job_id


def videos_of(seen: Seen) -> Sequence[JobView | TakeView]:
    """The job, or each take, that has a video."""
    each = seen.view.takes if isinstance(seen, SeenSet) else [seen]
    return [one for one in each if one.state == "succeeded"]


def exit_code(seen: Seen) -> int:
    """That of the job; of a set that of the take which asks for the most attention."""
    states = [take.state for take in seen.view.takes] if isinstance(seen, SeenSet) else [seen.state]
    codes = {EXIT.get(State(state), STILL_RUNNING) for state in states}
    return next(code for code in (STILL_RUNNING, UNKNOWN, FAILED, 0) if code in codes)
