"""`open`, `rm` and `jobs fetch`: the film of a job shown by the system, removed from this machine, or fetched again."""

from functools import partial

import click

from ltx_mcp.cli.common import REFUSED, agree_or_leave, open_jobs, report_errors, run
from ltx_mcp.cli.completion import complete_job
from ltx_mcp.cli.naming import find_owner
from ltx_mcp.cli.options import as_json_option, caller_option, read_options
from ltx_mcp.cli.output.job import print_job
from ltx_mcp.cli.output.messages import can_ask, say
from ltx_mcp.cli.output.output_file import open_film, output_options, read_output
from ltx_mcp.domain.arguments import CheckJob
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.quoting import cite
from ltx_mcp.presentation.result_models import JobView, view_of

MAX_PROMPT = 60


@click.command(short_help="Open the film of JOB in the system's player.")
@click.argument("job_id", metavar="JOB", shell_complete=complete_job(State.SUCCEEDED))
@caller_option
def open(job_id: str, whose: str) -> None:
    """Open the film of JOB in the system's player."""
    open_film(run(partial(_film_of, job_id, whose)))


async def _film_of(name: str, whose: str) -> str:
    wanted = read_options(CheckJob, "check_job", {"job_id": name}).job_id
    async with open_jobs() as jobs:
        job = await jobs.get(*await find_owner(jobs, wanted, whose))
        path = await jobs.keeping.bring(job)
    if path is None:
        raise CallerError(
            ErrorCode.INPUT_FAILED,
            f"{job.id} is {job.state}, and has no film on this machine.",
            f"ltx-mcp jobs fetch {job.id} brings it while its address lives." if job.state is State.SUCCEEDED else "",
        )
    return str(path)


async def _find(names: tuple[str, ...], whose: str) -> list[tuple[Job, bool]]:
    """These jobs, each once, and whether its film can be fetched again. Raises CallerError."""
    wanted = [read_options(CheckJob, "check_job", {"job_id": name}).job_id for name in names]
    async with open_jobs() as jobs:
        owners = dict([await find_owner(jobs, name, whose) for name in wanted])
        found = [await jobs.get(job_id, caller) for job_id, caller in owners.items()]
        return [(job, jobs.keeping.may_be_fetched(job)) for job in found]


@click.command(short_help="Remove the film of JOB from this machine.")
@click.argument("job_ids", metavar="JOB...", nargs=-1, required=True, shell_complete=complete_job(State.SUCCEEDED))
@click.option("--yes", is_flag=True, help="Do not ask.")
@caller_option
def rm(job_ids: tuple[str, ...], yes: bool, whose: str) -> None:
    """Remove the film of JOB from this machine, for good where its address has ended.

    What it cost stays in the books, and JOB in the list. One that is under way must be cancelled first.
    """
    found = run(partial(_find, job_ids, whose))
    for job, may_be_fetched in found:
        if yes or job.live:
            continue
        after = (
            "ltx-mcp jobs fetch could bring it again, while its address lives" if may_be_fetched else "it is gone then"
        )
        question = f"Remove the film of {job.id} ({cite(job.prompt, MAX_PROMPT)}, {job.price})? {after}."
        if not can_ask():
            say(f"ltx-mcp: {job.id} was not removed: nobody can be asked here; --yes says it.")
            raise SystemExit(REFUSED)
        agree_or_leave(question, "Nothing was removed.")
    run(partial(_remove, {job.id: job.caller for job, _ in found}))


async def _remove(owners: dict[str, str]) -> None:
    async with open_jobs() as jobs:
        for job_id, caller in owners.items():
            await jobs.keeping.remove(await jobs.get(job_id, caller))
            print(f"Removed the film of {job_id}; what it cost stays in the books.")


@click.command(short_help="Fetch the film of JOB again.")
@click.argument("job_id", metavar="JOB", shell_complete=complete_job(State.SUCCEEDED))
@output_options
@caller_option
@as_json_option
def fetch(job_id: str, output: str, force: bool, as_json: bool, whose: str) -> None:
    """Print the path of JOB's film, fetching it again where it is not here any more, while its address lives."""
    place = read_output(output, force=force, as_json=as_json, nothing="Nothing was fetched.")
    view = run(partial(_fetch, job_id, whose))
    if as_json:
        print_job(view, as_json=True)
    if place is not None:
        with report_errors():
            place.put(view)
    elif not as_json:
        print(view.file)


async def _fetch(name: str, whose: str) -> JobView:
    wanted = read_options(CheckJob, "check_job", {"job_id": name}).job_id
    async with open_jobs() as jobs:
        job_id, caller = await find_owner(jobs, wanted, whose)
        job = await jobs.get(job_id, caller)
        await jobs.keeping.fetch(job)
        return await view_of(jobs, await jobs.get(job.id, caller))
