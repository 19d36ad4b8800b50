"""`jobs cancel`: one job, some, or all that are under way."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from ltx_mcp.cli.common import REFUSED, STILL_RUNNING, agree_or_leave, care_for_ownerless, name_some, open_jobs, run
from ltx_mcp.cli.completion import complete_job
from ltx_mcp.cli.naming import find_owner, is_job
from ltx_mcp.cli.options import as_json_option, caller_option, read_options
from ltx_mcp.cli.output.listing import shown_caller
from ltx_mcp.cli.output.messages import can_ask, say
from ltx_mcp.cli.output.takes import print_seen
from ltx_mcp.cli.output.text import print_json
from ltx_mcp.cli.takes import Seen, look_at
from ltx_mcp.domain.arguments import CancelJob
from ltx_mcp.domain.job import ACTIVE_STATES, State
from ltx_mcp.domain.job_set import jobs_of
from ltx_mcp.jobs.callers import LOCAL

if TYPE_CHECKING:
    from ltx_mcp.jobs.cancellation import CancelResult
    from ltx_mcp.jobs.operator import LiveJob
    from ltx_mcp.jobs.service import Jobs

STATES = [str(state) for state in State if state in ACTIVE_STATES]
MAX_NAMED = 10
MEANINGS = {
    "never_sent": "not sent yet; it costs nothing",
    "stopped": "stopped by the provider; it costs nothing",
    "asked": "the provider was asked to stop; it may still be charged, and a film that comes is kept",
    "not_possible": "it cannot be stopped; it may still be charged, and a film that comes is kept",
    "ended": "had ended before",
}


@click.command(short_help="Cancel JOB, or all that are under way.")
@click.argument("job_ids", metavar="[JOB]...", nargs=-1, shell_complete=complete_job(*ACTIVE_STATES))
@click.option("--all", "wants_all", is_flag=True, help="All that are under way.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES),
    metavar="STATE",
    help=f"All that are {', '.join(STATES)}. Can be given more than once.",
)
@click.option("--yes", is_flag=True, help="Do not ask before cancelling many.")
@caller_option
@as_json_option
def cancel(
    job_ids: tuple[str, ...], wants_all: bool, states: tuple[str, ...], yes: bool, whose: str, as_json: bool
) -> None:
    """Cancel JOB, some of them, or with --all or --state all that are under way.

    An order that a provider already has may still be charged. Exit code 4: some are still under way.
    """
    many = wants_all or bool(states)
    if many == bool(job_ids):
        raise click.UsageError("Give JOB, or --all or --state.")
    if len(job_ids) == 1:
        print_seen(run(partial(_cancel_one, job_ids[0], whose)), as_json=as_json)
        return
    if many:
        found = run(partial(_find, states or tuple(STATES), whose))
        if found and not yes:
            _ask(found, whose)
        cancelled, wanted = run(partial(_cancel_found, found)), len(found)
    else:
        cancelled, wanted = run(partial(_cancel_many, job_ids, whose)), len(job_ids)
    _print(cancelled, wanted, as_json)
    raise SystemExit(STILL_RUNNING if cancelled.live else 0)


def _ask(found: "Mapping[str, LiveJob]", whose: str) -> None:
    """Before many are cancelled. Those of others are never cancelled unasked."""
    if can_ask():
        agree_or_leave(_question(found, whose), "Nothing was cancelled.")
    elif whose:
        say("ltx-mcp: nothing was cancelled: nobody can be asked here; --yes says it.")
        raise SystemExit(REFUSED)


def _question(found: "Mapping[str, LiveJob]", whose: str) -> str:
    counts = Counter(job.state for job in found.values())
    shares = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    number = "1 job" if len(found) == 1 else f"{len(found)} jobs"
    sent = len(found) - counts[State.QUEUED]
    charged = f" {sent} of them may still be charged." if sent else ""
    return f"Cancel {number} ({shares}){_of_whom(found) if whose else ''}?{charged}"


def _of_whom(found: "Mapping[str, LiveJob]") -> str:
    callers = list(dict.fromkeys(job.caller for job in found.values()))
    return f" of {shown_caller(callers[0])}" if len(callers) == 1 else f" of {len(callers)} callers"


async def _cancel_one(job_id: str, whose: str) -> Seen:
    arguments = read_options(CancelJob, "cancel_job", {"job_id": job_id})
    async with open_jobs() as found:
        cancelled = await found.cancel(*await find_owner(found, arguments.job_id, whose))
        if cancelled.live:
            await care_for_ownerless(found)
        return await look_at(found, cancelled)


async def _find(states: Sequence[str], whose: str) -> "Mapping[str, LiveJob]":
    async with open_jobs() as found:
        return await found.operator.live(whose or LOCAL, states)


async def _cancel_found(found: "Mapping[str, LiveJob]") -> "CancelResult":
    async with open_jobs() as jobs:
        return await _cancel({job_id: job.caller for job_id, job in found.items()}, jobs)


async def _cancel_many(given: Sequence[str], whose: str) -> "CancelResult":
    """All of them, or none where one of them is not there."""
    names = [read_options(CancelJob, "cancel_job", {"job_id": each}).job_id for each in given]
    async with open_jobs() as found:
        is_short = len(names) <= MAX_NAMED or bool(whose)
        wanted = dict([await find_owner(found, name, whose) if is_short else (name, LOCAL) for name in names])
        owners: dict[str, str] = {}
        for name, caller in wanted.items():
            is_looked_up = len(wanted) <= MAX_NAMED or not is_job(name)
            jobs = jobs_of(await found.find(name, caller)) if is_looked_up else ()
            owners |= dict.fromkeys([job.id for job in jobs] or [name], caller)
        return await _cancel(owners, found)


async def _cancel(owners: Mapping[str, str], jobs: "Jobs") -> "CancelResult":
    """These jobs, each as one of its caller."""
    from ltx_mcp.jobs.cancellation import CancelResult

    outcomes: Counter[str] = Counter()
    live: dict[str, str] = {}
    for caller in dict.fromkeys(owners.values()):
        of_caller = [job_id for job_id, owner in owners.items() if owner == caller]
        cancelled = await jobs.cancelling.cancel(caller, of_caller)
        outcomes += Counter(cancelled.outcomes)
        live |= cancelled.live
    if live:
        await care_for_ownerless(jobs)
    return CancelResult(outcomes, live)


def _print(cancelled: "CancelResult", wanted: int, as_json: bool) -> None:
    outcomes = {word: cancelled.outcomes.get(word, 0) for word in MEANINGS}
    if as_json:
        print_json(outcomes | {"still_running": list(cancelled.live)[:100]})
    elif not wanted:
        print("No jobs to cancel.")
    else:
        for word, number in outcomes.items():
            if number:
                print(f"{number} {word}: {MEANINGS[word]}{_named(cancelled, word)}")


def _named(cancelled: "CancelResult", word: str) -> str:
    """The first of those that go on."""
    going_on = [job_id for job_id, outcome in cancelled.live.items() if outcome == word]
    return f" ({name_some(going_on, MAX_NAMED)})" if going_on else ""
