"""What a span tells of a job. Not its prompt, its caller or an address."""

from ltx_mcp.domain.job import Job, State
from ltx_mcp.domain.job_set import JobSet, jobs_of
from ltx_mcp.telemetry import Facts

PLACE, PREPARE, SUBMIT, TRACK, SAVE = "job place", "job prepare", "job submit", "job track", "job save"


def facts_of(found: Job | JobSet) -> Facts:
    """Those of a job; of a set under its own name, and what its first take is."""
    job = jobs_of(found)[0]
    facts = {
        "job_id": found.id,
        "provider": job.offer.provider,
        "model": job.offer.model,
        "operation": job.operation,
        "state": str(found.state),
    }
    if found.state in (State.FAILED, State.UNKNOWN) and job.error is not None:
        facts["error"] = str(job.error.code)
    return facts
