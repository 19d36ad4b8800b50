"""`webhooks`: who is told of ended jobs, what waits, and what is told once more."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import click

from ltx_mcp.cli.common import open_jobs, run
from ltx_mcp.cli.completion import complete_job
from ltx_mcp.cli.naming import full_id
from ltx_mcp.cli.options import as_json_option
from ltx_mcp.cli.output.messages import say
from ltx_mcp.cli.output.text import age, print_json, print_table
from ltx_mcp.domain.errors import SetupError
from ltx_mcp.domain.job_set import jobs_of
from ltx_mcp.presentation.config import read_edge
from ltx_mcp.presentation.result_models import to_time

if TYPE_CHECKING:
    from ltx_mcp.jobs.webhooks.file import Webhooks
    from ltx_mcp.jobs.webhooks.view import Replayed, WebhookStatus

SINCE = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
LONGEST = timedelta(days=3_650)
"""No webhook was told of anything before."""


@click.group(short_help="Who is told of ended jobs; tell them again.")
def webhooks() -> None:
    """Webhooks, which are told when a job has ended (LTX_MCP_WEBHOOKS)."""


@webhooks.command("list")
@as_json_option
def list_webhooks(as_json: bool) -> None:
    """List the webhooks: what waits for each, and what came of the last delivery."""
    found = run(_listed)
    if as_json:
        print_json([_to_json(each) for each in found])
    elif not found:
        print("No webhooks.")
    else:
        print_table([_to_row(each, datetime.now(UTC)) for each in found])
    _say_missing([each.name for each in found])


async def _listed() -> "Sequence[WebhookStatus]":
    async with open_jobs() as jobs:
        return await jobs.webhooks.run_in_thread(jobs.webhooks.list)


def _to_json(found: "WebhookStatus") -> dict[str, object]:
    last = found.last and {
        "job_id": found.last.job_id,
        "state": found.last.state,
        "outcome": found.last.outcome or "waiting",
        "answer": found.last.answer,
        "ended_at": to_time(found.last.ended_at),
    }
    return {
        "webhook": found.name,
        "disabled_at": found.disabled_at and to_time(found.disabled_at),
        "waiting": found.waiting,
        "waiting_since": found.oldest_at and to_time(found.oldest_at),
        "last": last,
    }


def _to_row(found: "WebhookStatus", now: datetime) -> dict[str, str]:
    state = f"disabled {age(found.disabled_at, now)} ago" if found.disabled_at else "on"
    since = f", the first for {age(found.oldest_at, now)}" if found.oldest_at else ""
    last = "none"
    if found.last is not None:
        outcome = (found.last.outcome or "to be tried again").replace("_", " ")
        last = f"{found.last.job_id} {found.last.state}: {outcome}, {found.last.answer}"
    return {"webhook": found.name, "state": state, "waiting": f"{found.waiting}{since}", "last": last}


def _say_missing(names: Sequence[str]) -> None:
    """Where the file of this terminal says otherwise than the database."""
    found = _read_file()
    if found is None:
        return
    if lacking := sorted(set(names) - found.outgoing.keys()):
        say(f"Not in the file that LTX_MCP_WEBHOOKS names here: {', '.join(lacking)}.")
    if new := sorted(found.outgoing.keys() - set(names)):
        say(f"Not registered yet, which a server does that has the file: {', '.join(new)}.")


def _read_file() -> "Webhooks | None":
    """What the file says; None where there is none that can be read here, which `doctor` explains."""
    from ltx_mcp.jobs.webhooks.file import read_webhooks

    settings = read_edge()[0]
    try:
        return read_webhooks(settings.webhooks_file, settings.lookup) if settings.webhooks_file else None
    except SetupError:
        return None


@webhooks.command()
@click.argument("job_id", metavar="[JOB]", default="", shell_complete=complete_job("succeeded", "failed", "cancelled"))
@click.option("--webhook", "name", default="", metavar="NAME", help="Tell only this one.")
@click.option("--since", default="", metavar="AGE", help="Of all jobs that ended so long ago or later: 30m, 2h, 1d.")
@click.option("--all", "all_of_them", is_flag=True, help="Also of those that it was told of; needs --since.")
@as_json_option
def replay(job_id: str, name: str, since: str, all_of_them: bool, as_json: bool) -> None:
    """Tell webhooks once more how JOB ended, or --webhook NAME of the jobs --since that it was not told of.

    Servers that have the file do it, within seconds. A webhook that is disabled is enabled by this. What was delivered
    or given up is known for three days.
    """
    if bool(job_id) == bool(since):
        raise click.UsageError("Give either JOB or --since.")
    if since and not name:
        raise click.UsageError("--since needs --webhook.")
    if all_of_them and not since:
        raise click.UsageError("--all needs --since; a JOB is told in any case.")
    replayed = run(
        partial(_replayed_since, name, _read_age(since), all_of_them) if since else partial(_replayed, job_id, name)
    )
    if as_json:
        print_json(
            [{"webhook": each.webhook, "replayed": each.count, "enabled": each.was_disabled} for each in replayed]
        )
        return
    for each in replayed:
        print(_to_line(each))
    if not replayed:
        print("No webhook is told of this job.")


def _read_age(text: str) -> timedelta:
    if not (found := SINCE.fullmatch(text.strip())):
        raise click.UsageError("--since should be an age such as 30m, 2h or 1d.")
    return min(timedelta(**{UNITS[found[2]]: int(found[1])}), LONGEST)


async def _replayed_since(name: str, since: timedelta, all_of_them: bool) -> "Sequence[Replayed]":
    async with open_jobs() as jobs:
        now, view = datetime.now(UTC), jobs.webhooks
        work = partial(view.replay_since, name, now - since, now, all_of_them=all_of_them)
        return [await view.run_in_thread(work)]


async def _replayed(job_id: str, name: str) -> "Sequence[Replayed]":
    async with open_jobs() as jobs:
        found = await jobs.find(await full_id(jobs, job_id), None)
        ids, view = [job.id for job in jobs_of(found)], jobs.webhooks
        return await view.run_in_thread(view.replay_jobs, ids, name, datetime.now(UTC))


def _to_line(replayed: "Replayed") -> str:
    count = "1 end is" if replayed.count == 1 else f"{replayed.count} ends are"
    enabled = "; it was disabled, and is enabled again" if replayed.was_disabled else ""
    return f"{replayed.webhook}: {count} told once more{enabled}."
