"""`jobs resolve` and `jobs adopt`: a person says what became of an order whose answer never came."""

from functools import partial
from typing import Any

import click

from ltx_mcp.cli.common import open_jobs, run
from ltx_mcp.cli.completion import complete_job, completer_of
from ltx_mcp.cli.naming import full_id
from ltx_mcp.cli.options import options_of, read_options
from ltx_mcp.cli.output.job import print_job
from ltx_mcp.cli.untraced import UntracedCommand
from ltx_mcp.domain.arguments import AnimateImage, CheckJob, GenerateVideo, PaidArguments
from ltx_mcp.domain.job import State
from ltx_mcp.jobs.callers import LOCAL
from ltx_mcp.presentation.result_models import JobView, view_of

VERDICTS = ("charged", "not-charged", "retry")
NOT_SEEN = {"image": "https://example.com/not-seen"}
"""The picture of an order that somebody else placed: it is never looked at."""


@click.command(short_help="Say what became of JOB at the provider.")
@click.argument("job_id", metavar="JOB", shell_complete=complete_job(State.UNKNOWN))
@click.argument("verdict", type=click.Choice(VERDICTS))
def resolve(job_id: str, verdict: str) -> None:
    """Say what became of JOB, whose outcome is unknown, after a look at the provider's dashboard.

    charged: it was paid and its film is lost. not-charged: its price can be spent again. retry: order it once more,
    which is paid twice if the first order was taken after all.
    """
    print_job(run(partial(_resolved, job_id, verdict)))


async def _resolved(job_id: str, verdict: str) -> JobView:
    from ltx_mcp.jobs.recovery import Resolution

    arguments = read_options(CheckJob, "check_job", {"job_id": job_id})
    async with open_jobs(work=verdict == "retry") as jobs:
        return await view_of(
            jobs, await jobs.person.resolve(await full_id(jobs, arguments.job_id), Resolution(verdict))
        )


@click.command(cls=UntracedCommand, short_help="Follow an order found at a provider to its film.")
@click.argument("provider", shell_complete=completer_of("provider", ()))
@click.argument("remote_id", metavar="REMOTE_ID")
@click.option(
    "--job",
    "job_id",
    default="",
    metavar="JOB",
    shell_complete=complete_job(State.UNKNOWN),
    help="The job whose outcome is unknown that had sent it.",
)
@click.option("--new", is_flag=True, help="It is none of the jobs whose outcome is unknown.")
@click.option(
    "--operation", type=click.Choice(["text_to_video", "image_to_video"]), default="text_to_video", show_default=True
)
@click.option("--prompt", default="found at the provider", help="What it films, to find it again.")
@options_of(
    GenerateVideo, "prompt", "provider", "wait_seconds", "adjust", "max_cost_usd", "request_key", "camera_motion"
)
def adopt(provider: str, remote_id: str, job_id: str, new: bool, operation: str, **options: Any) -> None:
    """Follow the order REMOTE_ID, found on PROVIDER's dashboard, to its film.

    With --job it is the order that this job had sent; else it becomes a new job, priced by the options below.
    """
    model = AnimateImage if operation == "image_to_video" else GenerateVideo
    given = {**options, "provider": provider, **(NOT_SEEN if model is AnimateImage else {})}
    print_job(run(partial(_adopted, provider, remote_id, job_id, new, model, given)))


async def _adopted(
    provider: str, remote_id: str, job_id: str, new: bool, model: type[PaidArguments], given: dict[str, Any]
) -> JobView:
    arguments = read_options(model, "adopt", given)
    async with open_jobs(work=True) as jobs:
        person = jobs.person
        if job_id:
            job = await person.adopt(provider, remote_id, await full_id(jobs, job_id))
        else:
            if not new:
                await person.check_new(provider)
            job = await person.adopt_new(provider, remote_id, arguments, LOCAL)
        return await view_of(jobs, job)
