"""`jobs` on a terminal: a table that fits it, and one that is drawn anew while something is under way."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live

from ltx_mcp.cli.output.screen import STATES, make_console, make_table
from ltx_mcp.cli.output.text import age
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.price import to_text

NAMES = ("job", "state", "age", "provider", "usd", "prompt")
NARROW = {"provider": 70, "usd": 70, "age": 56}
"""Columns a terminal must have to be shown these too: the prompt is what tells jobs apart."""


class Listing:
    """These jobs as they are at the moment they are drawn."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        names = [name for name in NAMES if options.max_width >= NARROW.get(name, 0)]
        yield make_table(console, names, ([_cell(job, name) for name in names] for job in self.jobs), cut="prompt")


def _cell(job: Job, name: str) -> tuple[str, str]:
    return {
        "job": (job.id, ""),
        "state": (_state(job), STATES[job.state]),
        "age": (age(job.created_at, datetime.now(UTC)), "dim"),
        "provider": (job.offer.provider, ""),
        "usd": (to_text(job.cost_usd), ""),
        "prompt": (job.prompt, ""),
    }[name]


def _state(job: Job) -> str:
    return f"{job.state} {job.progress:.0f} %" if job.state is State.RUNNING and job.progress else str(job.state)


def draw_jobs(jobs: Sequence[Job]) -> None:
    """All of them, once."""
    make_console().print(Listing(jobs))


@contextmanager
def drawing_jobs() -> Iterator[Callable[[Sequence[Job]], None]]:
    """Takes the jobs as often as they were looked at, and leaves nothing on the screen."""
    console = make_console()
    shown = Listing(())
    with Live(shown, console=console, transient=True, refresh_per_second=4, redirect_stderr=False):

        def draw(jobs: Sequence[Job]) -> None:
            shown.jobs = jobs[: max(1, console.height - 3)]

        yield draw
