"""`generate` and `animate`: order a video, watch it, and leave it running when interrupted."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import click
from pydantic import BaseModel, ValidationError

from ltx_mcp.cli.common import CALLER, EXIT, STILL_RUNNING, open_jobs, told
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.request import AnimateImage, GenerateVideo, PaidArguments
from ltx_mcp.server.views import JobView, Links, to_view

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

LONG_S = 24 * 3600.0
HIDDEN = ("wait_seconds", "prompt", "image")


def _options(model: type[BaseModel]) -> Callable[[Any], Any]:
    """One option for each argument of a tool, with the tool's own words and default."""

    def add(function: Any) -> Any:
        for name, field in reversed(model.model_fields.items()):
            if name in HIDDEN:
                continue
            flag = f"--{name.replace('_', '-')}"
            if field.annotation is bool:
                option = click.option(
                    f"{flag}/--no-{name.replace('_', '-')}", default=field.default, help=field.description
                )
            else:
                option = click.option(flag, default=str(field.default), show_default=True, help=field.description)
            function = option(function)
        return function

    return add


@click.command()
@click.argument("prompt")
@_options(GenerateVideo)
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
def generate(prompt: str, as_json: bool, **options: Any) -> None:
    """Make a video from PROMPT."""
    _make(GenerateVideo, {"prompt": prompt, **options}, as_json)


@click.command()
@click.argument("image")
@click.argument("prompt")
@_options(AnimateImage)
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
def animate(image: str, prompt: str, as_json: bool, **options: Any) -> None:
    """Make a video that starts from IMAGE (a path, https URL or job id) and follows PROMPT."""
    _make(AnimateImage, {"image": image, "prompt": prompt, **options}, as_json)


def _make(model: type[GenerateVideo] | type[AnimateImage], options: dict[str, Any], as_json: bool) -> None:
    with told():
        try:
            arguments = model.model_validate(options)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise CallerError(ErrorCode.INVALID_REQUEST, f"{first['loc'][0]}: {first['msg']}.") from error
        try:
            view = anyio.run(partial(_order, arguments, as_json))
        except KeyboardInterrupt:
            print("Left running. ltx-mcp jobs shows it.", file=sys.stderr)
            raise SystemExit(STILL_RUNNING) from None
    print_view(view, as_json)
    raise SystemExit(EXIT.get(State(view.state), STILL_RUNNING))


async def _order(arguments: PaidArguments, as_json: bool) -> JobView:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    async with open_jobs(work=True) as jobs:
        ordered = await jobs.order(arguments, CALLER)
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            line = bar.add_task(ordered.job.id, total=100)

            async def tell(job: Job) -> None:
                bar.update(line, completed=job.progress or 0, description=f"{job.id} {job.state}")

            job = await jobs.wait(ordered.job, LONG_S, tell)
        return view_of(jobs, job)


def view_of(jobs: "Jobs", job: Job) -> JobView:
    """A job as a person at this machine sees it."""
    is_preview = jobs.market.facts(job.offer.provider).is_preview
    return to_view(job, Links(jobs.film), is_preview=is_preview, line=0, now=datetime.now(UTC))


def print_view(view: JobView, as_json: bool) -> None:
    if as_json:
        print(json.dumps(view.to_wire(), ensure_ascii=False))
        return
    print(f"{view.job_id} {view.state}")
    if view.width:
        sound = "with sound" if view.has_audio else "silent"
        print(f"{view.duration:g} s, {view.width}x{view.height}, {view.fps:g} fps, {sound}")
    if view.is_preview and view.file:
        print("A preview drawn on this machine, not LTX.")
    for line in (view.file, view.error and f"{view.error.code}: {view.error.message} {view.error.hint or ''}"):
        if line:
            print(line)
