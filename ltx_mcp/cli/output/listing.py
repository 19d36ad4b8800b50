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
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.presentation.result_models import JobSummary, to_summary

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

NAMES = ("job", "caller", "state", "age", "provider", "usd", "prompt")
NARROW = {"provider": 70, "usd": 70, "age": 56}
"""Columns a terminal must have to be shown these too: the prompt is what tells jobs apart."""


MAX_CALLER_CHARS, DRAWN_CALLER_CHARS = 80, 32


def shown_caller(caller: str, max_chars: int = MAX_CALLER_CHARS) -> str:
    """A caller's name on one line, a long one without its middle: its end tells users apart. --json has all of it."""
    name = plain_line(caller)
    begin = max_chars // 3
    return name if len(name) <= max_chars else f"{name[:begin]}…{name[begin + 1 - max_chars :]}"


def print_jobs(jobs: Sequence[Job], whose: str = "", *, as_json: bool) -> None:
    """All of them, once; where an operator asked for those of `whose`, each with its caller."""
    callers = [{"caller": job.caller} if whose else {} for job in jobs]
    rows = [to_summary(job) for job in jobs]
    if as_json:
        print_json([row.to_wire() | caller for row, caller in zip(rows, callers, strict=True)])
    elif not rows:
        print("No jobs.")
    elif is_terminal(sys.stdout):
        from ltx_mcp.cli.output.screen import make_console

        make_console().print(JobTable(jobs, whose))
    else:
        print_table([_plain_cells(row, **caller) for row, caller in zip(rows, callers, strict=True)])


@contextmanager
def drawing_jobs(whose: str = "") -> Iterator[Callable[[Sequence[Job]], None]]:
    """Takes the jobs as often as they were looked at, draws them on a terminal and leaves nothing on it."""
    if not is_terminal(sys.stdout):
        yield lambda jobs: None
        return
    from rich.live import Live

    from ltx_mcp.cli.output.screen import make_console

    console, table = make_console(), JobTable((), whose)
    with Live(table, console=console, transient=True, refresh_per_second=4, redirect_stderr=False):

        def draw(jobs: Sequence[Job]) -> None:
            table.jobs = jobs[: max(1, console.height - 3)]

        yield draw


class JobTable:
    """These jobs as they are at the moment they are drawn."""

    def __init__(self, jobs: Sequence[Job], whose: str = "") -> None:
        self.jobs = jobs
        self._names = [name for name in NAMES if name != "caller" or whose]
        self._taken = DRAWN_CALLER_CHARS if whose else 0

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from ltx_mcp.cli.output.screen import make_table

        names = [name for name in self._names if options.max_width - self._taken >= NARROW.get(name, 0)]
        yield make_table(console, names, ([_cell(job, name) for name in names] for job in self.jobs), cut="prompt")


def _cell(job: Job, name: str) -> tuple[str, str]:
    from ltx_mcp.cli.output.screen import STATES

    progress = f" {job.progress:.0f} %" if job.state is State.RUNNING and job.progress else ""
    return {
        "job": (job.take_name or job.id, ""),
        "caller": (shown_caller(job.caller, DRAWN_CALLER_CHARS), ""),
        "state": (f"{job.state}{progress}", STATES[job.state]),
        "age": (age(job.created_at, datetime.now(UTC)), "dim"),
        "provider": (job.offer.provider, ""),
        "usd": (to_text(job.cost_usd), ""),
        "prompt": (job.prompt or job.operation, ""),
    }[name]


def _plain_cells(row: JobSummary, caller: str = "") -> dict[str, str]:
    return {
        "job": row.take or row.job_id,
        **({"caller": shown_caller(caller)} if caller else {}),
        "state": row.state,
        "provider": row.provider,
        "usd": to_text(row.cost_usd),
        "created": row.created_at,
        "prompt": row.prompt or row.operation,
    }
