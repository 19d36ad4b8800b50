"""`jobs`, `jobs --spend`, `jobs show` and `jobs cancel`: what was ordered and spent, a job's timeline, and an end."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import click

from ltx_mcp.cli import films
from ltx_mcp.cli.cancel import cancel
from ltx_mcp.cli.common import STILL_RUNNING, at_signal, care_for_ownerless, open_jobs, run
from ltx_mcp.cli.completion import complete_job
from ltx_mcp.cli.naming import find_owner
from ltx_mcp.cli.options import as_json_option, caller_option, open_option, read_options
from ltx_mcp.cli.output.job import asked_of, print_history
from ltx_mcp.cli.output.listing import drawing_jobs, print_jobs, shown_caller
from ltx_mcp.cli.output.output_file import open_film
from ltx_mcp.cli.output.takes import print_seen
from ltx_mcp.cli.output.text import print_json
from ltx_mcp.cli.recover import adopt, resolve
from ltx_mcp.cli.spend import DAYS, print_spend, read_spend
from ltx_mcp.cli.takes import Seen, SeenSet, look_at, videos_of
from ltx_mcp.domain.arguments import CheckJob, ListJobs
from ltx_mcp.domain.job import Event, Job, State
from ltx_mcp.domain.job_set import jobs_of
from ltx_mcp.jobs.callers import EVERYBODY, LOCAL, is_pattern
from ltx_mcp.presentation.next_steps import retry_text
from ltx_mcp.presentation.result_models import to_time

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

REFRESH_S = 1.0
CARE_S = 30.0
STATES = [str(state) for state in State]


@click.group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many.")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Only those that are {', '.join(STATES)}.")
@click.option("--watch", is_flag=True, help="Follow them until none is under way.")
@click.option("--spend", is_flag=True, help="Show what was spent instead, by UTC day, provider and model.")
@click.option("--days", type=click.IntRange(1, 3650), help=f"How many days of it; needs --spend.  [default: {DAYS}]")
@click.option("--by", type=click.Choice(["caller", "team"]), help="A line for each of them; needs --spend.")
@caller_option
@as_json_option
@click.pass_context
def jobs(
    context: click.Context,
    limit: int,
    state: Any,
    watch: bool,
    spend: bool,
    days: int | None,
    by: Any,
    whose: str,
    as_json: bool,
) -> None:
    """List jobs, newest first; `jobs show JOB` prints one's whole timeline."""
    if context.invoked_subcommand is not None:
        return
    if spend and (watch or state):
        raise click.UsageError("--spend does not go with --watch or --state.")
    if by == "team" and is_pattern(whose) and whose != EVERYBODY:
        raise click.UsageError("--by team goes with one --caller, or with all.")
    if spend:
        print_spend(run(partial(read_spend, days or DAYS, whose, by or "")), as_json)
    elif days is not None or by:
        raise click.UsageError(f"{'--by' if by else '--days'} needs --spend.")
    else:
        asked = ListJobs(limit=limit, state=state or "")
        found = run(partial(_watched if watch else _page, asked, whose))
        print_jobs(found, whose, as_json=as_json)
        raise SystemExit(STILL_RUNNING if watch and any(job.live for job in found) else 0)


async def _page(asked: ListJobs, whose: str) -> Sequence[Job]:
    async with open_jobs() as found:
        page = await _newest(found, asked, whose)
        await care_for_ownerless(found)
        return page


async def _newest(found: "Jobs", asked: ListJobs, whose: str) -> Sequence[Job]:
    if whose:
        return await found.operator.page(whose, asked.state, asked.limit)
    return (await found.page(asked, LOCAL)).jobs


async def _watched(asked: ListJobs, whose: str) -> Sequence[Job]:
    """The jobs when none of them is under way any more, or as they are when a signal says to leave."""
    scope = anyio.CancelScope()
    jobs: Sequence[Job] = ()
    care_at = 0.0
    async with at_signal(lambda _: scope.cancel()), open_jobs() as found:
        with scope, drawing_jobs(whose) as draw:
            while True:
                jobs = await _newest(found, asked, whose)
                draw(jobs)
                if not any(job.live for job in jobs):
                    break
                if anyio.current_time() >= care_at:
                    await care_for_ownerless(found)
                    care_at = anyio.current_time() + CARE_S
                await anyio.sleep(REFRESH_S)
    return jobs


@jobs.command(short_help="Print JOB and its whole timeline.")
@click.argument("job_id", metavar="JOB", shell_complete=complete_job())
@click.option("--debug", "is_debug", is_flag=True, help="Show the ledger's own columns too.")
@open_option
@caller_option
@as_json_option
def show(job_id: str, as_json: bool, wants_open: bool, is_debug: bool, whose: str) -> None:
    """Print all that is known of JOB and all that happened to it; of a set its takes, each of which has a timeline of
    its own."""
    job, seen, history = run(partial(_one, job_id, whose))
    if as_json:
        print_json(_to_json(seen, history) | ({"caller": job.caller} if whose else {}))
    else:
        print_seen(seen, _asked_of(job, whose))
    if not as_json and not isinstance(seen, SeenSet):
        if waiting := retry_text(job, datetime.now(UTC)):
            print(f"It waits by itself: {waiting}.")
        print()
        print_history(history, is_debug=is_debug)
    if wants_open:
        for path in [video.file for video in videos_of(seen)] or [None]:
            open_film(path)


def _to_json(seen: Seen, history: Sequence[Event]) -> dict[str, Any]:
    if isinstance(seen, SeenSet):
        return seen.view.to_wire()
    events = [{"at": to_time(event.at), "what": event.what, "detail": event.detail} for event in history]
    return seen.to_wire() | {"events": events}


def _asked_of(job: Job, whose: str) -> list[str]:
    """What was asked for, and for an operator first by whom."""
    return [*([f"Caller: {shown_caller(job.caller)}"] if whose else []), *asked_of(job)]


async def _one(job_id: str, whose: str) -> tuple[Job, Seen, list[Event]]:
    """The job, or the first of a set; what is known of it or of all; and what happened to a job."""
    arguments = read_options(CheckJob, "check_job", {"job_id": job_id})
    async with open_jobs() as jobs:
        name, caller = await find_owner(jobs, arguments.job_id, whose)
        found = await jobs.find(name, caller)
        await care_for_ownerless(jobs)
        seen, first = await look_at(jobs, found), jobs_of(found)[0]
        history = [] if isinstance(seen, SeenSet) else await jobs.history(first.id, caller)
        return first, seen, list(history)


for command in (cancel, films.fetch, films.open, films.rm, resolve, adopt):
    jobs.add_command(command)
