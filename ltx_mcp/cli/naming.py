"""Jobs as people name them: in full, by the beginning of the id if only one begins so, or `@last` for the newest."""

import re
from typing import TYPE_CHECKING, TypeVar, cast

from ltx_mcp.domain.arguments import EstimateCost, ListJobs, PaidArguments
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.quoting import cite, shorten
from ltx_mcp.domain.request import media_arguments
from ltx_mcp.presentation.config import CALLER

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

A = TypeVar("A", bound=PaidArguments | EstimateCost)

LAST = "@last"
BEGUN = "job_"
MAX_NAMED = 5
REFERENCE = re.compile(r"(@last|job_[A-Za-z0-9]*)(#.*)?", re.DOTALL)
"""A media argument that names a job. A file of such a name is given by `./job_…`."""


async def full_id(jobs: "Jobs", name: str) -> str:
    """The id of the job that `name` stands for; `name` itself where there is none. Raises CallerError where it stands
    for more than one."""
    if name == LAST:
        return await _newest(jobs)
    found = await jobs.named(name, CALLER, MAX_NAMED + 1)
    if not found and not name.startswith(BEGUN):
        found = await jobs.named(BEGUN + name, CALLER, MAX_NAMED + 1)
    if len(found) > 1 and found[0].id != name:
        named = ", ".join(f"{job.id} ({cite(job.prompt, 40)})" for job in found[:MAX_NAMED])
        more = " and others" if len(found) > MAX_NAMED else ""
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            f"{shorten(name)} could be any of these jobs: {named}{more}.",
            "Give more of the id.",
        )
    return found[0].id if found else name


async def _newest(jobs: "Jobs") -> str:
    page = await jobs.page(ListJobs(limit=1), CALLER)
    if not page.jobs:
        raise CallerError(ErrorCode.JOB_NOT_FOUND, f"{LAST}: there is no job yet.")
    return page.jobs[0].id


async def with_full_ids(jobs: "Jobs", arguments: A) -> A:
    """A request whose media name their jobs in full."""
    full = {}
    for role, text in media_arguments(arguments).items():
        if found := REFERENCE.fullmatch(text.strip()):
            full[role] = await full_id(jobs, found[1]) + (found[2] or "")
    return cast(A, arguments.model_copy(update=full)) if full else arguments
