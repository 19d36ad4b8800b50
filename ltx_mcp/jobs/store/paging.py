"""Pages of a caller's jobs, and the cursors between them."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime

from ltx_mcp.domain.errors import CallerError, ErrorCode
from ltx_mcp.domain.job import Job
from ltx_mcp.jobs.store.store import Store
from ltx_mcp.jobs.store.transitions import is_job_id

MAX_CURSOR_CHARS = 200


@dataclass(frozen=True)
class Page:
    """Some of a caller's jobs, newest first; `next_cursor` is empty on the last page."""

    jobs: tuple[Job, ...]
    next_cursor: str


def to_cursor(last: Job) -> str:
    """The cursor of the page after this job."""
    return base64.urlsafe_b64encode(last.id.encode()).decode()


async def read_cursor(store: Store, cursor: str, caller: str) -> tuple[datetime, str]:
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
