"""An order from the command line: placed, followed to its end or left running, and told."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import click

from ltx_mcp.cli.common import CALLER, EXIT, STILL_RUNNING, at_signal, open_jobs, run
from ltx_mcp.cli.main import INTERRUPTED
from ltx_mcp.cli.options import read_options
from ltx_mcp.cli.player import open_film
from ltx_mcp.cli.progress import following
from ltx_mcp.cli.show import print_made, standing_of, view_of
from ltx_mcp.cli.streams import say
from ltx_mcp.cli.words import print_json
from ltx_mcp.domain.arguments import PaidArguments
from ltx_mcp.domain.consent import Answer, Question
from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.quoting import plain_line
from ltx_mcp.server.views import JobView

if TYPE_CHECKING:
    from ltx_mcp.jobs.placing import Ordered
    from ltx_mcp.jobs.service import Jobs

LONG_S = 24 * 3600.0


def make(
    model: type[PaidArguments], tool: str, options: dict[str, Any], *, yes: bool, as_json: bool, wants_open: bool
) -> None:
    """Order what `options` ask of `tool`, print what came of it and end with the exit code that says so."""
    can_ask = yes or (sys.stdin.isatty() and sys.stderr.isatty())
    view = run(partial(_order, model, tool, options, None, can_ask))
    while isinstance(view, Question):
        agreed = yes or click.confirm(plain_line(view.text), err=True)
        view = run(partial(_order, model, tool, options, Answer(view.token, agreed), can_ask))
    if view is None:
        say("ltx-mcp: stopped while ordering; ltx-mcp jobs shows whether there is a job.")
        raise SystemExit(INTERRUPTED)
    code = EXIT.get(State(view.state), STILL_RUNNING)
    if code == STILL_RUNNING:
        finds = f"ltx-mcp jobs show {view.job_id} finds it"
        say(f"Left running: {view.job_id}.", f"{finds}; the same command follows it again.")
    if as_json:
        print_json(view.to_wire())
    elif code != STILL_RUNNING:
        print_made(view)
    if wants_open and code == 0:
        sys.stdout.flush()
        open_film(view.file)
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
            await _follow(jobs, job)
        if job is None:
            return None
        return view_of(jobs, await jobs.get(job.id, CALLER))


async def _follow(jobs: "Jobs", job: Job) -> None:
    standing = await standing_of(jobs, job)
    if standing.hindrance:
        say(f"Nobody works on it: {standing.hindrance}")
    with following(jobs, job, standing) as (tell, keep):
        async with anyio.create_task_group() as group:
            group.start_soon(keep)
            await jobs.wait(job, LONG_S, tell)
            group.cancel_scope.cancel()


def _say_placed(ordered: "Ordered") -> None:
    job = ordered.job
    order = f"{job.operation} at {job.offer.provider} ({job.offer.model}), {job.price}"
    if ordered.fresh:
        say(f"{job.id} ordered: {order}.")
    else:
        say(f"This request already had {job.id}; for another take give a new --request-key.")
    for change in job.offer.adjustments:
        say(f"Changed: {change.field} {change.asked} -> {change.got}.")
