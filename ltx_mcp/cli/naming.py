"""Jobs and sets as people name them: in full, by the beginning of the id if only one begins so, or `@last` for the
newest; behind the name of a set `/2` for its second take.
"""

import re
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ltx_mcp.domain.argument_types import MAX_TAKES
from ltx_mcp.domain.arguments import EstimateCost, JoinVideos, ListJobs, OrderArguments
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job
from ltx_mcp.domain.quoting import cite, shorten
from ltx_mcp.domain.request import media_arguments
from ltx_mcp.jobs.callers import LOCAL, is_pattern

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

A = TypeVar("A", bound=OrderArguments | EstimateCost)

LAST = "@last"
BEGUN, SET = "job_", "set_"
MAX_NAMED = 5
REFERENCE = re.compile(r"((?:@last|set_[A-Za-z0-9]*)(?:/[0-9]+)?|job_[A-Za-z0-9]*)(#.*)?", re.DOTALL)
"""A media argument that names a job. A file of such a name is given by `./job_…`."""
SECTION = re.compile(r"(.+?)(@[0-9.]+-[0-9.]*)?", re.DOTALL)
"""A video that is joined, and the part of it."""


def is_job(name: str) -> bool:
    """Whether this is the id of one job, and not of a set or the name of a take."""
    return name.startswith(BEGUN)


async def find_owner(jobs: "Jobs", name: str, whose: str) -> tuple[str, str]:
    """The full id of what `name` stands for, and its caller. `whose` is what --caller says: empty for the jobs of this
    terminal; where it stands for several callers, only a full id names a job. Raises CallerError."""
    if is_pattern(whose):
        return name, await jobs.operator.owner(name, whose)
    caller = whose or LOCAL
    return await full_id(jobs, name, caller), caller


async def full_id(jobs: "Jobs", name: str, caller: str = LOCAL) -> str:
    """The id of the job or set that `name` stands for, of a take that of its job; `name` itself where there is none.
    Raises CallerError where it stands for more than one."""
    begun, slash, take = name.partition("/")
    found = await _found(jobs, begun, caller)
    if len(found) > 1 and name not in found:
        named = ", ".join(f"{each} ({cite(some.prompt, 40)})" for each, (some, *_) in [*found.items()][:MAX_NAMED])
        more = " and others" if len(found) > MAX_NAMED else ""
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            f"{shorten(name)} could be any of these jobs: {named}{more}.",
            "Give more of the id.",
        )
    for each, takes in found.items():
        return next((job.id for job in takes if str(job.take) == take), f"{each}/{take}") if slash else each
    return name


async def _found(jobs: "Jobs", begun: str, caller: str) -> dict[str, list[Job]]:
    """The jobs and sets whose id begins so, with the jobs that they are."""
    if begun == LAST:
        newest = await _newest(jobs, caller)
        begun = newest.set_id or newest.id
    for prefix in (begun, BEGUN + begun, SET + begun):
        if jobs_found := await jobs.named(prefix, caller, (MAX_NAMED + 1) * MAX_TAKES):
            found: dict[str, list[Job]] = {}
            for job in jobs_found:
                found.setdefault(job.set_id if job.set_id.startswith(prefix) else job.id, []).append(job)
            return {begun: found[begun]} if begun in found else found
    return {}


async def _newest(jobs: "Jobs", caller: str) -> Job:
    page = await jobs.page(ListJobs(limit=1), caller)
    if not page.jobs:
        raise CallerError(ErrorCode.JOB_NOT_FOUND, f"{LAST}: there is no job yet.")
    return page.jobs[0]


async def with_full_ids(jobs: "Jobs", arguments: A) -> A:
    """A request whose media name their jobs in full."""
    if isinstance(arguments, JoinVideos):
        videos = [await _full_section(jobs, video) for video in arguments.videos]
        full: dict[str, Any] = {"videos": videos, "audio": await _full_reference(jobs, arguments.audio)}
    else:
        full = {role: await _full_reference(jobs, text) for role, text in media_arguments(arguments).items()}
    return cast(A, arguments.model_copy(update=full)) if full else arguments


async def _full_section(jobs: "Jobs", text: str) -> str:
    found = SECTION.fullmatch(text.strip())
    return await _full_reference(jobs, found[1]) + (found[2] or "") if found else text


async def _full_reference(jobs: "Jobs", text: str) -> str:
    """`text` itself where it names no job."""
    found = REFERENCE.fullmatch(text.strip())
    return await full_id(jobs, found[1]) + (found[2] or "") if found else text
