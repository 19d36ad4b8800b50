"""What a person sees while a job or a set is under way: a line with words for each job, a bar where there is room for
it, and above them what is ordered where, and why it went on."""

import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anyio

from ltx_mcp.cli.output.messages import say
from ltx_mcp.cli.output.streams import is_terminal
from ltx_mcp.cli.output.text import spoken
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet, jobs_of
from ltx_mcp.presentation.next_steps import JobContext, context_of
from ltx_mcp.presentation.result_text import order_text, status_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from ltx_mcp.jobs.service import Jobs

Report = Callable[[Job | JobSet], Awaitable[None]]
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
        words = piece(console, f"{self._label}{self._status()}")
        words.truncate(room, overflow="crop" if options.ascii_only else "ellipsis")
        left = min(room - words.cell_len - 1, BAR)
        if left < MIN_BAR or not self.job.live:
            yield words
            return
        done = self.job.progress if self.job.state is State.RUNNING else None
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(
            words,
            ProgressBar(completed=done or 0, width=left, pulse=not done, complete_style="cyan", pulse_style="cyan"),
        )
        yield line

    @property
    def _label(self) -> str:
        return f"take {self.job.take}: " if self.job.take else ""

    def _status(self) -> str:
        """What happens to it; of a take that has ended what came of it, while others are under way."""
        return status_text(self.job, self.context, datetime.now(UTC)) if self.job.live else str(self.job.state)


@contextmanager
def following(jobs: "Jobs", followed: Job | JobSet, contexts: Sequence[JobContext]) -> Iterator[tuple[Report, Refresh]]:
    """What reports how a job or each take stands, and what refreshes the places in line; nothing moves where nobody
    looks on."""
    lines = [ProgressLine(job, context) for job, context in zip(jobs_of(followed), contexts, strict=True)]

    async def report(followed: Job | JobSet) -> None:
        for job, line, progress in zip(jobs_of(followed), lines, progresses, strict=True):
            line.job, line.context = job, await context_of(jobs, job)
            for sentence in await progress.news(job):
                write(sentence)

    async def refresh() -> None:
        while True:
            await anyio.sleep(REFRESH_S)
            for line in lines:
                if line.job.state is State.QUEUED:
                    line.context = await context_of(jobs, line.job)

    with _drawn(lines) as write:
        progresses = [OrderProgress(jobs, line.job) for line in lines]
        yield report, refresh


@contextmanager
def _drawn(lines: Sequence[ProgressLine]) -> Iterator[Callable[[str], None]]:
    """Draws them where a person looks on, and gives what writes a sentence above them."""
    if not is_terminal(sys.stderr):
        yield say
        return
    from rich.console import Group
    from rich.live import Live

    from ltx_mcp.cli.output.screen import make_console, piece

    console, drawn = make_console(stderr=True), Group(*lines)
    with Live(drawn, console=console, transient=True, refresh_per_second=10, redirect_stdout=False), _logs_above():
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


def placed_text(placed: Job | JobSet, *, is_preview: bool) -> str:
    """What is about to be ordered, or drawn, before anybody is paid: one price, or that of each take and of all."""
    jobs = jobs_of(placed)
    return f"{placed.id} {_ordering(jobs[0], is_preview=is_preview, takes=len(jobs))}"


def _ordering(job: Job, *, is_preview: bool, takes: int = 1) -> str:
    if job.offer.join:
        return f"joining: {joined_text(job)}, free of charge."
    return f"{'drawing' if is_preview else 'ordering'}: {order_text(job.offer, takes)}."


def joined_text(job: Job) -> str:
    """What is joined to what: `5 videos, 28.5 s, 1920x1080, 25 fps`."""
    offer = job.offer
    count = len(offer.join.clips) if offer.join else 1
    return f"{count} videos, {offer.length:f} s, {offer.width}x{offer.height}, {offer.fps} fps"


class OrderProgress:
    """What is new each time a job is looked at, from `job` on: a provider that did not take it, the one that did."""

    def __init__(self, jobs: "Jobs", job: Job) -> None:
        self._jobs = jobs
        self._offer_index = job.offer_index
        self._refusals: int | None = None if job.offer_index else 0
        self._is_accepted = job.state in ACCEPTED
        self._was_live = job.live

    async def news(self, job: Job) -> list[str]:
        """Sentences that were not said yet."""
        sentences = []
        is_preview = self._jobs.catalog.facts(job.offer.provider).is_preview
        if self._refusals is None:  # of a job that was under way before
            self._refusals = len(await self._jobs.refusals(job))
        if job.offer_index != self._offer_index:
            refusals = await self._jobs.refusals(job)
            said = (*refusals[self._refusals :], f"Now {_ordering(job, is_preview=is_preview)}")
            sentences.append(f"{job.take_name and f'{job.take_name}: '}{spoken(' '.join(said))}")
            self._offer_index, self._refusals = job.offer_index, len(refusals)
        if job.state in ACCEPTED and not self._is_accepted:
            self._is_accepted = True
            sentences += [] if is_preview else [f"{job.take_name or job.id} ordered: {job.offer.provider} took it."]
        if job.take and self._was_live and not job.live:
            sentences.append(f"{job.take_name} {job.state}.")
        self._was_live = job.live
        return sentences
