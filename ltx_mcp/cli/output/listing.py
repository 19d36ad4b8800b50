"""A list of jobs: as JSON, as a table that fits the terminal, and one that is drawn anew while jobs are under way."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import age, print_json, print_table
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.price import to_text
from ltx_mcp.presentation.result_models import JobSummary, to_summary

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

NAMES = ("job", "state", "age", "provider", "usd", "prompt")
NARROW = {"provider": 70, "usd": 70, "age": 56}
"""Columns a terminal must have to be shown these too: the prompt is what tells jobs apart."""


def print_jobs(jobs: Sequence[Job], *, as_json: bool) -> None:
    """All of them, once."""
    rows = [to_summary(job) for job in jobs]
    if as_json:
        print_json([row.to_wire() for row in rows])
    elif not rows:
        print("No jobs.")
    elif is_terminal(sys.stdout):
        from ltx_mcp.cli.output.screen import make_console

        make_console().print(JobTable(jobs))
    else:
        print_table([_plain_cells(row) for row in rows])


@contextmanager
def drawing_jobs() -> Iterator[Callable[[Sequence[Job]], None]]:
    """Takes the jobs as often as they were looked at, draws them on a terminal and leaves nothing on it."""
    if not is_terminal(sys.stdout):
        yield lambda jobs: None
        return
    from rich.live import Live

    from ltx_mcp.cli.output.screen import make_console

    console, table = make_console(), JobTable(())
    with Live(table, console=console, transient=True, refresh_per_second=4, redirect_stderr=False):

        def draw(jobs: Sequence[Job]) -> None:
            table.jobs = jobs[: max(1, console.height - 3)]

        yield draw


class JobTable:
    """These jobs as they are at the moment they are drawn."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from ltx_mcp.cli.output.screen import make_table

        names = [name for name in NAMES if options.max_width >= NARROW.get(name, 0)]
        yield make_table(console, names, ([_cell(job, name) for name in names] for job in self.jobs), cut="prompt")


def _cell(job: Job, name: str) -> tuple[str, str]:
    from ltx_mcp.cli.output.screen import STATES

    progress = f" {job.progress:.0f} %" if job.state is State.RUNNING and job.progress else ""
    return {
        "job": (job.take_name or job.id, ""),
        "state": (f"{job.state}{progress}", STATES[job.state]),
        "age": (age(job.created_at, datetime.now(UTC)), "dim"),
        "provider": (job.offer.provider, ""),
        "usd": (to_text(job.cost_usd), ""),
        "prompt": (job.prompt or job.operation, ""),
    }[name]


def _plain_cells(row: JobSummary) -> dict[str, str]:
    return {
        "job": row.take or row.job_id,
        "state": row.state,
        "provider": row.provider,
        "usd": to_text(row.cost_usd),
        "created": row.created_at,
        "prompt": row.prompt or row.operation,
    }
