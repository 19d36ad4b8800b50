"""Answers of the tools: a short text, the structure, and pictures."""

import base64
from typing import Any

from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent

from ltx_mcp.domain.job import Job, State
from ltx_mcp.presentation.result_models import ResultModel
from ltx_mcp.presentation.result_text import failure_text, ref_text
from ltx_mcp.server.app_context import AppContext
from ltx_mcp.server.error_results import error_result

JOB = "ltx-mcp/job"
"""The name, in `_meta` of an answer with a picture, of what other answers have as their structure."""


def make_result(
    text: str, structure: ResultModel, *images: ImageContent, meta: dict[str, Any] | None = None
) -> CallToolResult:
    """What a call that did its work gives back; `meta` is for programs and the host's page, not for the model.

    Hosts that show their model a structure show it nothing else, and not all of them can be told by name: beside a
    picture the structure goes into `meta`.
    """
    content: list[ContentBlock] = [TextContent(type="text", text=text), *images]
    if images:
        return CallToolResult(content=content, _meta={JOB: structure.to_wire()} | (meta or {}))
    return CallToolResult(content=content, structured_content=structure.to_wire(), _meta=meta)


def image_content(data: bytes, mime_type: str) -> ImageContent:
    """A picture the model sees."""
    return ImageContent(type="image", data=base64.b64encode(data).decode(), mime_type=mime_type)


async def job_result(app_context: AppContext, job: Job, *, fresh: bool = True) -> CallToolResult:
    """A job's short form; one that failed, or was cancelled for a reason, did not do what was asked: isError."""
    ref = await app_context.ref(job, fresh=fresh)
    if job.state in (State.FAILED, State.CANCELLED) and job.error is not None:
        return error_result(job.error.code, f"{job.id} {job.state}. {failure_text(ref)} {ref.next}", ref.to_wire())
    return make_result(ref_text(ref), ref)
