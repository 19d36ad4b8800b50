"""Live jobs that nobody works on, seen from a command that only looks: a worker is started for them, or what would go
on with them is said.
"""

from typing import TYPE_CHECKING

import anyio

from ltx_mcp.cli.output.streams import say
from ltx_mcp.presentation.config import read_edge

if TYPE_CHECKING:
    from ltx_mcp.jobs.service import Jobs

MAX_NAMED = 3
COMMAND = "ltx-mcp work --until-idle"


async def care_for_ownerless(jobs: "Jobs") -> None:
    """Start a detached worker where there is something for it; what lacks a key is told."""
    ownerless = await jobs.ownerless()
    if ownerless.able and (trouble := await anyio.to_thread.run_sync(_start, jobs)):
        say(f"Nobody works on {_named(ownerless.able)}: {COMMAND} does. It could not be started here: {trouble}.")
    for provider in dict.fromkeys(ownerless.lacking.values()):
        theirs = [job_id for job_id, name in ownerless.lacking.items() if name == provider]
        why = (
            jobs.market.standings[provider].unavailable_reason
            if provider in jobs.market.standings
            else f"{provider} is gone."
        )
        say(f"Nobody works on {_named(theirs)}: {why} With that set, {COMMAND} does.")


def _start(jobs: "Jobs") -> str:
    """Why it could not be started; empty where it was."""
    from ltx_mcp.jobs.handover import start_worker

    try:
        start_worker(jobs.home, read_edge()[0].environment)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _named(job_ids: "tuple[str, ...] | list[str]") -> str:
    more = f" and {len(job_ids) - MAX_NAMED} more" if len(job_ids) > MAX_NAMED else ""
    return f"{', '.join(job_ids[:MAX_NAMED])}{more}"
