"""`jobs` and `jobs show`: what was ordered, and a job's whole timeline."""

import json
from typing import Any

import anyio
import click

from ltx_mcp.cli.common import CALLER, open_jobs, run, told
from ltx_mcp.cli.make import print_view, view_of
from ltx_mcp.domain.job import Event
from ltx_mcp.domain.request import ListJobs
from ltx_mcp.server.views import JobView, Row, to_row, to_time


@click.group(invoke_without_command=True)
@click.option("--limit", default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def jobs(context: click.Context, limit: int, as_json: bool) -> None:
    """List jobs, newest first; `jobs show JOB` prints one's whole timeline."""
    if context.invoked_subcommand is None:
        _print_rows(run(lambda: _rows(limit)), as_json)


async def _rows(limit: int) -> list[Row]:
    async with open_jobs() as found:
        page = await found.page(ListJobs(limit=max(1, min(limit, 100))), CALLER)
        return [to_row(job) for job in page.jobs]


def _print_rows(rows: list[Row], as_json: bool) -> None:
    if as_json:
        print(json.dumps([row.to_wire() for row in rows], ensure_ascii=False))
        return
    for row in rows:
        print(f"{row.job_id}  {row.state:<10}  {row.provider:<8}  {row.created_at}  {row.prompt}")
    if not rows:
        print("No jobs.")


@jobs.command()
@click.argument("job_id")
@click.option("--json", "as_json", is_flag=True)
def show(job_id: str, as_json: bool) -> None:
    """Print all that is known of JOB_ID and all that happened to it."""
    with told():
        view, history = anyio.run(_one, job_id)
    print_view(view, as_json)
    if as_json:
        return
    print()
    for event in history:
        print(f"{to_time(event.at)}  {event.what:<14}  {_detail(event.detail)}")


async def _one(job_id: str) -> tuple[JobView, list[Event]]:
    async with open_jobs() as found:
        job = await found.get(job_id, CALLER)
        return view_of(found, job), list(await found.history(job_id, CALLER))


def _detail(detail: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in detail.items())
