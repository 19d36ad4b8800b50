"""The resources: a job, one of its frames, its video, what can be ordered, and what was spent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.domain.job_set import JobSet
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.presentation.spending import read_day, to_spend_view
from ltx_mcp.server.app_context import AppContext, open_jobs
from ltx_mcp.server.auth.current import current_caller

MAX_BLOB_BYTES = 4 * 1024 * 1024


def add_resources(server: MCPServer[Any], catalog: Catalog) -> None:
    @server.resource(
        "ltx://models",
        name="models",
        title="What can be ordered",
        description="Every provider, model and operation with its limits and prices, with date and source.",
        mime_type="application/json",
    )
    def models() -> str:
        return json.dumps([facts.model_dump(mode="json", by_alias=True) for facts in catalog.providers])

    @server.resource(
        "ltx://jobs/{job_id}",
        name="job",
        title="A job",
        description="The same as check_job shows, without waiting.",
        mime_type="application/json",
    )
    async def job(job_id: str, context: Context[AppContext]) -> str:
        with _as_resource_errors():
            app_context, jobs = await open_jobs(context)
            found = await jobs.find(job_id, current_caller())
            view = app_context.set_view(found) if isinstance(found, JobSet) else app_context.view(found)
            return json.dumps((await view).to_wire())

    @server.resource(
        "ltx://jobs/{job_id}/frames/{seconds}",
        name="frame",
        title="One frame of a film",
        description="The frame shown at this second, as JPEG.",
        mime_type="image/jpeg",
    )
    async def frame(job_id: str, seconds: float, context: Context[AppContext]) -> bytes:
        with _as_resource_errors():
            _, jobs = await open_jobs(context)
            return (await jobs.keeping.frame(await jobs.get(job_id, current_caller()), seconds)).data

    @server.resource(
        "ltx://jobs/{job_id}/video",
        name="video",
        title="The film",
        description="The MP4 itself, when it has at most 4 MB; a larger one is named by its link.",
        mime_type="video/mp4",
    )
    async def video(job_id: str, context: Context[AppContext]) -> bytes:
        with _as_resource_errors():
            app_context, jobs = await open_jobs(context)
            job = await jobs.get(job_id, current_caller())
            view, is_there = await app_context.view(job), await jobs.keeping.is_there(job)
            is_large = is_there and job.film is not None and job.film.size_bytes > MAX_BLOB_BYTES
            path = None if is_large else await jobs.keeping.bring(job)  # what is too large need not even be brought
            if is_large or (path is not None and path.stat().st_size > MAX_BLOB_BYTES):
                raise LtxError(
                    ErrorCode.INVALID_REQUEST,
                    f"The film has {view.size_bytes:,} bytes, too many to send here: {view.video_url}",
                )
            if path is None:
                raise LtxError(ErrorCode.INVALID_REQUEST, f"{view.job_id} is {view.state}; it has no film yet.")
            return path.read_bytes()

    @server.resource(
        "ltx://spend/{day}",
        name="spend",
        title="What a day cost",
        description="Videos, prices and charges of a UTC day (YYYY-MM-DD, or today) by provider and model; its budget.",
        mime_type="application/json",
    )
    async def spend(day: str, context: Context[AppContext]) -> str:
        with _as_resource_errors():
            _, jobs = await open_jobs(context)
            return json.dumps(to_spend_view(await jobs.spend(current_caller(), read_day(day))).to_wire())


@contextmanager
def _as_resource_errors() -> Iterator[None]:
    try:
        yield
    except LtxError as error:
        kind = ResourceNotFoundError if error.code is ErrorCode.JOB_NOT_FOUND else ResourceError
        raise kind(f"{error.code}: {error}") from error
