"""`jobs`, `jobs --spend`, `jobs show` and `jobs cancel`: what was ordered and spent, a job's timeline, and an end."""

from functools import partial
from typing import Any

import click

from ltx_mcp.cli.common import CALLER, open_jobs, run
from ltx_mcp.cli.options import as_json_option, read_options
from ltx_mcp.cli.settle import adopt, resolve
from ltx_mcp.cli.show import print_job, view_of
from ltx_mcp.cli.spend import DAYS, print_spend, read_spend
from ltx_mcp.cli.words import one_line, print_json, print_table
from ltx_mcp.domain.arguments import CancelJob, CheckJob, ListJobs
from ltx_mcp.domain.job import Event
from ltx_mcp.server.views import JobView, Row, to_row, to_time


@click.group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many.")
@click.option("--spend", is_flag=True, help="Show what was spent instead, by UTC day, provider and model.")
@click.option("--days", type=click.IntRange(1, 3650), help=f"How many days of it; needs --spend.  [default: {DAYS}]")
@as_json_option
@click.pass_context
def jobs(context: click.Context, limit: int, spend: bool, days: int | None, as_json: bool) -> None:
    """List jobs, newest first; `jobs show JOB` prints one's whole timeline."""
    if context.invoked_subcommand is not None:
        return
    if spend:
        print_spend(run(partial(read_spend, days or DAYS)), as_json)
    elif days is not None:
        raise click.UsageError("--days needs --spend.")
    else:
        _print_rows(run(partial(_rows, limit)), as_json)


async def _rows(limit: int) -> list[Row]:
    async with open_jobs() as found:
        page = await found.page(ListJobs(limit=limit), CALLER)
        return [to_row(job) for job in page.jobs]


def _print_rows(rows: list[Row], as_json: bool) -> None:
    if as_json:
        print_json([row.to_wire() for row in rows])
    elif rows:
        print_table([_cells(row) for row in rows])
    else:
        print("No jobs.")


def _cells(row: Row) -> dict[str, str]:
    return {
        "job": row.job_id,
        "state": row.state,
        "provider": row.provider,
        "usd": f"{row.cost_usd:g}",
        "created": row.created_at,
        "prompt": row.prompt,
    }


@jobs.command()
@click.argument("job_id", metavar="JOB")
@as_json_option
def show(job_id: str, as_json: bool) -> None:
    """Print all that is known of JOB and all that happened to it."""
    view, history = run(partial(_one, job_id))
    if as_json:
        events = [{"at": to_time(event.at), "what": event.what, "detail": event.detail} for event in history]
        print_json(view.to_wire() | {"events": events})
        return
    print_job(view)
    print()
    for event in history:
        print(f"{to_time(event.at)}  {event.what:<14}  {_detail(event.detail)}".rstrip())


async def _one(job_id: str) -> tuple[JobView, list[Event]]:
    arguments = read_options(CheckJob, "check_job", {"job_id": job_id})
    async with open_jobs() as found:
        job = await found.get(arguments.job_id, CALLER)
        return view_of(found, job), list(await found.history(job_id, CALLER))


def _detail(detail: dict[str, Any]) -> str:
    return one_line(", ".join(f"{name} {value}" for name, value in detail.items()))


@jobs.command()
@click.argument("job_id", metavar="JOB")
def cancel(job_id: str) -> None:
    """Cancel JOB; an order that a provider already has may still be charged."""
    print_job(run(partial(_cancelled, job_id)))


async def _cancelled(job_id: str) -> JobView:
    arguments = read_options(CancelJob, "cancel_job", {"job_id": job_id})
    async with open_jobs() as found:
        return view_of(found, await found.cancel(arguments.job_id, CALLER))


jobs.add_command(resolve)
jobs.add_command(adopt)
