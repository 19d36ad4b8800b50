"""Pages of a caller's jobs, and the cursors between them."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from ltx_mcp.domain.arguments import ListJobs
from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job
from ltx_mcp.jobs.store.change_notifier import ChangeNotifier
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import is_job_id
from ltx_mcp.jobs.waits import Waits

MAX_CURSOR_CHARS = 200


@dataclass(frozen=True)
class Page:
    """Some of a caller's jobs, newest first; `next_cursor` is empty on the last page."""

    jobs: tuple[Job, ...]
    next_cursor: str


async def read_page(store: Store, watch: ChangeNotifier, waits: Waits, arguments: ListJobs, caller: str) -> Page:
    """One page, after waiting for the end of one of its live jobs if the arguments say so. Raises CallerError."""
    before = await _read_cursor(store, arguments.cursor, caller) if arguments.cursor else None
    query = partial(store.page, caller, arguments.state, arguments.limit + 1, before)
    found = await store.run_in_thread(query)
    live = [job for job in found[: arguments.limit] if job.live]
    if arguments.wait_seconds and live:
        with waits.at_most(arguments.wait_seconds):
            while all(job.live for job in live):
                await watch.change({job.id: job.revision for job in live})
                live = await store.run_in_thread(_reload, store, live)
        found = await store.run_in_thread(query)
    shown = tuple(found[: arguments.limit])
    is_last = len(found) <= arguments.limit
    return Page(shown, "" if is_last else base64.urlsafe_b64encode(shown[-1].id.encode()).decode())


def _reload(store: Store, jobs: Sequence[Job]) -> list[Job]:
    return [store.reload(job) for job in jobs]


async def _read_cursor(store: Store, cursor: str, caller: str) -> tuple[datetime, str]:
    """The time and id of the last job of the previous page. Raises CallerError for an invalid cursor."""
    try:
        job_id = base64.urlsafe_b64decode(cursor[:MAX_CURSOR_CHARS].encode()).decode()
        job = await store.run_in_thread(store.get, job_id, caller) if is_job_id(job_id) else None
    except (binascii.Error, ValueError):
        job = None
    if job is None:
        raise CallerError(
            ErrorCode.INVALID_REQUEST,
            "cursor: no page of list_jobs gave this one.",
            "Use next_cursor of an earlier answer, or leave cursor out to begin with the newest.",
        )
    return job.created_at, job.id
