"""Why a live job waits, and until when: for whoever is shown the job, in a program or at a terminal."""

from datetime import UTC, datetime

from ltx_mcp.domain.job import Job
from ltx_mcp.domain.quoting import one_line


def waiting_text(job: Job, now: datetime) -> str:
    """What failed on a live job, and when it is tried again; empty where nothing failed."""
    if not job.trouble:
        return ""
    when = f"at {job.next_at.astimezone(UTC):%H:%M:%S} UTC" if job.next_at > now else "soon"
    return f"{one_line(job.trouble).rstrip('.')}; tried again {when}"
