"""What can be read without a tool: a job, one of its frames, its film, what can be ordered, and what was spent."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from ltx_mcp.domain.errors import ErrorCode, LtxError
from ltx_mcp.domain.plan import Catalog
from ltx_mcp.presentation.spending import read_day, to_spend_view
from ltx_mcp.server.app_context import AppContext, app_context_of

MAX_BLOB_BYTES = 4 * 1024 * 1024
T = TypeVar("T")


def add_resources(server: MCPServer[Any], catalog: Catalog) -> None:
    """Register them all."""

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
        async def read() -> str:
            app_context = app_context_of(context)
            found = await (await app_context.jobs()).get(job_id, app_context.caller(context))
            return json.dumps((await app_context.view(found)).to_wire())

        return await _read(read)

    @server.resource(
        "ltx://jobs/{job_id}/frames/{seconds}",
        name="frame",
        title="One frame of a film",
        description="The frame shown at this second, as JPEG.",
        mime_type="image/jpeg",
    )
    async def frame(job_id: str, seconds: float, context: Context[AppContext]) -> bytes:
        async def read() -> bytes:
            app_context, jobs = app_context_of(context), await app_context_of(context).jobs()
            return (await jobs.keeping.frame(await jobs.get(job_id, app_context.caller(context)), seconds)).data

        return await _read(read)

    @server.resource(
        "ltx://jobs/{job_id}/video",
        name="video",
        title="The film",
        description="The MP4 itself, when it has at most 4 MB; a larger one is named by its link.",
        mime_type="video/mp4",
    )
    async def video(job_id: str, context: Context[AppContext]) -> bytes:
        return await _read(lambda: _film(job_id, context))

    @server.resource(
        "ltx://spend/{day}",
        name="spend",
        title="What a day cost",
        description="Videos, prices and charges of a UTC day (YYYY-MM-DD, or today) by provider and model; its budget.",
        mime_type="application/json",
    )
    async def spend(day: str, context: Context[AppContext]) -> str:
        async def read() -> str:
            app_context, jobs = app_context_of(context), await app_context_of(context).jobs()
            return json.dumps(to_spend_view(await jobs.spend(app_context.caller(context), read_day(day))).to_wire())

        return await _read(read)


async def _film(job_id: str, context: Context[AppContext]) -> bytes:
    app_context, jobs = app_context_of(context), await app_context_of(context).jobs()
    job = await jobs.get(job_id, app_context.caller(context))
    view, path = await app_context.view(job), jobs.film(job)
    if path is None:
        raise LtxError(ErrorCode.INVALID_REQUEST, f"{view.job_id} is {view.state}; it has no film yet.")
    if path.stat().st_size > MAX_BLOB_BYTES:
        raise LtxError(
            ErrorCode.INVALID_REQUEST,
            f"The film has {view.size_bytes:,} bytes, too many to send here: {view.video_url}",
        )
    return path.read_bytes()


async def _read(read: Callable[[], Awaitable[T]]) -> T:
    try:
        return await read()
    except LtxError as error:
        kind = ResourceNotFoundError if error.code is ErrorCode.JOB_NOT_FOUND else ResourceError
        raise kind(f"{error.code}: {error}") from error
