"""What a person sees while a job is under way: one line with words, a bar where there is room for it, and above it what
is ordered where, and why it went on."""

import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio

from ltx_mcp.cli.output.messages import say
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import spoken
from ltx_mcp.domain.job import Job, State
from ltx_mcp.presentation.next_steps import JobContext, context_of
from ltx_mcp.presentation.result_text import order_text, status_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ltx_mcp.jobs.service import Jobs

Report = Callable[[Job], Awaitable[None]]
Refresh = Callable[[], Coroutine[Any, Any, None]]
WIDEST, BAR, MIN_BAR = 100, 36, 8
REFRESH_S = 1.0
ACCEPTED = frozenset({State.RUNNING, State.SAVING, State.SUCCEEDED})


class ProgressLine:
    """A live job as it is now, drawn anew many times a second. Without a percentage of the provider's the bar only
    moves: one that stands at 0 would be a lie."""

    def __init__(self, job: Job, context: JobContext) -> None:
        self.job = job
        self.context = context

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        from ltx_mcp.cli.output.screen import piece

        # never the last column: a terminal that is made narrower would fold the line
        room = min(options.max_width - 1, WIDEST)
        words = piece(console, status_text(self.job, self.context, datetime.now(UTC)))
        words.truncate(room, overflow="crop" if options.ascii_only else "ellipsis")
        left = min(room - words.cell_len - 1, BAR)
        if left < MIN_BAR:
            yield words
            return
        done = self.job.progress if self.job.state is State.RUNNING else None
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(
            words,
            ProgressBar(completed=done or 0, width=left, pulse=not done, complete_style="cyan", pulse_style="cyan"),
        )
        yield line


@contextmanager
def following(jobs: "Jobs", job: Job, context: JobContext) -> Iterator[tuple[Report, Refresh]]:
    """What reports how the job stands, and what refreshes its place in line; nothing moves where nobody looks on."""
    line = ProgressLine(job, context)

    async def report(job: Job) -> None:
        line.job, line.context = job, await context_of(jobs, job)
        for sentence in await progress.news(job):
            write(sentence)

    async def refresh() -> None:
        while True:
            await anyio.sleep(REFRESH_S)
            if line.job.state is State.QUEUED:
                await report(line.job)

    with _drawn(line) as write:
        progress = OrderProgress(jobs, job)
        yield report, refresh


@contextmanager
def _drawn(line: ProgressLine) -> Iterator[Callable[[str], None]]:
    """Draws it where a person looks on, and gives what writes a sentence above it."""
    if not is_terminal(sys.stderr):
        yield say
        return
    from rich.live import Live

    from ltx_mcp.cli.output.screen import make_console, piece

    console = make_console(stderr=True)
    with Live(line, console=console, transient=True, refresh_per_second=10, redirect_stdout=False), _logs_above():
        yield lambda sentence: console.print(piece(console, sentence))


@contextmanager
def _logs_above() -> Iterator[None]:
    """What is logged meanwhile comes above the line instead of into it."""
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    before = [each.setStream(sys.stderr) for each in handlers]
    try:
        yield
    finally:
        for handler, stream in zip(handlers, before, strict=True):
            if stream is not None:
                handler.setStream(stream)


def placed_text(job: Job, *, is_preview: bool) -> str:
    """What is about to be ordered, or drawn, before anybody is paid."""
    return f"{job.id} {_ordering(job, is_preview=is_preview)}"


def _ordering(job: Job, *, is_preview: bool) -> str:
    return f"{'drawing' if is_preview else 'ordering'}: {order_text(job.offer)}."


class OrderProgress:
    """What is new each time a job is looked at, from `job` on: a provider that did not take it, the one that did."""

    def __init__(self, jobs: "Jobs", job: Job) -> None:
        self._jobs = jobs
        self._offer_index = job.offer_index
        self._refusals: int | None = None if job.offer_index else 0
        self._is_accepted = job.state in ACCEPTED

    async def news(self, job: Job) -> list[str]:
        """Sentences that were not said yet."""
        sentences = []
        is_preview = self._jobs.catalog.facts(job.offer.provider).is_preview
        if self._refusals is None:  # of a job that was under way before
            self._refusals = len(await self._jobs.refusals(job))
        if job.offer_index != self._offer_index:
            refusals = await self._jobs.refusals(job)
            said = (*refusals[self._refusals :], f"Now {_ordering(job, is_preview=is_preview)}")
            sentences.append(spoken(" ".join(said)))
            self._offer_index, self._refusals = job.offer_index, len(refusals)
        if job.state in ACCEPTED and not self._is_accepted:
            self._is_accepted = True
            sentences += [] if is_preview else [f"{job.id} ordered: {job.offer.provider} took it."]
        return sentences
