"""`generate` and `animate`: order a video, watch it, and leave it running when interrupted."""

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import click

from ltx_mcp.cli.common import CALLER, EXIT, STILL_RUNNING, at_signal, open_jobs, run
from ltx_mcp.cli.main import INTERRUPTED
from ltx_mcp.cli.options import as_json_option, options_of, read_options
from ltx_mcp.cli.show import print_made, view_of
from ltx_mcp.cli.words import one_line, print_json
from ltx_mcp.domain.arguments import (
    AnimateImage,
    ExtendVideo,
    GenerateFromAudio,
    GenerateVideo,
    PaidArguments,
    RetakeVideo,
)
from ltx_mcp.domain.consent import Answer, Question
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.price import from_micro, to_text
from ltx_mcp.server.views import JobView

if TYPE_CHECKING:
    from ltx_mcp.jobs.placing import Ordered

LONG_S = 24 * 3600.0
Tell = Callable[[Job], Awaitable[None]]


yes_option = click.option("--yes", is_flag=True, help="Agree to a price above LTX_MCP_CONFIRM_ABOVE_USD.")


@click.command()
@click.argument("prompt")
@options_of(GenerateVideo, "prompt", "wait_seconds")
@yes_option
@as_json_option
def generate(prompt: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Make a video from PROMPT and print the path of the film."""
    _make(GenerateVideo, "generate_video", {"prompt": prompt, **options}, yes, as_json)


@click.command()
@click.argument("image")
@click.argument("prompt")
@options_of(AnimateImage, "prompt", "image", "wait_seconds")
@yes_option
@as_json_option
def animate(image: str, prompt: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Make a video that starts from IMAGE and follows PROMPT, and print the path of the film.

    IMAGE is a path, an https URL or a frame of another job, such as job_…#last.
    """
    _make(AnimateImage, "animate_image", {"image": image, "prompt": prompt, **options}, yes, as_json)


@click.command("from-audio")
@click.argument("audio")
@options_of(GenerateFromAudio, "audio", "wait_seconds")
@yes_option
@as_json_option
def from_audio(audio: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Make a video as long as AUDIO, which becomes its sound, and print the path of the film.

    AUDIO is a path, an https URL or a job, whose sound is taken. Give --prompt, --image or both.
    """
    _make(GenerateFromAudio, "generate_from_audio", {"audio": audio, **options}, yes, as_json)


@click.command()
@click.argument("video")
@options_of(ExtendVideo, "video", "wait_seconds")
@yes_option
@as_json_option
def extend(video: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Make VIDEO longer at its end or its start and print the path of the film.

    VIDEO is a path, an https URL or a job. The new seconds and the context are charged.
    """
    _make(ExtendVideo, "extend_video", {"video": video, **options}, yes, as_json)


@click.command()
@click.argument("video")
@options_of(RetakeVideo, "video", "wait_seconds")
@yes_option
@as_json_option
def retake(video: str, yes: bool, as_json: bool, **options: Any) -> None:
    """Redo a section of VIDEO and print the path of the film. The whole of VIDEO is charged.

    VIDEO is a path, an https URL or a job.
    """
    _make(RetakeVideo, "retake_video", {"video": video, **options}, yes, as_json)


def _make(model: type[PaidArguments], tool: str, options: dict[str, Any], yes: bool, as_json: bool) -> None:
    can_ask = yes or (sys.stdin.isatty() and sys.stderr.isatty())
    view = run(partial(_order, model, tool, options, None, can_ask))
    while isinstance(view, Question):
        agreed = yes or click.confirm(one_line(view.text), err=True)
        view = run(partial(_order, model, tool, options, Answer(view.token, agreed), can_ask))
    if view is None:
        print("ltx-mcp: stopped while ordering; ltx-mcp jobs shows whether there is a job.", file=sys.stderr)
        raise SystemExit(INTERRUPTED)
    code = EXIT.get(State(view.state), STILL_RUNNING)
    if code == STILL_RUNNING:
        again = "the same command follows it again"
        print(f"Left running: {view.job_id}. ltx-mcp jobs show {view.job_id} finds it; {again}.", file=sys.stderr)
    if as_json:
        print_json(view.to_wire())
    elif code != STILL_RUNNING:
        print_made(view)
    raise SystemExit(code)


async def _order(
    model: type[PaidArguments], tool: str, options: dict[str, Any], answer: Answer | None, can_ask: bool
) -> JobView | Question | None:
    """The job at its end, or as it is when a signal says to leave; None when that comes before the order is known. The
    question where somebody must agree to the price first."""
    arguments = read_options(model, tool, options)
    scope, job = anyio.CancelScope(), None
    async with at_signal(scope.cancel), open_jobs(work=True) as jobs:
        with scope:
            ordered = await jobs.order(arguments, CALLER, answer, can_ask=can_ask)
            if isinstance(ordered, Question):
                return ordered
            job = ordered.job
            _say_placed(ordered)
            with _progress(job) as tell:
                await jobs.wait(job, LONG_S, tell)
        if job is None:
            return None
        return view_of(jobs, await jobs.get(job.id, CALLER))


def _say_placed(ordered: "Ordered") -> None:
    job = ordered.job
    order = f"{job.operation} at {job.offer.provider} ({job.offer.model}), {to_text(from_micro(job.cost_micro))} USD"
    if ordered.fresh:
        print(f"{job.id} ordered: {order}.", file=sys.stderr)
    else:
        print(f"This request already had {job.id}; for another take give a new --request-key.", file=sys.stderr)
    for change in job.offer.adjustments:
        print(f"Changed: {change.field} {change.asked} -> {change.got}.", file=sys.stderr)


@contextmanager
def _progress(job: Job) -> Iterator[Tell]:
    """A bar on stderr while it is a terminal; otherwise nothing moves."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        line = bar.add_task(job.state, total=100)

        async def tell(job: Job) -> None:
            waits = f"waiting for {job.waits_for}" if job.waits_for else str(job.state)
            bar.update(line, completed=job.progress or 0, description=waits)

        yield tell
