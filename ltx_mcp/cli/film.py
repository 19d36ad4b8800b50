"""`film JOB --to FOLDER`: a film that is taken away with its shots, for an editor and for people."""

from functools import partial
from pathlib import Path

import click

from ltx_mcp.cli.common import open_jobs, report_errors, run
from ltx_mcp.cli.completion import complete_files, complete_job
from ltx_mcp.cli.make import examples
from ltx_mcp.cli.naming import full_id
from ltx_mcp.cli.options import as_json_option, read_options
from ltx_mcp.cli.output.text import print_json
from ltx_mcp.cli.take_away.contents import Contents, read_contents
from ltx_mcp.cli.take_away.folder import check_place, write_folder
from ltx_mcp.domain.arguments import CheckJob
from ltx_mcp.domain.job import State
from ltx_mcp.jobs.callers import LOCAL


@click.command(
    short_help="Take a film away with its shots, for an editor.",
    epilog=examples("film JOB --to my-film", "film JOB --to my-film --json"),
)
@click.argument("job_id", metavar="JOB", shell_complete=complete_job(State.SUCCEEDED))
@click.option("--to", "to", required=True, metavar="FOLDER", shell_complete=complete_files, help="A new folder.")
@as_json_option
def film(job_id: str, to: str, as_json: bool) -> None:
    """Write the film of JOB into FOLDER with all that it was made from, and print the folder's path.

    FOLDER is made: film.mp4, its shots, film.otio for an editor, a poster, a sheet of frames, captions and sound where
    there are any, and a README of prompts, models and prices.
    """
    target = Path(to).expanduser().absolute()
    with report_errors():
        check_place(target)
    contents = run(partial(_contents, job_id))
    with report_errors():
        files = write_folder(contents, target)
    if as_json:
        print_json({"job_id": contents.film.id, "folder": str(target), "files": files})
    else:
        print(target)


async def _contents(name: str) -> Contents:
    wanted = read_options(CheckJob, "check_job", {"job_id": name}).job_id
    async with open_jobs() as jobs:
        return await read_contents(jobs, await jobs.get(await full_id(jobs, wanted), LOCAL))
